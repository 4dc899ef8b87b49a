//! `AsyncResilientVaultClient` and `AsyncSecretsService`: the same for event loops, which are never blocked.

use std::sync::{Arc, Mutex, PoisonError};

use py_support::{awaitable, json};
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};
use secrets_service::{ReadOptions, ServiceConfig};

use crate::ask::{self, Ask};
use crate::core::{Core, secret_path};
use crate::lease::PyLeaseStatus;
use crate::{config, logs, service};

/// Vault client with caching and retry, for `asyncio`.
///
/// As `ResilientVaultClient`, and every method that may ask Vault returns a coroutine. A cached secret is returned
/// without giving up the turn. Cancelling the coroutine gives up waiting.
#[pyclass(name = "AsyncResilientVaultClient", module = "secrets_service._native", frozen, subclass, weakref)]
pub(crate) struct AsyncClient {
    pub(crate) core: Arc<Core>,
}

#[pymethods]
impl AsyncClient {
    #[new]
    fn new(config: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self { core: Arc::new(Core::new(config)?) })
    }

    /// Get a secret with caching and retry. The dictionary is the caller's own.
    #[pyo3(signature = (path, bypass_cache = false, *, version = None))]
    fn get_secret<'py>(
        &self,
        py: Python<'py>,
        path: String,
        bypass_cache: bool,
        version: Option<u64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.begin(py, Ask::Secret { path, options: ask::options(bypass_cache, version) })
    }

    /// Get a secret with its label: how old it is, whether it is stale, its version.
    #[pyo3(signature = (path, bypass_cache = false, *, version = None))]
    fn read_secret<'py>(
        &self,
        py: Python<'py>,
        path: String,
        bypass_cache: bool,
        version: Option<u64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.begin(py, Ask::Read { path, options: ask::options(bypass_cache, version) })
    }

    /// Get dynamic database credentials: "username" and "password".
    fn get_database_credentials<'py>(&self, py: Python<'py>, role: String) -> PyResult<Bound<'py, PyAny>> {
        self.begin(py, Ask::Credentials { role, fixed: false })
    }

    /// Get the credentials of a static role: one user whose password Vault rotates.
    fn get_static_database_credentials<'py>(
        &self,
        py: Python<'py>,
        role: String,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.begin(py, Ask::Credentials { role, fixed: true })
    }

    /// The leases that are kept alive, in no order.
    fn leases(&self, py: Python<'_>) -> PyResult<Vec<PyLeaseStatus>> {
        self.core.leases(py)
    }

    /// Write a whole secret, replacing what was there. Returns the new version (None where there are no versions).
    #[pyo3(signature = (path, data, cas = None))]
    fn put_secret<'py>(
        &self,
        py: Python<'py>,
        path: String,
        data: &Bound<'py, PyDict>,
        cas: Option<u64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.begin(py, Ask::Put { path, json: json::dump(data)?, cas })
    }

    /// Change some fields and keep the others; None removes a field.
    fn patch_secret<'py>(
        &self,
        py: Python<'py>,
        path: String,
        changes: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.begin(py, Ask::Patch { path, patch: ask::patch(changes)? })
    }

    /// Delete the newest version of a secret (KV v2: it can be undeleted) or the secret (KV v1).
    fn delete_secret<'py>(&self, py: Python<'py>, path: String) -> PyResult<Bound<'py, PyAny>> {
        self.begin(py, Ask::Delete { path })
    }

    /// List the names directly below a path; those that end in "/" have names below them in turn.
    fn list_secrets<'py>(&self, py: Python<'py>, path: String) -> PyResult<Bound<'py, PyAny>> {
        self.begin(py, Ask::List { path })
    }

    /// Log in now, to find out at start rather than at the first read.
    fn log_in<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.begin(py, Ask::LogIn)
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

    /// Close the client. Leases and the login are revoked, or kept with `revoke=False`.
    #[pyo3(signature = (*, revoke = true))]
    fn close<'py>(&self, py: Python<'py>, revoke: bool) -> PyResult<Bound<'py, PyAny>> {
        self.begin(py, ask::close(revoke))
    }

    fn __repr__(&self) -> String {
        self.core.describe("AsyncResilientVaultClient")
    }
}

