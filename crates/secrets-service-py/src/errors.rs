//! Errors as the exceptions that this package shares with `gds_vault`. The one place where kinds become classes.

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};
use secrets_service::config::Problem;
use secrets_service::{Error, ErrorKind};

/// An error as the exception that stands for its kind.
pub(crate) fn to_python(py: Python<'_>, error: &Error) -> PyErr {
    exception(py, error).unwrap_or_else(|import_failed| import_failed)
}

/// One `VaultConfigurationError` that tells all problems.
pub(crate) fn configuration(py: Python<'_>, problems: &[Problem]) -> PyErr {
    let message = match problems {
        [only] => format!("configuration: {} {}", only.variable, only.what),
        all => all.iter().fold(format!("configuration: {} problems", all.len()), |text, problem| {
            format!("{text}\n  {} {}", problem.variable, problem.what)
        }),
    };
    let raise = |message: String| {
        let facts = PyDict::new(py);
        facts.set_item("kind", ErrorKind::Configuration.as_str())?;
        let error = class(py, "VaultConfigurationError")?.call((message,), Some(&facts))?;
        Ok::<_, PyErr>(PyErr::from_value(error))
    };
    raise(message).unwrap_or_else(|failed| failed)
}

fn exception(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let vault = error.vault_error();
    let facts = PyDict::new(py);
    if !error.subject().is_empty() {
        facts.set_item("path", error.subject())?;
    }
    facts.set_item("status", vault.and_then(secrets_service::gds_vault::Error::status))?;
    facts.set_item("retryable", matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Conflict))?;
    let wait = vault.and_then(secrets_service::gds_vault::Error::retry_after);
    facts.set_item("retry_after", wait.map(|wait| wait.as_secs_f64()))?;
    facts.set_item("kind", error.kind().as_str())?;
    Ok(PyErr::from_value(class(py, class_name(error.kind()))?.call((error.to_string(),), Some(&facts))?))
}

fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyType>> {
    let class = py.import("gds_vault.exceptions")?.getattr(name)?;
    class.cast_into::<PyType>().map_err(|_| PyImportError::new_err("not a class"))
}

fn class_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Configuration => "VaultConfigurationError",
        ErrorKind::Authentication => "VaultAuthError",
        ErrorKind::NotFound => "VaultSecretNotFoundError",
        ErrorKind::PermissionDenied => "VaultPermissionError",
        ErrorKind::Unavailable => "VaultConnectionError",
        _ => "VaultError",
    }
}
