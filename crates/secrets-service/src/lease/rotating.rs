//! A handle on database credentials that change: what a connection pool needs, whichever pool it is.

use std::fmt;

use tokio::sync::watch;
use tokio::time::Instant;

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
}

/// Database credentials that are kept valid as long as this handle (or a clone) lives: renewed, and replaced while
/// the old ones still work.
///
/// A pool opens new connections with [`current`](Self::current), and retires the others when
/// [`changed`](Self::changed) returns; it has until the old lease's end for that. See `pool/` for two that do.
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
