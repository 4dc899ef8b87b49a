//! [`ResilientVaultClient`]: reads that keep working when Vault does not.
//!
//! The folder beside this file: `read.rs` is the life of a read, `fetch.rs` the one request that a flight makes,
//! `write.rs` everything that changes Vault, `keep.rs` the task that keeps leases and the login alive, `renew.rs` one
//! attempt to renew a lease, `secret_id.rs` what replaces a secret_id, `credentials.rs` database credentials, `trouble.rs` what is remembered of failed reads,
//! `leases.rs` what must be given back at the end, `restart.rs` what outlives the process.

mod credentials;
mod fetch;
mod forward;
mod identity;
mod inventory;
mod keep;
mod leases;
mod purge;
mod read;
mod renew;
#[cfg(feature = "disk")]
mod restart;
mod secret_id;
mod trouble;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gds_vault::{AuthMethod, Client};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

pub use self::credentials::DatabaseCredentials;
pub use self::inventory::CachedEntry;
use self::leases::LiveLeases;
pub use self::read::{GetSecret, ReadOptions};
use self::secret_id::SecretIdFile;
use self::trouble::Troubles;
use crate::breaker::BreakerState;
use crate::cache::{Entry, SecretCache};
use crate::config::{ConfigError, VaultConfig};
use crate::disk::{DiskStatus, Journal};
use crate::error::{Error, ErrorKind};
use crate::flight::Flights;
use crate::key::Key;
use crate::lease::keeper::Keeper;
use crate::secret_read::CachedSecret;
use crate::session::Session;
use crate::stats::StatsSnapshot;
use crate::upstream::Upstream;

/// Different secrets being fetched at once. Callers beyond it get an error instead of growing a queue.
const MOST_FLIGHTS: usize = 4_096;

/// Requests under way to Vault at once; the rest wait their turn within their deadlines. Vault handles far more,
/// but a thundering herd after an outage is our doing and should be bounded by us.
const MOST_REQUESTS: usize = 64;

/// How long [`ResilientVaultClient::close`] may take to give leases and the token back.
const CLOSE_TIME: Duration = Duration::from_secs(5);

type FetchResult = Result<Entry<CachedSecret>, Error>;

/// A Vault client with a cache, single flight, retries within a budget, a breaker, and stale values for
/// outages. Cheap to clone; clones share everything. Make it inside a tokio runtime.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use secrets_service::{ResilientVaultClient, VaultConfig};
///
/// let vault = ResilientVaultClient::new(&VaultConfig::from_environment()?)?;
/// let secret = vault.get_secret("secret/myapp/config").await?;
/// if secret.is_stale() {
///     tracing::warn!(age = ?secret.age(), "running on an old value");
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct ResilientVaultClient {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    session: Arc<Session>,
    upstream: Arc<Upstream>,
    cache: SecretCache<CachedSecret>,
    /// Other spellings of keys, as callers have written them.
    spellings: quick_cache::sync::Cache<Box<str>, Arc<Key>>,
    flights: Flights<Key, FetchResult>,
    mount_flights: Flights<Box<str>, Result<(), Error>>,
    troubles: Troubles,
    leases: LiveLeases,
    keeper: Keeper,
    secret_id: Option<SecretIdFile>,
    journal: Journal,
    turns: Semaphore,
    mount_point: Option<Box<str>>,
    database_mount: Box<str>,
    read_deadline: Duration,
    stale_deadline: Duration,
    closed: AtomicBool,
}

/// What [`ResilientVaultClient::close`] does with the leases and the token that it made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnClose {
    /// Revoke them: nothing that worked for this process goes on working.
    #[default]
    Revoke,
    /// Leave them to end by themselves: the credentials were handed to someone who still uses them.
    Keep,
}

/// How the client is doing, without a request to Vault and without a value.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct Status {
    /// Whether there is a login.
    pub logged_in: bool,
    /// Why the last login failed, if none has succeeded since.
    pub login_error: Option<Error>,
    /// The mounts that do not answer: name, breaker state, failing for.
    pub troubled_mounts: Vec<(String, BreakerState, Duration)>,
    /// Entries in the cache, stale ones included.
    pub cached: usize,
    /// Leases that this client holds.
    pub leases: usize,
    /// Counters since the client was made.
    pub stats: StatsSnapshot,
}

