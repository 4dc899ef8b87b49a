//! Values with a lifetime: fresh, then stale, then expired.
//!
//! An entry outlives its TTL: past `fresh_until` it is still there as the fallback for an outage, until
//! `stale_until`. What may be done with a stale value is decided by the caller; the cache only says what it is.
//!
//! A read of a cached value takes one shard's read lock for the length of a hash-table probe and clones one
//! `Arc`; it allocates nothing. Memory is bounded by a number of entries.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use equivalent::Equivalent;
use tokio::time::Instant;

/// The share of the TTL after which a value that is still being read is refreshed in the background, so that
/// a busy key never makes a caller wait.
const REFRESH_AT: f64 = 0.8;

/// No deadline lies further ahead than this. Longer TTLs mean nothing for a process's cache, and adding them
/// to a clock could overflow.
pub const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The deadlines of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    // The one deadline that a hit compares stands first: next to the reference count that a hit touches anyway.
    /// From then on a read also starts a refresh in the background.
    pub refresh_from: Instant,
    /// When it was fetched: its age counts from here.
    pub fetched_at: Instant,
    /// Until then it may be returned without asking Vault.
    pub fresh_until: Instant,
    /// Until then it may be returned if Vault is unavailable; never after.
    pub stale_until: Instant,
}

impl Lifetime {
    /// Fresh for `ttl`, stale until `max_stale` after the fetch (never less than the TTL itself).
    ///
    /// A TTL of zero: never fresh, so each read asks Vault, but there is still something to fall back on.
    pub fn new(fetched_at: Instant, ttl: Duration, max_stale: Duration) -> Self {
        let ttl = ttl.min(LONGEST);
        Self {
            fetched_at,
            fresh_until: fetched_at + ttl,
            stale_until: fetched_at + max_stale.min(LONGEST).max(ttl),
            refresh_from: fetched_at + ttl.mul_f64(REFRESH_AT),
        }
    }

    /// The same, but stale from `now` on.
    fn cut_short(self, now: Instant) -> Self {
        Self { fresh_until: self.fresh_until.min(now), refresh_from: self.refresh_from.min(now), ..self }
    }

    /// Fresh until `until` and dead after: a credential whose lease ends.
    pub fn until(fetched_at: Instant, until: Instant) -> Self {
        Self { fetched_at, fresh_until: until, stale_until: until, refresh_from: until }
    }
}

/// A cached value with its deadlines.
#[derive(Debug)]
pub struct Entry<V> {
    lifetime: Lifetime,
    value: V,
}

impl<V> Entry<V> {
    /// A value with its deadlines.
    pub fn new(value: V, lifetime: Lifetime) -> Self {
        Self { lifetime, value }
    }

    /// The value.
    pub fn value(&self) -> &V {
        &self.value
    }

    /// Its deadlines.
    pub fn lifetime(&self) -> &Lifetime {
        &self.lifetime
    }

    /// How long ago it was fetched.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.lifetime.fetched_at)
    }
}

/// What the cache has for a key.
#[derive(Debug)]
pub enum Lookup<V> {
    /// May be returned without asking Vault.
    Fresh(Arc<Entry<V>>),
    /// As [`Fresh`](Self::Fresh), and old enough to be refreshed in the background.
    Ageing(Arc<Entry<V>>),
    /// Past its TTL: only if Vault is unavailable.
    Stale(Arc<Entry<V>>),
    /// Nothing that may ever be returned.
    Absent,
}

impl<V> Lookup<V> {
    /// The entry if it may be returned without asking Vault.
    pub fn fresh(self) -> Option<Arc<Entry<V>>> {
        match self {
            Self::Fresh(entry) | Self::Ageing(entry) => Some(entry),
            Self::Stale(_) | Self::Absent => None,
        }
    }

    /// The entry if it may be returned while Vault is unavailable (fresh ones included).
    pub fn fallback(self) -> Option<Arc<Entry<V>>> {
        match self {
            Self::Fresh(entry) | Self::Ageing(entry) | Self::Stale(entry) => Some(entry),
            Self::Absent => None,
        }
    }
}

/// A thread-safe, bounded cache with a lifetime per value.
#[derive(Debug)]
pub struct SecretCache<K, V> {
    entries: quick_cache::sync::Cache<K, Arc<Entry<V>>>,
    default_ttl: Duration,
    max_stale: Duration,
}

impl<K, V> SecretCache<K, V>
where
    K: Hash + Eq + Clone,
{
    /// At most `capacity` entries (the least used go first); values stay fresh for `default_ttl` unless told
    /// otherwise, and can be fallen back on until `max_stale` after they were fetched (0: never).
    pub fn new(capacity: usize, default_ttl: Duration, max_stale: Duration) -> Self {
        Self { entries: quick_cache::sync::Cache::new(capacity.max(1)), default_ttl, max_stale }
    }

    /// What there is for `key` at `now`.
    pub fn lookup<Q>(&self, key: &Q, now: Instant) -> Lookup<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let Some(entry) = self.entries.get(key) else { return Lookup::Absent };
        let lifetime = entry.lifetime;
        if now < lifetime.refresh_from {
            Lookup::Fresh(entry)
        } else if now < lifetime.fresh_until {
            Lookup::Ageing(entry)
        } else if now < lifetime.stale_until {
            Lookup::Stale(entry)
        } else {
            Lookup::Absent
        }
    }

    /// The value, if fresh.
    pub fn get<Q>(&self, key: &Q) -> Option<Arc<Entry<V>>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.lookup(key, Instant::now()).fresh()
    }

    /// Stores a value fetched now, fresh for `ttl` (the default TTL if `None`).
    pub fn set(&self, key: K, value: V, ttl: Option<Duration>) -> Arc<Entry<V>> {
        let lifetime = Lifetime::new(Instant::now(), ttl.unwrap_or(self.default_ttl), self.max_stale);
        self.insert(key, value, lifetime)
    }

    /// Stores a value with its own deadlines.
    pub fn insert(&self, key: K, value: V, lifetime: Lifetime) -> Arc<Entry<V>> {
        let entry = Arc::new(Entry::new(value, lifetime));
        self.insert_entry(key, Arc::clone(&entry));
        entry
    }

    /// Stores an entry made elsewhere.
    pub fn insert_entry(&self, key: K, entry: Arc<Entry<V>>) {
        self.entries.insert(key, entry);
    }

    /// From `now` on the value is stale, if it is not already: it may no longer be what Vault has, but is still
    /// there to fall back on.
    pub fn make_stale<Q>(&self, key: &Q, now: Instant)
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
        V: Clone,
    {
        if let Some(entry) = self.entries.get(key) {
            let lifetime = entry.lifetime.cut_short(now);
            self.entries.insert(key.to_owned(), Arc::new(Entry::new(entry.value.clone(), lifetime)));
        }
    }

    /// Removes a value; says whether there was one.
    pub fn delete<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.entries.remove(key).is_some()
    }

    /// Removes everything that `keep` does not want to keep.
    pub fn retain(&self, keep: impl Fn(&K, &Entry<V>) -> bool) {
        self.entries.retain(|key, entry| keep(key, entry));
    }

    /// Removes everything.
    pub fn clear(&self) {
        self.entries.clear();
    }

    /// How many entries there are, fresh, stale or not yet evicted.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long a value stays fresh unless told otherwise.
    pub fn default_ttl(&self) -> Duration {
        self.default_ttl
    }

    /// How long after its fetch a value can be fallen back on.
    pub fn max_stale(&self) -> Duration {
        self.max_stale
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
