//! `DevPostgres`: a throw-away PostgreSQL for tests of database credentials.

use std::sync::Arc;

use py_support::PerProcess;
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use vault_dev::postgres::Cluster;

/// A throw-away PostgreSQL on a free port of 127.0.0.1, gone with the process. Needs PostgreSQL's server programs.
#[pyclass(module = "secrets_service._native", frozen, weakref)]
pub(crate) struct DevPostgres {
    cluster: PerProcess<Cluster>,
}

#[pymethods]
impl DevPostgres {
    /// Start one: about a second.
    #[new]
    fn start(py: Python<'_>) -> PyResult<Self> {
        let cluster =
            py.detach(Cluster::start_blocking).map_err(|error| PyOSError::new_err(error.to_string()))?;
        let slot = PerProcess::new();
        slot.get(py, || Ok::<_, PyErr>(cluster))?;
        Ok(Self { cluster: slot })
    }

    /// "127.0.0.1".
    #[getter]
    fn host(&self, py: Python<'_>) -> PyResult<&'static str> {
        Ok(self.cluster(py)?.host())
    }

    /// The TCP port.
    #[getter]
    fn port(&self, py: Python<'_>) -> PyResult<u16> {
        Ok(self.cluster(py)?.port())
    }

    /// The superuser.
    #[getter]
    fn user(&self, py: Python<'_>) -> PyResult<&'static str> {
        Ok(self.cluster(py)?.user())
    }

    /// The superuser's random password.
    #[getter]
    fn password(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.cluster(py)?.password().to_owned())
    }

    /// The database that is there from the start.
    #[getter]
    fn database(&self, py: Python<'_>) -> PyResult<&'static str> {
        Ok(self.cluster(py)?.database())
    }

    /// The connection string of the superuser.
    #[getter]
    fn url(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.cluster(py)?.url())
    }

    /// What `database/config` wants as its "connection_url" for this PostgreSQL.
    #[getter]
    fn connection_url_template(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.cluster(py)?.connection_url_template())
    }

    /// End PostgreSQL and remove its directory.
    fn stop(&self, py: Python<'_>) {
        self.cluster.clear(py);
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) {
        self.stop(py);
    }
}

impl DevPostgres {
    pub(crate) fn cluster(&self, py: Python<'_>) -> PyResult<Arc<Cluster>> {
        self.cluster.get(py, || Err(PyRuntimeError::new_err("stopped, or started by the parent process")))
    }
}
