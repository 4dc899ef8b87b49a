//! Errors as exceptions: one class per thing that a caller would do differently.

use gds_vault::{Error, ErrorKind};
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use crate::exit::Inside;

/// An error as the exception of `gds_vault.exceptions` that stands for its kind.
pub fn to_python(py: Python<'_>, error: &Error) -> PyErr {
    let _inside = Inside::enter(py);
    exception(py, error).unwrap_or_else(|import_failed| import_failed)
}

/// A `VaultConfigurationError`, for what a binding itself finds wrong. The message must not hold a secret.
pub fn configuration(py: Python<'_>, message: &str) -> PyErr {
    to_python(py, &Error::new(ErrorKind::Configuration, message))
}

fn exception(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let class = py.import("gds_vault.exceptions")?.getattr(class_name(error))?;
    let class = class.cast_into::<PyType>().map_err(|_| PyImportError::new_err("not a class"))?;
    let facts = PyDict::new(py);
    if !error.path().is_empty() {
        facts.set_item("path", error.path())?;
    }
    facts.set_item("status", error.status())?;
    facts.set_item("retryable", error.is_unavailable())?;
    facts.set_item("retry_after", error.retry_after().map(|wait| wait.as_secs_f64()))?;
    facts.set_item("kind", error.kind().as_str())?;
    Ok(PyErr::from_value(class.call((error.to_string(),), Some(&facts))?))
}

fn class_name(error: &Error) -> &'static str {
    match error.kind() {
        kind if kind.is_unavailable() => {
            if error.operation().starts_with("login") {
                "VaultAuthUnavailableError"
            } else {
                "VaultConnectionError"
            }
        }
        ErrorKind::LoginRefused => "VaultAuthError",
        // Both are Vault's 403. `kind` tells them apart for those who can log in again.
        ErrorKind::PermissionDenied | ErrorKind::InvalidToken => "VaultPermissionError",
        ErrorKind::NotFound => "VaultSecretNotFoundError",
        ErrorKind::Configuration => "VaultConfigurationError",
        _ => "VaultError",
    }
}
