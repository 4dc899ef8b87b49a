//! [`AppRoleAuth`]: a role and a secret, for programs.

use std::fmt;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{AuthMethod, BoxFuture, Credential, log_in, mount_name, refused};
use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::secret::AuthInfo;
use crate::secret_string::SecretString;

/// Where the `secret_id` comes from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SecretId {
    /// The role needs none (`bind_secret_id=false`).
    None,
    /// The `secret_id` itself.
    Plain(Credential),
    /// A wrapping token with a `secret_id` inside (Vault documentation, "Response wrapping"). It is opened once, and
    /// only if it was made by the endpoint that makes secret ids: anything else has been put in its place.
    Wrapped(Credential),
}

/// Logs in with a `role_id` and a `secret_id` (Vault API, "AppRole auth method"). Both are read at each login.
///
/// An unwrapped `secret_id` is kept in memory for later logins, until the wrapping token's file has another content.
/// Do not cancel a login with a wrapped one: what was being opened then is lost.
pub struct AppRoleAuth {
    role_id: Credential,
    secret_id: SecretId,
    mount: String,
    /// Locked while a wrapping token is being opened, which can be done only once.
    unwrapped: Mutex<Option<Unwrapped>>,
}

/// A wrapping token and what was inside.
struct Unwrapped {
    wrapping_token: SecretString,
    secret_id: SecretString,
}

#[derive(Serialize)]
struct Body<'a> {
    role_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_id: Option<&'a str>,
}

impl AppRoleAuth {
    /// A role and its secret, at the mount `approle`.
    pub fn new(role_id: impl Into<Credential>, secret_id: SecretId) -> Self {
        Self { role_id: role_id.into(), secret_id, mount: "approle".to_owned(), unwrapped: Mutex::default() }
    }

    /// Another mount, as in `auth/{mount}/login`.
    pub fn mount(mut self, mount: impl AsRef<str>) -> Self {
        self.mount = mount_name(mount);
        self
    }

    async fn authenticate(&self, client: &Client) -> Result<AuthInfo, Error> {
        let role_id = self.role_id.read().await?;
        let secret_id = match &self.secret_id {
            SecretId::None => None,
            SecretId::Plain(credential) => Some(credential.read().await?),
            SecretId::Wrapped(credential) => Some(self.unwrapped(client, credential).await?),
        };
        let body =
            Body { role_id: role_id.expose(), secret_id: secret_id.as_ref().map(SecretString::expose) };
        let secrets = [Some(role_id.clone()), secret_id.clone()].into_iter().flatten().collect();
        log_in(client, self.name(), format!("auth/{}/login", self.mount), &body, secrets).await
    }

    async fn unwrapped(&self, client: &Client, credential: &Credential) -> Result<SecretString, Error> {
        let mut unwrapped = self.unwrapped.lock().await;
        let wrapping_token = match (credential.read().await, &*unwrapped) {
            (Ok(token), _) => token,
            // Whoever delivered the file may take it away once it has been read.
            (Err(_), Some(known)) => return Ok(known.secret_id.clone()),
            (Err(error), None) => return Err(error),
        };
        if let Some(known) = &*unwrapped
            && known.wrapping_token == wrapping_token
        {
            return Ok(known.secret_id.clone());
        }
        let secret_id = self.open(client, &wrapping_token).await?;
        *unwrapped = Some(Unwrapped { wrapping_token, secret_id: secret_id.clone() });
        Ok(secret_id)
    }

    /// Opens a wrapping token, after a look at where it comes from.
    async fn open(&self, client: &Client, token: &SecretString) -> Result<SecretString, Error> {
        #[derive(Deserialize)]
        struct Inside {
            secret_id: SecretString,
        }
        let used = "the wrapping token is not valid: it is over, or someone else has opened it";
        let spoilt = |error: Error| match error.kind() {
            ErrorKind::BadRequest | ErrorKind::PermissionDenied | ErrorKind::InvalidToken => {
                refused(error).explained(used).with_operation("login (approle)")
            }
            _ => error,
        };
        let wrapping = client.wrapping();
        let found = wrapping.lookup(token).await.map_err(spoilt)?;
        if !self.makes_secret_ids(client.namespace(), &found.creation_path) {
            let problem = format!(
                "the wrapping token was made by `{}`, not for a secret_id of `auth/{}`: it may have been tampered with",
                found.creation_path, self.mount
            );
            let error = Error::new(ErrorKind::LoginRefused, problem);
            return Err(error.with_operation("login (approle)").with_path("sys/wrapping/lookup"));
        }
        let opened = wrapping.unwrap(token).await.map_err(spoilt)?;
        match opened.decode::<Inside>() {
            Ok(inside) => Ok(inside.secret_id),
            Err(error) => Err(error.with_operation("login (approle)").with_path("sys/wrapping/unwrap")),
        }
    }

    /// Whether a path is `auth/{mount}/role/{some role}/secret-id` or `…/custom-secret-id`, in this namespace.
    fn makes_secret_ids(&self, namespace: Option<&str>, path: &str) -> bool {
        let path = path.trim_matches('/');
        let in_namespace = namespace.and_then(|name| path.strip_prefix(name)?.strip_prefix('/'));
        let role = in_namespace
            .unwrap_or(path)
            .strip_prefix("auth/")
            .and_then(|rest| rest.strip_prefix(&*self.mount))
            .and_then(|rest| rest.strip_prefix("/role/"))
            .and_then(|rest| {
                rest.strip_suffix("/secret-id").or_else(|| rest.strip_suffix("/custom-secret-id"))
            });
        role.is_some_and(|role| !role.is_empty() && !role.contains('/'))
    }
}

impl AuthMethod for AppRoleAuth {
    fn name(&self) -> &'static str {
        "approle"
    }

    fn login<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<AuthInfo, Error>> {
        Box::pin(self.authenticate(client))
    }
}

impl fmt::Debug for AppRoleAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppRoleAuth")
            .field("role_id", &self.role_id)
            .field("secret_id", &self.secret_id)
            .field("mount", &self.mount)
            .finish_non_exhaustive()
    }
}
