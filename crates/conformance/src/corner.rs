//! [`Corner`]: what a test is given.

mod application;
mod approle;

use std::sync::Arc;

use gds_vault::{AuthInfo, Client, Error, ErrorKind, Kv2, Method, SecretString};
use serde_json::{Value, json};

pub(crate) use application::{Application, PAST_THE_CACHE, Settings};
pub(crate) use approle::AppRole;

use crate::eventually::eventually;
use crate::postgres::{Database, Postgres};
use crate::server::Server;

/// A server, and names on it that no other test uses.
pub(crate) struct Corner {
    server: Arc<Server>,
    postgres: Arc<Postgres>,
    /// A short word of letters and digits.
    name: String,
}

/// What a server answered to a request made by hand.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The body; null if there is none.
    pub(crate) body: Value,
}

impl Answer {
    /// Asserts that it says no, with exactly these messages.
    #[track_caller]
    pub(crate) fn assert_refused(&self, status: u16, messages: &[&str]) {
        assert_eq!((self.status, &self.body), (status, &json!({"errors": messages})));
    }
}

/// Asserts what an error is, and that its messages are these, in the form of one line that errors have.
#[track_caller]
pub(crate) fn assert_error(error: &Error, kind: ErrorKind, status: u16, messages: &[&str]) {
    let said: Vec<_> = error.messages().iter().map(String::as_str).collect();
    assert_eq!((error.kind(), error.status(), &*said), (kind, Some(status), messages), "{error}");
}

impl Corner {
    pub(crate) fn new(server: Arc<Server>, postgres: Arc<Postgres>, name: &str) -> Self {
        Self { server, postgres, name: name.to_owned() }
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// A name of this corner's own, good for mounts, roles, policies and users: `c7-1-kv`.
    pub(crate) fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.name)
    }

    /// A client that may do everything.
    pub(crate) fn root(&self) -> Client {
        self.server.client(Some(self.server.root_token().clone()))
    }

    /// A client with this token.
    pub(crate) fn client(&self, token: &SecretString) -> Client {
        self.server.client(Some(token.clone()))
    }

    /// A client without a token.
    pub(crate) fn anonymous(&self) -> Client {
        self.server.client(None)
    }

    /// Mounts KV v2 at a name of its own, and returns that.
    pub(crate) async fn kv2(&self) -> String {
        let mount = self.name("kv");
        self.mount_kv2(&mount).await;
        mount
    }

    /// Mounts KV v2, used by root.
    pub(crate) async fn mount_kv2(&self, mount: &str) -> Kv2 {
        let root = self.root();
        root.sys().enable_secrets(mount, "kv", &[("version", "2")]).await.unwrap();
        // A real Vault answers 400 while it prepares the mount.
        eventually("KV v2 is ready", || async {
            root.request(Method::GET, format!("{mount}/config")).read().await.ok()
        })
        .await;
        root.kv2(mount)
    }

    /// Mounts KV v1 at a name of its own, and returns that.
    pub(crate) async fn kv1(&self) -> String {
        let mount = self.name("kv1");
        self.root().sys().enable_secrets(&mount, "kv", &[("version", "1")]).await.unwrap();
        mount
    }

    /// Writes a policy, and returns its name.
    pub(crate) async fn policy(&self, what: &str, rules: &str) -> String {
        let name = self.name(what);
        self.root().sys().put_policy(&name, rules).await.unwrap();
        name
    }

    /// Makes a token as `auth/token/create` does.
    pub(crate) async fn token(&self, settings: Value) -> AuthInfo {
        self.root().tokens().create(&settings).await.unwrap()
    }

    /// A client with a token of the policies `default` and one with these rules.
    pub(crate) async fn client_with(&self, rules: &str) -> Client {
        let policy = self.policy("policy", rules).await;
        self.client(&self.token(json!({"policies": [policy]})).await.client_token)
    }

    /// A role at an AppRole mount of its own.
    pub(crate) async fn approle(&self, settings: Value) -> AppRole {
        AppRole::new(self, settings).await
    }

    /// The PostgreSQL that all tests share.
    pub(crate) fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    /// A database engine of its own, with users made in the PostgreSQL that all tests share.
    pub(crate) async fn database(&self) -> Database<'_> {
        Database::new(self, &self.postgres).await
    }

    /// Sends a request by hand, as root.
    pub(crate) async fn call(&self, method: &str, path: &str, body: impl Into<Option<Value>>) -> Answer {
        call(&self.root(), method, path, body).await
    }
}

/// Sends a request by hand.
pub(crate) async fn call(
    client: &Client,
    method: &str,
    path: &str,
    body: impl Into<Option<Value>>,
) -> Answer {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut request = client.request(Method::from_bytes(method.as_bytes()).unwrap(), path);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap();
        request = request.query(name, value);
    }
    if method == "PATCH" {
        request = request.header("Content-Type", "application/merge-patch+json");
    }
    if let Some(body) = body.into() {
        request = request.json(&body);
    }
    let response = request.send_any().await.unwrap();
    let body = if response.body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&response.body).expect("the answer is JSON")
    };
    Answer { status: response.status, body }
}

/// The body of a good answer without lease, login or wrapping: `data`, and `type` of the mount that answered.
pub(crate) fn envelope(mount_type: &str, data: &Value) -> Value {
    json!({
        "request_id": "<uuid>",
        "lease_id": "",
        "renewable": false,
        "lease_duration": 0,
        "data": data,
        "wrap_info": null,
        "warnings": null,
        "auth": null,
        "mount_type": mount_type,
    })
}
