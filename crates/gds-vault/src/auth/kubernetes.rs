//! [`KubernetesAuth`]: the service account of a pod.

use std::path::PathBuf;

use super::jwt::log_in_with_jwt;
use super::{AuthMethod, BoxFuture, Credential, mount_name};
use crate::client::Client;
use crate::error::Error;
use crate::secret::AuthInfo;

/// Where Kubernetes puts the token of a pod's service account.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Logs in as the service account of a pod (Vault API, "Kubernetes auth method"). The token file is read at each
/// login: Kubernetes replaces it about once an hour.
#[derive(Debug, Clone)]
pub struct KubernetesAuth {
    role: String,
    jwt: Credential,
    mount: String,
}

impl KubernetesAuth {
    /// A role, with the token where Kubernetes puts it, at the mount `kubernetes`.
    pub fn new(role: impl Into<String>) -> Self {
        let jwt = Credential::File(SERVICE_ACCOUNT_TOKEN.into());
        Self { role: role.into(), jwt, mount: "kubernetes".to_owned() }
    }

    /// Another token file: a projected volume with an audience of its own.
    pub fn jwt_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.jwt = Credential::File(file.into());
        self
    }

    /// Another mount, as in `auth/{mount}/login`.
    pub fn mount(mut self, mount: impl AsRef<str>) -> Self {
        self.mount = mount_name(mount);
        self
    }
}

impl AuthMethod for KubernetesAuth {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn login<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<AuthInfo, Error>> {
        Box::pin(log_in_with_jwt(client, self.name(), &self.mount, &self.role, &self.jwt))
    }
}
