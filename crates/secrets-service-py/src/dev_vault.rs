//! `DevVault`: the development server in this process, with outages on demand.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gds_vault::{Address, Client, Method, SecretString};
use py_support::{PerProcess, json, runtime, wait_for};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use vault_dev::{Fault, FaultRule, VaultDev};

use crate::dev_postgres::DevPostgres;

/// How long stopping may take: leases with database roles behind them are revoked.
const STOP: Duration = Duration::from_secs(10);

/// A Vault-compatible development server in this process: started in milliseconds, gone with the process.
///
/// Like `vault server -dev`: KV v2 at `secret/`, unsealed, a root token that everybody knows. It binds to loopback only.
#[pyclass(module = "secrets_service._native", frozen, weakref)]
pub(crate) struct DevVault {
    server: PerProcess<VaultDev>,
    /// For setting up: as root.
    root: Client,
    url: String,
    root_token: String,
}

#[pymethods]
impl DevVault {
    /// Start one on a port of 127.0.0.1 (0: any free one).
    #[new]
    #[pyo3(signature = (port = 0, *, root_token = "root"))]
    fn start(py: Python<'_>, port: u16, root_token: &str) -> PyResult<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let starting = VaultDev::builder().root_token(root_token).listen(address).start();
        let started = wait_for(py, starting)?.map_err(|error| PyOSError::new_err(error.to_string()))?;
        let url = started.url().to_owned();
        let server = PerProcess::new();
        server.get(py, || Ok::<_, PyErr>(started))?;
        let address = Address::parse(&url).map_err(failed)?;
        let _inside = runtime(py)?;
        let root = Client::builder().address(address).token(SecretString::from(root_token));
        Ok(Self { server, root: root.build().map_err(failed)?, url, root_token: root_token.to_owned() })
    }

    /// Where it listens: "http://127.0.0.1:PORT".
    #[getter]
    fn addr(&self) -> &str {
        &self.url
    }

    /// The token that may do everything.
    #[getter]
    fn root_token(&self) -> &str {
        &self.root_token
    }

    /// Write a KV v2 secret, given as "mount/path" ("secret/myapp/config").
    fn put(&self, py: Python<'_>, path: &str, data: &Bound<'_, PyDict>) -> PyResult<()> {
        let Some((mount, rest)) = path.trim_matches('/').split_once('/') else {
            return Err(PyValueError::new_err("a path is a mount and a name, such as secret/myapp/config"));
        };
        let body = PyDict::new(py);
        body.set_item("data", data)?;
        self.request(py, "POST", format!("{mount}/data/{rest}"), Some(&body)).map(drop)
    }

    /// Send any request of Vault's API as root ("POST", "sys/mounts/team", {...}). Returns the answer, or None.
    #[pyo3(signature = (method, path, body = None))]
    fn request(
        &self,
        py: Python<'_>,
        method: &str,
        path: String,
        body: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let method =
            Method::from_bytes(method.as_bytes()).map_err(|_| PyValueError::new_err("not a method"))?;
        let mut request = self.root.request(method, path);
        if let Some(body) = body {
            request = request.body(json::dump(body)?.as_bytes().to_vec().into());
        }
        match wait_for(py, request.write())?.map_err(failed)? {
            Some(answer) => json::load_body(py, answer.raw_body()).map(Bound::unbind),
            None => Ok(py.None()),
        }
    }

