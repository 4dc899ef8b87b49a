//! Values with a lifetime: fresh, then stale, then expired.
//!
//! An entry outlives its TTL: past `fresh_until` it is still there as the fallback for an outage, until
//! `stale_until`. What may be done with a stale value is decided by the caller; the cache only says what it is.
//!
//! A read of a cached value takes one shard's read lock for the length of a hash-table probe and clones one
//! reference count; it allocates nothing. Memory is bounded by a number of entries.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use quick_cache::UnitWeighter;
use quick_cache::sync::DefaultLifecycle;
use tokio::time::Instant;
use triomphe::ThinArc;

/// A value that is still being read is refreshed in the background from a random moment on between these shares of its
/// TTL, so that a busy key never makes a caller wait. Random, and so wide, because a fleet that was started together
/// would otherwise refresh together for ever: so, even its first refreshes come at less than twice the mean rate.
const REFRESH_BETWEEN: (f64, f64) = (0.5, 0.9);

/// No deadline lies further ahead than this. Longer TTLs mean nothing for a process's cache, and adding them
/// to a clock could overflow.
pub const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The deadlines of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
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
        let (from, to) = REFRESH_BETWEEN;
        let refresh_at = from + (to - from) * fastrand::f64();
        Self {
            fetched_at,
            fresh_until: fetched_at + ttl,
            stale_until: fetched_at + max_stale.min(LONGEST).max(ttl),
            refresh_from: fetched_at + ttl.mul_f64(refresh_at),
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

/// A cached value with its deadlines and its key. Cheap to clone: clones are the same entry.
///
/// Reference count, first deadline and key lie together in one block of memory: in a large cache, where each new
/// cache line is a miss, these are all that a hit touches beside the table.
#[derive(Debug)]
pub struct Entry<V> {
    block: ThinArc<Header<V>, u8>,
}

#[derive(Debug)]
struct Header<V> {
    refresh_from: Instant,
    rest: Box<Rest<V>>,
}

#[derive(Debug)]
struct Rest<V> {
    lifetime: Lifetime,
    value: V,
}

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self { block: self.block.clone() }
    }
}

impl<V> Entry<V> {
    /// A value with its deadlines, to be filed under `key`.
    pub fn new(key: &str, value: V, lifetime: Lifetime) -> Self {
        let header = Header { refresh_from: lifetime.refresh_from, rest: Box::new(Rest { lifetime, value }) };
        Self { block: ThinArc::from_header_and_slice(header, key.as_bytes()) }
    }

    /// The value.
    pub fn value(&self) -> &V {
        &self.block.header.header.rest.value
    }

    /// Its deadlines.
    pub fn lifetime(&self) -> &Lifetime {
        &self.block.header.header.rest.lifetime
    }

    /// What it is filed under.
    pub fn key(&self) -> &str {
        // Made from a text in `new`.
        std::str::from_utf8(&self.block.slice).unwrap_or_default()
    }

    /// How long ago it was fetched.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.lifetime().fetched_at)
    }

    #[inline]
    fn is_for(&self, key: &str) -> bool {
        self.block.slice == *key.as_bytes()
    }
}

/// What the cache has for a key.
#[derive(Debug)]
pub enum Lookup<V> {
    /// May be returned without asking Vault.
    Fresh(Entry<V>),
    /// As [`Fresh`](Self::Fresh), and old enough to be refreshed in the background.
    Ageing(Entry<V>),
    /// Past its TTL: only if Vault is unavailable.
    Stale(Entry<V>),
    /// Nothing that may ever be returned.
    Absent,
}

impl<V> Lookup<V> {
    /// The entry if it may be returned without asking Vault.
    pub fn fresh(self) -> Option<Entry<V>> {
        match self {
            Self::Fresh(entry) | Self::Ageing(entry) => Some(entry),
            Self::Stale(_) | Self::Absent => None,
        }
    }

    /// The entry if it may be returned while Vault is unavailable (fresh ones included).
    pub fn fallback(self) -> Option<Entry<V>> {
        match self {
            Self::Fresh(entry) | Self::Ageing(entry) | Self::Stale(entry) => Some(entry),
            Self::Absent => None,
        }
    }
}

/// A thread-safe, bounded cache with a lifetime per value.
///
/// The table is keyed by a 64-bit hash of the key, under a seed of its own, and a found entry's key is compared with
/// the one asked for. Two keys with one hash (about one chance in 10^11 for 10,000 secrets) push each other out; they
/// are never mistaken for each other.
#[derive(Debug)]
pub struct SecretCache<V> {
    table: Table<V>,
    seed: foldhash::fast::RandomState,
    default_ttl: Duration,
    max_stale: Duration,
}

