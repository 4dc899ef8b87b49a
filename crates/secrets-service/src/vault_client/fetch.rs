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
use crate::secret_read::CachedSecret;
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
    /// The body of a flight: looks into the cache, asks, stores, and remembers a failure.
    pub(super) async fn fetch(
        &self,
        place: &Place,
        key: Key,
        ticket: &Ticket<Key, FetchResult>,
        ask: Ask,
    ) -> FetchResult {
        let cached = self.cache.lookup(key.as_str(), Instant::now()).fresh();
        match (ask, cached) {
            (Ask::IfNotFresh, Some(entry)) => return Ok(entry),
            (Ask::Refresh, Some(entry)) => match self.renew(place, &key, &entry).await {
                Renewal::NoLease | Renewal::AtItsEnd => {}
                Renewal::Done(result) => return self.conclude(&key, ticket, result),
            },
            _ => {}
        }
        let result = self.read(place, &key).await;
        self.conclude(&key, ticket, result)
    }

    async fn read(&self, place: &Place, key: &Key) -> FetchResult {
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
        let (lifetime, bound_to) = self.lifetime_of(&secret, place, &login, now);
        if let Some(lease) = secret.lease() {
            self.leases.add(&lease.id, lifetime.stale_until, now);
        }
        Ok(Entry::new(key.as_str(), CachedSecret { secret, bound_to }, lifetime))
    }

    /// Stores what a flight brought, or remembers what it failed with.
    fn conclude(&self, key: &Key, ticket: &Ticket<Key, FetchResult>, result: FetchResult) -> FetchResult {
        ticket.commit(|| match &result {
            Ok(entry) => {
                self.cache.insert(entry.clone());
                self.troubles.forget(key);
            }
            Err(error) => {
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) {
                    self.cache.delete(key.as_str());
                }
                self.troubles.failed(key, error.clone(), Instant::now());
            }
        });
        result
    }

    /// Runs one operation with the current login. If Vault calls the token dead, logs in once and tries once
    /// more. Returns the login that worked, for leases hang on it.
    pub(super) async fn with_login<T, A, F>(
        &self,
        operation: Operation<'_>,
        attempt: A,
    ) -> Result<(T, Arc<Login>), Error>
    where
        A: Fn() -> F,
        F: Future<Output = Result<T, gds_vault::Error>>,
    {
        let _turn = timeout_at(operation.deadline, self.turns.acquire())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| busy(operation.path))?;
        let login = self.session.login(operation.deadline).await.map_err(|e| e.about(operation.path))?;
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
                let login =
                    self.session.login(operation.deadline).await.map_err(|e| e.about(operation.path))?;
                self.upstream.run(operation, |_| attempt()).await.map(|value| (value, login))
            }
        }
    }

    /// The deadlines of an answer, and the login that it dies with (if it has a lease).
    fn lifetime_of(
        &self,
        secret: &Secret,
        place: &Place,
        login: &Login,
        now: Instant,
    ) -> (Lifetime, Option<u64>) {
        if let Some(lease) = secret.lease() {
            return (leased(lease.duration, login, now), Some(login.generation));
        }
        if place.kind == MountKind::Database
            && let Some(left) = secret.field("ttl").and_then(|ttl| ttl.as_u64())
        {
            let ttl = Duration::from_secs(left);
            // Never longer than Vault says: at the end of it the password changes.
            return (
                Lifetime {
                    refresh_from: now + ttl.min(LONGEST),
                    ..Lifetime::new(now, ttl, self.cache.max_stale())
                },
                None,
            );
        }
        (Lifetime::new(now, self.cache.default_ttl(), self.cache.max_stale()), None)
    }

    /// The token of that login is dead, and with it every credential made with it.
    fn drop_bound_to(&self, generation: u64) {
        self.cache.retain(|entry| entry.value().bound_to != Some(generation));
    }

    pub(super) async fn learn_mount(&self, path: &str, mount_point: Option<&str>) -> Result<(), Error> {
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
