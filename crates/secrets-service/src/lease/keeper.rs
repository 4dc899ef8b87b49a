//! What a client knows of its leases: what it holds, who waits for changes, what is due. No request is made here.

mod state;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use self::state::State;
use super::engine::{Due, Engine, Grant, Sort};
use super::event::{LeaseChange, LeaseEvents, LeaseStatus};
use super::rotating::Rotation;
use crate::cache::{Entry, Lifetime};
use crate::error::Error;
use crate::key::Key;
use crate::secret_read::CachedSecret;
use crate::session::Login;
use crate::vault_client::DatabaseCredentials;

/// So many are attended to at once; the others wait. As many as may be under way to Vault.
const MOST_ATTENDED: usize = 64;

/// What is kept alive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Kept {
    /// The token of that login.
    Token(u64),
    /// The secret_id that logins are made with.
    SecretId,
    Secret(Key),
}

#[derive(Debug)]
pub(crate) struct Keeper {
    state: Mutex<State>,
    /// The login that is being kept; leases of earlier ones are on their way out.
    generation: AtomicU64,
    /// Something may be due earlier than it was.
    pub(crate) wake: std::sync::Arc<Notify>,
    task: Mutex<Option<AbortHandle>>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Keeper {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State::new()),
            generation: AtomicU64::new(0),
            wake: std::sync::Arc::default(),
            task: Mutex::default(),
        }
    }

    /// Starts the task that acts on what is due, unless it runs already.
    pub(crate) fn start(&self, start: impl FnOnce() -> AbortHandle) {
        let mut task = self.task.lock();
        if task.as_ref().is_none_or(AbortHandle::is_finished) {
            *task = Some(start());
        }
    }

    /// Nothing is kept any more, and everyone who waits is told.
    pub(crate) fn stop(&self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
        let mut state = self.state.lock();
        state.engine = Engine::default();
        state.held.clear();
        state.watched.clear();
        state.events = None;
    }

    /// A listener; one that has missed everything if the client is closed.
    pub(crate) fn events(&self) -> LeaseEvents {
        let state = self.state.lock();
        let closed = || broadcast::channel(1).1;
        LeaseEvents::new(state.events.as_ref().map_or_else(closed, broadcast::Sender::subscribe))
    }

    /// The lease under `key`, if it has not ended.
    pub(crate) fn live(&self, key: &Key, now: Instant) -> Option<Entry<CachedSecret>> {
        let state = self.state.lock();
        let entry = &state.held.get(key)?.entry;
        (entry.value().secret.lease().is_some() && now < entry.lifetime().stale_until).then(|| entry.clone())
    }

    /// The id of the lease under `key` that has ended, and how long ago.
    pub(crate) fn ended(&self, key: &Key, now: Instant) -> Option<(String, Duration)> {
        let state = self.state.lock();
        let entry = &state.held.get(key)?.entry;
        let ended = entry.lifetime().stale_until;
        let lease = entry.value().secret.lease()?;
        (ended <= now).then(|| (lease.id.clone(), now - ended))
    }

    /// Whether there should be another one when this one ends.
    pub(crate) fn is_wanted(&self, key: &Key, now: Instant) -> bool {
        self.state.lock().is_wanted(key, now)
    }

    /// Waits on the credentials under `key`; `current` are those of now.
    pub(crate) fn watch(
        &self,
        key: &Key,
        current: DatabaseCredentials,
        now: Instant,
    ) -> watch::Receiver<Rotation> {
        let mut state = self.state.lock();
        // What is held may be newer than what the caller has just read.
        let held = state.held.get(key).map(|held| held.entry.clone());
        let entry = held.unwrap_or_else(|| current.read().entry().clone());
        if let Some(sender) = state.watched.get(key) {
            let receiver = sender.subscribe();
            state.publish(key, &entry);
            return receiver;
        }
        let (sender, receiver) = watch::channel(Rotation::first(current));
        state.watched.insert(key.clone(), sender);
        if state.held.contains_key(key) {
            state.publish(key, &entry);
        } else {
            state.stored(key, &entry, now);
            self.wake.notify_one();
        }
        receiver
    }

    /// Vault gave us this under `key`. To be called for every secret that is stored.
    pub(crate) fn stored(&self, key: &Key, entry: &Entry<CachedSecret>, now: Instant) {
        if key.has_version() {
            return;
        }
        let leased = entry.value().secret.lease().is_some();
        let mut state = self.state.lock();
        if leased || state.watched.contains_key(key) {
            state.stored(key, entry, now);
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Vault says that there is no such thing, or not for us.
    pub(crate) fn denied(&self, key: &Key, error: &Error, now: Instant) {
        let mut state = self.state.lock();
        if let Some(held) = state.held.get_mut(key) {
            held.last_error = Some(error.clone());
            held.troubled_since.get_or_insert(now);
            state.tell(key, LeaseChange::Lost { reason: Some(error.clone()) });
            if !state.is_watched(key) {
                state.drop_held(key);
            }
        }
    }

    /// It was revoked, or hangs on a login that is on its way out, and nobody uses it.
    pub(crate) fn give_up(&self, key: &Key) {
        let mut state = self.state.lock();
        state.tell(key, LeaseChange::Lost { reason: None });
        state.drop_held(key);
    }

    /// The caller no longer wants what there is: the next read must make a new one.
    pub(crate) fn forget(&self, key: &Key) {
        let mut state = self.state.lock();
        state.held.remove(key);
        if !state.is_watched(key) {
            state.engine.forget(&Kept::Secret(key.clone()));
        }
    }

    /// [`forget`](Self::forget) for those that `gone` knows.
    pub(crate) fn forget_where(&self, gone: impl Fn(&Entry<CachedSecret>) -> bool) {
        let mut state = self.state.lock();
        let keys: Vec<Key> =
            state.held.iter().filter(|(_, held)| gone(&held.entry)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            state.held.remove(&key);
            if !state.is_watched(&key) {
                state.engine.forget(&Kept::Secret(key));
            }
        }
    }

    /// All that is held.
    #[cfg(feature = "disk")]
    pub(crate) fn entries(&self) -> Vec<Entry<CachedSecret>> {
        self.state.lock().held.values().map(|held| held.entry.clone()).collect()
    }

    /// [`forget`](Self::forget) for all.
    pub(crate) fn forget_all(&self) {
        let mut state = self.state.lock();
        let keys: Vec<Key> = state.held.drain().map(|(key, _)| key).collect();
        for key in keys.into_iter().filter(|key| !state.is_watched(key)).collect::<Vec<_>>() {
            state.engine.forget(&Kept::Secret(key));
        }
    }

    /// That is the login now. Leases that hang on an earlier one are replaced while they still work.
    /// With `look_after_secret_id` there is something to be seen to beside the token.
    pub(crate) fn logged_in(&self, login: &Login, look_after_secret_id: bool, now: Instant) {
        if self.generation.fetch_max(login.generation, Ordering::Relaxed) >= login.generation {
            return;
        }
        let mut state = self.state.lock();
        for earlier in 1..login.generation {
            state.engine.forget(&Kept::Token(earlier));
        }
        if let Some(grant) = login.grant() {
            state.engine.granted(Kept::Token(login.generation), grant);
        }
        if look_after_secret_id {
            state.engine.granted(Kept::SecretId, Grant::new(now, Duration::ZERO, Sort::Rotating));
        }
        let bound: Vec<(Key, Duration)> = state
            .held
            .iter()
            .filter(|(_, held)| held.entry.value().bound_to().is_some_and(|bound| bound < login.generation))
            .map(|(key, held)| {
                (key.clone(), held.entry.lifetime().fresh_until.saturating_duration_since(now))
            })
            .collect();
        for (key, left) in bound {
            state.engine.hasten(&Kept::Secret(key), now, left / 2);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Vault called that login's token dead, and so are the leases that hang on it.
    pub(crate) fn login_died(&self, generation: u64, now: Instant) {
        let mut state = self.state.lock();
        let dead: Vec<Key> = state
            .held
            .iter()
            .filter(|(_, held)| held.entry.value().bound_to() == Some(generation))
            .map(|(key, _)| key.clone())
            .collect();
        for key in dead {
            if let Some(held) = state.held.get_mut(&key) {
                let lifetime = Lifetime::until(held.entry.lifetime().fetched_at, now);
                held.entry = Entry::new(key.as_str(), held.entry.value().clone(), lifetime);
            }
            if state.is_watched(&key) {
                state.engine.ended(&Kept::Secret(key), now);
            } else {
                state.engine.forget(&Kept::Secret(key));
            }
        }
        drop(state);
        self.wake.notify_one();
    }

    /// The next thing to attend to (a warning or an end is told on the way), or when there will be one.
    pub(crate) fn next(&self, now: Instant) -> Next {
        let mut state = self.state.lock();
        while state.attended < MOST_ATTENDED {
            let Some((kept, due)) = state.engine.pop(now) else {
                return Next::Wait(state.engine.next());
            };
            match (kept, due) {
                (kept, Due::Attend) => {
                    state.attended += 1;
                    return Next::Attend(kept);
                }
                (Kept::Secret(key), Due::Expiring) => state.expiring(&key, now),
                (Kept::Secret(key), Due::Ended) => state.lost(&key, now),
                (Kept::Token(generation), Due::Expiring) => {
                    tracing::warn!(generation, "the login to Vault is about to end and could not be renewed");
                }
                // The next request, or the next attempt to renew a lease, logs in.
                (token @ Kept::Token(_), Due::Ended) => drop(state.engine.forget(&token)),
                (Kept::SecretId, Due::Expiring | Due::Ended) => {}
            }
        }
        // Whoever is attended to now wakes the task when done.
        Next::Wait(None)
    }

    /// How an attempt on a secret ended. What was stored has been heard of already.
    pub(crate) fn attended(&self, key: &Key, error: Option<Error>, now: Instant) {
        let mut state = self.state.lock();
        let resting = state.held.get_mut(key).is_some_and(|held| {
            held.last_error = error.or(held.last_error.take());
            held.resting
        });
        let kept = Kept::Secret(key.clone());
        // Still under way, as far as the engine knows: nothing was stored.
        if !resting && state.engine.is_attended(&kept) {
            if state.held.contains_key(key) || state.is_watched(key) {
                state.engine.failed(&kept, now);
            } else {
                state.engine.forget(&kept);
            }
        }
        self.finished(state);
    }

    /// How an attempt on the token or the secret_id ended: its new grant, or nothing more to be done about it; or it
    /// has to be tried again.
    pub(crate) fn kept_alive(&self, kept: Kept, outcome: Result<Option<Grant>, ()>, now: Instant) {
        let mut state = self.state.lock();
        match outcome {
            Ok(Some(grant)) => state.engine.extended(kept, grant),
            Ok(None) => drop(state.engine.forget(&kept)),
            Err(()) => state.engine.failed(&kept, now),
        }
        self.finished(state);
    }

    fn finished(&self, mut state: parking_lot::MutexGuard<'_, State>) {
        state.attended = state.attended.saturating_sub(1);
        drop(state);
        self.wake.notify_one();
    }

    /// Vault does not renew it. Says whether there is time enough to see later whether to replace it.
    pub(crate) fn may_wait(&self, key: &Key, now: Instant) -> bool {
        self.state.lock().engine.cannot_be_renewed(&Kept::Secret(key.clone()), now)
    }

    /// Vault will not renew it (for long), and nobody uses it: it may end. If somebody has begun to use it by the time
    /// that it would be attended to next, it is replaced after all.
    pub(crate) fn rest(&self, key: &Key) {
        if let Some(held) = self.state.lock().held.get_mut(key) {
            held.resting = true;
        }
    }

    /// Whether it has been left to end, and nobody has used it since.
    pub(crate) fn may_rest(&self, key: &Key, now: Instant) -> bool {
        let state = self.state.lock();
        state.held.get(key).is_some_and(|held| held.resting) && !state.is_wanted(key, now)
    }

    /// Whether a login is worth replacing before its end: something hangs on it.
    pub(crate) fn holds_anything(&self) -> bool {
        let state = self.state.lock();
        !state.held.is_empty() || state.watched.values().any(|sender| sender.receiver_count() > 0)
    }

    /// Every lease held, for those who want to look.
    pub(crate) fn list(&self, now: Instant) -> Vec<LeaseStatus> {
        let state = self.state.lock();
        let listed = state.held.iter().map(|(key, held)| {
            let left = |until: Instant| until.saturating_duration_since(now);
            let lifetime = held.entry.lifetime();
            let lease = held.entry.value().secret.lease();
            LeaseStatus {
                path: key.path().to_owned(),
                lease: lease.map(|lease| lease.id.clone()),
                renewable: lease.is_some_and(|lease| lease.renewable),
                ends_in: left(if lease.is_some() { lifetime.stale_until } else { lifetime.fresh_until }),
                failures: state.engine.failures(&Kept::Secret(key.clone())),
                last_error: held.last_error.clone(),
                watched: state.is_watched(key),
            }
        });
        listed.collect()
    }
}

/// What the task is to do next.
#[derive(Debug)]
pub(crate) enum Next {
    Attend(Kept),
    /// Until then, or until woken.
    Wait(Option<Instant>),
}
