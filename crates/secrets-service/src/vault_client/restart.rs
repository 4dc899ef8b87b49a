//! What outlives the process: taken over from disk at the start, and said again when the file is written anew.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use gds_vault::{AuthMethod, Client, KnownMounts, Secret};
use tokio::time::{Instant, sleep};

use super::{ResilientVaultClient, Shared, upstream_of};
use crate::cache::Entry;
use crate::config::VaultConfig;
use crate::disk::Journal;
use crate::disk::journal::Source;
use crate::disk::moment::{Moment, Reckoning};
use crate::disk::record::StoredSecret;
use crate::key::Key;
use crate::secret_read::{CachedSecret, Hold};
use crate::session::Login;
use crate::upstream::{Operation, Repeat};

/// The login that an earlier process held last is the first of this one.
const RESUMED: u64 = 1;
/// Leases of logins before that: still good, but to be replaced, as nobody can renew them.
const EARLIER: u64 = 0;

/// How soon after the start, and after a failure, Vault is asked whether things are still mounted as they were.
const CONFIRM_AFTER: Duration = Duration::from_secs(5);

/// More mounts than this are believed without asking: a client seldom has more than three.
const MOST_CONFIRMED: usize = 64;

impl ResilientVaultClient {
    /// A client with a copy of its cache on disk, if the settings ask for one.
    pub(super) fn begin(config: &VaultConfig, client: Client, auth: Arc<dyn AuthMethod>) -> Self {
        let upstream = upstream_of(config, &client);
        let Some(start) = crate::disk::open(config) else {
            return Self::with_upstream(config, client, auth, upstream, Journal::none());
        };
        let made = Self::with_upstream(config, client, auth, upstream, start.journal.clone());
        let shared = &made.shared;
        let contents = start.contents;
        let anew = !contents.secrets.is_empty() || contents.login.is_some();
        let reckoning = Reckoning::new(Moment::for_reading(), contents.written_at);
        if reckoning.clock_was_set_back() && anew {
            tracing::warn!(
                "the clock has been set back since the cache was written to disk: leases and the login are \
                 not taken over, and secrets only as a fallback, for an hour at most"
            );
        }
        shared.client.mounts().learn(&contents.mounts);
        if contents.rejected {
            shared.session.remember_rejection();
        }
        let stored = contents.login;
        let number = stored.as_ref().map(|login| login.number);
        let login = stored.and_then(|stored| shared.take_over_login(stored, &reckoning));
        let restored = shared.take_over(contents.secrets, number.filter(|_| login.is_some()), &reckoning);
        if restored > 0 || login.is_some() {
            tracing::info!(secrets = restored, login = login.is_some(), "taken over from the cache on disk");
        }
        let weak: Weak<Shared> = Arc::downgrade(shared);
        start.journal.start(weak, restored, anew);
        // Outside of a runtime the first request does this.
        if tokio::runtime::Handle::try_current().is_ok() {
            if let Some(login) = login {
                shared.saw_login(&login);
            }
            if !contents.mounts.mounts.is_empty() {
                tokio::spawn(confirm_mounts(Arc::downgrade(shared), contents.mounts));
            }
        }
        made
    }
}

impl Shared {
    fn take_over_login(
        &self,
        stored: crate::disk::record::StoredLogin,
        reckoning: &Reckoning,
    ) -> Option<Arc<Login>> {
        let grant = match stored.grant {
            Some(grant) => Some(reckoning.grant(grant)?),
            None => None,
        };
        Some(self.session.resume(stored, grant))
    }

    /// Says how many secrets may still be returned.
    fn take_over(
        &self,
        secrets: HashMap<String, StoredSecret>,
        resumed: Option<u64>,
        reckoning: &Reckoning,
    ) -> usize {
        let now = Instant::now();
        let mut restored = 0;
        for (_, stored) in secrets {
            let Some(lifetime) = reckoning.lifetime(&stored, self.cache.max_stale()) else { continue };
            // The memory is wiped when the last clone is gone.
            let Ok(secret) = Secret::parse(Bytes::from_owner(stored.body)) else { continue };
            let hold = stored.hold.map(|hold| {
                let login = if resumed == Some(hold.login) { RESUMED } else { EARLIER };
                Hold::new(login, reckoning.granted_at(hold.granted_at))
            });
            if let Some(lease) = secret.lease() {
                self.leases.add(&lease.id, lifetime.stale_until, now);
            }
            let entry = Entry::new(&stored.key, CachedSecret { secret, hold }, lifetime);
            self.keeper.stored(&Key::stored(&stored.key), &entry, now);
            self.journal.put(&entry);
            self.cache.insert(entry);
            restored += 1;
        }
        restored
    }

    async fn confirm_mount(self: &Arc<Self>, mount: &str) -> bool {
        let deadline = Instant::now() + self.read_deadline;
        let operation =
            Operation { name: "find mount", path: mount, mount: "sys", repeat: Repeat::Safe, deadline };
        let mounts = self.client.mounts();
        let asked = self.with_login(operation, || async { mounts.ask_again(mount).await });
        !asked.await.is_err_and(|error| error.allows_stale())
    }
}

/// What an earlier process knew may have changed while there was none: Vault is asked once for each mount, as soon
/// as it can be.
async fn confirm_mounts(shared: Weak<Shared>, known: KnownMounts) {
    let mut left: Vec<_> = known.mounts.into_keys().take(MOST_CONFIRMED).collect();
    while let Some(mount) = left.last() {
        sleep(CONFIRM_AFTER).await;
        let Some(shared) = shared.upgrade().filter(|shared| !shared.is_closed()) else { return };
        if shared.confirm_mount(mount).await {
            left.pop();
        }
    }
}

impl Source for Shared {
    fn entries(&self) -> Vec<Entry<CachedSecret>> {
        let mut entries: HashMap<String, Entry<CachedSecret>> = HashMap::new();
        // The cache may have had no room for a lease that is kept alive.
        for entry in self.keeper.entries().into_iter().chain(self.cache.entries()) {
            entries.insert(entry.key().to_owned(), entry);
        }
        entries.into_values().collect()
    }

    fn mounts(&self) -> KnownMounts {
        self.client.mounts().all_known()
    }
}
