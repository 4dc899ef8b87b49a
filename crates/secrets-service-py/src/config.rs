//! Between the Python dataclasses of settings and the core's: fields there are environment variables here, so that
//! one set of rules checks both, and tells every problem at once.

use std::collections::HashMap;
use std::ffi::OsString;
use std::time::Duration;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString};
use secrets_service::config::{ConfigError, Problem};
use secrets_service::gds_vault::Credential;
use secrets_service::{AuthSettings, ServiceConfig, VaultConfig};

use crate::errors;

/// The fields of Python's `VaultConfig` and the variables that mean the same.
const VAULT_FIELDS: &[(&str, &str)] = &[
    ("addr", "VAULT_ADDR"),
    ("auth_method", "VAULT_AUTH_METHOD"),
    ("token", "VAULT_TOKEN"),
    ("role_id", "VAULT_ROLE_ID"),
    ("secret_id", "VAULT_SECRET_ID"),
    ("namespace", "VAULT_NAMESPACE"),
    ("cache_ttl_seconds", "VAULT_CACHE_TTL_SECONDS"),
    ("retry_max_attempts", "VAULT_RETRY_MAX_ATTEMPTS"),
    ("cache_max_stale_seconds", "VAULT_CACHE_MAX_STALE_SECONDS"),
    ("cache_capacity", "VAULT_CACHE_CAPACITY"),
    ("mount_point", "VAULT_MOUNT_POINT"),
    ("database_mount", "VAULT_DATABASE_MOUNT"),
    ("client_timeout_seconds", "VAULT_CLIENT_TIMEOUT"),
    ("ca_cert", "VAULT_CACERT"),
    ("ca_path", "VAULT_CAPATH"),
    ("client_cert", "VAULT_CLIENT_CERT"),
    ("client_key", "VAULT_CLIENT_KEY"),
    ("tls_server_name", "VAULT_TLS_SERVER_NAME"),
    ("skip_verify", "VAULT_SKIP_VERIFY"),
    ("auth_mount", "VAULT_AUTH_MOUNT"),
    ("auth_role", "VAULT_AUTH_ROLE"),
    ("username", "VAULT_USERNAME"),
    ("password", "VAULT_PASSWORD"),
    ("jwt", "VAULT_JWT"),
    ("wrapped_secret_id", "VAULT_WRAPPED_SECRET_ID"),
    ("token_file", "VAULT_TOKEN_FILE"),
    ("role_id_file", "VAULT_ROLE_ID_FILE"),
    ("secret_id_file", "VAULT_SECRET_ID_FILE"),
    ("wrapped_secret_id_file", "VAULT_WRAPPED_SECRET_ID_FILE"),
    ("password_file", "VAULT_PASSWORD_FILE"),
    ("jwt_file", "VAULT_JWT_FILE"),
    ("secret_id_rotate", "VAULT_SECRET_ID_ROTATE"),
    ("cache_file", "SECRETS_CACHE_FILE"),
    ("cache_key", "SECRETS_CACHE_KEY"),
    ("cache_key_file", "SECRETS_CACHE_KEY_FILE"),
];

/// The fields of Python's `ServiceConfig` and the variables that mean the same.
const SERVICE_FIELDS: &[(&str, &str)] = &[
    ("db_role", "SECRETS_DB_ROLE"),
    ("db_config_path", "SECRETS_DB_CONFIG_PATH"),
    ("api_keys_path", "SECRETS_API_KEYS_PATH"),
];

/// No deadline is longer than ten years, as everywhere.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The keyword arguments of `VaultConfig` as the environment gives them.
#[pyfunction]
pub(crate) fn vault_fields_from_environment(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let environment = environment(py)?;
    let config = VaultConfig::from_variables(lookup(&environment)).map_err(|error| problems(py, &error))?;
    vault_fields(py, &config, &environment)
}

