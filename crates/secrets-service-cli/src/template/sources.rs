//! Reads what templates and variables are made from, and notices when it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use secrets_service::{Error, LeaseChange, ReadOptions, RotatingCredentials, SecretsService};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::reading::{Reading, Source, is_final};

/// Nothing is asked for more often than this, whatever its TTL.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// How often to look at what no cache may keep (`VAULT_CACHE_TTL_SECONDS=0`) and at names: they have no TTL of their
/// own. A minute is soon enough for a person who waits, and nothing to Vault.
const WITHOUT_TTL: Duration = Duration::from_secs(60);

/// After failures the pauses double up to this: an outage has ended by then, or is one that nobody notices the
/// difference in.
const LONGEST_PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(30);

/// What has been read, shared by the tasks that keep it current.
pub(crate) struct Sources {
    shared: Arc<Shared>,
    events: Option<Ended>,
}

struct Shared {
    service: SecretsService,
    watch: bool,
    known: Mutex<BTreeMap<Source, Known>>,
    /// A source has changed.
    changed: Notify,
}

struct Known {
    result: Result<Arc<Reading>, Error>,
    /// Since somebody last asked which ones have changed.
    changed: bool,
    nudge: Arc<Nudge>,
    _task: Option<Ended>,
}

#[derive(Default)]
struct Nudge {
    notify: Notify,
    anew: std::sync::atomic::AtomicBool,
}

