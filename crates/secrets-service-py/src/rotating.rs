//! `RotatingCredentials`: database credentials that are kept valid, for threads and for event loops.

use std::sync::Arc;
use std::time::Duration;

use py_support::PerProcess;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use secrets_service::{Error, ResilientVaultClient, RotatingCredentials, Rotation};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::ask::Ask;
use crate::async_client::{self, AsyncClient};
use crate::core::Core;

/// A role whose credentials are kept. A forked child has others than its parent: a lease of its own.
pub(crate) struct Role {
    core: Arc<Core>,
    name: String,
    fixed: bool,
    opened: PerProcess<OnceCell<RotatingCredentials>>,
}

/// What is wanted of a role's credentials.
pub(crate) enum Wish {
    /// The newest, whatever they are worth.
    Current,
    /// The newest that still work.
    Usable,
    /// Newer ones than these, which the database refused.
    NewerThan(u64),
    /// The next ones, or nothing when time is up.
    Changed { since: Option<u64>, within: Option<Duration> },
}

/// A wish that can be waited for.
pub(crate) struct Wanted {
    name: String,
    fixed: bool,
    opened: Arc<OnceCell<RotatingCredentials>>,
    wish: Wish,
}

impl Wanted {
    pub(crate) async fn rotation(self, vault: ResilientVaultClient) -> Result<Option<Rotation>, Error> {
        let mut credentials = self.opened.get_or_try_init(|| self.open(&vault)).await?.clone();
        match self.wish {
            Wish::Current => Ok(Some(credentials.current())),
            Wish::Usable => credentials.usable().await.map(Some),
            Wish::NewerThan(generation) => credentials.newer_than(generation).await.map(Some),
            Wish::Changed { since, within } => {
                let since = since.unwrap_or_else(|| credentials.current().generation);
                let next = next(&mut credentials, since);
                match within {
                    None => next.await.map(Some),
                    Some(within) => timeout(within, next).await.map_or(Ok(None), |next| next.map(Some)),
                }
            }
        }
    }

    async fn open(&self, vault: &ResilientVaultClient) -> Result<RotatingCredentials, Error> {
        if self.fixed {
            vault.rotating_static_database_credentials(&self.name).await
        } else {
            vault.rotating_database_credentials(&self.name).await
        }
    }
}

async fn next(credentials: &mut RotatingCredentials, since: u64) -> Result<Rotation, Error> {
    let mut rotation = credentials.current();
    // Renewals are changes, too, but bring no others.
    while rotation.generation <= since {
        rotation = credentials.changed().await?;
    }
    Ok(rotation)
}

impl Role {
    pub(crate) fn new(core: Arc<Core>, name: String, fixed: bool) -> Self {
        Self { core, name, fixed, opened: PerProcess::new() }
    }

    pub(crate) fn ask(&self, py: Python<'_>, wish: Wish) -> PyResult<Ask> {
        let opened = self.opened.get(py, || Ok::<_, PyErr>(OnceCell::new()))?;
        Ok(Ask::Rotation(Wanted { name: self.name.clone(), fixed: self.fixed, opened, wish }))
    }

    fn run(&self, py: Python<'_>, wish: Wish) -> PyResult<Py<PyAny>> {
        let ask = self.ask(py, wish)?;
        self.core.run(py, ask)
    }

    fn begin<'py>(&self, py: Python<'py>, wish: Wish) -> PyResult<Bound<'py, PyAny>> {
        async_client::begin(py, &self.core, self.ask(py, wish)?)
    }

    /// Without waiting, but for the first time in a forked child.
    fn current(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let opened = self.opened.get(py, || Ok::<_, PyErr>(OnceCell::new()))?;
        match opened.get() {
            Some(credentials) => Ok(Py::new(py, PyRotation(credentials.current()))?.into_any()),
            None => self.run(py, Wish::Current),
        }
    }

    /// Nothing is kept of a process that has none.
    fn keeps(&self, py: Python<'_>, generation: u64) -> PyResult<bool> {
        let opened = self.opened.get(py, || Ok::<_, PyErr>(OnceCell::new()))?;
        Ok(opened.get().is_some_and(|credentials| credentials.keeps(generation)))
    }

    fn path(&self) -> String {
        let sort = if self.fixed { "static-creds" } else { "creds" };
        format!("{}/{sort}/{}", self.core.database_mount(), self.name)
    }
}

/// Database credentials that are renewed, and replaced before they end, as long as this object lives.
#[pyclass(name = "RotatingCredentials", module = "secrets_service.vault_client", frozen, weakref)]
pub(crate) struct PyRotatingCredentials(Role);

#[pymethods]
impl PyRotatingCredentials {
    /// Where they come from, such as "database/creds/myapp".
    #[getter]
    fn path(&self) -> String {
        self.0.path()
    }

    /// The newest credentials. Makes no request, but for the first call in a forked child.
    ///
    /// After a long outage they may have ended: `usable()` says so.
    fn current(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.0.current(py)
    }

    /// Whether a connection that was made with this generation may stay.
    fn keeps(&self, py: Python<'_>, generation: u64) -> PyResult<bool> {
        self.0.keeps(py, generation)
    }

