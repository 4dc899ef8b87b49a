//! Cached secrets as Python dictionaries, made once and copied for each caller.
//!
//! The core's cache stays the only source of truth: a prepared dictionary is handed out only while the core, asked each
//! time, returns the very entry that it was made of. So a purge, a new version, the end of a TTL or of the client need
//! not be told here; and the core counts the hit, and starts its refresh in the background, as for any other reader.

use py_support::json;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use secrets_service::{ResilientVaultClient, SecretRead};
use tokio::runtime::Handle;

use crate::fork;

/// Prepared dictionaries by path, as callers write it. All access is by single operations of a `dict` with `str`
/// keys, which the GIL makes atomic.
pub(crate) struct PreparedSecrets {
    by_path: Py<PyDict>,
    most: usize,
}

/// What a cached secret looks like to Python, and what it was made of.
#[pyclass(frozen)]
struct Prepared {
    read: SecretRead,
    data: Py<PyDict>,
    /// Nothing in it can be changed, so that a copy of the outermost dictionary is a whole copy.
    flat: bool,
    path: Box<str>,
    vault: ResilientVaultClient,
    /// For the refresh in the background that a hit may start.
    runtime: Handle,
    forks: u64,
}

impl PreparedSecrets {
    pub(crate) fn new(py: Python<'_>, most: usize) -> Self {
        Self { by_path: PyDict::new(py).unbind(), most: most.max(1) }
    }

    /// The caller's own copy of a secret that is cached, fresh and prepared.
    #[inline]
    pub(crate) fn get<'py>(&self, path: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let py = path.py();
        let Some(prepared) = self.by_path.bind(py).get_item(path)? else { return Ok(None) };
        let prepared = prepared.cast_into::<Prepared>()?;
        let prepared = prepared.get();
        if prepared.forks != fork::count() {
            return Ok(None);
        }
        let _refreshes = prepared.runtime.enter();
        match prepared.vault.cached(&prepared.path) {
            Some(read) if std::ptr::eq(read.secret(), prepared.read.secret()) => {
                let data = prepared.data.bind(py);
                if prepared.flat { data.copy().map(Some) } else { copy_dict(data).map(Some) }
            }
            _ => Ok(None),
        }
    }

    /// Keeps what a read brought for the next caller, and returns this caller's own copy.
    pub(crate) fn keep<'py>(
        &self,
        py: Python<'py>,
        path: &str,
        read: SecretRead,
        vault: ResilientVaultClient,
        runtime: Handle,
    ) -> PyResult<Bound<'py, PyDict>> {
        let data = json::load(py, read.data().expose_json())?.cast_into::<PyDict>()?;
        let own = copy_dict(&data)?;
        let flat = !data.values().iter().any(|value| is_container(&value));
        let by_path = self.by_path.bind(py);
        if by_path.len() >= self.most {
            by_path.clear();
        }
        let (data, forks) = (data.unbind(), fork::count());
        let prepared = Prepared { read, data, flat, vault, runtime, forks, path: path.into() };
        by_path.set_item(path, Py::new(py, prepared)?)?;
        Ok(own)
    }

    /// Drops what was prepared for a path: its secret need not stay in memory.
    pub(crate) fn forget(&self, py: Python<'_>, path: &str) -> PyResult<()> {
        self.by_path.bind(py).call_method1("pop", (path, py.None())).map(drop)
    }

    pub(crate) fn clear(&self, py: Python<'_>) {
        self.by_path.bind(py).clear();
    }
}

fn is_container(value: &Bound<'_, PyAny>) -> bool {
    value.is_instance_of::<PyDict>() || value.is_instance_of::<PyList>()
}

fn copy_dict<'py>(dict: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
    let copy = dict.copy()?;
    for (name, value) in dict.iter().filter(|(_, value)| is_container(value)) {
        copy.set_item(name, copy_of(&value)?)?;
    }
    Ok(copy)
}

fn copy_of<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if let Ok(dict) = value.cast::<PyDict>() {
        return Ok(copy_dict(dict)?.into_any());
    }
    let Ok(list) = value.cast::<PyList>() else { return Ok(value.clone()) };
    let copies = list.iter().map(|item| copy_of(&item)).collect::<PyResult<Vec<_>>>()?;
    Ok(PyList::new(value.py(), copies)?.into_any())
}
