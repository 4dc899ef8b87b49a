//! Logins.

use std::path::PathBuf;
use std::sync::Arc;

use gds_vault::{
    AppRoleAuth, AuthInfo, AuthMethod, CertAuth, Client, Credential, JwtAuth, KubernetesAuth, SecretId,
    UserpassAuth,
};
use py_support::{Call, to_python};
use pyo3::prelude::*;

use crate::options::Limit;
use crate::secret::{Hidden, Plain};

/// What a login, or the renewal of a token, returned. Its `repr` does not show the token.
#[pyclass(frozen, module = "gds_vault._native")]
pub(crate) struct Login(AuthInfo);

#[pymethods]
impl Login {
    #[getter]
    fn token(&self) -> Hidden {
        Hidden::new(self.0.client_token.clone())
    }

    /// For how many seconds the token is good from now on; 0 = for ever.
    #[getter]
    fn lease_duration(&self) -> f64 {
        self.0.lease_duration.as_secs_f64()
    }

    #[getter]
    fn renewable(&self) -> bool {
        self.0.renewable
    }

    fn __repr__(&self) -> String {
        format!("Login(lease_duration={}, renewable={})", self.lease_duration(), self.0.renewable)
    }
}

/// The call of a login or a renewal.
pub(crate) fn call(
    future: impl Future<Output = Result<AuthInfo, gds_vault::Error>> + Send + 'static,
) -> Call {
    Call::new(future, |py, outcome| match outcome {
        Ok(auth) => Ok(Py::new(py, Login(auth))?.into_any()),
        Err(error) => Err(to_python(py, &error)),
    })
}

/// A way to log in: what to say to which auth mount. Its `repr` shows neither.
#[pyclass(frozen, module = "gds_vault._native")]
pub(crate) struct LoginMethod(Arc<dyn AuthMethod>);

impl LoginMethod {
    /// The call of this login.
    pub(crate) fn log_in(&self, client: Client, limit: Limit) -> Call {
        let method = Arc::clone(&self.0);
        call(async move {
            let outcome = limit.apply(method.login(&client)).await;
            outcome.map_err(|error| match error.operation() {
                "" => error.with_operation(format!("login ({})", method.name())),
                _ => error,
            })
        })
    }
}

#[pymethods]
impl LoginMethod {
    #[staticmethod]
    #[pyo3(signature = (role_id, secret_id=None, mount="approle"))]
    fn approle(role_id: Plain, secret_id: Option<Plain>, mount: &str) -> Self {
        let secret_id = secret_id.map_or(SecretId::None, |plain| SecretId::Plain(Credential::Value(plain.0)));
        Self(Arc::new(AppRoleAuth::new(Credential::Value(role_id.0), secret_id).mount(mount)))
    }

    #[staticmethod]
    #[pyo3(signature = (username, password, mount="userpass"))]
    fn userpass(username: &str, password: Plain, mount: &str) -> Self {
        Self(Arc::new(UserpassAuth::new(username, Credential::Value(password.0)).mount(mount)))
    }

    #[staticmethod]
    #[pyo3(signature = (role, jwt, mount="jwt"))]
    fn jwt(role: &str, jwt: Plain, mount: &str) -> Self {
        Self(Arc::new(JwtAuth::new(role, Credential::Value(jwt.0)).mount(mount)))
    }

    #[staticmethod]
    #[pyo3(signature = (role, jwt_path=None, mount="kubernetes"))]
    fn kubernetes(role: &str, jwt_path: Option<PathBuf>, mount: &str) -> Self {
        let method = KubernetesAuth::new(role).mount(mount);
        Self(Arc::new(match jwt_path {
            Some(path) => method.jwt_file(path),
            None => method,
        }))
    }

    #[staticmethod]
    #[pyo3(signature = (role=None, mount="cert"))]
    fn cert(role: Option<String>, mount: &str) -> Self {
        Self(Arc::new(CertAuth::new(role).mount(mount)))
    }

    fn __repr__(&self) -> String {
        format!("LoginMethod({})", self.0.name())
    }
}
