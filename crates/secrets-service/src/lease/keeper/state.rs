//! What there is to know of leases, and what changes with each thing that happens to one.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use super::Kept;
use crate::cache::Entry;
use crate::error::Error;
use crate::key::Key;
use crate::lease::engine::{Engine, Grant, Sort};
use crate::lease::event::{EVENTS_KEPT, LeaseChange, LeaseEvent};
use crate::lease::rotating::Rotation;
use crate::secret_read::{CachedSecret, Origin, SecretRead};
use crate::vault_client::DatabaseCredentials;

/// More leases than this are not kept alive; they end by their TTL. A process that makes more has other worries.
const MOST_HELD: usize = 100_000;

#[derive(Debug)]
pub(super) struct State {
    pub(super) engine: Engine<Kept>,
    pub(super) held: HashMap<Key, Held>,
    pub(super) watched: HashMap<Key, watch::Sender<Rotation>>,
    /// `None` once the client has been closed.
    pub(super) events: Option<broadcast::Sender<LeaseEvent>>,
    pub(super) attended: usize,
}

/// A lease, or a static role that someone waits on.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) entry: Entry<CachedSecret>,
    /// Since `Expiring` or `Lost` was told.
    pub(super) troubled_since: Option<Instant>,
    pub(super) last_error: Option<Error>,
    /// Neither renewed nor replaced again: Vault will not renew it, and nobody uses it.
    pub(super) resting: bool,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            engine: Engine::default(),
            held: HashMap::new(),
            watched: HashMap::new(),
            events: Some(broadcast::Sender::new(EVENTS_KEPT)),
            attended: 0,
        }
    }

    pub(super) fn is_watched(&self, key: &Key) -> bool {
        self.watched.get(key).is_some_and(|sender| sender.receiver_count() > 0)
    }

    /// Somebody waits for changes, or reads it; or it is too early to tell: reads leave a trace from a third of its
    /// life on, and whoever comes now and then must have had the time to come.
    pub(super) fn is_wanted(&self, key: &Key, now: Instant) -> bool {
        let in_use = |held: &Held| held.entry.value().was_used() || now < grant_of(&held.entry).half_time();
        self.is_watched(key) || self.held.get(key).is_some_and(in_use)
    }

    pub(super) fn tell(&self, key: &Key, change: LeaseChange) {
        let what = change.as_str();
        match &change {
            LeaseChange::Renewed { .. } => tracing::debug!(path = key.path(), event = what, "lease"),
            LeaseChange::Expiring { ends_in, reason } => {
                let reason = reason.as_ref().map(ToString::to_string);
                tracing::warn!(path = key.path(), event = what, ?ends_in, reason, "lease");
            }
            LeaseChange::Lost { reason: Some(reason) } => {
                tracing::warn!(path = key.path(), event = what, %reason, "lease");
            }
            _ => tracing::info!(path = key.path(), event = what, "lease"),
        }
        if let Some(events) = &self.events {
            // An error means that nobody listens.
            let _ = events.send(LeaseEvent { path: key.path().to_owned(), change });
        }
    }

    pub(super) fn stored(&mut self, key: &Key, entry: &Entry<CachedSecret>, now: Instant) {
        self.watched.retain(|_, sender| sender.receiver_count() > 0);
        if !self.held.contains_key(key) && self.held.len() >= MOST_HELD {
            tracing::warn!(
                path = key.path(),
                most = MOST_HELD,
                "too many leases; this one is not kept alive"
            );
            return;
        }
        let held = Held { entry: entry.clone(), troubled_since: None, last_error: None, resting: false };
        let before = self.held.insert(key.clone(), held);
        let lease_of =
            |entry: &Entry<CachedSecret>| entry.value().secret.lease().map(|lease| lease.id.clone());
        let (old, new) = (before.as_ref().and_then(|held| lease_of(&held.entry)), lease_of(entry));
        let grant = grant_of(entry);
        let kept = Kept::Secret(key.clone());
        let same_lease = new.is_some() && old == new;
        if same_lease {
            self.engine.extended(kept, grant);
        } else {
            self.engine.granted(kept, grant);
        }
        let changed = self.publish(key, entry);
        match (&before, new) {
            (Some(_), Some(lease)) if same_lease => {
                let ends_in = grant.ends.saturating_duration_since(now);
                self.tell(key, LeaseChange::Renewed { lease, ends_in });
            }
            (Some(before), new) if changed || new.is_some() => {
                let old_ends_in = old.as_ref().map_or(Duration::ZERO, |_| {
                    before.entry.lifetime().stale_until.saturating_duration_since(now)
                });
                self.tell(key, LeaseChange::Rotated { old, new, old_ends_in });
            }
            _ => {}
        }
        if let Some(since) = before.and_then(|before| before.troubled_since) {
            self.tell(key, LeaseChange::Recovered { after: now.saturating_duration_since(since) });
        }
    }

    /// To those who wait on credentials; says whether the credentials are others than before.
    pub(super) fn publish(&mut self, key: &Key, entry: &Entry<CachedSecret>) -> bool {
        let Some(sender) = self.watched.get(key) else { return false };
        let read = SecretRead::new(entry.clone(), Origin::Vault);
        let credentials = match DatabaseCredentials::from_read(key.path(), read) {
            Ok(credentials) => credentials,
            Err(error) => {
                tracing::warn!(path = key.path(), %error, "not the credentials that were waited for");
                return false;
            }
        };
        sender.send_if_modified(|rotation| {
            let next = rotation.followed_by(credentials);
            // The same credentials with a new end are no rotation, but whoever looks should see the new end.
            let changed = next.generation > rotation.generation;
            *rotation = next;
            changed
        })
    }

    pub(super) fn expiring(&mut self, key: &Key, now: Instant) {
        let Some(held) = self.held.get_mut(key) else { return };
        held.troubled_since.get_or_insert(now);
        let ends_in = held.entry.lifetime().stale_until.saturating_duration_since(now);
        let reason = held.last_error.clone();
        self.tell(key, LeaseChange::Expiring { ends_in, reason });
    }

    pub(super) fn lost(&mut self, key: &Key, now: Instant) {
        let wanted = self.is_wanted(key, now);
        let watched = self.is_watched(key);
        let Some(held) = self.held.get_mut(key) else { return };
        held.troubled_since.get_or_insert(now);
        let reason = held.last_error.clone().filter(|_| wanted);
        self.tell(key, LeaseChange::Lost { reason });
        if !watched {
            // Whoever reads it next asks for another. Until then it is only remembered when it ended.
            self.engine.forget(&Kept::Secret(key.clone()));
            if !wanted {
                self.held.remove(key);
            }
        }
    }

    pub(super) fn drop_held(&mut self, key: &Key) {
        self.held.remove(key);
        self.engine.forget(&Kept::Secret(key.clone()));
    }
}

fn grant_of(entry: &Entry<CachedSecret>) -> Grant {
    let lifetime = entry.lifetime();
    match entry.value().secret.lease() {
        Some(lease) => {
            let sort = if lease.renewable { Sort::Renewable } else { Sort::Fixed };
            let at = entry.value().hold.as_ref().map_or(lifetime.fetched_at, |hold| hold.granted_at);
            Grant { at, ends: lifetime.stale_until, sort }
        }
        None => Grant { at: lifetime.fetched_at, ends: lifetime.fresh_until, sort: Sort::Rotating },
    }
}