/// A task that ends with this.
struct Ended(JoinHandle<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Sources {
    /// `watch`: whether to keep what is read current.
    pub(crate) fn new(service: &SecretsService, watch: bool) -> Self {
        let shared = Arc::new(Shared {
            service: service.clone(),
            watch,
            known: Mutex::default(),
            changed: Notify::new(),
        });
        let events = watch.then(|| Ended(tokio::spawn(Arc::clone(&shared).hear_of_leases())));
        Self { shared, events }
    }

    pub(crate) fn service(&self) -> &SecretsService {
        &self.shared.service
    }

    /// What there is at `source`: known already, or asked for.
    pub(crate) async fn get(&self, source: &Source) -> Result<Arc<Reading>, Error> {
        let known = self.shared.known.lock().get(source).map(|known| known.result.clone());
        if let Some(result) = known {
            return result;
        }
        // Before the first read: nothing may happen between the two unseen.
        let rotating = if self.shared.watch { self.shared.rotating(source).await? } else { None };
        let reading = Arc::new(self.shared.read(source, false).await?);
        let nudge = Arc::new(Nudge::default());
        let task = self.shared.watch.then(|| {
            let watch = Arc::clone(&self.shared).watch(source.clone(), Arc::clone(&nudge), rotating);
            Ended(tokio::spawn(watch))
        });
        let known = Known { result: Ok(Arc::clone(&reading)), changed: false, nudge, _task: task };
        self.shared.known.lock().insert(source.clone(), known);
        Ok(reading)
    }

    /// Waits until something has changed.
    pub(crate) async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// What has changed since this was last asked.
    pub(crate) fn take_changed(&self) -> BTreeSet<Source> {
        let mut all = self.shared.known.lock();
        let changed = all
            .iter_mut()
            .filter_map(|(source, known)| std::mem::take(&mut known.changed).then(|| source.clone()));
        changed.collect()
    }

    /// One thing has changed: looks at all others now, so that what was changed together is noticed together.
    pub(crate) fn look_again(&self) {
        for known in self.shared.known.lock().values() {
            known.nudge.anew.store(true, std::sync::atomic::Ordering::Relaxed);
            known.nudge.notify.notify_one();
        }
    }

    /// Stops watching what is no longer used.
    pub(crate) fn keep_only(&self, used: &BTreeSet<Source>) {
        self.shared.known.lock().retain(|source, _| used.contains(source));
    }

    /// Whether anything that was read ends with its lease.
    pub(crate) fn any_leased(&self) -> bool {
        let known = self.shared.known.lock();
        known.values().any(|known| known.result.as_ref().is_ok_and(|reading| reading.is_leased()))
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        // The tasks hold what holds them.
        self.events = None;
        self.shared.known.lock().clear();
    }
}

impl Shared {
    async fn rotating(&self, source: &Source) -> Result<Option<RotatingCredentials>, Error> {
        let vault = self.service.vault();
        Ok(match source {
            Source::Database { role } => Some(vault.rotating_database_credentials(role).await?),
            Source::StaticDatabase { role } => Some(vault.rotating_static_database_credentials(role).await?),
            Source::Secret { .. } | Source::Names { .. } => None,
        })
    }

    /// `anew`: the cache will not do, unless that would make another lease.
    async fn read(&self, source: &Source, anew: bool) -> Result<Reading, Error> {
        let vault = self.service.vault();
        Ok(match source {
            Source::Secret { path, version } => {
                let leased = || {
                    let known = self.known.lock();
                    let known = known.get(source).and_then(|known| known.result.as_ref().ok());
                    known.is_none_or(|reading| reading.is_leased())
                };
                let bypass_cache = anew && !leased();
                let options = ReadOptions { version: *version, bypass_cache, ..ReadOptions::default() };
                Reading::Secret(vault.get_secret_with(path, options).await?)
            }
            Source::Names { path } => Reading::Names(vault.list_secrets(path).await?),
            Source::Database { role } => loop {
                let before = vault.get_database_credentials(role).await?;
                let url = self.service.get_database_connection_string_for(role).await?;
                let credentials = vault.get_database_credentials(role).await?;
                // Or there were others in the meantime, and nobody knows which are in the string.
                if before.username() == credentials.username() && before.password() == credentials.password()
                {
                    break Reading::Database { credentials, url };
                }
            },
            Source::StaticDatabase { role } => {
                Reading::StaticDatabase(vault.get_static_database_credentials(role).await?)
            }
        })
    }

    async fn watch(
        self: Arc<Self>,
        source: Source,
        nudge: Arc<Nudge>,
        mut rotating: Option<RotatingCredentials>,
    ) {
        let mut failures = 0;
        loop {
            let pause = match self.known.lock().get(&source).map(|known| known.result.clone()) {
                Some(Ok(reading)) if failures == 0 => self.pause(&reading),
                _ => pause_after(failures),
            };
            let rotated = async {
                match &mut rotating {
                    Some(credentials) => credentials.changed().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = nudge.notify.notified() => {}
                open = rotated => if !open { return },
            }
            let anew = nudge.anew.swap(false, std::sync::atomic::Ordering::Relaxed);
            match self.read(&source, anew).await {
                Ok(reading) => {
                    let stale = matches!(&reading, Reading::Secret(read) if read.is_stale());
                    failures = if stale { failures + 1 } else { 0 };
                    self.learn(&source, Ok(Arc::new(reading)));
                }
                Err(error) => {
                    failures = u32::saturating_add(failures, 1);
                    if is_final(&error) {
                        self.learn(&source, Err(error));
                    } else if failures == 1 {
                        tracing::warn!(source = %source, %error, "cannot look for changes; what is there stays in use");
                    }
                }
            }
        }
    }

    fn learn(&self, source: &Source, result: Result<Arc<Reading>, Error>) {
        let mut all = self.known.lock();
        let Some(known) = all.get_mut(source) else { return };
        let same = match (&known.result, &result) {
            (Ok(old), Ok(new)) => old.same_as(new),
            (Err(old), Err(new)) => old.kind() == new.kind(),
            _ => false,
        };
        known.result = result;
        if !same {
            known.changed = true;
            self.changed.notify_one();
        }
    }

    /// Until the next look: when the cache would ask Vault anyway, and not all at the same moment.
    fn pause(&self, reading: &Reading) -> Duration {
        let fresh_for = match reading {
            Reading::Secret(read) => read.fresh_for(),
            // The credentials announce themselves; the rest of the connection string does not.
            Reading::Database { .. } => {
                let config = self.service.vault().cached(&self.service.config().db_config_path);
                config.map_or(Duration::ZERO, |read| read.fresh_for())
            }
            Reading::StaticDatabase(credentials) => credentials.usable_for(),
            Reading::Names(_) => Duration::ZERO,
        };
        let pause = if fresh_for.is_zero() { WITHOUT_TTL } else { fresh_for.max(SHORTEST_PAUSE) };
        pause.mul_f64(1.0 + 0.1 * fastrand::f64())
    }

    /// A lease that is replaced has a new value; its readers look at once.
    async fn hear_of_leases(self: Arc<Self>) {
        let mut events = self.service.vault().lease_events();
        while let Some(event) = events.next().await {
            let missed = matches!(event.change, LeaseChange::Missed(_));
            if matches!(event.change, LeaseChange::Renewed { .. } | LeaseChange::Expiring { .. }) {
                continue;
            }
            for (source, known) in self.known.lock().iter() {
                let concerned = match source {
                    Source::Secret { path, .. } => path.trim_matches('/') == event.path.trim_matches('/'),
                    _ => false,
                };
                if missed || concerned {
                    known.nudge.notify.notify_one();
                }
            }
        }
    }
}

fn pause_after(failures: u32) -> Duration {
    let pause = SHORTEST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10));
    pause.min(LONGEST_PAUSE_AFTER_FAILURE).mul_f64(0.75 + 0.5 * fastrand::f64())
}
