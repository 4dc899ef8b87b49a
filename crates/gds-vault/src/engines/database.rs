//! [`Database`]: credentials made for the asking.

use http::Method;

use super::{segment, under};
use crate::client::Client;
use crate::error::Error;
use crate::secret::Secret;

/// The database engine at one mount (Vault API, "Databases").
#[derive(Debug, Clone)]
pub struct Database {
    client: Client,
    mount: String,
}

impl Database {
    pub(crate) fn new(client: Client, mount: String) -> Self {
        Self { client, mount }
    }

    /// Makes new credentials: fields `username` and `password`, and a [lease](Secret::lease).
    ///
    /// Each call creates a database user: though it is a `GET`, it is not idempotent.
    pub async fn credentials(&self, role: &str) -> Result<Secret, Error> {
        self.read("creds", role).await
    }

    /// Reads the present password of a static role, which Vault changes now and then: fields `username`,
    /// `password`, `ttl` (seconds until the next change), `last_vault_rotation`, `rotation_period`. No lease.
    pub async fn static_credentials(&self, role: &str) -> Result<Secret, Error> {
        self.read("static-creds", role).await
    }

    async fn read(&self, kind: &str, role: &str) -> Result<Secret, Error> {
        let path = under(&self.mount, kind, segment("database role", role)?);
        self.client.request(Method::GET, path).read().await
    }
}
