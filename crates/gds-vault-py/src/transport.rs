//! [`VaultTransport`]: connections to one Vault, kept open between requests.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use gds_vault::{Client, Error, Method, Request, TlsConfig};
use py_support::{Call, PerProcess, json, to_python};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::login::LoginMethod;
use crate::options::{self, Options};
use crate::secret::Plain;
use crate::session::Session;

/// Connections to one Vault, kept open between requests, shared by threads and event loops. A forked child makes its
/// own.
#[pyclass(frozen, module = "gds_vault._native")]
pub(crate) struct VaultTransport {
    options: Arc<Options>,
    client: Arc<PerProcess<Client>>,
}

impl VaultTransport {
    /// The client of this process, for a namespace of its own if one is given.
    fn client_of(&self, py: Python<'_>, namespace: Option<&str>) -> PyResult<Client> {
        let client = shared(py, &self.client, &self.options).map_err(|error| to_python(py, &error))?;
        Ok(match namespace {
            Some(namespace) => client.with_namespace(Some(namespace)),
            None => client,
        })
    }

    fn call(&self, py: Python<'_>, method: &str, path: &str, parts: Parts<'_, '_>) -> PyResult<Call> {
        let client = self.client_of(py, parts.namespace)?;
        let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes());
        let method = method.map_err(|_| py_support::configuration(py, "this is not an HTTP method"))?;
        let request = parts.put_into(py, client.request(method, path))?;
        Ok(Call::new(request.send(), |py, outcome| match outcome {
            Ok(response) => json::load_body(py, &response.body).map(Bound::unbind),
            Err(error) => Err(to_python(py, &error)),
        }))
    }
}

/// What a request may have besides its method and path.
#[derive(Default)]
struct Parts<'a, 'py> {
    token: Option<Plain>,
    json: Option<&'a Bound<'py, PyAny>>,
    params: Option<&'a Bound<'py, PyDict>>,
    headers: Option<&'a Bound<'py, PyDict>>,
    timeout: Option<f64>,
    namespace: Option<&'a str>,
}

impl Parts<'_, '_> {
    fn put_into(self, py: Python<'_>, mut request: Request) -> PyResult<Request> {
        request = match self.token {
            Some(token) => request.token(&token.0),
            None => request.no_token(),
        };
        if let Some(value) = self.json {
            request = request
                .header("Content-Type", "application/json")
                .body(Bytes::from_owner(json::dump(value)?));
        }
        for (name, value) in self.params.into_iter().flatten() {
            request = request.query(name.str()?.to_string(), value.str()?.to_string());
        }
        for (name, value) in self.headers.into_iter().flatten() {
            let (name, value) = (name.str()?, value.str()?);
            request = request.header(&name.to_cow()?, &value.to_cow()?);
        }
        if let Some(seconds) = self.timeout {
            request = request.timeout(options::timeout(seconds).map_err(|error| to_python(py, &error))?);
        }
        Ok(request)
    }
}

/// The client of this process, made if there is none.
pub(crate) fn shared(py: Python<'_>, slot: &PerProcess<Client>, options: &Options) -> Result<Client, Error> {
    let client = slot.get(py, || options.client())?;
    Ok(Client::clone(&client))
}

