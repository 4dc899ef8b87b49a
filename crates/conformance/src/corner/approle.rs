//! [`AppRole`]: a role of a test's own.

use std::collections::BTreeMap;

use gds_vault::{AppRoleAuth, Client, Credential, Method, Secret, SecretId, SecretString, WrapInfo};
use serde_json::Value;

use super::Corner;

/// A role at an AppRole mount of its own, seen by root.
pub(crate) struct AppRole {
    root: Client,
    pub(crate) mount: String,
    pub(crate) role: String,
    pub(crate) role_id: SecretString,
}

impl AppRole {
    pub(super) async fn new(corner: &Corner, settings: Value) -> Self {
        let root = corner.root();
        let (mount, role) = (corner.name("approle"), "app".to_owned());
        root.sys().enable_auth(&mount, "approle").await.unwrap();
        let path = format!("auth/{mount}/role/{role}");
        root.request(Method::POST, path.as_str()).json(&settings).send().await.unwrap();
        let answer = root.request(Method::GET, format!("{path}/role-id")).read().await.unwrap();
        let role_id = answer.field("role_id").unwrap().text();
        Self { root, mount, role, role_id }
    }

    /// `auth/MOUNT/role/ROLE/…`
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("auth/{}/role/{}/{rest}", self.mount, self.role)
    }

    /// Makes a secret_id.
    pub(crate) async fn secret_id(&self, settings: Value) -> SecretString {
        self.secret_id_answer(settings).await.field("secret_id").unwrap().text()
    }

    /// Makes a secret_id: the whole answer.
    pub(crate) async fn secret_id_answer(&self, settings: Value) -> Secret {
        self.root.request(Method::POST, self.path("secret-id")).json(&settings).read().await.unwrap()
    }

    /// Makes a secret_id that nobody sees but who opens it.
    pub(crate) async fn wrapped_secret_id(&self, ttl: std::time::Duration) -> WrapInfo {
        let request = self.root.request(Method::POST, self.path("secret-id"));
        let none = BTreeMap::<String, String>::new();
        request.json(&none).wrap_ttl(ttl).read().await.unwrap().wrap_info().unwrap().clone()
    }

    /// A login with this secret_id.
    pub(crate) fn auth(&self, secret_id: &SecretString) -> AppRoleAuth {
        self.auth_with(SecretId::Plain(Credential::Value(secret_id.clone())))
    }

    /// A login with a secret_id from wherever.
    pub(crate) fn auth_with(&self, secret_id: SecretId) -> AppRoleAuth {
        AppRoleAuth::new(Credential::Value(self.role_id.clone()), secret_id).mount(&self.mount)
    }
}
