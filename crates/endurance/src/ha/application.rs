//! The application under load: its secrets, its login, its settings.

use std::time::Duration;

use conformance::eventually;
use gds_vault::{Address, Client, Credential, Method, SecretString};
use secrets_service::{AuthSettings, ReadOptions, ResilientVaultClient, SecretIdSource, VaultConfig};
use serde::Deserialize;
use serde_json::json;

use crate::cluster::RaftCluster;

/// A read that asks Vault, whatever is cached.
pub(super) const PAST_THE_CACHE: ReadOptions =
    ReadOptions { version: None, bypass_cache: true, within: None };

/// The secret that is written again and again.
pub(super) const WRITTEN: &str = "secret/ha/written";

const RULES: &str = r#"
    path "secret/data/ha/*" { capabilities = ["create", "read", "update"] }
    path "secret/metadata/ha/*" { capabilities = ["read", "list"] }
"#;

/// Its login lasts for a minute: it is renewed, and done again, in the middle of it all.
const TOKEN_TTL: &str = "1m";

pub(super) struct Application {
    role_id: SecretString,
    secret_id: SecretString,
}

/// What [`WRITTEN`] contains: the version that it is.
#[derive(Deserialize)]
pub(super) struct Written {
    n: u64,
}

impl Application {
    pub(super) async fn new(cluster: &RaftCluster, leader: usize) -> Self {
        let root = cluster.root(leader);
        root.sys().enable_secrets("secret", "kv", &[("version", "2")]).await.unwrap();
        // Vault answers 400 while it prepares the mount.
        eventually("KV v2 is ready", || async {
            root.request(Method::GET, "secret/config").read().await.ok()
        })
        .await;
        for number in 0..super::load::CACHED_READERS {
            root.kv2("secret").put(&format!("ha/{number}"), &json!({"number": number}), None).await.unwrap();
        }
        root.kv2("secret").put("ha/written", &json!({"n": 1}), None).await.unwrap();
        root.sys().put_policy("ha", RULES).await.unwrap();
        Self::with_login(&root).await
    }

    async fn with_login(root: &Client) -> Self {
        root.sys().enable_auth("approle", "approle").await.unwrap();
        let role = "auth/approle/role/ha";
        let settings = json!({"token_policies": ["ha"], "token_ttl": TOKEN_TTL, "token_max_ttl": "2m"});
        root.request(Method::POST, role).json(&settings).send().await.unwrap();
        let asked = root.request(Method::GET, format!("{role}/role-id")).read().await.unwrap();
        let role_id = asked.field("role_id").unwrap().text();
        let made = root.request(Method::POST, format!("{role}/secret-id")).json(&json!({})).read().await;
        Self { role_id, secret_id: made.unwrap().field("secret_id").unwrap().text() }
    }

    /// The defaults, but for secrets that stay fresh for two seconds: so that many reads fall into an election.
    pub(super) fn config(&self, addresses: Vec<Address>) -> VaultConfig {
        let auth = AuthSettings::AppRole {
            role_id: Credential::Value(self.role_id.clone()),
            secret_id: SecretIdSource::Plain(Credential::Value(self.secret_id.clone())),
            mount: None,
        };
        let mut config = VaultConfig::new(addresses[0].clone(), auth);
        config.addresses = addresses;
        config.cache_ttl = Duration::from_secs(2);
        config
    }
}

/// `secret/ha/NUMBER`: never changes.
pub(super) fn path(number: usize) -> String {
    format!("secret/ha/{number}")
}

/// The newest version of [`WRITTEN`], which is what it should be.
pub(super) async fn newest(client: &ResilientVaultClient) -> Result<u64, secrets_service::Error> {
    let read = client.get_secret_with(WRITTEN, PAST_THE_CACHE).await?;
    let version = read.version().unwrap().version;
    let Written { n } = read.decode().unwrap();
    assert_eq!(n, version, "each version has its own number in it");
    Ok(version)
}