    /// Set up the documentation's example: secrets, a policy, an AppRole `myapp`, and with `postgres` a database role
    /// `myapp`. Returns "role_id" and "secret_id".
    #[pyo3(signature = (postgres = None))]
    fn set_up_example<'py>(
        &self,
        py: Python<'py>,
        postgres: Option<&Bound<'py, DevPostgres>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (url, token) = (self.url.clone(), self.root_token.clone());
        let cluster = postgres.map(|postgres| postgres.get().cluster(py)).transpose()?;
        let example = wait_for(py, async move {
            vault_dev::example::set_up_example(&url, &token, cluster.as_deref()).await
        })?;
        let example = example.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        let ids = PyDict::new(py);
        ids.set_item("role_id", example.role_id)?;
        ids.set_item("secret_id", example.secret_id)?;
        Ok(ids)
    }

    /// Take requests and answer none of them, until `thaw`.
    fn freeze(&self, py: Python<'_>) -> PyResult<()> {
        self.inside(py, VaultDev::freeze)
    }

    /// End `freeze`: the waiting requests are answered now.
    fn thaw(&self, py: Python<'_>) -> PyResult<()> {
        self.inside(py, VaultDev::thaw)
    }

    /// Seal, as an operator does.
    fn seal(&self, py: Python<'_>) -> PyResult<()> {
        self.inside(py, VaultDev::seal)
    }

    /// Unseal, without a key.
    fn unseal(&self, py: Python<'_>) -> PyResult<()> {
        self.inside(py, VaultDev::unseal)
    }

    /// Refuse connections and drop the open ones, as if Vault had crashed, until `accept`.
    fn refuse(&self, py: Python<'_>) -> PyResult<()> {
        let server = self.server(py)?;
        wait_for(py, async move { server.refuse().await })
    }

    /// End `refuse`: listen again on the same port.
    fn accept(&self, py: Python<'_>) -> PyResult<()> {
        let server = self.server(py)?;
        wait_for(py, async move { server.accept().await })
    }

    /// Answer with this status (500, 503, 429...), until `clear`; only `times` times, only under `path`, if given.
    #[pyo3(signature = (status = 503, *, path = None, times = None, retry_after = None))]
    fn fail(
        &self,
        py: Python<'_>,
        status: u16,
        path: Option<&str>,
        times: Option<u32>,
        retry_after: Option<f64>,
    ) -> PyResult<()> {
        let retry_after = retry_after.map(seconds).transpose()?;
        self.put_in_force(py, Fault::Status { status, retry_after }, path, times)
    }

    /// Answer correctly, but only after so many seconds, until `clear`.
    #[pyo3(signature = (seconds, *, path = None, times = None))]
    fn slow(&self, py: Python<'_>, seconds: f64, path: Option<&str>, times: Option<u32>) -> PyResult<()> {
        self.put_in_force(py, Fault::Slow(self::seconds(seconds)?), path, times)
    }

    /// Answer with something broken, until `clear`: "garbage", "not-http", "cut-body", "reset" or "reset-mid-body".
    #[pyo3(signature = (how, *, path = None, times = None))]
    fn break_answers(
        &self,
        py: Python<'_>,
        how: &str,
        path: Option<&str>,
        times: Option<u32>,
    ) -> PyResult<()> {
        let fault = match how {
            "garbage" => Fault::Garbage,
            "not-http" => Fault::NotHttp,
            "cut-body" => Fault::CutBody,
            "reset" => Fault::Reset,
            "reset-mid-body" => Fault::ResetMidBody,
            _ => return Err(PyValueError::new_err("garbage, not-http, cut-body, reset or reset-mid-body")),
        };
        self.put_in_force(py, fault, path, times)
    }

    /// End every fault, freezing, refusing and sealing included.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.inside(py, VaultDev::unseal)?;
        let server = self.server(py)?;
        wait_for(py, async move { server.clear_faults().await })
    }

    /// Let the server believe that so many seconds have passed: leases and tokens end, nobody sleeps.
    fn advance_clock(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        let (server, by) = (self.server(py)?, self::seconds(seconds)?);
        wait_for(py, async move { server.advance_clock(by).await })
    }

    /// The latest requests, oldest first: method ("LIST" for lists), path without "v1/", status (None: not answered).
    fn requests(&self, py: Python<'_>) -> PyResult<Vec<(String, String, Option<u16>)>> {
        let requests = self.server(py)?.requests();
        Ok(requests.into_iter().map(|request| (request.method, request.path, request.status)).collect())
    }

    /// How many requests there were with this method ("*": any) to paths that start so.
    #[pyo3(signature = (method = "*", path_prefix = ""))]
    fn count(&self, py: Python<'_>, method: &str, path_prefix: &str) -> PyResult<u64> {
        Ok(self.server(py)?.count(method, path_prefix))
    }

    /// How many connections were accepted.
    fn connections(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.server(py)?.connections())
    }

    /// Forget all requests and counts.
    fn reset_counts(&self, py: Python<'_>) -> PyResult<()> {
        self.server(py)?.reset_counts();
        Ok(())
    }

    /// Stop listening and revoke every lease. Stopping twice is no error.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        let server = self.server(py)?;
        wait_for(py, async move { drop(server.shutdown(STOP).await) })
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.stop(py)
    }

    fn __repr__(&self) -> String {
        format!("<DevVault {}>", self.url)
    }
}

impl DevVault {
    fn server(&self, py: Python<'_>) -> PyResult<Arc<VaultDev>> {
        let gone = || PyRuntimeError::new_err("this development server lives in the parent process");
        self.server.get(py, || Err(gone()))
    }

    fn inside(&self, py: Python<'_>, change: impl FnOnce(&VaultDev) + Send + 'static) -> PyResult<()> {
        let server = self.server(py)?;
        wait_for(py, async move { change(&server) })
    }

    fn put_in_force(
        &self,
        py: Python<'_>,
        fault: Fault,
        path: Option<&str>,
        times: Option<u32>,
    ) -> PyResult<()> {
        let mut rule = FaultRule::new(fault).on(path.unwrap_or(""));
        if let Some(times) = times {
            rule = rule.times(times);
        }
        let server = self.server(py)?;
        wait_for(py, async move { server.fault(rule).await.keep() })
    }
}

fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| PyValueError::new_err("a number of seconds, zero or more"))
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: gds_vault::Error) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}
