//! Workers that do one thing after the other until they are told to stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What all workers did together.
#[derive(Debug, Clone, Default)]
pub struct Work {
    /// Queries, transactions or logins that were answered.
    pub done: u64,
    /// Those that failed.
    pub failed: u64,
    /// How each failure that differs from the others is told, and when the first came, from the start.
    pub failures: BTreeMap<String, Duration>,
    /// By whom: the user that PostgreSQL knew.
    pub by_user: BTreeMap<String, u64>,
    /// The longest that one took.
    pub slowest: Duration,
}

impl Work {
    fn note(&mut self, answered: Result<String, String>, took: Duration, since_start: Duration) {
        self.slowest = self.slowest.max(took);
        match answered {
            Ok(user) => {
                self.done += 1;
                *self.by_user.entry(user).or_default() += 1;
            }
            Err(error) => {
                self.failed += 1;
                self.failures.entry(error).or_insert(since_start);
            }
        }
    }
}

pub(super) struct Load {
    work: Arc<Mutex<Work>>,
    stop: watch::Sender<bool>,
    workers: JoinSet<()>,
}

impl Load {
    pub(super) fn new() -> Self {
        Self { work: Arc::default(), stop: watch::Sender::new(false), workers: JoinSet::new() }
    }

    /// A worker that does `act` again and again, with this pause in between.
    pub(super) fn worker<F>(&mut self, pause: Duration, act: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = Result<String, String>> + Send,
    {
        let (work, stop) = (Arc::clone(&self.work), self.stop.subscribe());
        let began = Instant::now();
        self.workers.spawn(async move {
            while !*stop.borrow() {
                let started = Instant::now();
                let answered = act().await;
                work.lock().note(answered, started.elapsed(), began.elapsed());
                tokio::time::sleep(pause).await;
            }
        });
    }

    /// Lets each worker finish, and tells what was done.
    pub(super) async fn stop(mut self) -> Work {
        self.stop.send_replace(true);
        while let Some(ended) = self.workers.join_next().await {
            ended.unwrap();
        }
        std::mem::take(&mut *self.work.lock())
    }
}