/// The keyword arguments of `ServiceConfig` as the environment gives them.
#[pyfunction]
pub(crate) fn service_fields_from_environment(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let environment = environment(py)?;
    let config = ServiceConfig::from_variables(lookup(&environment)).map_err(|error| problems(py, &error))?;
    let fields = PyDict::new(py);
    fields.set_item("db_role", config.db_role)?;
    fields.set_item("db_config_path", config.db_config_path)?;
    fields.set_item("api_keys_path", config.api_keys_path)?;
    Ok(fields)
}

/// Raises one error with the problems of all settings that a `SecretsService` takes from the environment.
#[pyfunction]
pub(crate) fn check_environment(py: Python<'_>) -> PyResult<()> {
    let environment = environment(py)?;
    let vault = VaultConfig::from_variables(lookup(&environment)).err();
    let service = ServiceConfig::from_variables(lookup(&environment)).err();
    let error = match (vault, service) {
        (Some(vault), Some(service)) => vault.and(service),
        (Some(error), None) | (None, Some(error)) => error,
        (None, None) => return Ok(()),
    };
    Err(problems(py, &error))
}

/// Raises one error with every problem of a Python `VaultConfig`, by the names of its fields.
#[pyfunction]
pub(crate) fn check_vault_config(config: &Bound<'_, PyAny>) -> PyResult<()> {
    read_vault_config(config).map(drop)
}

/// The core's settings from a Python `VaultConfig`.
pub(crate) fn read_vault_config(config: &Bound<'_, PyAny>) -> PyResult<VaultConfig> {
    let py = config.py();
    let (variables, mut wrong) = variables_of(config, VAULT_FIELDS)?;
    let read_deadline = seconds(config, "read_deadline_seconds", &mut wrong)?;
    let stale_deadline = seconds(config, "stale_deadline_seconds", &mut wrong)?;
    let parsed = VaultConfig::from_variables(lookup(&variables));
    if let Err(error) = &parsed {
        wrong.extend(error.problems().iter().map(|problem| in_fields(problem, VAULT_FIELDS)));
    }
    match (parsed, read_deadline, stale_deadline) {
        (Ok(mut config), Some(read_deadline), Some(stale_deadline)) if wrong.is_empty() => {
            (config.read_deadline, config.stale_deadline) = (read_deadline, stale_deadline);
            Ok(config)
        }
        _ => Err(errors::configuration(py, &wrong)),
    }
}

/// The core's settings from a Python `ServiceConfig`.
pub(crate) fn read_service_config(config: &Bound<'_, PyAny>) -> PyResult<ServiceConfig> {
    let (variables, mut wrong) = variables_of(config, SERVICE_FIELDS)?;
    match ServiceConfig::from_variables(lookup(&variables)) {
        Ok(config) if wrong.is_empty() => Ok(config),
        parsed => {
            let told = parsed.err().map(|error| error.problems().to_vec()).unwrap_or_default();
            wrong.extend(told.iter().map(|problem| in_fields(problem, SERVICE_FIELDS)));
            Err(errors::configuration(config.py(), &wrong))
        }
    }
}

/// An error of the core, its problems named by variables.
pub(crate) fn problems(py: Python<'_>, error: &ConfigError) -> PyErr {
    errors::configuration(py, error.problems())
}

type Variables = HashMap<String, OsString>;

fn lookup(variables: &Variables) -> impl Fn(&str) -> Option<OsString> + '_ {
    |name| variables.get(name).cloned()
}

/// The variables that matter, from `os.environ`: Python's own view, which tests can change safely.
fn environment(py: Python<'_>) -> PyResult<Variables> {
    let environ = py.import(intern!(py, "os"))?.getattr(intern!(py, "environ"))?;
    let names = VAULT_FIELDS.iter().chain(SERVICE_FIELDS).map(|(_, variable)| *variable).chain(["HOME"]);
    let mut variables = Variables::new();
    for name in names {
        let value = environ.call_method1(intern!(py, "get"), (name,))?;
        if !value.is_none() {
            variables.insert(name.to_owned(), value.extract()?);
        }
    }
    Ok(variables)
}

