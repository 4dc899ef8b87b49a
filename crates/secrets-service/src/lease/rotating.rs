//! A handle on database credentials that change: what a connection pool needs, whichever pool it is.

use std::fmt;

use tokio::sync::watch;
use tokio::time::Instant;

use super::engine::margin;
use crate::error::{Error, ErrorKind};
use crate::vault_client::{DatabaseCredentials, ResilientVaultClient};

/// Credentials, and how many came before them.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// Grows by one with each new user name or password; renewals of the same credentials leave it alone. What a
    /// connection is labelled with, to tell old ones from new ones.
    pub generation: u64,
    /// The credentials.
    pub credentials: DatabaseCredentials,
    /// The generation that brought this user name.
    user_since: u64,
    /// When the lease of the user before ends.
    previous_ends: Option<Instant>,
}

impl Rotation {
    pub(crate) fn first(credentials: DatabaseCredentials) -> Self {
        Self { generation: 1, credentials, user_since: 1, previous_ends: None }
    }

    /// These credentials after `self`: the next generation, if they are others.
    pub(crate) fn followed_by(&self, credentials: DatabaseCredentials) -> Self {
        let generation = self.generation + u64::from(!self.credentials.same_as(&credentials));
        if self.credentials.username() == credentials.username() {
            return Self { generation, credentials, ..*self };
        }
        let leased = self.credentials.lease().is_some();
        let previous_ends = leased.then(|| self.credentials.read().entry().lifetime().stale_until);
        Self { generation, credentials, user_since: generation, previous_ends }
    }

    /// Whether a connection that was made with `generation` may stay. It may not if it is another user's, whose lease
    /// ends; a static role's new password does not touch the connections that there are.
    pub fn keeps(&self, generation: u64) -> bool {
        generation >= self.user_since
    }

    /// By when the connections that may not stay must be closed: a tenth of what was left of their lease (at most a
    /// minute) before its end. `None`: there are none, or they have no end.
    pub fn retire_by(&self) -> Option<Instant> {
        let ends = self.previous_ends?;
        Some(ends - margin(ends.saturating_duration_since(Instant::now())))
    }
}

/// Database credentials that are kept valid as long as this handle (or a clone) lives: renewed, and replaced while
/// the old ones still work.
///
/// A pool opens new connections with [`current`](Self::current), and retires the others when
/// [`changed`](Self::changed) returns; it has until the old lease's end for that. See [`pool`](crate::pool), which has
/// two that do.
///
/// ```no_run
/// # async fn example(vault: secrets_service::ResilientVaultClient) -> Result<(), secrets_service::Error> {
/// let mut credentials = vault.rotating_database_credentials("myapp").await?;
/// println!("connecting as {}", credentials.current().credentials.username());
/// loop {
///     let rotation = credentials.changed().await?;
///     println!("from now on as {}", rotation.credentials.username());
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct RotatingCredentials {
    client: ResilientVaultClient,
    path: String,
    receiver: watch::Receiver<Rotation>,
}

impl RotatingCredentials {
    pub(crate) fn new(
        client: ResilientVaultClient,
        path: String,
        receiver: watch::Receiver<Rotation>,
    ) -> Self {
        Self { client, path, receiver }
    }

    /// Where the credentials come from, such as `database/creds/myapp`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The newest credentials. Makes no request and never waits.
    ///
    /// After a long outage they may have ended: [`DatabaseCredentials::usable_for`] is zero then, and
    /// [`usable`](Self::usable) says why and since when.
    pub fn current(&self) -> Rotation {
        self.receiver.borrow().clone()
    }

    /// [`Rotation::keeps`] of the newest credentials: whether a connection that was made with `generation` may stay.
    pub fn keeps(&self, generation: u64) -> bool {
        self.receiver.borrow().keeps(generation)
    }

    /// The newest credentials if they still work; if they have ended, Vault is asked for new ones, and the error says
    /// when they ended and why there are no others.
    pub async fn usable(&self) -> Result<Rotation, Error> {
        let current = self.current();
        if !current.credentials.usable_for().is_zero() {
            return Ok(current);
        }
        self.newer_than(current.generation).await
    }

    /// Waits for the next credentials. An error once the client has been closed.
    pub async fn changed(&mut self) -> Result<Rotation, Error> {
        let closed = |_| Error::new(ErrorKind::Closed, &self.path, "this client has been closed");
        self.receiver.changed().await.map_err(closed)?;
        Ok(self.receiver.borrow_and_update().clone())
    }

    /// A database refused the credentials of `generation` (a static role's password has just changed, or an operator
    /// revoked the lease): returns newer ones, asking Vault for them now. All callers share the request. Takes at
    /// most the client's read deadline.
    pub async fn newer_than(&self, generation: u64) -> Result<Rotation, Error> {
        let mut receiver = self.receiver.clone();
        let deadline = Instant::now() + self.client.read_deadline();
        loop {
            let current = receiver.borrow_and_update().clone();
            if current.generation > generation {
                return Ok(current);
            }
            self.client.check_credentials(&self.path, &mut receiver, deadline).await?;
        }
    }
}

impl fmt::Debug for RotatingCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let generation = self.receiver.borrow().generation;
        f.debug_struct("RotatingCredentials")
            .field("path", &self.path)
            .field("generation", &generation)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gds_vault::Secret;

    use super::*;
    use crate::cache::{Entry, Lifetime};
    use crate::secret_read::{CachedSecret, Origin, SecretRead};

    fn credentials(user: &str, password: &str, lease: &str, seconds: u64) -> DatabaseCredentials {
        let body = serde_json::json!({
            "lease_id": lease, "lease_duration": seconds, "renewable": true,
            "data": {"username": user, "password": password},
        });
        let secret = Secret::parse(body.to_string().into_bytes()).unwrap();
        let lifetime = Lifetime::new(Instant::now(), Duration::from_secs(seconds), Duration::ZERO);
        let entry = Entry::new("database/creds/r", CachedSecret { secret, hold: None }, lifetime);
        DatabaseCredentials::from_read("database/creds/r", SecretRead::new(entry, Origin::Vault)).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn connections_of_the_user_before_have_to_go_in_time() {
        let first = Rotation::first(credentials("u1", "p1", "l1", 100));
        assert!(first.keeps(1) && first.retire_by().is_none());
        let second = first.followed_by(credentials("u2", "p2", "l2", 100));
        assert_eq!(second.generation, 2);
        assert!(second.keeps(2) && !second.keeps(1));
        assert_eq!(second.retire_by(), Some(Instant::now() + Duration::from_secs(90)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_is_no_rotation_and_moves_no_deadline() {
        let second = Rotation::first(credentials("u1", "p1", "l1", 100))
            .followed_by(credentials("u2", "p2", "l2", 100));
        let renewed = second.followed_by(credentials("u2", "p2", "l2", 1_000));
        assert_eq!((renewed.generation, renewed.retire_by()), (2, second.retire_by()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_static_roles_connections_stay() {
        let first = Rotation::first(credentials("app", "p1", "", 5));
        let second = first.followed_by(credentials("app", "p2", "", 5));
        assert_eq!(second.generation, 2);
        assert!(second.keeps(1) && second.retire_by().is_none());
    }
}
