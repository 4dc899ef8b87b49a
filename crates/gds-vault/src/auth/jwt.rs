//! [`JwtAuth`]: a JSON web token from elsewhere.

use serde::Serialize;

use super::{AuthMethod, BoxFuture, Credential, log_in, mount_name};
use crate::client::Client;
use crate::error::Error;
use crate::secret::AuthInfo;

/// Logs in with a JWT that Vault can verify (Vault API, "JWT/OIDC auth method").
#[derive(Debug, Clone)]
pub struct JwtAuth {
    role: String,
    jwt: Credential,
    mount: String,
}

/// What `jwt` and `kubernetes` logins take.
#[derive(Serialize)]
struct Body<'a> {
    role: &'a str,
    jwt: &'a str,
}

impl JwtAuth {
    /// A role and where the JWT comes from, at the mount `jwt`. An empty role means the mount's default.
    pub fn new(role: impl Into<String>, jwt: impl Into<Credential>) -> Self {
        Self { role: role.into(), jwt: jwt.into(), mount: "jwt".to_owned() }
    }

    /// Another mount, as in `auth/{mount}/login`.
    pub fn mount(mut self, mount: impl AsRef<str>) -> Self {
        self.mount = mount_name(mount);
        self
    }
}

/// The login that `jwt` and `kubernetes` share.
pub(super) async fn log_in_with_jwt(
    client: &Client,
    method: &str,
    mount: &str,
    role: &str,
    jwt: &Credential,
) -> Result<AuthInfo, Error> {
    let jwt = jwt.read().await?;
    let body = Body { role, jwt: jwt.expose() };
    log_in(client, method, format!("auth/{mount}/login"), &body, vec![jwt.clone()]).await
}

impl AuthMethod for JwtAuth {
    fn name(&self) -> &'static str {
        "jwt"
    }

    fn login<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<AuthInfo, Error>> {
        Box::pin(log_in_with_jwt(client, self.name(), &self.mount, &self.role, &self.jwt))
    }
}
