//! Errors as exceptions: one class per thing that a caller would do differently.

use std::time::Duration;

use gds_vault::{Error, ErrorKind};
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use crate::exit::Inside;

/// An error as the exception of `gds_vault.exceptions` that stands for its kind.
pub fn to_python(py: Python<'_>, error: &Error) -> PyErr {
    let facts = Facts {
        path: error.path(),
        status: error.status(),
        retryable: error.is_unavailable(),
        retry_after: error.retry_after(),
        kind: error.kind().as_str(),
    };
    exception(py, class_name(error), &error.to_string(), &facts)
}

/// A `VaultConfigurationError`, for what a binding itself finds wrong. The message must not hold a secret.
pub fn configuration(py: Python<'_>, message: &str) -> PyErr {
    to_python(py, &Error::new(ErrorKind::Configuration, message))
}

/// What an exception tells beside its message.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// The path in Vault that it is about; empty = none.
    pub path: &'a str,
    /// The HTTP status that Vault answered with, if there was an answer.
    pub status: Option<u16>,
    /// Whether the same request may succeed a little later.
    pub retryable: bool,
    /// How long Vault asks to wait before that.
    pub retry_after: Option<Duration>,
    /// One stable word for the failure.
    pub kind: &'a str,
}

/// The exception of `gds_vault.exceptions` with this name.
pub fn exception(py: Python<'_>, class_name: &str, message: &str, facts: &Facts<'_>) -> PyErr {
    let _inside = Inside::enter(py);
    make(py, class_name, message, facts).unwrap_or_else(|import_failed| import_failed)
}

fn make(py: Python<'_>, class_name: &str, message: &str, facts: &Facts<'_>) -> PyResult<PyErr> {
    let class = py.import("gds_vault.exceptions")?.getattr(class_name)?;
    let class = class.cast_into::<PyType>().map_err(|_| PyImportError::new_err("not a class"))?;
    let told = PyDict::new(py);
    if !facts.path.is_empty() {
        told.set_item("path", facts.path)?;
    }
    told.set_item("status", facts.status)?;
    told.set_item("retryable", facts.retryable)?;
    told.set_item("retry_after", facts.retry_after.map(|wait| wait.as_secs_f64()))?;
    told.set_item("kind", facts.kind)?;
    Ok(PyErr::from_value(class.call((message,), Some(&told))?))
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
