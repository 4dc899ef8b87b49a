//! Counters of what the client did, for metrics and tests. They say how often, never what.

mod tally;

use std::sync::atomic::{AtomicU64, Ordering};

use tally::Tally;

/// The live counters of one client.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    hits: Tally,
    misses: AtomicU64,
    stale_served: AtomicU64,
    requests: AtomicU64,
    retries: AtomicU64,
    logins: AtomicU64,
    login_failures: AtomicU64,
}

/// The counters at one moment, since the client was made.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatsSnapshot {
    /// Reads answered from the cache while fresh.
    pub hits: u64,
    /// Reads that had to ask Vault (or wait for someone else's question).
    pub misses: u64,
    /// Reads answered with a stale value because Vault was unavailable.
    pub stale_served: u64,
    /// Requests sent to Vault for reads and writes, retries included, logins not.
    pub requests: u64,
    /// How many of those were retries.
    pub retries: u64,
    /// Logins that succeeded.
    pub logins: u64,
    /// Logins that failed.
    pub login_failures: u64,
}

impl Stats {
    #[inline]
    pub(crate) fn hit(&self) {
        self.hits.add_one();
    }

    pub(crate) fn miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stale(&self) {
        self.stale_served.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn request(&self, attempt: u32) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if attempt > 0 {
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn login(&self, succeeded: bool) {
        let counter = if succeeded { &self.logins } else { &self.login_failures };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> StatsSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StatsSnapshot {
            hits: self.hits.sum(),
            misses: read(&self.misses),
            stale_served: read(&self.stale_served),
            requests: read(&self.requests),
            retries: read(&self.retries),
            logins: read(&self.logins),
            login_failures: read(&self.login_failures),
        }
    }
}
