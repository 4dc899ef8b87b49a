//! The engines of Vault that applications use, one file each.

mod database;
mod kv1;
mod kv2;
mod leases;
mod tokens;
mod wrapping;

use serde::Deserialize;

pub use database::Database;
pub use kv1::Kv1;
pub use kv2::Kv2;
pub use leases::{LeaseLookup, Leases};
pub use tokens::{TokenLookup, Tokens};
pub use wrapping::{WrapLookup, Wrapping};

use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::path;
use crate::secret::{AuthInfo, Secret};

/// `{mount}/{path}`, or `{mount}/{kind}/{path}`: the path of a request to an engine.
///
/// Slashes around each part do not matter. An empty path is the mount itself.
fn under(mount: &str, kind: &str, path: &str) -> String {
    let parts = [mount, kind, path].map(|part| part.trim_matches('/'));
    let mut joined = String::with_capacity(mount.len() + kind.len() + path.len() + 2);
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        if !joined.is_empty() {
            joined.push('/');
        }
        joined.push_str(part);
    }
    joined
}

/// The names that a `LIST` answers: those of folders end in a slash.
async fn list(client: &Client, path: String) -> Result<Vec<String>, Error> {
    #[derive(Deserialize)]
    struct Keys {
        keys: Vec<String>,
    }
    client.list_request(path).fields::<Keys>().await.map(|answer| answer.keys)
}

/// The token in an answer that must have one.
pub(crate) fn auth_of(secret: &Secret) -> Result<AuthInfo, Error> {
    let missing = || Error::new(ErrorKind::MalformedAnswer, "there is no token in the answer");
    secret.auth().cloned().ok_or_else(missing)
}

/// Checks one segment of a path (a role, a user name), where a slash would lead elsewhere.
pub(crate) fn segment<'a>(what: &str, name: &'a str) -> Result<&'a str, Error> {
    if name.contains('/') || name.is_empty() {
        let problem = format!("the {what} is empty or has a slash in it");
        return Err(Error::new(ErrorKind::Configuration, problem));
    }
    path::check(name).map(|()| name)
}
