//! `LeaseStatus`: a lease that is kept alive, for metrics and readiness.

use pyo3::prelude::*;
use secrets_service::LeaseStatus;

/// A lease that is kept alive, as it stood when it was asked for. No value.
#[pyclass(name = "LeaseStatus", module = "secrets_service.vault_client", frozen)]
pub(crate) struct PyLeaseStatus(pub(crate) LeaseStatus);

#[pymethods]
impl PyLeaseStatus {
    /// The path that it was read from, such as "database/creds/myapp".
    #[getter]
    fn path(&self) -> &str {
        &self.0.path
    }

    /// Its id; None for a static role.
    #[getter]
    fn lease_id(&self) -> Option<&str> {
        self.0.lease.as_deref()
    }

    /// Whether Vault extends it on request.
    #[getter]
    fn renewable(&self) -> bool {
        self.0.renewable
    }

    /// Until its end (for a static role: until the password changes), in seconds; 0 if that has passed.
    #[getter]
    fn ends_in_seconds(&self) -> f64 {
        self.0.ends_in.as_secs_f64()
    }

    /// Attempts in a row to renew or replace it that failed.
    #[getter]
    fn failures(&self) -> u32 {
        self.0.failures
    }

    /// Why the last attempt failed; None if one has succeeded since.
    #[getter]
    fn last_error(&self) -> Option<String> {
        self.0.last_error.as_ref().map(ToString::to_string)
    }

    fn __repr__(&self) -> String {
        format!("<LeaseStatus {}, ends in {:.1} s>", self.0.path, self.ends_in_seconds())
    }
}
