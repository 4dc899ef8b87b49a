//! [`CertAuth`]: the client certificate of the connection.

use serde::Serialize;

use super::{AuthMethod, BoxFuture, log_in, mount_name};
use crate::client::Client;
use crate::error::Error;
use crate::secret::AuthInfo;

/// Logs in with the client certificate of the connection (Vault API, "TLS certificate auth method"), which is set in
/// [`TlsConfig`](crate::TlsConfig).
#[derive(Debug, Clone)]
pub struct CertAuth {
    role: Option<String>,
    mount: String,
}

impl CertAuth {
    /// A certificate role, or (`None`) whichever one matches the certificate, at the mount `cert`.
    pub fn new(role: Option<String>) -> Self {
        Self { role, mount: "cert".to_owned() }
    }

    /// Another mount, as in `auth/{mount}/login`.
    pub fn mount(mut self, mount: impl AsRef<str>) -> Self {
        self.mount = mount_name(mount);
        self
    }

    async fn authenticate(&self, client: &Client) -> Result<AuthInfo, Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            name: Option<&'a str>,
        }
        let body = Body { name: self.role.as_deref() };
        log_in(client, self.name(), format!("auth/{}/login", self.mount), &body, Vec::new()).await
    }
}

impl AuthMethod for CertAuth {
    fn name(&self) -> &'static str {
        "cert"
    }

    fn login<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<AuthInfo, Error>> {
        Box::pin(self.authenticate(client))
    }
}
