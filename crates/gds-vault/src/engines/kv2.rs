//! [`Kv2`]: secrets with versions.

use http::Method;
use serde::Serialize;

use super::{list, under};
use crate::client::Client;
use crate::error::Error;
use crate::json;
use crate::request::Request;
use crate::secret::{Secret, VersionMetadata, VersionWire};

/// The KV v2 engine at one mount (Vault API, "KV v2"). Paths are given without `data/`.
///
/// ```no_run
/// # async fn example(client: gds_vault::Client) -> Result<(), gds_vault::Error> {
/// let kv = client.kv2("secret");
/// let written = kv.put("myapp/config", &[("db_name", "mydb")].into_iter().collect::<std::collections::BTreeMap<_, _>>(), None).await?;
/// let secret = kv.read("myapp/config").await?;
/// assert_eq!(secret.version().map(|version| version.version), Some(written.version));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Kv2 {
    client: Client,
    mount: String,
}

/// What `data/` takes. The check-and-set version 0 means "only if there is none yet".
#[derive(Serialize)]
struct Write<'a, T> {
    data: &'a T,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<Options>,
}

#[derive(Serialize)]
struct Options {
    cas: u64,
}

#[derive(Serialize)]
struct Versions<'a> {
    versions: &'a [u64],
}

impl Kv2 {
    pub(crate) fn new(client: Client, mount: String) -> Self {
        Self { client, mount }
    }

    /// Reads the newest version. A deleted or destroyed one is [`NotFound`](crate::ErrorKind::NotFound); the error
    /// says so.
    pub async fn read(&self, path: &str) -> Result<Secret, Error> {
        self.request(Method::GET, "data", path).read().await
    }

    /// Reads one version; 0 = the newest.
    pub async fn read_version(&self, path: &str, version: u64) -> Result<Secret, Error> {
        self.request(Method::GET, "data", path).query("version", version.to_string()).read().await
    }

    /// Writes a new version: all of its fields. With `cas`, only if the newest version is that one (0 = there is
    /// none), else [`CheckAndSet`](crate::ErrorKind::CheckAndSet).
    pub async fn put(
        &self,
        path: &str,
        fields: &impl Serialize,
        cas: Option<u64>,
    ) -> Result<VersionMetadata, Error> {
        let body = Write { data: fields, options: cas.map(|cas| Options { cas }) };
        self.request(Method::POST, "data", path).json(&body).answer(version_of).await
    }

    /// Writes a new version that differs in the given fields; a field given as `null` is removed. There must be a
    /// version to patch. Needs the `patch` capability, and Vault 1.9.
    pub async fn patch(
        &self,
        path: &str,
        fields: &impl Serialize,
        cas: Option<u64>,
    ) -> Result<VersionMetadata, Error> {
        let body = Write { data: fields, options: cas.map(|cas| Options { cas }) };
        self.request(Method::PATCH, "data", path).merge_patch(&body).answer(version_of).await
    }

    /// The names directly under a path (`""` = the mount); folders end in a slash. Nothing there is
    /// [`NotFound`](crate::ErrorKind::NotFound).
    pub async fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        list(&self.client, under(&self.mount, "metadata", path)).await
    }

    /// Reads the metadata of all versions.
    pub async fn metadata(&self, path: &str) -> Result<Secret, Error> {
        self.request(Method::GET, "metadata", path).read().await
    }

    /// Writes the settings of a secret: `max_versions`, `cas_required`, `delete_version_after`, `custom_metadata`.
    pub async fn put_metadata(&self, path: &str, settings: &impl Serialize) -> Result<(), Error> {
        self.request(Method::POST, "metadata", path).json(settings).send().await.map(drop)
    }

    /// Deletes the newest version. It can be undeleted.
    pub async fn delete(&self, path: &str) -> Result<(), Error> {
        self.request(Method::DELETE, "data", path).send().await.map(drop)
    }

    /// Deletes versions. They can be undeleted.
    pub async fn delete_versions(&self, path: &str, versions: &[u64]) -> Result<(), Error> {
        self.change_versions("delete", path, versions).await
    }

    /// Brings deleted versions back.
    pub async fn undelete(&self, path: &str, versions: &[u64]) -> Result<(), Error> {
        self.change_versions("undelete", path, versions).await
    }

    /// Destroys the data of versions for good.
    pub async fn destroy(&self, path: &str, versions: &[u64]) -> Result<(), Error> {
        self.change_versions("destroy", path, versions).await
    }

    /// Removes a secret for good: all versions, and that there ever was one.
    pub async fn delete_metadata(&self, path: &str) -> Result<(), Error> {
        self.request(Method::DELETE, "metadata", path).send().await.map(drop)
    }

    async fn change_versions(&self, what: &str, path: &str, versions: &[u64]) -> Result<(), Error> {
        let body = Versions { versions };
        self.request(Method::PUT, what, path).public_json(&body).send().await.map(drop)
    }

    fn request(&self, method: Method, kind: &str, path: &str) -> Request {
        self.client.request(method, under(&self.mount, kind, path))
    }
}

/// What a write answers: the metadata of the version written, in place of fields.
fn version_of(secret: &Secret) -> Result<VersionMetadata, Error> {
    json::parse::<VersionWire<'_>>("the fields", secret.data().expose_json()).map(Into::into)
}
