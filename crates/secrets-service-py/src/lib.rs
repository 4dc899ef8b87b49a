//! The native half of the Python distribution `secrets-service`: thin over the core, which does all that there is to
//! do.
//!
//! | | |
//! |---|---|
//! | `client.rs`, `async_client.rs`, `service.rs` | the classes of Python, for threads and for event loops |
//! | `ask.rs` | what can be asked of the core, once for all of them |
//! | `rotating.rs`, `lease.rs` | database credentials that change, for connection pools |
//! | `core.rs`, `prepared.rs` | one core client per process; cached secrets as dictionaries, made once and copied |
//! | `config.rs`, `errors.rs`, `logs.rs` | between Python's things and the core's |
//! | `cache.rs`, `retry.rs` | the parts that applications use by themselves |
//! | `dev_vault.rs`, `dev_postgres.rs` | the development server, for tests |

mod ask;
mod async_client;
mod cache;
mod client;
mod config;
mod core;
#[cfg(feature = "dev-vault")]
mod dev_postgres;
#[cfg(feature = "dev-vault")]
mod dev_vault;
mod errors;
mod fork;
mod lease;
mod logs;
mod prepared;
mod read;
mod retry;
mod rotating;
mod service;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::async_client::{AsyncClient, AsyncService};
    #[pymodule_export]
    use super::cache::SecretCache;
    #[pymodule_export]
    use super::client::Client;
    #[pymodule_export]
    use super::config::{
        check_environment, check_vault_config, service_fields_from_environment, vault_fields_from_environment,
    };
    #[cfg(feature = "dev-vault")]
    #[pymodule_export]
    use super::dev_postgres::DevPostgres;
    #[cfg(feature = "dev-vault")]
    #[pymodule_export]
    use super::dev_vault::DevVault;
    #[pymodule_export]
    use super::lease::PyLeaseStatus;
    #[pymodule_export]
    use super::read::Read;
    #[pymodule_export]
    use super::retry::backoff_delay;
    #[pymodule_export]
    use super::rotating::{PyAsyncRotatingCredentials, PyRotatingCredentials, PyRotation};
    #[pymodule_export]
    use super::service::Service;

    use super::{Bound, PyModule, PyResult, fork, logs};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        py_support::init(py)?;
        fork::init(py)?;
        logs::init(py);
        Ok(())
    }
}
