//! The native half of the Python distribution `gds-vault`: connections, logins, reads, and what must not be printed.
//!
//! Policy (caches, retries, sessions) is Python, so that users can put their own in its place.

mod login;
mod options;
mod rotation;
mod secret;
mod session;
mod transport;

use pyo3::prelude::*;

/// Whether the interpreter is about to end: threads that wait for an answer get none any more.
#[pyfunction]
fn is_exiting() -> bool {
    py_support::is_exiting()
}

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::is_exiting;
    #[pymodule_export]
    use super::login::{Login, LoginMethod};
    #[pymodule_export]
    use super::rotation::{cron_next, cron_previous};
    #[pymodule_export]
    use super::secret::{Answer, Hidden, hidden_token};
    #[pymodule_export]
    use super::session::Session;
    #[pymodule_export]
    use super::transport::VaultTransport;
    #[pymodule_export]
    use py_support::Call;

    use super::{Bound, PyModule, PyResult};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        py_support::init(module.py())
    }
}
