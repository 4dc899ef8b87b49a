//! Readers and a writer, all with the same client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use secrets_service::{ErrorKind, ResilientVaultClient};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::application::{PAST_THE_CACHE, WRITTEN, newest, path};
use super::tally::Round;

/// Readers of cached secrets, each of its own.
pub(super) const CACHED_READERS: usize = 8;

/// Readers past the cache: half of them read what the writer writes.
const UNCACHED_READERS: usize = 4;

/// Between two reads of one reader. Short enough that no moment of an election is missed, long enough that it is
/// Vault that is tested, and not the machine.
const BETWEEN_CACHED: Duration = Duration::from_millis(2);
const BETWEEN_UNCACHED: Duration = Duration::from_millis(20);
const BETWEEN_WRITES: Duration = Duration::from_millis(50);

/// A running load. Ends when dropped.
pub(super) struct Load {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

struct Shared {
    client: ResilientVaultClient,
    /// Where everybody writes down how it went.
    round: Mutex<Round>,
    /// The newest version of the written secret that Vault has acknowledged.
    acknowledged: AtomicU64,
    stop: AtomicBool,
}

impl Load {
    pub(super) async fn start(client: ResilientVaultClient) -> Self {
        let acknowledged = AtomicU64::new(newest(&client).await.unwrap());
        let shared =
            Arc::new(Shared { client, round: Mutex::default(), acknowledged, stop: AtomicBool::new(false) });
        let mut tasks = JoinSet::new();
        for number in 0..CACHED_READERS {
            // So that there is something to fall back on.
            shared.client.get_secret(&path(number)).await.unwrap();
            tasks.spawn(Arc::clone(&shared).read_cached(path(number)));
        }
        for number in 0..UNCACHED_READERS / 2 {
            tasks.spawn(Arc::clone(&shared).read_uncached(path(number)));
            tasks.spawn(Arc::clone(&shared).read_what_is_written());
        }
        tasks.spawn(Arc::clone(&shared).write());
        Self { shared, tasks }
    }

    /// The newest version that Vault has acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::SeqCst)
    }

    /// Begins to count from 0, and hands out what was counted before.
    pub(super) fn begin_round(&self) -> Round {
        std::mem::take(&mut *self.shared.round.lock())
    }

    pub(super) fn leader_is_gone(&self, killed: Instant) {
        self.shared.round.lock().leader_is_gone(killed);
    }

    /// From the kill of this round until reads and writes succeeded again, once they have.
    pub(super) fn recovered(&self) -> Option<(Duration, Duration)> {
        self.shared.round.lock().recovered()
    }

    /// Lets everybody finish what they are at. Panics if one of them has.
    pub(super) async fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    async fn read_cached(self: Arc<Self>, path: String) {
        while self.goes_on() {
            let started = Instant::now();
            let read = self.client.get_secret(&path).await;
            {
                let mut round = self.round.lock();
                match &read {
                    Ok(read) => {
                        round.cached.succeeded(started);
                        if read.is_stale() {
                            round.cached.was_stale();
                        }
                    }
                    Err(error) => round.cached.failed(started, error),
                }
            }
            sleep(BETWEEN_CACHED).await;
        }
    }

    async fn read_uncached(self: Arc<Self>, path: String) {
        while self.goes_on() {
            let started = Instant::now();
            match self.client.get_secret_with(&path, PAST_THE_CACHE).await {
                Ok(_) => self.round.lock().read(started),
                Err(error) => self.round.lock().uncached.failed(started, &error),
            }
            sleep(BETWEEN_UNCACHED).await;
        }
    }

    /// What was acknowledged before a read began, that read must see.
    async fn read_what_is_written(self: Arc<Self>) {
        while self.goes_on() {
            let started = Instant::now();
            let acknowledged = self.acknowledged.load(Ordering::SeqCst);
            match newest(&self.client).await {
                Ok(version) => {
                    assert!(version >= acknowledged, "read {version} after {acknowledged} was acknowledged");
                    self.round.lock().read(started);
                }
                Err(error) => self.round.lock().uncached.failed(started, &error),
            }
            sleep(BETWEEN_UNCACHED).await;
        }
    }

    /// Writes version after version, the only writer there is.
    async fn write(self: Arc<Self>) {
        let mut version = self.acknowledged.load(Ordering::SeqCst);
        while self.goes_on() {
            let started = Instant::now();
            let next = version + 1;
            match self.client.put_secret(WRITTEN, &json!({"n": next}), Some(version)).await {
                Ok(written) => {
                    assert_eq!(written, Some(next), "the next version");
                    version = next;
                    self.acknowledged.store(version, Ordering::SeqCst);
                    self.round.lock().written(started);
                }
                Err(error) => {
                    self.round.lock().writes.failed(started, &error);
                    let Some(found) = self.find_out().await else { return };
                    assert!(found == version || found == next, "{found} after a write of {next} failed");
                    assert!(
                        found == next || error.kind() == ErrorKind::Unavailable,
                        "refused, and not carried out: {error}"
                    );
                    self.round.lock().carried_out += u64::from(found == next);
                    version = found;
                }
            }
            sleep(BETWEEN_WRITES).await;
        }
    }

    /// What the newest version is, after a write of which that is not known. `None` at the end of the test.
    async fn find_out(&self) -> Option<u64> {
        while self.goes_on() {
            if let Ok(version) = newest(&self.client).await {
                return Some(version);
            }
            sleep(BETWEEN_WRITES).await;
        }
        None
    }
}
