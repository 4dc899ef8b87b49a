//! A deliberately dull HTTP client over a bare socket: it shares no code with the server, and hides nothing.

pub(crate) mod database;
mod wire;

use std::net::SocketAddr;

use serde_json::{Value, json};
use vault_dev::VaultDev;

pub(crate) use wire::{Answer, Connection, Failure};

/// A server and a token to ask it with.
pub(crate) struct Asker {
    pub(crate) address: SocketAddr,
    pub(crate) token: Option<String>,
    headers: Vec<(String, String)>,
}

/// Starts a server on a free port, and asks as root.
pub(crate) async fn start() -> (VaultDev, Asker) {
    let vault = VaultDev::builder().start().await.unwrap();
    let root = Asker { address: vault.address(), token: Some("root".to_owned()), headers: Vec::new() };
    (vault, root)
}

impl Asker {
    /// The same server with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { address: self.address, token: Some(token.to_owned()), headers: self.headers.clone() }
    }

    pub(crate) fn without_token(&self) -> Self {
        Self { address: self.address, token: None, headers: self.headers.clone() }
    }

    pub(crate) fn with_header(&self, name: &str, value: &str) -> Self {
        let mut headers = self.headers.clone();
        headers.push((name.to_owned(), value.to_owned()));
        Self { address: self.address, token: self.token.clone(), headers }
    }

    /// Asks on a connection of its own. `path` without `/v1/`.
    pub(crate) async fn try_ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let mut connection = Connection::open(self.address).await?;
        connection.ask(method, &format!("/v1/{path}"), &self.all_headers(method), body).await
    }

    pub(crate) fn all_headers(&self, method: &str) -> Vec<(String, String)> {
        let mut headers = self.headers.clone();
        if let Some(token) = &self.token {
            headers.push(("X-Vault-Token".to_owned(), token.clone()));
        }
        if method == "PATCH" {
            headers.push(("Content-Type".to_owned(), "application/merge-patch+json".to_owned()));
        }
        headers
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.try_ask(method, path, body)
            .await
            .unwrap_or_else(|failure| panic!("{method} {path}: {failure:?}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, None).await
    }

    pub(crate) async fn list(&self, path: &str) -> Answer {
        self.ask("LIST", path, None).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask("POST", path, Some(&body)).await
    }

    /// Like `post`, and it must succeed.
    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        let answer = self.post(path, body).await;
        assert!(answer.status < 300, "{path}: {answer:?}");
        answer
    }

    /// A token with these policies.
    pub(crate) async fn token(&self, policies: &[&str]) -> Self {
        let answer = self.put("auth/token/create", json!({ "policies": policies, "ttl": "1h" })).await;
        self.with_token(answer.auth("client_token"))
    }

    /// Writes a policy and makes a token that has it.
    pub(crate) async fn limited(&self, policy: &str) -> Self {
        self.put("sys/policies/acl/limited", json!({ "policy": policy })).await;
        self.token(&["limited"]).await
    }
}
