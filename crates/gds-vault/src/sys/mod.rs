//! [`Sys`]: the parts of `sys/` that applications and their tests need.

mod health;

use std::collections::BTreeMap;

use http::Method;
use serde::Serialize;

pub use health::{Health, SealStatus};

use crate::client::Client;
use crate::engines::segment;
use crate::error::{Error, ErrorKind};
use crate::json;
use crate::mounts::MountInfo;
use crate::path;
use crate::secret::Secret;
use crate::secret_string::SecretString;

/// Health, seal, mounts, policies (Vault API, "System backend").
#[derive(Debug, Clone)]
pub struct Sys {
    client: Client,
}

impl Sys {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// How the server is. A sealed, standby or uninitialised one also answers: that is no error here. Needs no
    /// token.
    pub async fn health(&self) -> Result<Health, Error> {
        health::health(&self.client).await
    }

    /// Whether the server is sealed, and how far unsealing got. Needs no token.
    pub async fn seal_status(&self) -> Result<SealStatus, Error> {
        health::seal_status(&self.client, Method::GET, "sys/seal-status", None).await
    }

    /// Seals the server. Needs `sudo`.
    pub async fn seal(&self) -> Result<(), Error> {
        self.client.request(Method::PUT, "sys/seal").in_root_namespace().send().await.map(drop)
    }

    /// Gives one share of the unseal key. Needs no token.
    pub async fn unseal(&self, key: &SecretString) -> Result<SealStatus, Error> {
        health::seal_status(&self.client, Method::PUT, "sys/unseal", Some(key)).await
    }

    /// What the client's token may do at each of the paths: `read`, `update`, …, `deny`, `root`.
    pub async fn capabilities_self(&self, paths: &[&str]) -> Result<BTreeMap<String, Vec<String>>, Error> {
        #[derive(Serialize)]
        struct Paths<'a> {
            paths: &'a [&'a str],
        }
        let request =
            self.client.request(Method::POST, "sys/capabilities-self").public_json(&Paths { paths });
        request.answer(|secret| paths.iter().map(|path| capabilities_of(secret, path)).collect()).await
    }

    /// Which mount a path belongs to, and its kind. Any token that may do anything under the mount may ask; to
    /// others it is [`PermissionDenied`](ErrorKind::PermissionDenied), as it is if there is no such mount.
    pub async fn mount_of(&self, path: &str) -> Result<MountInfo, Error> {
        let path = format!("sys/internal/ui/mounts/{}", path::trim(path));
        self.client.request(Method::GET, path).fields().await
    }

    /// Mounts a secrets engine: `enable_secrets("secret", "kv", &[("version", "2")])`.
    pub async fn enable_secrets(
        &self,
        mount: &str,
        kind: &str,
        options: &[(&str, &str)],
    ) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Mount<'a> {
            #[serde(rename = "type")]
            kind: &'a str,
            options: BTreeMap<&'a str, &'a str>,
        }
        let body = Mount { kind, options: options.iter().copied().collect() };
        self.post(&format!("sys/mounts/{}", path::trim(mount)), &body).await
    }

    /// Removes a secrets engine, with everything in it.
    pub async fn disable_secrets(&self, mount: &str) -> Result<(), Error> {
        let path = format!("sys/mounts/{}", path::trim(mount));
        self.client.request(Method::DELETE, path).send().await.map(drop)
    }

    /// Mounts an auth method: `enable_auth("approle", "approle")`.
    pub async fn enable_auth(&self, mount: &str, kind: &str) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Mount<'a> {
            #[serde(rename = "type")]
            kind: &'a str,
        }
        self.post(&format!("sys/auth/{}", path::trim(mount)), &Mount { kind }).await
    }

    /// Writes an ACL policy, in HCL or JSON.
    pub async fn put_policy(&self, name: &str, policy: &str) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Policy<'a> {
            policy: &'a str,
        }
        self.post(&format!("sys/policies/acl/{}", segment("policy name", name)?), &Policy { policy }).await
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> Result<(), Error> {
        self.client.request(Method::POST, path).public_json(body).send().await.map(drop)
    }
}

fn capabilities_of(secret: &Secret, path: &str) -> Result<(String, Vec<String>), Error> {
    let missing = || Error::new(ErrorKind::MalformedAnswer, "the capabilities of a path are missing");
    let list = json::parse("the capabilities", secret.field(path).ok_or_else(missing)?.expose_json())?;
    Ok((path.to_owned(), list))
}