#[pymethods]
impl VaultTransport {
    #[new]
    #[pyo3(signature = (
        vault_addr, timeout=10.0, verify_ssl=true, ssl_cert_path=None, namespace=None,
        *, client_cert=None, client_key=None, server_name=None,
    ))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments of the Python API")]
    fn from_python(
        py: Python<'_>,
        vault_addr: String,
        timeout: f64,
        verify_ssl: bool,
        ssl_cert_path: Option<PathBuf>,
        namespace: Option<String>,
        client_cert: Option<PathBuf>,
        client_key: Option<PathBuf>,
        server_name: Option<String>,
    ) -> PyResult<Self> {
        let others = TlsConfig { client_cert, client_key, server_name, ..TlsConfig::default() };
        let tls = options::tls(verify_ssl, ssl_cert_path, others);
        let made = options::timeout(timeout).and_then(|timeout| {
            let options = Options { addresses: vault_addr, timeout, namespace, tls };
            let client = PerProcess::new();
            shared(py, &client, &options)?;
            Ok(Self { options: Arc::new(options), client: Arc::new(client) })
        });
        made.map_err(|error| to_python(py, &error))
    }

    #[pyo3(signature = (path, token=None, params=None, headers=None, timeout=None, namespace=None))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments of the Python API")]
    fn get(
        &self,
        py: Python<'_>,
        path: &str,
        token: Option<Plain>,
        params: Option<&Bound<'_, PyDict>>,
        headers: Option<&Bound<'_, PyDict>>,
        timeout: Option<f64>,
        namespace: Option<&str>,
    ) -> PyResult<Py<PyAny>> {
        let parts = Parts { token, json: None, params, headers, timeout, namespace };
        self.call(py, "GET", path, parts)?.wait(py)
    }

    #[pyo3(signature = (path, json=None, token=None, params=None, headers=None, timeout=None, namespace=None))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments of the Python API")]
    fn post(
        &self,
        py: Python<'_>,
        path: &str,
        json: Option<&Bound<'_, PyAny>>,
        token: Option<Plain>,
        params: Option<&Bound<'_, PyDict>>,
        headers: Option<&Bound<'_, PyDict>>,
        timeout: Option<f64>,
        namespace: Option<&str>,
    ) -> PyResult<Py<PyAny>> {
        let parts = Parts { token, json, params, headers, timeout, namespace };
        self.call(py, "POST", path, parts)?.wait(py)
    }

    #[pyo3(signature = (
        method, path, token=None, json=None, params=None, headers=None, timeout=None, namespace=None
    ))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments of the Python API")]
    fn request(
        &self,
        py: Python<'_>,
        method: &str,
        path: &str,
        token: Option<Plain>,
        json: Option<&Bound<'_, PyAny>>,
        params: Option<&Bound<'_, PyDict>>,
        headers: Option<&Bound<'_, PyDict>>,
        timeout: Option<f64>,
        namespace: Option<&str>,
    ) -> PyResult<Py<PyAny>> {
        self.start(py, method, path, token, json, params, headers, timeout, namespace)?.wait(py)
    }

    /// `request` for both worlds: `.wait()` it or `await` it.
    #[pyo3(signature = (
        method, path, token=None, json=None, params=None, headers=None, timeout=None, namespace=None
    ))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments of the Python API")]
    fn start(
        &self,
        py: Python<'_>,
        method: &str,
        path: &str,
        token: Option<Plain>,
        json: Option<&Bound<'_, PyAny>>,
        params: Option<&Bound<'_, PyDict>>,
        headers: Option<&Bound<'_, PyDict>>,
        timeout: Option<f64>,
        namespace: Option<&str>,
    ) -> PyResult<Call> {
        self.call(py, method, path, Parts { token, json, params, headers, timeout, namespace })
    }

    /// Logs in, in the transport's namespace unless another is given.
    #[pyo3(signature = (method, namespace=None, timeout=None))]
    fn login(
        &self,
        py: Python<'_>,
        method: &LoginMethod,
        namespace: Option<&str>,
        timeout: Option<f64>,
    ) -> PyResult<Call> {
        Ok(method.log_in(self.client_of(py, namespace)?, self.options.limit(py, timeout)?))
    }

    /// Reading with one token.
    fn session(&self, token: Plain) -> Session {
        Session::new(Arc::clone(&self.options), Arc::clone(&self.client), token.0)
    }

    /// Closes the connections. They are opened again when there is another request.
    fn close(&self, py: Python<'_>) {
        self.client.clear(py);
    }

    #[getter]
    fn vault_addr(&self) -> &str {
        &self.options.addresses
    }

    #[getter]
    fn namespace(&self) -> Option<&str> {
        self.options.namespace.as_deref()
    }

    #[getter]
    fn timeout(&self) -> f64 {
        self.options.timeout.as_secs_f64()
    }

    fn __repr__(&self) -> String {
        let addresses = gds_vault::Address::parse_list(&self.options.addresses).unwrap_or_default();
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        format!("VaultTransport({})", addresses.join(","))
    }
}
