//! [`Kv1`]: secrets without versions.

use http::Method;
use serde::Serialize;

use super::{list, under};
use crate::client::Client;
use crate::error::Error;
use crate::secret::Secret;

/// The KV v1 engine at one mount (Vault API, "KV v1").
#[derive(Debug, Clone)]
pub struct Kv1 {
    client: Client,
    mount: String,
}

impl Kv1 {
    pub(crate) fn new(client: Client, mount: String) -> Self {
        Self { client, mount }
    }

    /// Reads a secret.
    pub async fn read(&self, path: &str) -> Result<Secret, Error> {
        self.client.request(Method::GET, self.path(path)).read().await
    }

    /// Writes a secret: all of its fields, replacing what was there.
    pub async fn put(&self, path: &str, fields: &impl Serialize) -> Result<(), Error> {
        self.client.request(Method::PUT, self.path(path)).json(fields).send().await.map(drop)
    }

    /// The names directly under a path; folders end in a slash. Nothing there is
    /// [`NotFound`](crate::ErrorKind::NotFound).
    pub async fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        list(&self.client, self.path(path)).await
    }

    /// Deletes a secret. Nothing there is no error.
    pub async fn delete(&self, path: &str) -> Result<(), Error> {
        self.client.request(Method::DELETE, self.path(path)).send().await.map(drop)
    }

    fn path(&self, path: &str) -> String {
        under(&self.mount, "", path)
    }
}
