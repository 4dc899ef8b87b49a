//! A Vault with the service's example in it: the engines, an AppRole, no secrets yet.

use std::time::Duration;

use secrets_service::SecretString;
use secrets_service::gds_vault::{Address, Client, Method, Secret};
use serde_json::{Value, json};
use vault_dev::VaultDev;

/// Nothing takes this long: only a guard against hanging.
pub(crate) const HANG: Duration = Duration::from_secs(60);

/// A running Vault and an AppRole that may log in to it.
pub(crate) struct Vault {
    pub(crate) server: VaultDev,
    pub(crate) root: Client,
    pub(crate) role_id: String,
    pub(crate) secret_id: String,
}

impl Vault {
    /// With `kv1/` beside `secret/`, and with policy and AppRole, `myapp` both of them.
    pub(crate) async fn with_policy(rules: &str) -> Self {
        let server = VaultDev::builder().start().await.unwrap();
        let address = Address::parse(server.url()).unwrap();
        let root = Client::builder().address(address).token(SecretString::from("root")).build().unwrap();
        root.sys().enable_secrets("kv1", "kv", &[("version", "1")]).await.unwrap();
        root.sys().enable_auth("approle", "approle").await.unwrap();
        root.sys().put_policy("myapp", rules).await.unwrap();
        let role = json!({ "token_policies": "myapp", "token_ttl": "1h" });
        write(&root, "auth/approle/role/myapp", &role).await;
        let role_id = root.request(Method::GET, "auth/approle/role/myapp/role-id").read().await.unwrap();
        let secret_id = write(&root, "auth/approle/role/myapp/secret-id", &json!({})).await.unwrap();
        Self {
            role_id: role_id.field("role_id").unwrap().text().expose().to_owned(),
            secret_id: secret_id.field("secret_id").unwrap().text().expose().to_owned(),
            server,
            root,
        }
    }

    /// Writes a whole secret under `secret/`.
    pub(crate) async fn store(&self, path: &str, data: &Value) {
        self.root.kv2("secret").put(path, data, None).await.unwrap();
    }
}

pub(crate) async fn write(client: &Client, path: &str, body: &Value) -> Option<Secret> {
    client.request(Method::POST, path).json(body).write().await.unwrap()
}