impl ResilientVaultClient {
    /// A client for `config`. Checks the settings and reads certificate files, but does not speak to Vault yet:
    /// a service must be able to start while Vault is away. With [`disk`](VaultConfig::disk) set, it goes on with what
    /// an earlier process has left there.
    pub fn new(config: &VaultConfig) -> Result<Self, ConfigError> {
        let client = config.vault_client()?;
        Ok(Self::begin(config, client, config.auth_method()))
    }

    /// As [`new`](Self::new), with an auth method of your own. Nothing is kept on disk: who it logs in cannot be told
    /// from the settings, and nobody should start with what someone else has left.
    pub fn with_auth(config: &VaultConfig, client: Client, auth: Arc<dyn AuthMethod>) -> Self {
        let upstream = upstream_of(config, &client);
        Self::with_upstream(config, client, auth, upstream, Journal::none())
    }

    /// In a build that keeps nothing on disk.
    #[cfg(not(feature = "disk"))]
    fn begin(config: &VaultConfig, client: Client, auth: Arc<dyn AuthMethod>) -> Self {
        Self::with_auth(config, client, auth)
    }

    /// As [`with_auth`](Self::with_auth), sharing a way to Vault: breaker, retry budget, counters.
    fn with_upstream(
        config: &VaultConfig,
        client: Client,
        auth: Arc<dyn AuthMethod>,
        upstream: Arc<Upstream>,
        journal: Journal,
    ) -> Self {
        let session = Session::new(client.clone(), auth, Arc::clone(&upstream), journal.clone());
        let shared = Shared {
            session,
            upstream,
            cache: SecretCache::new(config.cache_capacity, config.cache_ttl, config.cache_max_stale),
            spellings: quick_cache::sync::Cache::new(config.cache_capacity.max(1)),
            flights: Flights::new(MOST_FLIGHTS),
            mount_flights: Flights::new(MOST_FLIGHTS),
            troubles: Troubles::new(config.cache_capacity),
            leases: LiveLeases::default(),
            keeper: Keeper::new(),
            secret_id: SecretIdFile::of(config),
            journal,
            turns: Semaphore::new(MOST_REQUESTS),
            mount_point: config.mount_point.as_deref().map(Into::into),
            database_mount: config.database_mount.as_str().into(),
            read_deadline: config.read_deadline,
            stale_deadline: config.stale_deadline,
            closed: AtomicBool::new(false),
            client,
        };
        Self { shared: Arc::new(shared) }
    }

    /// The client underneath: for parts of Vault's API that need no cache.
    pub fn vault(&self) -> &Client {
        &self.shared.client
    }

    /// Logs in now, if there is no usable login: to find out at start rather than at the first read.
    pub async fn log_in(&self) -> Result<(), Error> {
        self.check_open()?;
        let deadline = Instant::now() + self.shared.read_deadline;
        let login = self.shared.session.login(deadline).await?;
        self.shared.saw_login(&login);
        Ok(())
    }

    /// Forgets the newest version of the secret at `path`, in every spelling: the next read asks Vault. Says
    /// whether there was one.
    pub fn invalidate(&self, path: &str) -> bool {
        let known = self.shared.client.mounts().known(path, self.shared.mount_point.as_deref());
        known.is_some_and(|path| self.shared.purge(&Key::new(&path, None)))
    }

    /// Forgets every cached secret.
    pub fn clear(&self) {
        self.shared.flights.supersede_all(|| {
            self.shared.forget_all();
            self.shared.journal.clear();
        });
        self.shared.troubles.clear();
    }

    /// How the client is doing.
    pub fn status(&self) -> Status {
        let mounts = self.shared.upstream.troubled_mounts().into_iter();
        Status {
            logged_in: self.shared.session.current().is_some(),
            login_error: self.shared.session.trouble(),
            troubled_mounts: mounts.map(|(mount, state, since)| (mount, state, since.elapsed())).collect(),
            cached: self.shared.cache.len(),
            leases: self.shared.leases.len(Instant::now()),
            stats: self.shared.upstream.stats.snapshot(),
        }
    }

