//! What is remembered of failed reads, so that busy readers of a failing key do not become a storm.
//!
//! After a failure the key is left alone for about a second: readers get the remembered error, or the stale
//! value, at once. One second is short enough that a person who has just created the missing secret or
//! policy does not notice, and turns any number of busy readers into at most one request a second per key.
//!
//! Where a stale static secret is at hand, those who have it are content with it for longer, the longer Vault has been
//! away ([`patience`](crate::retry::patience)): a fleet must not ask for everything at once when it returns.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;
use crate::key::Key;

/// How long a failed read is remembered, plus up to a quarter of jitter.
const REMEMBERED_FOR: Duration = Duration::from_secs(1);

/// What a key's last read failed with.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub(super) error: Error,
    /// Until then it counts for everyone.
    pub(super) until: Instant,
    /// Until then, for those who have a stale value at hand.
    patient_until: Instant,
    /// The request has not failed yet, only taken longer than those with a stale value at hand will wait.
    pub(super) only_slow: bool,
}

/// The troubles by key, bounded like the cache.
#[derive(Debug)]
pub(super) struct Troubles {
    by_key: quick_cache::sync::Cache<Key, Arc<Trouble>>,
    /// Keys whose stale value is being served, so that this is logged once per outage.
    told: quick_cache::sync::Cache<Key, ()>,
}

impl Troubles {
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self {
            by_key: quick_cache::sync::Cache::new(capacity),
            told: quick_cache::sync::Cache::new(capacity),
        }
    }

    /// The trouble that still counts, if there is one.
    pub(super) fn current(&self, key: &Key, now: Instant) -> Option<Arc<Trouble>> {
        self.by_key.get(key).filter(|trouble| now < trouble.patient_until)
    }

    /// `patience` is for those who have a stale value at hand.
    pub(super) fn failed(&self, key: &Key, error: Error, patience: Duration, now: Instant) {
        let until = now + REMEMBERED_FOR.mul_f64(1.0 + fastrand::f64() / 4.0);
        let patient_until = until.max(now + patience);
        self.by_key.insert(key.clone(), Arc::new(Trouble { error, until, patient_until, only_slow: false }));
    }

    /// The request is still under way; until `until` those with a stale value need not wait for it.
    pub(super) fn slow(&self, key: &Key, error: Error, until: Instant) {
        self.by_key
            .insert(key.clone(), Arc::new(Trouble { error, until, patient_until: until, only_slow: true }));
    }

    /// The key has been read or written successfully.
    pub(super) fn forget(&self, key: &Key) {
        self.by_key.remove(key);
        self.told.remove(key);
    }

    pub(super) fn clear(&self) {
        self.by_key.clear();
        self.told.clear();
    }

    /// True for the first time in an outage.
    pub(super) fn first_stale(&self, key: &Key) -> bool {
        if self.told.get(key).is_some() {
            return false;
        }
        self.told.insert(key.clone(), ());
        true
    }
}