impl AsyncClient {
    fn begin<'py>(&self, py: Python<'py>, ask: Ask) -> PyResult<Bound<'py, PyAny>> {
        begin(py, &self.core, ask)
    }
}

/// A coroutine that does it when it is awaited.
pub(crate) fn begin<'py>(py: Python<'py>, core: &Arc<Core>, ask: Ask) -> PyResult<Bound<'py, PyAny>> {
    static OUTCOME: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let operation = Operation { core: Arc::clone(core), ask: Mutex::new(Some(ask)) };
    OUTCOME.import(py, "secrets_service._await", "outcome")?.call1((operation,))
}

/// Database access and API keys from Vault, for `asyncio`.
#[pyclass(name = "AsyncSecretsService", module = "secrets_service._native", frozen, subclass, weakref)]
pub(crate) struct AsyncService {
    vault: Py<AsyncClient>,
    service: ServiceConfig,
}

#[pymethods]
impl AsyncService {
    #[new]
    fn new(vault: Py<AsyncClient>, config: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self { vault, service: config::read_service_config(config)? })
    }

    /// The client underneath.
    #[getter]
    fn vault(&self, py: Python<'_>) -> Py<AsyncClient> {
        self.vault.clone_ref(py)
    }

    /// Get database connection string with dynamic credentials.
    #[pyo3(signature = (role = None))]
    fn get_database_connection_string<'py>(
        &self,
        py: Python<'py>,
        role: Option<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.vault.get().begin(py, service::connection_string(&self.service, role))
    }

    /// Get an API key for an external service: the field of that name in the API keys' secret.
    fn get_api_key<'py>(&self, py: Python<'py>, service_name: String) -> PyResult<Bound<'py, PyAny>> {
        self.vault.get().begin(py, service::api_key(&self.service, service_name))
    }

    /// Store an API key, keeping the others, whoever else writes at the same time.
    fn set_api_key<'py>(
        &self,
        py: Python<'py>,
        service_name: String,
        value: String,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.vault.get().begin(py, service::set_api_key(&self.service, service_name, value))
    }

    /// Close the service and its client.
    #[pyo3(signature = (*, revoke = true))]
    fn close<'py>(&self, py: Python<'py>, revoke: bool) -> PyResult<Bound<'py, PyAny>> {
        self.vault.get().close(py, revoke)
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        self.vault.borrow(py).core.describe("AsyncSecretsService")
    }
}

/// What a coroutine awaits: an operation that begins when it is awaited, once.
#[pyclass(frozen)]
struct Operation {
    core: Arc<Core>,
    ask: Mutex<Option<Ask>>,
}

#[pymethods]
impl Operation {
    fn __await__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let ask = self.ask.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ask = ask.ok_or_else(|| PyRuntimeError::new_err("this was already awaited"))?;
        if let Ask::Secret { path, options } = &ask
            && *options == ReadOptions::default()
            && let Some(data) = self.core.cached(&PyString::new(py, path))?
        {
            return Ok(Bound::new(py, Ready(data.into_any().unbind()))?.into_any());
        }
        if let Ask::Close(_) = ask {
            self.core.closing(py);
        }
        logs::look_at_levels(py);
        let core = Arc::clone(&self.core);
        let (path, changes) = (secret_path(&ask), ask.changes().map(str::to_owned));
        let answer = ask.answer(core.vault(py)?);
        let future = awaitable(py, answer, move |py, answer| {
            logs::flush(py);
            core.conclude(py, path, changes, answer)
        })?;
        future.call_method0("__await__")
    }
}

/// An iterator that has ended with a value: what awaiting something that is done comes to.
#[pyclass(frozen)]
struct Ready(Py<PyAny>);

#[pymethods]
impl Ready {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Err(PyStopIteration::new_err((self.0.clone_ref(py),)))
    }
}
