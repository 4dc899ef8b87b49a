//! What is in the cache, for people and probes: paths and deadlines, never a value.

use std::time::Duration;

use gds_vault::Lease;
use tokio::time::Instant;

use super::ResilientVaultClient;

/// One cached secret as it stands now.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct CachedEntry {
    /// The path, as people write it: `secret/myapp/config`.
    pub path: String,
    /// A version of a KV v2 secret; `None` for the newest.
    pub version: Option<u64>,
    /// How long ago Vault gave it to us.
    pub age: Duration,
    /// How long it stays fresh; zero for a stale one.
    pub fresh_for: Duration,
    /// How long it may be returned at all, an outage included.
    pub usable_for: Duration,
    /// The lease of a dynamic secret.
    pub lease: Option<Lease>,
}

impl ResilientVaultClient {
    /// Every secret in the cache that may still be returned. Takes a lock per shard and copies: for operators.
    pub fn entries(&self) -> Vec<CachedEntry> {
        let now = Instant::now();
        let entries = self.shared.cache.entries().into_iter().filter_map(|entry| {
            let lifetime = entry.lifetime();
            if now >= lifetime.stale_until {
                return None;
            }
            let (path, version) = crate::key::parts(entry.key());
            Some(CachedEntry {
                path: path.to_owned(),
                version,
                age: entry.age(now),
                fresh_for: lifetime.fresh_until.saturating_duration_since(now),
                usable_for: lifetime.stale_until.saturating_duration_since(now),
                lease: entry.value().secret.lease().cloned(),
            })
        });
        entries.collect()
    }
}
