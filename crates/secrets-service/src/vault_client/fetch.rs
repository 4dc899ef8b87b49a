//! The one request that a flight makes, and what its answer does to the cache.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use gds_vault::{MountKind, Secret, SecretPath};
use tokio::time::{Instant, timeout_at};

use super::renew::{Renewal, leased};
use super::{FetchResult, Shared};
use crate::cache::{Entry, LONGEST, Lifetime};
use crate::error::{Error, ErrorKind};
use crate::flight::Ticket;
use crate::key::Key;
use crate::lease::engine::ROTATION_POLL;
use crate::retry;
use crate::secret_read::{CachedSecret, Hold};
use crate::session::{Login, Verdict};
use crate::upstream::{Operation, Repeat};

/// Where a secret lives: [`SecretPath`], owned, so that the request can outlive the call that started it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) mount: Arc<str>,
    pub(super) kind: MountKind,
    pub(super) rest: Box<str>,
    /// `None` for the newest.
    pub(super) version: Option<u64>,
}

impl Place {
    pub(super) fn of(path: &SecretPath<'_>, version: Option<u64>) -> Self {
        Self { mount: Arc::clone(&path.mount), kind: path.kind, rest: path.rest.into(), version }
    }

    pub(super) fn path(&self) -> SecretPath<'_> {
        SecretPath { mount: Arc::clone(&self.mount), kind: self.kind, rest: &self.rest }
    }

    /// Reading `database/creds/x` (and its like) makes a credential each time.
    fn repeat(&self) -> Repeat {
        match self.kind {
            MountKind::Kv1 | MountKind::Kv2 => Repeat::Safe,
            MountKind::Database if self.rest.starts_with("static-creds/") => Repeat::Safe,
            _ => Repeat::OnlyIfUndone,
        }
    }
}

/// Why Vault is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// Nothing fresh was there; look once more, as the flight before may just have landed.
    IfNotFresh,
    /// Whatever is there, a new value is wanted.
    Anew,
    /// What is there is ageing: renew its lease, or else read it again.
    Refresh,
}

impl Shared {
    /// The body of a flight: looks at what there is, asks, stores, and remembers a failure.
    pub(super) async fn fetch(
        self: &Arc<Self>,
        place: &Place,
        key: Key,
        ticket: &Ticket<Key, FetchResult>,
        ask: Ask,
    ) -> FetchResult {
        let now = Instant::now();
        if ask == Ask::IfNotFresh
            && let Some(entry) = self.cache.lookup(key.as_str(), now).fresh()
        {
            return Ok(entry);
        }
        // A lease lives on where it can, even if the cache has had no room for it: one for all readers.
        if ask != Ask::Anew
            && let Some(entry) = self.keeper.live(&key, now)
        {
            if ask == Ask::IfNotFresh && now < entry.lifetime().fresh_until {
                ticket.commit(|| self.cache.insert(entry.clone()));
                return Ok(entry);
            }
            // Whether nobody uses it: asked before a renewal makes it look new.
            let unwanted = ask == Ask::Refresh && !self.keeper.is_wanted(&key, now);
            match self.renew(place, &key, &entry).await {
                Renewal::Renewed(entry) => return self.conclude(place, &key, ticket, Ok(entry)),
                Renewal::Failed(error) => return self.conclude(place, &key, ticket, Err(error)),
                Renewal::NotRenewable if ask == Ask::Refresh && self.keeper.may_wait(&key, now) => {
                    return Ok(entry);
                }
                Renewal::NearItsEnd(shortened) => {
                    ticket.commit(|| self.store(&key, &shortened));
                    if unwanted {
                        self.keeper.rest(&key);
                        return Ok(shortened);
                    }
                }
                Renewal::NotRenewable if unwanted => {
                    self.keeper.rest(&key);
                    return Ok(entry);
                }
                Renewal::Gone if unwanted => {
                    // Whoever comes after all must not be given what no longer works.
                    ticket.commit(|| {
                        self.cache.delete(key.as_str());
                        self.journal.delete(key.as_str());
                        self.keeper.give_up(&key);
                    });
                    return Ok(entry);
                }
                Renewal::NotRenewable | Renewal::Gone => {}
            }
        }
        let result = self.read(place, &key).await;
        self.conclude(place, &key, ticket, result)
    }

    fn store(&self, key: &Key, entry: &Entry<CachedSecret>) {
        self.cache.insert(entry.clone());
        self.keeper.stored(key, entry, Instant::now());
        self.journal.put(entry);
    }

    /// It is unknown whether that is still what Vault has; in an outage it is still there to fall back on.
    pub(super) fn make_stale(&self, key: &Key) {
        let now = Instant::now();
        self.cache.make_stale(key.as_str(), now);
        if let Some(entry) = self.cache.lookup(key.as_str(), now).fallback() {
            self.journal.put(&entry);
        }
    }

    async fn read(self: &Arc<Self>, place: &Place, key: &Key) -> FetchResult {
        let deadline = Instant::now() + self.read_deadline;
        let operation = Operation {
            name: "read",
            path: key.path(),
            mount: &place.mount,
            repeat: place.repeat(),
            deadline,
        };
        let (secret, login) = self
            .with_login(operation, || async { self.client.read_path(&place.path(), place.version).await })
            .await?;
        let now = Instant::now();
        let lifetime = self.lifetime_of(&secret, place, &login, now);
        let hold = secret.lease().map(|_| Hold::new(login.generation, now));
        if let Some(lease) = secret.lease() {
            self.leases.add(&lease.id, lifetime.stale_until, now);
        }
        Ok(Entry::new(key.as_str(), CachedSecret { secret, hold }, lifetime))
    }