fn vault_fields<'py>(
    py: Python<'py>,
    config: &VaultConfig,
    environment: &Variables,
) -> PyResult<Bound<'py, PyDict>> {
    let fields = PyDict::new(py);
    for (field, variable) in VAULT_FIELDS {
        if let Some(value) = environment.get(*variable).and_then(|value| value.to_str()).map(str::trim)
            && !value.is_empty()
        {
            fields.set_item(field, value)?;
        }
    }
    fields.set_item("auth_method", config.auth.name())?;
    fields.set_item("namespace", config.namespace.as_deref())?;
    fields.set_item("cache_ttl_seconds", config.cache_ttl.as_secs())?;
    fields.set_item("retry_max_attempts", config.retry_max_attempts)?;
    fields.set_item("cache_max_stale_seconds", config.cache_max_stale.as_secs())?;
    fields.set_item("cache_capacity", config.cache_capacity)?;
    fields.set_item("mount_point", config.mount_point.as_deref())?;
    fields.set_item("database_mount", &config.database_mount)?;
    fields.set_item("client_timeout_seconds", config.request_timeout.as_secs_f64())?;
    fields.set_item("skip_verify", config.tls.skip_verify)?;
    fields.set_item("secret_id_rotate", config.rotate_secret_id)?;
    // Found at `~/.vault-token`, which no variable names.
    if let AuthSettings::Token { token: Some(Credential::File(file)) } = &config.auth {
        fields.set_item("token_file", file.to_string_lossy())?;
    }
    Ok(fields)
}

/// What the dataclass says, as text; and what cannot be text.
fn variables_of(config: &Bound<'_, PyAny>, fields: &[(&str, &str)]) -> PyResult<(Variables, Vec<Problem>)> {
    let mut variables = Variables::new();
    let mut wrong = Vec::new();
    for (field, variable) in fields {
        let value = config.getattr(*field)?;
        if value.is_none() {
            continue;
        }
        let text = if let Ok(flag) = value.cast::<PyBool>() {
            Some(flag.is_true().to_string())
        } else if let Ok(text) = value.cast::<PyString>() {
            text.to_cow().ok().map(std::borrow::Cow::into_owned)
        } else if value.extract::<f64>().is_ok() {
            Some(value.str()?.to_cow()?.into_owned())
        } else {
            None
        };
        match text {
            Some(text) => {
                variables.insert((*variable).to_owned(), text.into());
            }
            None => wrong.push(problem(field, "must be text or a number")),
        }
    }
    Ok((variables, wrong))
}

fn seconds(config: &Bound<'_, PyAny>, field: &str, wrong: &mut Vec<Problem>) -> PyResult<Option<Duration>> {
    let value: Option<f64> = config.getattr(field)?.extract().ok();
    let seconds =
        value.filter(|seconds| *seconds > 0.0).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let seconds = seconds.filter(|seconds| *seconds <= LONGEST);
    if seconds.is_none() {
        wrong.push(problem(field, "must be a number of seconds above zero"));
    }
    Ok(seconds)
}

fn problem(variable: &str, what: &str) -> Problem {
    Problem { variable: variable.to_owned(), what: what.to_owned() }
}

/// The same problem for someone who wrote fields, not variables. Longer names first: `VAULT_TOKEN_FILE` is not
/// `VAULT_TOKEN`.
fn in_fields(problem: &Problem, fields: &[(&str, &str)]) -> Problem {
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort_by_key(|(_, variable)| std::cmp::Reverse(variable.len()));
    let translate = |text: &str| {
        fields.iter().fold(text.to_owned(), |text, (field, variable)| text.replace(variable, field))
    };
    Problem { variable: translate(&problem.variable), what: translate(&problem.what) }
}
