//! Forgetting what someone else has changed, or what must no longer be handed out.

use super::ResilientVaultClient;
use crate::cache::Entry;
use crate::key::{self, Key};
use crate::secret_read::CachedSecret;

impl ResilientVaultClient {
    /// Forgets every version of the secret at `path`, and what reads under way are about to bring. Says how many
    /// there were. Makes no request: of a mount that is not known yet, nothing is cached.
    pub fn invalidate_versions(&self, path: &str) -> usize {
        let shared = &self.shared;
        let Some(resolved) = shared.client.mounts().known(path, shared.mount_point.as_deref()) else {
            return 0;
        };
        let newest = Key::new(&resolved, None);
        shared.troubles.forget(&newest);
        // Versions have flights of their own, which cannot be told by path: all are overtaken, and none is lost to
        // those who wait for it.
        self.forget_where(|name| key::parts(name).0 == newest.path())
    }

    /// Takes the newest version for stale: it is unknown whether it still is what Vault has. The next read asks, and
    /// while Vault is unavailable there still is something to fall back on.
    pub fn expire(&self, path: &str) {
        let shared = &self.shared;
        if let Some(resolved) = shared.client.mounts().known(path, shared.mount_point.as_deref()) {
            let key = Key::new(&resolved, None);
            shared.flights.supersede(&key, || shared.make_stale(&key));
        }
    }

    /// Forgets every secret whose path is `prefix` or lies below it.
    pub fn invalidate_under(&self, prefix: &str) -> usize {
        let prefix = prefix.trim_matches('/');
        self.forget_where(|name| {
            let rest = key::parts(name).0.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// Forgets the dynamic secrets whose lease ids `ended` knows: they have been revoked.
    pub fn invalidate_leases(&self, ended: impl Fn(&str) -> bool) -> usize {
        let before = self.shared.cache.len();
        self.shared.flights.supersede_all(|| {
            let gone = |entry: &Entry<CachedSecret>| {
                entry.value().secret.lease().is_some_and(|lease| ended(&lease.id))
            };
            self.shared.cache.retain(|entry| !gone(entry));
            // What the keeper still held would come back with the next read.
            self.shared.keeper.forget_where(gone);
            self.shared.journal.delete_where(|_, lease, _| lease.is_some_and(&ended));
        });
        before.saturating_sub(self.shared.cache.len())
    }

    fn forget_where(&self, gone: impl Fn(&str) -> bool) -> usize {
        let before = self.shared.cache.len();
        self.shared.flights.supersede_all(|| {
            self.shared.cache.retain(|entry| !gone(entry.key()));
            self.shared.keeper.forget_where(|entry| gone(entry.key()));
            self.shared.journal.delete_where(|key, _, _| gone(key));
        });
        before.saturating_sub(self.shared.cache.len())
    }
}