    /// Stores what a flight brought, or remembers what it failed with.
    fn conclude(
        &self,
        place: &Place,
        key: &Key,
        ticket: &Ticket<Key, FetchResult>,
        result: FetchResult,
    ) -> FetchResult {
        ticket.commit(|| match &result {
            Ok(entry) => {
                self.store(key, entry);
                self.troubles.forget(key);
            }
            Err(error) => {
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) {
                    self.cache.delete(key.as_str());
                    self.journal.delete(key.as_str());
                    self.keeper.denied(key, error, Instant::now());
                }
                let now = Instant::now();
                self.troubles.failed(key, error.clone(), self.patience(place, key, now), now);
            }
        });
        result
    }

    /// How long those who have a stale value of `key` leave it at that. Credentials are not worth waiting with: a stale
    /// one may not work.
    fn patience(&self, place: &Place, key: &Key, now: Instant) -> Duration {
        let is_static = matches!(place.kind, MountKind::Kv1 | MountKind::Kv2);
        let stale = is_static.then(|| self.cache.lookup(key.as_str(), now).fallback()).flatten();
        stale.map_or(Duration::ZERO, |entry| {
            let lifetime = entry.lifetime();
            let ttl = lifetime.fresh_until.saturating_duration_since(lifetime.fetched_at);
            retry::patience(self.upstream.unserved_for(&place.mount, now), ttl)
        })
    }

    /// Runs one operation with the current login. If Vault calls the token dead, logs in once and tries once
    /// more. Returns the login that worked, for leases hang on it.
    pub(super) async fn with_login<T, A, F>(
        self: &Arc<Self>,
        operation: Operation<'_>,
        attempt: A,
    ) -> Result<(T, Arc<Login>), Error>
    where
        A: Fn() -> F,
        F: Future<Output = Result<T, gds_vault::Error>>,
    {
        let _turn = match self.turns.try_acquire() {
            Ok(turn) => turn,
            Err(_) => timeout_at(operation.deadline, self.turns.acquire())
                .await
                .ok()
                .and_then(Result::ok)
                .ok_or_else(|| busy(operation.path))?,
        };
        let login = self.log_in(operation).await?;
        let error = match self.upstream.run(operation, |_| attempt()).await {
            Ok(value) => return Ok((value, login)),
            Err(error) => error,
        };
        let kind = error.vault_error().map(gds_vault::Error::kind);
        let surely_dead = kind == Some(gds_vault::ErrorKind::InvalidToken);
        if !surely_dead && kind != Some(gds_vault::ErrorKind::PermissionDenied) {
            return Err(error);
        }
        let verdict = self.session.denied(&login, surely_dead, operation.deadline).await;
        match verdict.map_err(|e| e.about(operation.path))? {
            Verdict::Genuine => Err(error),
            Verdict::TryAgain => {
                self.drop_bound_to(login.generation);
                let login = self.log_in(operation).await?;
                self.upstream.run(operation, |_| attempt()).await.map(|value| (value, login))
            }
        }
    }

    async fn log_in(self: &Arc<Self>, operation: Operation<'_>) -> Result<Arc<Login>, Error> {
        let login = self.session.login(operation.deadline).await.map_err(|e| e.about(operation.path))?;
        self.saw_login(&login);
        Ok(login)
    }

    /// The deadlines of an answer.
    fn lifetime_of(&self, secret: &Secret, place: &Place, login: &Login, now: Instant) -> Lifetime {
        if let Some(lease) = secret.lease() {
            return leased(lease.duration, login, now);
        }
        if place.kind == MountKind::Database
            && let Some(left) = secret.field("ttl").and_then(|ttl| ttl.as_u64())
        {
            // Never longer than Vault says: at the end of it the password changes, or a little later, as Vault looks
            // at its schedule only every few seconds.
            let ttl = Duration::from_secs(left).clamp(ROTATION_POLL, LONGEST);
            return Lifetime { refresh_from: now + ttl, ..Lifetime::new(now, ttl, self.cache.max_stale()) };
        }
        Lifetime::new(now, self.cache.default_ttl(), self.cache.max_stale())
    }

    /// The token of that login is dead, and with it every credential made with it.
    pub(super) fn drop_bound_to(&self, generation: u64) {
        self.cache.retain(|entry| entry.value().bound_to() != Some(generation));
        self.journal.delete_where(|_, _, login| login == Some(generation));
        self.keeper.login_died(generation, Instant::now());
    }

    pub(super) async fn learn_mount(
        self: &Arc<Self>,
        path: &str,
        mount_point: Option<&str>,
    ) -> Result<(), Error> {
        let operation = Operation {
            name: "find mount",
            path,
            mount: "sys",
            repeat: Repeat::Safe,
            deadline: Instant::now() + self.read_deadline,
        };
        let mounts = self.client.mounts();
        self.with_login(operation, || async { mounts.resolve(path, mount_point).await.map(|_| ()) }).await?;
        Ok(())
    }
}

fn busy(path: &str) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        path,
        "too many requests to Vault are under way; none became free in time",
    )
}
