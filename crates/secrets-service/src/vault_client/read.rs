//! The life of a read: fresh from the cache, else one shared request, else (Vault being away) a stale value.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use gds_vault::{BoxFuture, SecretPath};
use tokio::time::{Instant, timeout_at};

use super::fetch::{Ask, Place};
use super::{FetchResult, ResilientVaultClient, Shared};
use crate::cache::{Entry, Lookup};
use crate::error::{Error, ErrorKind};
use crate::key::Key;
use crate::secret_read::{CachedSecret, Origin, SecretRead};

/// What a Vault that has been silent for long is given to answer someone with a stale value at hand: enough for one that
/// is back, over most networks, and not felt by the caller of one that is not.
const A_MOMENT: Duration = Duration::from_millis(50);

/// How a read differs from the usual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// A version of a KV v2 secret; `None` for the newest.
    pub version: Option<u64>,
    /// Ask Vault, whatever the cache has, and fail rather than fall back on a stale value. What Vault answers is
    /// cached for others.
    pub bypass_cache: bool,
    /// The longest that this read may take; the client's own limits where shorter.
    pub within: Option<Duration>,
}

/// The future of [`ResilientVaultClient::get_secret`].
///
/// Written by hand so that a hit is a look into the cache and nothing else; the state machine of everything that can
/// come after a miss is boxed when it is needed.
#[must_use = "futures do nothing unless polled"]
pub struct GetSecret<'a> {
    client: &'a ResilientVaultClient,
    path: &'a str,
    asking: Option<BoxFuture<'a, Result<SecretRead, Error>>>,
}

impl Future for GetSecret<'_> {
    type Output = Result<SecretRead, Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.asking.is_none()
            && let Some(read) = self.client.cached(self.path)
        {
            return Poll::Ready(Ok(read));
        }
        let (client, path) = (self.client, self.path);
        let ask = || -> BoxFuture<'_, _> { Box::pin(client.get_secret_with(path, ReadOptions::default())) };
        self.asking.get_or_insert_with(ask).as_mut().poll(cx)
    }
}

impl fmt::Debug for GetSecret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetSecret").field("path", &self.path).finish_non_exhaustive()
    }
}

impl ResilientVaultClient {
    /// Reads a secret: a static one (KV v1 or v2; the three spellings of a KV v2 path are one secret) or anything
    /// else that Vault answers to a read, leases included.
    ///
    /// A fresh cached value is returned at once. Otherwise Vault is asked, once for all who want the same secret.
    /// If it is unavailable, a stale value is returned, labelled, within two seconds; without one, the error
    /// comes within ten. (Both can be set: [`VaultConfig`](crate::VaultConfig).)
    #[inline]
    pub fn get_secret<'a>(&'a self, path: &'a str) -> GetSecret<'a> {
        GetSecret { client: self, path, asking: None }
    }

    /// The secret if it is in the cache and fresh. Makes no request and allocates nothing; if the value is about
    /// to go stale, a refresh starts in the background (inside a tokio runtime).
    #[inline]
    pub fn cached(&self, path: &str) -> Option<SecretRead> {
        let shared = &*self.shared;
        let now = Instant::now();
        match shared.cache.lookup(path, now) {
            Lookup::Fresh(entry) => {
                shared.upstream.stats.hit();
                Some(SecretRead::new(entry, Origin::Cache))
            }
            found => self.cached_unless_stale(path, found, now),
        }
    }

    /// The less common cases of [`cached`](Self::cached), kept out of its way.
    #[cold]
    fn cached_unless_stale(
        &self,
        path: &str,
        mut found: Lookup<CachedSecret>,
        now: Instant,
    ) -> Option<SecretRead> {
        let shared = &self.shared;
        if matches!(found, Lookup::Absent) {
            let key = shared.spellings.get(path)?;
            found = shared.cache.lookup(key.as_str(), now);
        }
        if let Lookup::Ageing(entry) = &found
            && !entry.value().use_lease()
        {
            self.refresh_in_background(path);
        }
        let entry = found.fresh()?;
        shared.upstream.stats.hit();
        Some(SecretRead::new(entry, Origin::Cache))
    }

    /// [`get_secret`](Self::get_secret) with options.
    pub async fn get_secret_with(&self, path: &str, options: ReadOptions) -> Result<SecretRead, Error> {
        self.read_under(self.shared.mount_point.as_deref(), path, options).await
    }