    /// How the copy on disk is doing; `None` if there is none.
    pub fn disk_status(&self) -> Option<DiskStatus> {
        self.shared.journal.status()
    }

    /// Returns when all that has been cached (or forgotten) so far is on disk for good: a process that is killed from
    /// then on has it again when it is started. The error says why it is not there. `Ok` at once without a copy on
    /// disk.
    pub async fn flush_disk(&self) -> Result<(), Error> {
        self.shared.journal.flush().await
    }

    /// The counters since the client was made.
    pub fn stats(&self) -> StatsSnapshot {
        self.shared.upstream.stats.snapshot()
    }

    /// Ends the client: cached values are forgotten, and leases and the login are revoked (or kept). On disk, if there
    /// is a copy, static secrets stay, and leases and the login only if they are kept. Takes at most five seconds; what could not be revoked in that time ends by its TTL, and the error says so.
    /// Every later call on this client or a clone fails with [`ErrorKind::Closed`].
    pub async fn close(&self, on_close: OnClose) -> Result<(), Error> {
        if self.shared.closed.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.shared.keeper.stop();
        let deadline = Instant::now() + CLOSE_TIME;
        let journal = &self.shared.journal;
        if on_close == OnClose::Revoke {
            // Before the first is revoked: none must be found by whoever starts next.
            journal.delete_where(|_, lease, _| lease.is_some());
            journal.logged_out();
        }
        let give_back = async {
            match on_close {
                OnClose::Keep => Ok(()),
                OnClose::Revoke => self.shared.give_back(deadline).await,
            }
        };
        // While the cache is still there to be asked what should be on disk.
        let (result, written) = tokio::join!(give_back, timeout_at(deadline, journal.close()));
        self.shared.flights.supersede_all(|| self.shared.forget_all());
        self.shared.troubles.clear();
        self.shared.session.take();
        result.and(written.unwrap_or(Ok(())))
    }

    fn check_open(&self) -> Result<(), Error> {
        if self.shared.is_closed() {
            return Err(Error::new(ErrorKind::Closed, "", "this client has been closed"));
        }
        Ok(())
    }
}

fn upstream_of(config: &VaultConfig, client: &Client) -> Arc<Upstream> {
    Upstream::new(config.retry_max_attempts, config.retry_backoff, client.addresses().len())
}

impl Shared {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Forgets a secret so that no read now under way can bring the old value back.
    fn purge(&self, key: &Key) -> bool {
        self.troubles.forget(key);
        self.flights.supersede(key, || {
            self.keeper.forget(key);
            self.journal.delete(key.as_str());
            self.cache.delete(key.as_str())
        })
    }

    /// The cache in memory; what is on disk is another matter.
    fn forget_all(&self) {
        self.cache.clear();
        self.keeper.forget_all();
    }

    async fn give_back(&self, deadline: Instant) -> Result<(), Error> {
        let ours = self.session.current().is_some_and(|login| login.ours);
        let mut failed = 0;
        let mut last = None;
        for id in self.leases.drain(Instant::now()) {
            match timeout_at(deadline, self.client.leases().revoke_sync(&id)).await {
                Ok(Ok(())) => {}
                // Not allowed by the policy: revoking the token, below, revokes what hangs on it.
                Ok(Err(error)) if ours && error.kind() == gds_vault::ErrorKind::PermissionDenied => {}
                Ok(Err(error)) => (failed, last) = (failed + 1, Some(error.to_string())),
                Err(_) => (failed, last) = (failed + 1, Some("out of time".to_owned())),
            }
        }
        if ours {
            match timeout_at(deadline, self.client.tokens().revoke_self()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => (failed, last) = (failed + 1, Some(error.to_string())),
                Err(_) => (failed, last) = (failed + 1, Some("out of time".to_owned())),
            }
        }
        match last {
            None => Ok(()),
            Some(last) => {
                let what = format!("{failed} not revoked, they end by their TTL: {last}");
                Err(Error::new(ErrorKind::Unavailable, "close", what))
            }
        }
    }
}
