//! `SecretRead`: a secret with its label: how old, and whether Vault could be asked.

use py_support::json;
use pyo3::prelude::*;
use secrets_service::SecretRead;

/// A secret as read, with a label that says how far it may be trusted to be current.
#[pyclass(name = "SecretRead", module = "secrets_service.vault_client", frozen)]
pub(crate) struct Read {
    read: SecretRead,
}

impl Read {
    pub(crate) fn new(read: SecretRead) -> Self {
        Self { read }
    }
}

#[pymethods]
impl Read {
    /// The fields: a dictionary of the caller's own, made anew each time.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json::load(py, self.read.data().expose_json())
    }

    /// Where it came from: "vault", "cache" or "stale".
    #[getter]
    fn origin(&self) -> &'static str {
        self.read.origin().as_str()
    }

    /// Past its TTL, and returned only because Vault is unavailable.
    #[getter]
    fn is_stale(&self) -> bool {
        self.read.is_stale()
    }

    /// Why a stale value was returned; None for any other.
    #[getter]
    fn stale_reason(&self) -> Option<String> {
        self.read.stale_reason().map(ToString::to_string)
    }

    /// How long ago Vault gave it to us, in seconds.
    #[getter]
    fn age_seconds(&self) -> f64 {
        self.read.age().as_secs_f64()
    }

    /// How long it stays fresh from now, in seconds.
    #[getter]
    fn fresh_for_seconds(&self) -> f64 {
        self.read.fresh_for().as_secs_f64()
    }

    /// How long it may be returned at all from now, an outage included, in seconds.
    #[getter]
    fn usable_for_seconds(&self) -> f64 {
        self.read.usable_for().as_secs_f64()
    }

    /// The version of a KV v2 secret; None for anything else.
    #[getter]
    fn version(&self) -> Option<u64> {
        self.read.version().map(|version| version.version)
    }

    /// The id of its lease; None for a static secret.
    #[getter]
    fn lease_id(&self) -> Option<&str> {
        self.read.lease().map(|lease| lease.id.as_str())
    }

    /// The label, never the data.
    fn __repr__(&self) -> String {
        format!("<SecretRead: {}, {:.1} s old>", self.read.origin().as_str(), self.read.age().as_secs_f64())
    }
}
