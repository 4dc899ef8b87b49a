//! Values that do not show themselves.

use gds_vault::{Error, ErrorKind, Secret, SecretString};
use py_support::{json, to_python};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// A text that must not be seen. `repr`, `str` and `format` say `[redacted]`; `expose()` is the only way out.
#[pyclass(frozen, module = "gds_vault._native")]
pub(crate) struct Hidden(SecretString);

impl Hidden {
    pub(crate) fn new(text: SecretString) -> Self {
        Self(text)
    }

    pub(crate) fn secret(&self) -> &SecretString {
        &self.0
    }
}

#[pymethods]
impl Hidden {
    #[new]
    fn from_python(text: Plain) -> Self {
        Self(text.0)
    }

    fn expose(&self) -> &str {
        self.0.expose()
    }

    fn __bool__(&self) -> bool {
        !self.0.is_empty()
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| other.get().0 == self.0)
    }

    /// One value for all: a real one would tell something of the text.
    #[allow(clippy::unused_self, reason = "the protocol's signature")]
    fn __hash__(&self) -> isize {
        0
    }

    #[allow(clippy::unused_self, reason = "the protocol's signature")]
    fn __repr__(&self) -> &'static str {
        "[redacted]"
    }

    #[allow(clippy::unused_self, reason = "the protocol's signature")]
    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a hidden text is not pickled"))
    }
}

/// A secret given as `str` or [`Hidden`]. The error for anything else does not show it.
pub(crate) struct Plain(pub(crate) SecretString);

impl<'a, 'py> FromPyObject<'a, 'py> for Plain {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(hidden) = value.cast::<Hidden>() {
            return Ok(Self(hidden.get().secret().clone()));
        }
        let text = value.cast::<PyString>().map_err(|_| PyTypeError::new_err("a secret must be a str"))?;
        match text.to_cow() {
            Ok(text) => Ok(Self(SecretString::from(text.into_owned()))),
            Err(_) => Err(PyTypeError::new_err("a secret must be text that UTF-8 can hold")),
        }
    }
}

/// Hides the token in what an auth strategy returned. Native, so that no Python frame ever holds it.
#[pyfunction]
pub(crate) fn hidden_token(py: Python<'_>, pair: &Bound<'_, PyAny>) -> PyResult<(Hidden, f64)> {
    let pair = pair.extract::<(Plain, f64)>();
    pair.map(|(token, until)| (Hidden(token.0), until)).map_err(|_| {
        let said = "the auth strategy did not return (token, expiry_timestamp)";
        to_python(py, &Error::new(ErrorKind::LoginRefused, said))
    })
}

/// What a read returned. Its `repr` shows no value.
#[pyclass(frozen, module = "gds_vault._native")]
pub(crate) struct Answer(pub(crate) Secret);

#[pymethods]
impl Answer {
    /// The fields, as new objects each time.
    fn data(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        json::load(py, self.0.data().expose_json()).map(Bound::unbind)
    }

    /// The metadata of a KV v2 version (`custom_metadata` among it); `None` for anything else.
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(version) = self.0.version() else { return Ok(None) };
        let metadata = PyDict::new(py);
        metadata.set_item("version", version.version)?;
        metadata.set_item("created_time", &version.created_time)?;
        let custom = version.custom_metadata.as_deref().map(|text| json::load(py, text)).transpose()?;
        metadata.set_item("custom_metadata", custom)?;
        Ok(Some(metadata))
    }

    /// For how many seconds a leased secret is good; `None` if there is no lease.
    #[getter]
    fn lease_duration(&self) -> Option<f64> {
        self.0.lease().map(|lease| lease.duration.as_secs_f64())
    }

    /// For how many seconds the password of a static database role is good; `None` for anything else.
    #[getter]
    fn ttl_of_static_role(&self) -> Option<u64> {
        self.0.field("last_vault_rotation")?;
        self.0.field("ttl")?.as_u64()
    }

    fn __repr__(&self) -> String {
        format!("Answer(fields={})", self.0.data().len())
    }
}
