//! Errors as the exceptions that this package shares with `gds_vault`. The one place where kinds become classes.

use py_support::{Facts, exception};
use pyo3::prelude::*;
use secrets_service::config::Problem;
use secrets_service::{Error, ErrorKind};

/// An error as the exception that stands for its kind.
pub(crate) fn to_python(py: Python<'_>, error: &Error) -> PyErr {
    let vault = error.vault_error();
    let facts = Facts {
        path: error.subject(),
        status: vault.and_then(secrets_service::gds_vault::Error::status),
        retryable: matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Conflict),
        retry_after: vault.and_then(secrets_service::gds_vault::Error::retry_after),
        kind: error.kind().as_str(),
    };
    exception(py, class_name(error.kind()), &error.to_string(), &facts)
}

/// One `VaultConfigurationError` that tells all problems.
pub(crate) fn configuration(py: Python<'_>, problems: &[Problem]) -> PyErr {
    let message = match problems {
        [only] => format!("configuration: {} {}", only.variable, only.what),
        all => all.iter().fold(format!("configuration: {} problems", all.len()), |text, problem| {
            format!("{text}\n  {} {}", problem.variable, problem.what)
        }),
    };
    let facts = Facts { kind: ErrorKind::Configuration.as_str(), ..Facts::default() };
    exception(py, class_name(ErrorKind::Configuration), &message, &facts)
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
