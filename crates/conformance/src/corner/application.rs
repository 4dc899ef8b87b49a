//! [`Application`]: the example of the documentation, in a test's own corner.

use std::time::Duration;

use gds_vault::{Credential, Kv2, SecretString};
use secrets_service::{
    AuthSettings, ReadOptions, ResilientVaultClient, SecretIdSource, SecretsService, ServiceConfig,
    VaultConfig,
};
use serde_json::{Value, json};

use super::{AppRole, Corner};
use crate::postgres::Database;

/// A read that asks Vault, whatever is cached.
pub(crate) const PAST_THE_CACHE: ReadOptions =
    ReadOptions { version: None, bypass_cache: true, within: None };

/// An application that logs in by AppRole, keeps its configuration and its API keys in KV v2, and gets database users
/// from the role `app`.
pub(crate) struct Application<'c> {
    corner: &'c Corner,
    pub(crate) approle: AppRole,
    /// Where its secrets are.
    pub(crate) kv: String,
    secret_id: SecretString,
}

/// How an application's policy and login differ from the usual ones.
pub(crate) struct Settings {
    /// Of the AppRole.
    pub(crate) approle: Value,
}

impl Default for Settings {
    fn default() -> Self {
        Self { approle: json!({"token_ttl": "1h", "token_max_ttl": "4h"}) }
    }
}

impl<'c> Application<'c> {
    pub(crate) async fn new(corner: &'c Corner) -> Self {
        Self::with(corner, Settings::default()).await
    }

    pub(crate) async fn with(corner: &'c Corner, settings: Settings) -> Self {
        let kv = corner.kv2().await;
        let database = corner.name("db");
        let rules = format!(
            r#"
            path "{kv}/data/myapp/*" {{ capabilities = ["create", "read", "update", "delete"] }}
            path "{kv}/metadata/myapp/*" {{ capabilities = ["read", "list"] }}
            path "{database}/creds/app" {{ capabilities = ["read"] }}
            path "{database}/static-creds/app-static" {{ capabilities = ["read"] }}
            path "sys/leases/revoke" {{ capabilities = ["update"] }}
            "#
        );
        let mut approle = settings.approle;
        approle["token_policies"] = corner.policy("app", &rules).await.into();
        let approle = corner.approle(approle).await;
        let secret_id = approle.secret_id(json!({})).await;
        let app = Self { corner, approle, kv, secret_id };
        let keys = json!({"stripe": "sk_test_xxx", "sendgrid": "SG.xxx"});
        app.as_root().put("myapp/api-keys", &keys, None).await.unwrap();
        app.as_root()
            .put("myapp/config", &json!({"db_host": "localhost", "db_name": "mydb"}), None)
            .await
            .unwrap();
        app
    }

    /// Gives it a database, too: the role `app`, whose users live so long.
    pub(crate) async fn database(&self, default_ttl: Duration, max_ttl: Duration) -> Database<'c> {
        let database = self.corner.database().await;
        database.role("app", default_ttl, max_ttl).await;
        let cluster = database.postgres.cluster().await;
        let config = json!({"db_host": cluster.host(), "db_port": cluster.port(), "db_name": database.name});
        self.as_root().put("myapp/config", &config, None).await.unwrap();
        database
    }

    /// Lets it look up, make and destroy secret_ids of its role. Returns the path of these.
    pub(crate) async fn may_replace_its_secret_id(&self) -> String {
        let secret_ids = self.approle.path("secret-id");
        let rules = ["", "/lookup", "/destroy"]
            .map(|rest| format!(r#"path "{secret_ids}{rest}" {{ capabilities = ["update"] }}"#))
            .join("\n");
        let policies = [self.corner.name("app"), self.corner.policy("rotate", &rules).await];
        let role = secret_ids.trim_end_matches("/secret-id");
        let policies = json!({"token_policies": policies});
        assert_eq!(self.corner.call("POST", role, policies).await.status, 204);
        secret_ids
    }

    /// Its secrets, as its operators see them.
    pub(crate) fn as_root(&self) -> Kv2 {
        self.corner.root().kv2(&*self.kv)
    }

    /// `KV/myapp/NAME`
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/myapp/{name}", self.kv)
    }

    /// Its settings, but for those that a test changes.
    pub(crate) fn config(&self) -> VaultConfig {
        self.config_with(SecretIdSource::Plain(Credential::Value(self.secret_id.clone())))
    }

    pub(crate) fn config_with(&self, secret_id: SecretIdSource) -> VaultConfig {
        let auth = AuthSettings::AppRole {
            role_id: Credential::Value(self.approle.role_id.clone()),
            secret_id,
            mount: Some(self.approle.mount.clone()),
        };
        let mut config = VaultConfig::new(self.corner.server().address().clone(), auth);
        config.mount_point = Some(self.kv.clone());
        config.database_mount = self.corner.name("db");
        config
    }

    pub(crate) fn client(&self) -> ResilientVaultClient {
        ResilientVaultClient::new(&self.config()).unwrap()
    }

    pub(crate) fn service(&self) -> SecretsService {
        self.service_with(&self.config())
    }

    pub(crate) fn service_with(&self, config: &VaultConfig) -> SecretsService {
        let mut names = ServiceConfig::default();
        "app".clone_into(&mut names.db_role);
        names.db_config_path = self.path("config");
        names.api_keys_path = self.path("api-keys");
        SecretsService::new(ResilientVaultClient::new(config).unwrap(), names)
    }

    /// How many logins there have been, if the server counts.
    pub(crate) fn logins(&self) -> Option<u64> {
        self.corner.server().count("POST", &format!("auth/{}/login", self.approle.mount))
    }
}
