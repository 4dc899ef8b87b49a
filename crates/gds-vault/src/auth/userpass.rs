//! [`UserpassAuth`]: a user name and a password.

use serde::Serialize;

use super::{AuthMethod, BoxFuture, Credential, log_in, mount_name};
use crate::client::Client;
use crate::engines::segment;
use crate::error::Error;
use crate::secret::AuthInfo;

/// Logs in with a user name and a password (Vault API, "Userpass auth method").
///
/// LDAP, RADIUS and Okta logins have the same form: set their [`mount`](Self::mount).
#[derive(Debug, Clone)]
pub struct UserpassAuth {
    username: String,
    password: Credential,
    mount: String,
}

impl UserpassAuth {
    /// A user and where the password comes from, at the mount `userpass`.
    pub fn new(username: impl Into<String>, password: impl Into<Credential>) -> Self {
        Self { username: username.into(), password: password.into(), mount: "userpass".to_owned() }
    }

    /// Another mount, as in `auth/{mount}/login/…`.
    pub fn mount(mut self, mount: impl AsRef<str>) -> Self {
        self.mount = mount_name(mount);
        self
    }

    async fn authenticate(&self, client: &Client) -> Result<AuthInfo, Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            password: &'a str,
        }
        let password = self.password.read().await?;
        let path = format!("auth/{}/login/{}", self.mount, segment("user name", &self.username)?);
        let body = Body { password: password.expose() };
        log_in(client, self.name(), path, &body, vec![password.clone()]).await
    }
}

impl AuthMethod for UserpassAuth {
    fn name(&self) -> &'static str {
        "userpass"
    }

    fn login<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<AuthInfo, Error>> {
        Box::pin(self.authenticate(client))
    }
}
