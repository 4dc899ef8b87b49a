//! A server with a real PostgreSQL behind it.

use serde_json::{Value, json};
use vault_dev::VaultDev;
use vault_dev::postgres::Cluster;

use super::{Asker, start};

pub(crate) const CREATION: &str =
    "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';";

/// A cluster of its own for each test: roles are shared by all databases of one.
pub(crate) async fn start_with_database() -> (Cluster, VaultDev, Asker) {
    let cluster = Cluster::start().await.unwrap();
    let (vault, root) = start().await;
    root.put("sys/mounts/database", json!({ "type": "database" })).await;
    configure(&root, &cluster).await;
    (cluster, vault, root)
}

pub(crate) async fn configure(root: &Asker, cluster: &Cluster) {
    let connection = json!({
        "plugin_name": "postgresql-database-plugin",
        "connection_url": cluster.connection_url_template(),
        "username": cluster.user(),
        "password": cluster.password(),
        "allowed_roles": "*",
    });
    root.put("database/config/pg", connection).await;
}

/// A dynamic role with these TTLs.
pub(crate) async fn role(root: &Asker, name: &str, ttl: &str, max_ttl: &str) {
    let role =
        json!({ "db_name": "pg", "creation_statements": CREATION, "default_ttl": ttl, "max_ttl": max_ttl });
    root.put(&format!("database/roles/{name}"), role).await;
}

/// One set of credentials.
pub(crate) struct Creds {
    pub(crate) lease_id: String,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) answer: Value,
}

pub(crate) async fn creds(asker: &Asker, name: &str) -> Creds {
    let answer = asker.get(&format!("database/creds/{name}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let json = answer.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Creds {
        lease_id: text(&json["lease_id"]),
        username: text(&json["data"]["username"]),
        password: text(&json["data"]["password"]),
        answer: json,
    }
}

/// Does PostgreSQL know this role?
pub(crate) async fn role_exists(cluster: &Cluster, username: &str) -> bool {
    let admin = cluster.admin_connect().await.unwrap();
    let found = admin.query("SELECT 1 FROM pg_roles WHERE rolname = $1", &[&username]).await.unwrap();
    !found.is_empty()
}

/// How many roles has Vault made?
pub(crate) async fn roles_left(cluster: &Cluster) -> i64 {
    let admin = cluster.admin_connect().await.unwrap();
    admin.query_one("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-%'", &[]).await.unwrap().get(0)
}