    /// [`get_secret_with`](Self::get_secret_with), a path that names no mount being looked for under `mount_point`.
    pub(super) async fn read_under(
        &self,
        mount_point: Option<&str>,
        path: &str,
        options: ReadOptions,
    ) -> Result<SecretRead, Error> {
        self.check_open()?;
        let started = Instant::now();
        let within = options.within.unwrap_or(self.shared.read_deadline).min(self.shared.read_deadline);
        let resolved = self.resolve_under(mount_point, path, started + within).await?;
        let key = Key::new(&resolved, options.version);
        self.shared.remember_spelling(path, &key);

        let fallback = if options.bypass_cache {
            None
        } else {
            match self.shared.cache.lookup(key.as_str(), started) {
                lookup @ (Lookup::Fresh(_) | Lookup::Ageing(_)) => {
                    self.shared.upstream.stats.hit();
                    return lookup
                        .fresh()
                        .map(|e| SecretRead::new(e, Origin::Cache))
                        .ok_or_else(|| lost(path));
                }
                lookup => lookup.fallback(),
            }
        };
        self.shared.upstream.stats.miss();
        if !options.bypass_cache
            && let Some(trouble) = self.shared.troubles.current(&key, started)
        {
            match fallback {
                Some(entry) if trouble.error.allows_stale() => {
                    return Ok(self.shared.serve_stale(entry, &key, trouble.error.clone()));
                }
                _ if !trouble.only_slow && started < trouble.until => {
                    return Err(self.shared.noting_the_end(&key, trouble.error.clone()));
                }
                _ => {}
            }
        }
        let wait = match fallback {
            Some(_) => within.min(self.shared.stale_wait(&resolved.mount, started)),
            None => within,
        };
        let asked = self.ask(&resolved, key.clone(), options, fallback, started, wait).await;
        asked.map_err(|error| self.shared.noting_the_end(&key, error))
    }

    async fn ask(
        &self,
        path: &SecretPath<'_>,
        key: Key,
        options: ReadOptions,
        fallback: Option<Entry<CachedSecret>>,
        started: Instant,
        wait: Duration,
    ) -> Result<SecretRead, Error> {
        let waiting = if options.bypass_cache {
            // A request that began before this call would not do: what is wanted is the value as of now.
            self.shared.flights.supersede(&key, || ());
            self.launch(path, &key, options.version, Ask::Anew)
        } else {
            self.launch(path, &key, options.version, Ask::IfNotFresh)
        };
        let waiting = match waiting {
            Ok(waiting) => waiting,
            Err(full) => return Err(Error::new(ErrorKind::Unavailable, key.path(), full.to_string())),
        };
        let error = match timeout_at(started + wait, waiting).await {
            Ok(Ok(Ok(entry))) => return Ok(SecretRead::new(entry, Origin::Vault)),
            Ok(Ok(Err(error))) => error,
            Ok(Err(_lost)) => lost(key.path()),
            Err(_) => {
                let waited = started.elapsed();
                let what = format!("no answer from Vault within {:.1} s", waited.as_secs_f64());
                let error = Error::new(ErrorKind::Unavailable, key.path(), what).tried(1, waited);
                if fallback.is_some() {
                    let until = started + self.shared.read_deadline;
                    self.shared.troubles.slow(&key, error.clone(), until);
                }
                error
            }
        };
        match fallback {
            Some(entry) if error.allows_stale() && still_usable(&entry) => {
                Ok(self.shared.serve_stale(entry, &key, error))
            }
            _ => Err(error),
        }
    }

    /// Joins the request for `key` that is under way, or starts one.
    pub(super) fn launch(
        &self,
        path: &SecretPath<'_>,
        key: &Key,
        version: Option<u64>,
        ask: Ask,
    ) -> Result<crate::flight::Waiting<FetchResult>, crate::flight::Full> {
        let shared = Arc::clone(&self.shared);
        let place = Place::of(path, version);
        let wanted = key.clone();
        self.shared
            .flights
            .join(key.clone(), |ticket| async move { shared.fetch(&place, wanted, &ticket, ask).await })
    }