    /// The newest credentials if they still work; if they have ended, Vault is asked for others.
    fn usable(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.0.run(py, Wish::Usable)
    }

    /// Newer credentials, for when the database refused those of this generation. Takes at most the read deadline.
    fn newer_than(&self, py: Python<'_>, generation: u64) -> PyResult<Py<PyAny>> {
        self.0.run(py, Wish::NewerThan(generation))
    }

    /// Wait for credentials newer than `since` (by default than the newest); None when there are none in time.
    #[pyo3(signature = (timeout = None, *, since = None))]
    fn changed(&self, py: Python<'_>, timeout: Option<f64>, since: Option<u64>) -> PyResult<Py<PyAny>> {
        self.0.run(py, changed(timeout, since)?)
    }

    fn __repr__(&self) -> String {
        format!("<RotatingCredentials {}>", self.path())
    }
}

impl PyRotatingCredentials {
    /// Asks Vault for the first credentials.
    pub(crate) fn open(py: Python<'_>, core: &Arc<Core>, name: String, fixed: bool) -> PyResult<Self> {
        let role = Role::new(Arc::clone(core), name, fixed);
        role.run(py, Wish::Current)?;
        Ok(Self(role))
    }
}

/// Database credentials that are renewed, and replaced before they end, as long as this object lives; for `asyncio`.
#[pyclass(name = "AsyncRotatingCredentials", module = "secrets_service.vault_client", frozen, weakref)]
pub(crate) struct PyAsyncRotatingCredentials(Role);

#[pymethods]
impl PyAsyncRotatingCredentials {
    /// Made by `AsyncResilientVaultClient`; `await usable()` asks Vault for the first credentials.
    #[new]
    #[pyo3(signature = (vault, role, *, fixed = false))]
    fn new(vault: &Bound<'_, AsyncClient>, role: String, fixed: bool) -> Self {
        Self(Role::new(Arc::clone(&vault.get().core), role, fixed))
    }

    /// Where they come from, such as "database/creds/myapp".
    #[getter]
    fn path(&self) -> String {
        self.0.path()
    }

    /// The newest credentials. Makes no request, but for the first call in a forked child, which waits: there, await
    /// `usable()` first.
    fn current(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.0.current(py)
    }

    /// Whether a connection that was made with this generation may stay.
    fn keeps(&self, py: Python<'_>, generation: u64) -> PyResult<bool> {
        self.0.keeps(py, generation)
    }

    /// The newest credentials if they still work; if they have ended, Vault is asked for others.
    fn usable<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.begin(py, Wish::Usable)
    }

    /// Newer credentials, for when the database refused those of this generation. Takes at most the read deadline.
    fn newer_than<'py>(&self, py: Python<'py>, generation: u64) -> PyResult<Bound<'py, PyAny>> {
        self.0.begin(py, Wish::NewerThan(generation))
    }

    /// Wait for credentials newer than `since` (by default than the newest); None when there are none in time.
    #[pyo3(signature = (timeout = None, *, since = None))]
    fn changed<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<f64>,
        since: Option<u64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.0.begin(py, changed(timeout, since)?)
    }

    fn __repr__(&self) -> String {
        format!("<AsyncRotatingCredentials {}>", self.path())
    }
}

fn changed(timeout: Option<f64>, since: Option<u64>) -> PyResult<Wish> {
    let within = timeout.map(|seconds| {
        Duration::try_from_secs_f64(seconds)
            .map_err(|_| PyValueError::new_err("timeout must be a number of seconds, zero or more"))
    });
    Ok(Wish::Changed { since, within: within.transpose()? })
}

/// Credentials, and how many came before them.
#[pyclass(name = "Rotation", module = "secrets_service.vault_client", frozen)]
pub(crate) struct PyRotation(pub(crate) Rotation);

#[pymethods]
impl PyRotation {
    /// Grows by one with each new user name or password, in this process.
    #[getter]
    fn generation(&self) -> u64 {
        self.0.generation
    }

    /// The user name.
    #[getter]
    fn username(&self) -> &str {
        self.0.credentials.username()
    }

    /// The password.
    #[getter]
    fn password(&self) -> &str {
        self.0.credentials.password().expose()
    }

    /// How long they can be used from now, in seconds: to the end of the lease, or to the next rotation.
    #[getter]
    fn usable_for_seconds(&self) -> f64 {
        self.0.credentials.usable_for().as_secs_f64()
    }

    /// The id of their lease; None for a static role.
    #[getter]
    fn lease_id(&self) -> Option<&str> {
        self.0.credentials.lease().map(|lease| lease.id.as_str())
    }

    /// By when connections that may not stay must be closed, in seconds from now; None: there are none.
    #[getter]
    fn retire_in_seconds(&self) -> Option<f64> {
        let by = self.0.retire_by()?;
        Some(by.saturating_duration_since(tokio::time::Instant::now()).as_secs_f64())
    }

    /// Whether a connection that was made with this generation may stay.
    fn keeps(&self, generation: u64) -> bool {
        self.0.keeps(generation)
    }

    fn __repr__(&self) -> String {
        format!(
            "<Rotation {}: {}, password [redacted], usable for {:.1} s>",
            self.0.generation,
            self.0.credentials.username(),
            self.usable_for_seconds()
        )
    }
}
