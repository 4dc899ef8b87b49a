//! What the clients for threads and for event loops have in common: one core client per process, made when needed.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use py_support::{Inside, PerProcess, runtime, wait_for};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use secrets_service::{ConfigError, Error, OnClose, ResilientVaultClient, VaultConfig};

use crate::ask::{Answer, Ask};
use crate::lease::PyLeaseStatus;
use crate::prepared::PreparedSecrets;
use crate::{config, errors, logs};

/// The settings, and what they lead to in this process. A forked child makes its own: new connections, a new login.
pub(crate) struct Core {
    config: VaultConfig,
    vault: PerProcess<ResilientVaultClient>,
    prepared: PreparedSecrets,
    closed: AtomicBool,
}

impl Core {
    /// Checks the settings and reads certificate files. Does not speak to Vault yet.
    pub(crate) fn new(config: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = config.py();
        logs::look_at_levels(py);
        let config = config::read_vault_config(config)?;
        let core = Self {
            vault: PerProcess::new(),
            prepared: PreparedSecrets::new(py, config.cache_capacity),
            closed: AtomicBool::new(false),
            config,
        };
        core.vault(py)?;
        logs::flush(py);
        Ok(core)
    }

    /// The core's client of this process.
    pub(crate) fn vault(&self, py: Python<'_>) -> PyResult<ResilientVaultClient> {
        let runtime = runtime(py)?;
        let vault = self.vault.get(py, || {
            let _inside = runtime.enter();
            let vault = ResilientVaultClient::new(&self.config)?;
            if self.is_closed() {
                // Closed before a fork is closed after it. Giving nothing back, it has nothing to wait for.
                let mut close = pin!(vault.close(OnClose::Keep));
                let _ = close.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            }
            Ok(vault)
        });
        let vault = vault.map_err(|error: ConfigError| config::problems(py, &error))?;
        Ok((*vault).clone())
    }

    /// The caller's own copy of a secret that is cached and fresh. Never waits.
    #[inline]
    pub(crate) fn cached<'py>(&self, path: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyDict>>> {
        match self.prepared.get(path)? {
            Some(data) => Ok(Some(data)),
            None => self.cached_but_not_prepared(path),
        }
    }

    #[cold]
    fn cached_but_not_prepared<'py>(
        &self,
        path: &Bound<'py, PyString>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let py = path.py();
        let vault = self.vault(py)?;
        let text = path.to_cow()?;
        let runtime = runtime(py)?;
        let inside = runtime.enter();
        let Some(read) = vault.cached(&text) else { return Ok(None) };
        drop(inside);
        self.prepared.keep(py, &text, read, vault, runtime).map(Some)
    }

    /// Does it, waiting with the GIL released.
    pub(crate) fn run(&self, py: Python<'_>, ask: Ask) -> PyResult<Py<PyAny>> {
        let _inside = Inside::enter(py);
        let (path, changes) = (secret_path(&ask), ask.changes().map(str::to_owned));
        logs::look_at_levels(py);
        let answer = self.wait(py, ask);
        logs::flush(py);
        self.conclude(py, path, changes, answer?)
    }

    /// What is left to do with the GIL held once there is an answer.
    pub(crate) fn conclude(
        &self,
        py: Python<'_>,
        path: Option<String>,
        changes: Option<String>,
        answer: Result<Answer, Error>,
    ) -> PyResult<Py<PyAny>> {
        if let Some(path) = changes {
            self.prepared.forget(py, &path)?;
        }
        match (answer, path) {
            (Ok(Answer::Secret(read)), Some(path)) if !read.is_stale() => {
                let (vault, runtime) = (self.vault(py)?, runtime(py)?);
                Ok(self.prepared.keep(py, &path, read, vault, runtime)?.into_any().unbind())
            }
            (Ok(answer), _) => answer.into_python(py),
            (Err(error), path) => {
                if let Some(path) = path {
                    self.prepared.forget(py, &path)?;
                }
                Err(errors::to_python(py, &error))
            }
        }
    }

    /// The first step is taken here: what needs no answer from Vault is then done, without another thread.
    fn wait(&self, py: Python<'_>, ask: Ask) -> PyResult<Result<Answer, Error>> {
        let mut answer = Box::pin(ask.answer(self.vault(py)?));
        let runtime = runtime(py)?;
        let inside = runtime.enter();
        let first = answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(inside);
        match first {
            Poll::Ready(answer) => Ok(answer),
            Poll::Pending => wait_for(py, answer),
        }
    }

    pub(crate) fn invalidate(&self, py: Python<'_>, path: &str) -> PyResult<bool> {
        self.prepared.forget(py, path)?;
        Ok(self.vault(py)?.invalidate(path))
    }

    pub(crate) fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.prepared.clear(py);
        self.vault(py)?.clear();
        Ok(())
    }

    /// Every prepared secret is dropped at once; what the core has, it drops itself when it is closed.
    pub(crate) fn closing(&self, py: Python<'_>) {
        self.closed.store(true, Ordering::Relaxed);
        self.prepared.clear(py);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Counters since the client was made.
    pub(crate) fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.vault(py)?.stats();
        let counters = [
            ("hits", stats.hits),
            ("misses", stats.misses),
            ("stale_served", stats.stale_served),
            ("requests", stats.requests),
            ("retries", stats.retries),
            ("logins", stats.logins),
            ("login_failures", stats.login_failures),
        ];
        let dict = PyDict::new(py);
        counters.into_iter().try_for_each(|(name, count)| dict.set_item(name, count))?;
        Ok(dict)
    }

    /// The leases that are kept alive.
    pub(crate) fn leases(&self, py: Python<'_>) -> PyResult<Vec<PyLeaseStatus>> {
        Ok(self.vault(py)?.leases().into_iter().map(PyLeaseStatus).collect())
    }

    /// Where the database engine is.
    pub(crate) fn database_mount(&self) -> &str {
        &self.config.database_mount
    }

    /// Where and how, for people; never with what.
    pub(crate) fn describe(&self, class: &str) -> String {
        let addresses: Vec<_> = self.config.addresses.iter().map(ToString::to_string).collect();
        let closed = if self.is_closed() { ", closed" } else { "" };
        format!("<{class} {}, {}{closed}>", addresses.join(","), self.config.auth.name())
    }
}

/// The path whose answer is worth preparing for the next caller: only reads of the newest version are cached by path.
pub(crate) fn secret_path(ask: &Ask) -> Option<String> {
    match ask {
        Ask::Secret { path, options } if options.version.is_none() => Some(path.clone()),
        _ => None,
    }
}