    fn refresh_in_background(&self, path: &str) {
        let shared = &self.shared;
        let known = shared.client.mounts().known(path, shared.mount_point.as_deref());
        let Some(path) = known.filter(|_| tokio::runtime::Handle::try_current().is_ok()) else { return };
        let key = Key::new(&path, None);
        if shared.troubles.current(&key, Instant::now()).is_none() {
            // Nobody waits for it; if the table is full, a later read will try again.
            drop(self.launch(&path, &key, None, Ask::Refresh));
        }
    }

    pub(super) async fn resolve<'p>(
        &self,
        path: &'p str,
        deadline: Instant,
    ) -> Result<SecretPath<'p>, Error> {
        self.resolve_under(self.shared.mount_point.as_deref(), path, deadline).await
    }

    /// Which mount `path` lives under: remembered, or asked once for all who want to know.
    async fn resolve_under<'p>(
        &self,
        mount_point: Option<&str>,
        path: &'p str,
        deadline: Instant,
    ) -> Result<SecretPath<'p>, Error> {
        let shared = &self.shared;
        if crate::path::checked(path).is_none() {
            let what = "is not a path in Vault, such as secret/myapp/config (no empty segments, `..` or control characters)";
            return Err(Error::new(ErrorKind::InvalidRequest, format!("{path:?}"), what));
        }
        if let Some(known) = shared.client.mounts().known(path, mount_point) {
            return Ok(known);
        }
        let nowhere = Key::unresolved(path);
        if let Some(trouble) = shared.troubles.current(&nowhere, Instant::now()) {
            return Err(trouble.error.clone());
        }
        let first_segment = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        // Another path under the same first segment may have another mount (`team/a`, `team/b`): then the flight
        // that we joined taught us nothing, and the second round asks for our own.
        for name in [first_segment, path] {
            let flying = Arc::clone(shared);
            let (wanted, under) = (path.to_owned(), mount_point.map(str::to_owned));
            let waiting = shared
                .mount_flights
                .join(name.into(), |_| async move { flying.learn_mount(&wanted, under.as_deref()).await })
                .map_err(|full| Error::new(ErrorKind::Unavailable, path, full.to_string()))?;
            match timeout_at(deadline, waiting).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => {
                    let error = error.about(path);
                    shared.troubles.failed(&nowhere, error.clone(), Duration::ZERO, Instant::now());
                    return Err(error);
                }
                Ok(Err(_lost)) => return Err(lost(path)),
                Err(_) => {
                    return Err(Error::new(ErrorKind::Unavailable, path, "no answer from Vault in time"));
                }
            }
            if let Some(known) = shared.client.mounts().known(path, mount_point) {
                return Ok(known);
            }
        }
        Err(lost(path))
    }
}

impl Shared {
    /// How long someone with a stale value at hand waits for Vault: all of them together until it has been silent for
    /// the deadline, those who come later a moment each. Else an outage would cost every secret that wait of its own.
    fn stale_wait(&self, mount: &str, now: Instant) -> Duration {
        let left = self.stale_deadline.saturating_sub(self.upstream.unserved_for(mount, now));
        left.max(A_MOMENT.min(self.stale_deadline))
    }

    /// So that a cached read finds its entry by a spelling that is not the key's own.
    fn remember_spelling(&self, path: &str, key: &Key) {
        if !key.has_version() && path != key.path() && self.spellings.get(path).is_none() {
            self.spellings.insert(path.into(), Arc::new(key.clone()));
        }
    }

    /// If there was a lease, the error should say that it has ended, and when.
    fn noting_the_end(&self, key: &Key, error: Error) -> Error {
        match self.keeper.ended(key, Instant::now()) {
            Some((lease, ago)) => {
                error.noting(&format!("the lease {lease} ended {:.1} s ago", ago.as_secs_f64()))
            }
            None => error,
        }
    }

    fn serve_stale(&self, entry: Entry<CachedSecret>, key: &Key, reason: Error) -> SecretRead {
        self.upstream.stats.stale();
        if self.troubles.first_stale(key) {
            tracing::warn!(
                path = key.path(),
                age_seconds = entry.age(Instant::now()).as_secs(),
                cache = "stale",
                reason = %reason,
                "Vault is unavailable; serving the last known value"
            );
        }
        SecretRead::stale(entry, reason)
    }
}

fn still_usable(entry: &Entry<CachedSecret>) -> bool {
    Instant::now() < entry.lifetime().stale_until
}

fn lost(path: &str) -> Error {
    Error::new(ErrorKind::Unavailable, path, crate::flight::Lost.to_string())
}
