//! `SecretsService`: what an application asks for, in its own words.
//!
//! Its methods are native, so that no value is ever a local variable of a Python frame of ours, where a traceback
//! with locals would show it.

use pyo3::prelude::*;
use secrets_service::ServiceConfig;
use secrets_service::gds_vault::SecretString;

use crate::ask::Ask;
use crate::client::Client;
use crate::config;

/// Database access and API keys from Vault, on a client.
#[pyclass(name = "SecretsService", module = "secrets_service._native", frozen, subclass, weakref)]
pub(crate) struct Service {
    vault: Py<Client>,
    service: ServiceConfig,
}

#[pymethods]
impl Service {
    #[new]
    fn new(vault: Py<Client>, config: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self { vault, service: config::read_service_config(config)? })
    }

    /// The client underneath.
    #[getter]
    fn vault(&self, py: Python<'_>) -> Py<Client> {
        self.vault.clone_ref(py)
    }

    /// Get database connection string with dynamic credentials.
    ///
    /// Host, port and database come from the config secret, user and password from Vault's database engine. Ask again
    /// for each new connection instead of keeping the string. `role`: another role than the configured one.
    #[pyo3(signature = (role = None))]
    fn get_database_connection_string(&self, py: Python<'_>, role: Option<String>) -> PyResult<Py<PyAny>> {
        self.run(py, connection_string(&self.service, role))
    }

    /// Get an API key for an external service: the field of that name in the API keys' secret.
    fn get_api_key(&self, py: Python<'_>, service_name: String) -> PyResult<Py<PyAny>> {
        self.run(py, api_key(&self.service, service_name))
    }

    /// Store an API key, keeping the others, whoever else writes at the same time.
    fn set_api_key(&self, py: Python<'_>, service_name: String, value: String) -> PyResult<Py<PyAny>> {
        self.run(py, set_api_key(&self.service, service_name, value))
    }

    /// Close the service and its client: see `ResilientVaultClient.close`.
    #[pyo3(signature = (*, revoke = true))]
    fn close(&self, py: Python<'_>, revoke: bool) -> PyResult<()> {
        self.vault.get().close(py, revoke)
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py, true)
    }

    fn __repr__(&self) -> String {
        self.vault.get().core.describe("SecretsService")
    }
}

impl Service {
    fn run(&self, py: Python<'_>, ask: Ask) -> PyResult<Py<PyAny>> {
        self.vault.get().core.run(py, ask)
    }
}

pub(crate) fn connection_string(service: &ServiceConfig, role: Option<String>) -> Ask {
    Ask::ConnectionString { service: service.clone(), role }
}

pub(crate) fn api_key(service: &ServiceConfig, name: String) -> Ask {
    Ask::ApiKey { service: service.clone(), name }
}

pub(crate) fn set_api_key(service: &ServiceConfig, name: String, value: String) -> Ask {
    Ask::SetApiKey { service: service.clone(), name, key: SecretString::from(value) }
}
