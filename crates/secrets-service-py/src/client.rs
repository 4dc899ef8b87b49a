//! `ResilientVaultClient`: the client for threads.

use std::sync::Arc;

use py_support::json;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::ask::{self, Ask};
use crate::core::Core;
use crate::lease::PyLeaseStatus;
use crate::rotating::PyRotatingCredentials;

/// Production-ready Vault client with caching and retry.
///
/// Reads are answered from the cache while fresh; else by one request for all who want the same secret, retried within
/// a budget; else, Vault being unavailable, by the last known value, up to `cache_max_stale_seconds`. Safe to share
/// between threads, and to use after a fork (a forked child logs in by itself). While it waits, other threads run and
/// Ctrl-C works.
#[pyclass(name = "ResilientVaultClient", module = "secrets_service._native", frozen, subclass, weakref)]
pub(crate) struct Client {
    pub(crate) core: Arc<Core>,
}

#[pymethods]
impl Client {
    #[new]
    fn new(config: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self { core: Arc::new(Core::new(config)?) })
    }

    /// Get a secret with caching and retry. The dictionary is the caller's own.
    ///
    /// With `bypass_cache`, Vault is asked whatever the cache has, and no older value may stand in. `version` asks for
    /// a version of a KV v2 secret instead of the newest.
    #[pyo3(signature = (path, bypass_cache = false, *, version = None))]
    fn get_secret<'py>(
        &self,
        py: Python<'py>,
        path: &Bound<'py, PyString>,
        bypass_cache: bool,
        version: Option<u64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if !bypass_cache
            && version.is_none()
            && let Some(data) = self.core.cached(path)?
        {
            return Ok(data.into_any());
        }
        let options = ask::options(bypass_cache, version);
        self.core.run(py, Ask::Secret { path: path.extract()?, options }).map(|answer| answer.into_bound(py))
    }

    /// Get a secret with its label: how old it is, whether it is stale, its version.
    #[pyo3(signature = (path, bypass_cache = false, *, version = None))]
    fn read_secret(
        &self,
        py: Python<'_>,
        path: String,
        bypass_cache: bool,
        version: Option<u64>,
    ) -> PyResult<Py<PyAny>> {
        self.core.run(py, Ask::Read { path, options: ask::options(bypass_cache, version) })
    }

    /// Get dynamic database credentials: "username" and "password".
    ///
    /// One lease, shared by all who ask, until a little before it ends. Ask again for each new connection.
    fn get_database_credentials(&self, py: Python<'_>, role: String) -> PyResult<Py<PyAny>> {
        self.core.run(py, Ask::Credentials { role, fixed: false })
    }

    /// Get the credentials of a static role: one user whose password Vault rotates.
    fn get_static_database_credentials(&self, py: Python<'_>, role: String) -> PyResult<Py<PyAny>> {
        self.core.run(py, Ask::Credentials { role, fixed: true })
    }

    /// Credentials of a dynamic role that are renewed, and replaced before they end, as long as the object lives.
    fn rotating_database_credentials(&self, py: Python<'_>, role: String) -> PyResult<PyRotatingCredentials> {
        PyRotatingCredentials::open(py, &self.core, role, false)
    }

    /// Credentials of a static role, read again as soon as Vault has changed the password.
    fn rotating_static_database_credentials(
        &self,
        py: Python<'_>,
        role: String,
    ) -> PyResult<PyRotatingCredentials> {
        PyRotatingCredentials::open(py, &self.core, role, true)
    }

    /// The leases that are kept alive, in no order.
    fn leases(&self, py: Python<'_>) -> PyResult<Vec<PyLeaseStatus>> {
        self.core.leases(py)
    }

    /// Write a whole secret, replacing what was there. Returns the new version (None where there are no versions).
    ///
    /// With `cas`, only if the newest version is still that one; 0: only if there is none yet.
    #[pyo3(signature = (path, data, cas = None))]
    fn put_secret(
        &self,
        py: Python<'_>,
        path: String,
        data: &Bound<'_, PyDict>,
        cas: Option<u64>,
    ) -> PyResult<Py<PyAny>> {
        self.core.run(py, Ask::Put { path, json: json::dump(data)?, cas })
    }

    /// Change some fields and keep the others; None removes a field. Safe against others who write at the same time.
    fn patch_secret(&self, py: Python<'_>, path: String, changes: &Bound<'_, PyDict>) -> PyResult<Py<PyAny>> {
        self.core.run(py, Ask::Patch { path, patch: ask::patch(changes)? })
    }

    /// Delete the newest version of a secret (KV v2: it can be undeleted) or the secret (KV v1).
    fn delete_secret(&self, py: Python<'_>, path: String) -> PyResult<Py<PyAny>> {
        self.core.run(py, Ask::Delete { path })
    }

    /// List the names directly below a path; those that end in "/" have names below them in turn.
    fn list_secrets(&self, py: Python<'_>, path: String) -> PyResult<Py<PyAny>> {
        self.core.run(py, Ask::List { path })
    }

    /// Log in now, to find out at start rather than at the first read.
    fn log_in(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.core.run(py, Ask::LogIn)
    }

    /// Forget the newest version of a secret: the next read asks Vault. Says whether there was one.
    fn invalidate(&self, py: Python<'_>, path: &str) -> PyResult<bool> {
        self.core.invalidate(py, path)
    }

    /// Forget every cached secret.
    fn clear_cache(&self, py: Python<'_>) -> PyResult<()> {
        self.core.clear(py)
    }

    /// Counters since the client was made: how often, never what.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.core.stats(py)
    }

    /// Close the client. Cached secrets are forgotten; leases and the login are revoked, or kept with `revoke=False`.
    ///
    /// Takes at most five seconds. Closing twice is no error; any other use after it is.
    #[pyo3(signature = (*, revoke = true))]
    pub(crate) fn close(&self, py: Python<'_>, revoke: bool) -> PyResult<()> {
        self.core.closing(py);
        self.core.run(py, ask::close(revoke)).map(drop)
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py, true)
    }

    /// Where and how, never with what.
    fn __repr__(&self) -> String {
        self.core.describe("ResilientVaultClient")
    }
}
