//! Logging in: one trait, one file per method.

mod approle;
mod cert;
mod credential;
mod jwt;
mod kubernetes;
mod token;
mod userpass;

use std::fmt;
use std::pin::Pin;

use http::Method;
use serde::Serialize;

pub use approle::{AppRoleAuth, SecretId};
pub use cert::CertAuth;
pub use credential::Credential;
pub use jwt::JwtAuth;
pub use kubernetes::KubernetesAuth;
pub use token::TokenAuth;
pub use userpass::UserpassAuth;

use crate::client::Client;
use crate::engines::auth_of;
use crate::error::{Error, ErrorKind};
use crate::path;
use crate::secret::{AuthInfo, Secret};
use crate::secret_string::SecretString;

/// A future that can be stored: what [`AuthMethod::login`] returns, so that methods can be used as `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A way to log in to Vault.
///
/// Implement it for methods that this crate lacks:
///
/// ```
/// use gds_vault::{AuthInfo, AuthMethod, BoxFuture, Client, Error, ErrorKind, Method};
///
/// #[derive(Debug)]
/// struct Guest;
///
/// impl AuthMethod for Guest {
///     fn name(&self) -> &str {
///         "guest"
///     }
///
///     fn login<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<AuthInfo, Error>> {
///         Box::pin(async move {
///             let request = client.request(Method::POST, "auth/guest/login").no_token();
///             let secret = request.label("login (guest)").read().await?;
///             secret.auth().cloned().ok_or_else(|| Error::new(ErrorKind::MalformedAnswer, "no token"))
///         })
///     }
/// }
/// ```
pub trait AuthMethod: Send + Sync + fmt::Debug {
    /// What it is called in configuration, logs and errors: `approle`.
    fn name(&self) -> &str;

    /// Logs in. Does not set the client's token: that is for the caller to do.
    ///
    /// Credentials are read anew each time. A login that Vault refuses is
    /// [`LoginRefused`](ErrorKind::LoginRefused); other failures stay what they are.
    fn login<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<AuthInfo, Error>>;

    /// Whether another login can give another token. `false` for a token that was simply given.
    fn can_log_in_again(&self) -> bool {
        true
    }
}

/// Sends one login: `POST auth/{mount}/{tail}`, without a token.
///
/// The secrets among the values are named, so that the others, such as roles, can appear in errors.
async fn log_in(
    client: &Client,
    method: &str,
    path: String,
    body: &(impl Serialize + Sync),
    secrets: Vec<SecretString>,
) -> Result<AuthInfo, Error> {
    let request = client.request(Method::POST, path).no_token().label(format!("login ({method})"));
    request.public_json(body).secrets(secrets).answer(token_of).await.map_err(refused)
}

fn token_of(secret: &Secret) -> Result<AuthInfo, Error> {
    let auth = auth_of(secret)?;
    if auth.client_token.is_empty() {
        // Vault's answer when a second factor is asked for.
        return Err(Error::new(
            ErrorKind::LoginRefused,
            "Vault wants another factor, which is not supported",
        ));
    }
    Ok(auth)
}

/// At a login endpoint "no" means that the credentials are not accepted.
fn refused(error: Error) -> Error {
    match error.kind() {
        ErrorKind::BadRequest | ErrorKind::PermissionDenied | ErrorKind::InvalidToken => {
            error.with_kind(ErrorKind::LoginRefused)
        }
        _ => error,
    }
}

/// A mount of an auth method, written with or without `auth/` and slashes around it.
fn mount_name(mount: impl AsRef<str>) -> String {
    let mount = path::trim(mount.as_ref());
    mount.strip_prefix("auth/").unwrap_or(mount).to_owned()
}