/// Readers on different shards do not touch the same lock. 64: for a handful of cores they seldom meet, and even a
/// cache for a few thousand secrets still has dozens in each.
const SHARDS: usize = 64;

type Table<V> = quick_cache::sync::Cache<u64, Entry<V>, UnitWeighter, AlreadyHashed>;

impl<V> SecretCache<V> {
    /// At most `capacity` entries (the least used go first); values stay fresh for `default_ttl` unless told
    /// otherwise, and can be fallen back on until `max_stale` after they were fetched (0: never).
    pub fn new(capacity: usize, default_ttl: Duration, max_stale: Duration) -> Self {
        let capacity = capacity.max(1);
        let options = quick_cache::OptionsBuilder::new()
            .estimated_items_capacity(capacity)
            .weight_capacity(capacity as u64)
            .shards(SHARDS)
            .build();
        // It fails only for options that are not set, and those above are all there is to set.
        let table = options.map_or_else(
            |_| {
                Table::with(
                    capacity,
                    capacity as u64,
                    UnitWeighter,
                    AlreadyHashed::default(),
                    DefaultLifecycle::default(),
                )
            },
            |options| {
                Table::with_options(
                    options,
                    UnitWeighter,
                    AlreadyHashed::default(),
                    DefaultLifecycle::default(),
                )
            },
        );
        Self { table, seed: foldhash::fast::RandomState::default(), default_ttl, max_stale }
    }

    /// What there is for `key` at `now`.
    #[inline]
    pub fn lookup(&self, key: &str, now: Instant) -> Lookup<V> {
        match self.find(key) {
            Some(entry) if now < entry.block.header.header.refresh_from => Lookup::Fresh(entry),
            Some(entry) => past_refresh(entry, now),
            None => Lookup::Absent,
        }
    }

    /// The value, if fresh.
    pub fn get(&self, key: &str) -> Option<Entry<V>> {
        self.lookup(key, Instant::now()).fresh()
    }

    /// Stores a value fetched now, fresh for `ttl` (the default TTL if `None`).
    pub fn set(&self, key: &str, value: V, ttl: Option<Duration>) -> Entry<V> {
        let lifetime = Lifetime::new(Instant::now(), ttl.unwrap_or(self.default_ttl), self.max_stale);
        let entry = Entry::new(key, value, lifetime);
        self.insert(entry.clone());
        entry
    }

    /// Stores an entry under its key.
    pub fn insert(&self, entry: Entry<V>) {
        self.table.insert(self.seed.hash_one(&entry.block.slice), entry);
    }

    /// From `now` on the value is stale, if it is not already: it may no longer be what Vault has, but is still
    /// there to fall back on.
    pub fn make_stale(&self, key: &str, now: Instant)
    where
        V: Clone,
    {
        if let Some(entry) = self.find(key) {
            self.insert(Entry::new(key, entry.value().clone(), entry.lifetime().cut_short(now)));
        }
    }

    /// Removes a value; says whether there was one.
    pub fn delete(&self, key: &str) -> bool {
        self.find(key).is_some() && self.table.remove(&self.seed.hash_one(key.as_bytes())).is_some()
    }

    /// Removes everything that `keep` does not want to keep.
    pub fn retain(&self, keep: impl Fn(&Entry<V>) -> bool) {
        self.table.retain(|_, entry| keep(entry));
    }

    /// All there is, in no order, expired entries that have not been pushed out yet included.
    pub fn entries(&self) -> Vec<Entry<V>> {
        self.table.iter().map(|(_, entry)| entry).collect()
    }

    /// Removes everything.
    pub fn clear(&self) {
        self.table.clear();
    }

    /// How many entries there are, fresh, stale or not yet evicted.
    pub fn len(&self) -> usize {
        self.table.len()
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

    #[inline]
    fn find(&self, key: &str) -> Option<Entry<V>> {
        self.table.get(&self.seed.hash_one(key.as_bytes())).filter(|entry| entry.is_for(key))
    }
}

#[cold]
fn past_refresh<V>(entry: Entry<V>, now: Instant) -> Lookup<V> {
    let lifetime = *entry.lifetime();
    if now < lifetime.fresh_until {
        Lookup::Ageing(entry)
    } else if now < lifetime.stale_until {
        Lookup::Stale(entry)
    } else {
        Lookup::Absent
    }
}

/// The hash of a key that is a hash.
#[derive(Debug, Clone, Copy, Default)]
struct AlreadyHashed(u64);

impl BuildHasher for AlreadyHashed {
    type Hasher = Self;

    #[inline]
    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl Hasher for AlreadyHashed {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    /// Never used, as keys are `u64`; right all the same.
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
