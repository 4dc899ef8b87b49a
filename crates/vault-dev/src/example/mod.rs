//! The example that the documentation, the demonstration and the conformance suite share.

mod client;

use crate::error::Error;
use crate::json::{Json, Object, object};
use crate::postgres::Cluster;
use client::Client;

/// What the service of the example may do: read its configuration, keep its API keys, get database credentials,
/// and look after its own token and leases.
const POLICY: &str = r#"# The example service, and nothing else.
path "secret/data/myapp/config" { capabilities = ["read"] }
path "secret/metadata/myapp/config" { capabilities = ["read", "list"] }
path "secret/data/myapp/api-keys" { capabilities = ["create", "read", "update", "patch"] }
path "secret/metadata/myapp/api-keys" { capabilities = ["read", "list"] }
path "secret/metadata/myapp" { capabilities = ["list"] }
path "database/creds/myapp" { capabilities = ["read"] }
path "sys/leases/renew" { capabilities = ["update"] }
path "sys/leases/revoke" { capabilities = ["update"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "auth/token/lookup-self" { capabilities = ["read"] }
"#;

/// What [`set_up_example`] has set up: everything a client of it needs to know.
#[derive(Clone)]
#[non_exhaustive]
pub struct Example {
    /// AppRole `myapp`: its role id.
    pub role_id: String,
    /// AppRole `myapp`: a secret id, good for any number of logins.
    pub secret_id: String,
    /// The KV v2 mount, `secret`.
    pub kv_mount: String,
    /// `secret/myapp/config`: `db_host`, `db_port`, `db_name`.
    pub config_path: String,
    /// `secret/myapp/api-keys`: `stripe`, `sendgrid`.
    pub api_keys_path: String,
    /// The database mount, `database`. Only there if a cluster was given.
    pub database_mount: String,
    /// The database role, `myapp`: one hour, renewable up to 24.
    pub database_role: String,
    /// The policy, `myapp`.
    pub policy: String,
    /// The name of the AppRole, `myapp`.
    pub approle: String,
}

/// Sets the example up in the Vault at `address` (`http://127.0.0.1:8200`; any Vault that holds KV v2 at `secret/`,
/// as `vault server -dev` does), over HTTP with its root token:
///
/// - `secret/myapp/config` and `secret/myapp/api-keys`,
/// - with a `cluster`: a database mount with a connection to it and a role `myapp`,
/// - a policy and an AppRole `myapp`.
///
/// May be repeated on the same Vault: everything is written anew, and there is another secret id.
pub async fn set_up_example(
    address: &str,
    root_token: &str,
    cluster: Option<&Cluster>,
) -> Result<Example, Error> {
    let vault = Client::new(address, root_token)?;
    let (host, port, name) = match cluster {
        Some(cluster) => (cluster.host(), cluster.port(), cluster.database()),
        None => ("localhost", 5432, "mydb"),
    };
    let config = object! { "db_host" => host, "db_port" => u64::from(port), "db_name" => name };
    vault.put("secret/data/myapp/config", object! { "data" => config }).await?;
    let api_keys = object! { "stripe" => "sk_test_xxx", "sendgrid" => "SG.xxx" };
    vault.put("secret/data/myapp/api-keys", object! { "data" => api_keys }).await?;
    if let Some(cluster) = cluster {
        set_up_database(&vault, cluster).await?;
    }
    vault.put("sys/policies/acl/myapp", object! { "policy" => POLICY }).await?;
    let (role_id, secret_id) = set_up_approle(&vault).await?;
    let name = || "myapp".to_owned();
    Ok(Example {
        role_id,
        secret_id,
        kv_mount: "secret".to_owned(),
        config_path: "secret/myapp/config".to_owned(),
        api_keys_path: "secret/myapp/api-keys".to_owned(),
        database_mount: "database".to_owned(),
        database_role: name(),
        policy: name(),
        approle: name(),
    })
}

async fn set_up_database(vault: &Client, cluster: &Cluster) -> Result<(), Error> {
    if !vault.exists("sys/mounts/database").await? {
        vault.put("sys/mounts/database", object! { "type" => "database" }).await?;
    }
    let connection = object! {
        "plugin_name" => "postgresql-database-plugin",
        "connection_url" => cluster.connection_url_template(),
        "username" => cluster.user(),
        "password" => cluster.password(),
        "allowed_roles" => "*",
    };
    vault.put("database/config/postgres", connection).await?;
    let role = object! {
        "db_name" => "postgres",
        "creation_statements" => vec![
            "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';",
            "GRANT USAGE ON SCHEMA public TO \"{{name}}\";",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO \"{{name}}\";",
        ],
        "default_ttl" => "1h",
        "max_ttl" => "24h",
    };
    vault.put("database/roles/myapp", role).await?;
    Ok(())
}

async fn set_up_approle(vault: &Client) -> Result<(String, String), Error> {
    if !vault.exists("sys/auth/approle").await? {
        vault.put("sys/auth/approle", object! { "type" => "approle" }).await?;
    }
    let role = object! { "token_policies" => "myapp", "token_ttl" => "1h", "token_max_ttl" => "24h" };
    vault.put("auth/approle/role/myapp", role).await?;
    let role_id = vault.read("auth/approle/role/myapp/role-id").await?;
    let secret_id = vault.put("auth/approle/role/myapp/secret-id", Object::new()).await?;
    let text = |answer: &Json, name: &str| {
        let data = answer.as_object().and_then(|members| members.get("data")?.as_object());
        let text = data.and_then(|data| data.get(name)?.as_str());
        text.map(str::to_owned).ok_or_else(|| Error::Example(format!("the answer has no {name}")))
    };
    Ok((text(&role_id, "role_id")?, text(&secret_id, "secret_id")?))
}

/// Without the secret id.
impl std::fmt::Debug for Example {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Example").field("approle", &self.approle).finish_non_exhaustive()
    }
}
