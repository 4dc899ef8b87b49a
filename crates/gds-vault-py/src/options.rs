//! How a transport is set up.

use std::path::PathBuf;
use std::time::Duration;

use gds_vault::{Address, Client, Error, ErrorKind, TlsConfig};
use py_support::to_python;
use pyo3::prelude::*;

/// Everything needed to make the connections anew: in a forked child, or after `close()`.
pub(crate) struct Options {
    pub(crate) addresses: String,
    pub(crate) timeout: Duration,
    pub(crate) namespace: Option<String>,
    pub(crate) tls: TlsConfig,
}

impl Options {
    pub(crate) fn client(&self) -> Result<Client, Error> {
        let mut builder = Client::builder()
            .addresses(Address::parse_list(&self.addresses)?)
            .timeout(self.timeout)
            .tls(self.tls.clone());
        if let Some(namespace) = &self.namespace {
            builder = builder.namespace(namespace);
        }
        builder.build()
    }

    /// How long an operation of several requests may take: so many seconds, or as long as one request may.
    pub(crate) fn limit(&self, py: Python<'_>, seconds: Option<f64>) -> PyResult<Limit> {
        let limit = seconds.map_or(Ok(self.timeout), timeout);
        limit.map(Limit).map_err(|error| to_python(py, &error))
    }
}

/// A bound on an operation of several requests.
#[derive(Clone, Copy)]
pub(crate) struct Limit(Duration);

impl Limit {
    /// The operation, given up when the time is over.
    pub(crate) async fn apply<T>(
        self,
        operation: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::time::timeout(self.0, operation).await.unwrap_or_else(|_| {
            let message = format!("nothing within {} s", self.0.as_secs_f64());
            Err(Error::new(ErrorKind::Timeout, message))
        })
    }
}

/// A bundle of certificate authorities may be a file or a folder, as for `requests`.
pub(crate) fn tls(verify: bool, bundle: Option<PathBuf>, others: TlsConfig) -> TlsConfig {
    let (ca_path, ca_cert) = match bundle {
        Some(folder) if folder.is_dir() => (Some(folder), None),
        file => (None, file),
    };
    TlsConfig { ca_cert, ca_path, skip_verify: !verify, ..others }
}

/// Seconds, as Python gives them.
pub(crate) fn timeout(seconds: f64) -> Result<Duration, Error> {
    match Duration::try_from_secs_f64(seconds) {
        Ok(timeout) if !timeout.is_zero() => Ok(timeout),
        _ => Err(Error::new(ErrorKind::Configuration, "a timeout must be a number of seconds above 0")),
    }
}
