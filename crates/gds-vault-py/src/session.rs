//! [`Session`]: reading with one token.

use std::sync::Arc;

use gds_vault::{Client, Error, ErrorKind, Method, MountKind, Secret, SecretPath, SecretString};
use py_support::{Call, PerProcess, to_python};
use pyo3::prelude::*;

use crate::login;
use crate::options::Options;
use crate::secret::Answer;
use crate::transport::shared;

/// Reading with one token. What it learns of Vault's mounts it keeps to itself: another token may see others.
#[pyclass(frozen, module = "gds_vault._native")]
pub(crate) struct Session {
    options: Arc<Options>,
    connections: Arc<PerProcess<Client>>,
    token: SecretString,
    client: PerProcess<Client>,
}

impl Session {
    pub(crate) fn new(
        options: Arc<Options>,
        connections: Arc<PerProcess<Client>>,
        token: SecretString,
    ) -> Self {
        Self { options, connections, token, client: PerProcess::new() }
    }

    fn client(&self, py: Python<'_>) -> PyResult<Client> {
        let client = self.client.get(py, || {
            let shared = shared(py, &self.connections, &self.options)?;
            let own = shared.with_namespace(shared.namespace());
            own.set_token(Some(self.token.clone()));
            Ok(own)
        });
        match client {
            Ok(client) => Ok(Client::clone(&client)),
            Err(error) => Err(to_python(py, &error)),
        }
    }
}

#[pymethods]
impl Session {
    /// Reads a path, at a version if one is given.
    #[pyo3(signature = (path, version=None, timeout=None))]
    fn read(
        &self,
        py: Python<'_>,
        path: String,
        version: Option<u64>,
        timeout: Option<f64>,
    ) -> PyResult<Call> {
        let client = self.client(py)?;
        let limit = self.options.limit(py, timeout)?;
        let reading = limit.apply(async move { read(&client, &path, version).await });
        Ok(Call::new(reading, |py, outcome| match outcome {
            Ok(secret) => Ok(Py::new(py, Answer(secret))?.into_any()),
            Err(error) => Err(to_python(py, &error)),
        }))
    }

    /// The names directly under a path.
    #[pyo3(signature = (path, timeout=None))]
    fn list(&self, py: Python<'_>, path: String, timeout: Option<f64>) -> PyResult<Call> {
        let client = self.client(py)?;
        let limit = self.options.limit(py, timeout)?;
        let listing = limit.apply(async move { list(&client, &path).await });
        Ok(Call::new(listing, |py, outcome| match outcome {
            Ok(names) => Ok(names.into_pyobject(py)?.unbind()),
            Err(error) => Err(to_python(py, &error)),
        }))
    }

    /// Renews the token.
    #[pyo3(signature = (timeout=None))]
    fn renew(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Call> {
        let client = self.client(py)?;
        let limit = self.options.limit(py, timeout)?;
        Ok(login::call(limit.apply(async move {
            let renewed = client.tokens().renew_self(None).await;
            renewed.map_err(|error| error.with_operation("login (renewal)"))
        })))
    }
}

/// Reads what a path means.
///
/// A path with a `data` or `metadata` segment is one of Vault's API, and is taken as it stands. Of any other Vault is
/// asked once per mount what is mounted there, so that `secret/app` is found in a KV v2 mount as well.
async fn read(client: &Client, path: &str, version: Option<u64>) -> Result<Secret, Error> {
    if !has_segment(path, &["data", "metadata", "subkeys"])
        && let Some(resolved) = resolve(client, path).await?
    {
        return client.read_path(&resolved, version).await;
    }
    let request = client.request(Method::GET, path);
    match version {
        Some(version) => request.query("version", version.to_string()),
        None => request,
    }
    .read()
    .await
}

async fn list(client: &Client, path: &str) -> Result<Vec<String>, Error> {
    if !has_segment(path, &["metadata"])
        && let Some(SecretPath { mount, kind: MountKind::Kv2, rest }) = resolve(client, path).await?
    {
        return client.kv2(&*mount).list(rest).await;
    }
    let list = Method::from_bytes(b"LIST").map_err(|_| Error::new(ErrorKind::Configuration, "LIST"))?;
    let secret = client.request(list, path).read().await?;
    let malformed = || Error::new(ErrorKind::MalformedAnswer, "the list has no `keys`").with_path(path);
    let keys = secret.field("keys").ok_or_else(malformed)?;
    serde_json::from_str(keys.expose_json()).map_err(|_| malformed())
}

/// What a path means; `None` if Vault does not tell this token.
async fn resolve<'p>(client: &Client, path: &'p str) -> Result<Option<SecretPath<'p>>, Error> {
    match client.mounts().resolve(path, None).await {
        Ok(resolved) => Ok(Some(resolved)),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether one of the names is a segment of a path, but not its first: that is the mount.
fn has_segment(path: &str, names: &[&str]) -> bool {
    path.trim_matches('/').split('/').skip(1).any(|segment| names.contains(&segment))
}
