//! Dynamic credentials on a real PostgreSQL.

use std::time::Duration;

use serde_json::json;

use crate::support::database::{
    CREATION, configure, creds, role, role_exists, roles_left, start_with_database,
};
use crate::support::start;

#[tokio::test]
async fn credentials_work_until_they_are_revoked() {
    let (cluster, _vault, root) = start_with_database().await;
    role(&root, "app", "1h", "24h").await;
    let creds = creds(&root, "app").await;
    assert!(creds.username.starts_with("v-token-app-"), "{}", creds.username);
    assert!(creds.lease_id.starts_with("database/creds/app/"));
    assert_eq!((&creds.answer["lease_duration"], &creds.answer["renewable"]), (&json!(3600), &json!(true)));
    let client = cluster.connect_as(&creds.username, &creds.password).await.unwrap();
    let user: String = client.query_one("SELECT current_user::text", &[]).await.unwrap().get(0);
    assert_eq!(user, creds.username);
    assert_eq!(root.post("sys/leases/revoke", json!({ "lease_id": creds.lease_id })).await.status, 204);
    assert!(!role_exists(&cluster, &creds.username).await);
    assert!(cluster.connect_as(&creds.username, &creds.password).await.is_err());
}

#[tokio::test]
async fn credentials_end_with_their_lease() {
    let (cluster, vault, root) = start_with_database().await;
    role(&root, "app", "1m", "2m").await;
    let short = creds(&root, "app").await;
    let renewed = creds(&root, "app").await;
    vault.advance_clock(Duration::from_secs(50)).await;
    root.put("sys/leases/renew", json!({ "lease_id": renewed.lease_id, "increment": 30 })).await;
    vault.advance_clock(Duration::from_secs(20)).await;
    assert!(!role_exists(&cluster, &short.username).await);
    assert!(role_exists(&cluster, &renewed.username).await);
    vault.advance_clock(Duration::from_secs(20)).await;
    assert!(!role_exists(&cluster, &renewed.username).await);
}

#[tokio::test]
async fn the_timer_needs_no_help() {
    let (cluster, _vault, root) = start_with_database().await;
    role(&root, "app", "1s", "1s").await;
    let creds = creds(&root, "app").await;
    let gone = async {
        while role_exists(&cluster, &creds.username).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("the role goes away by itself");
}

#[tokio::test]
async fn renewal_tells_postgresql() {
    let (cluster, _vault, root) = start_with_database().await;
    role(&root, "app", "1h", "24h").await;
    let creds = creds(&root, "app").await;
    let admin = cluster.admin_connect().await.unwrap();
    let hours_left = async || -> f64 {
        let query = "SELECT (extract(epoch FROM rolvaliduntil - now()) / 3600)::float8 FROM pg_roles WHERE rolname = $1";
        admin.query_one(query, &[&creds.username]).await.unwrap().get(0)
    };
    assert!((0.9..1.1).contains(&hours_left().await));
    root.put("sys/leases/renew", json!({ "lease_id": creds.lease_id, "increment": "5h" })).await;
    assert!((4.9..5.1).contains(&hours_left().await));
}

#[tokio::test]
async fn credentials_end_with_their_token_and_with_its_parent() {
    let (cluster, _vault, root) = start_with_database().await;
    role(&root, "app", "1h", "24h").await;
    let policy = r#"path "database/creds/app" { capabilities = ["read"] } path "auth/token/create" { capabilities = ["update"] }"#;
    let parent = root.limited(policy).await;
    let child = parent.put("auth/token/create", json!({})).await;
    let child = root.with_token(child.auth("client_token"));
    let creds = creds(&child, "app").await;
    parent.put("auth/token/revoke-self", json!({})).await;
    assert!(!role_exists(&cluster, &creds.username).await);
}

#[tokio::test]
async fn a_last_use_is_not_enough_for_credentials() {
    let (cluster, _vault, root) = start_with_database().await;
    role(&root, "app", "1h", "24h").await;
    let answer = root.put("auth/token/create", json!({ "num_uses": 1 })).await;
    let refused = root.with_token(answer.auth("client_token")).get("database/creds/app").await;
    assert_eq!(refused.status, 400);
    assert!(refused.errors()[0].starts_with("Secret cannot be returned; token had one use left"));
    assert_eq!(roles_left(&cluster).await, 0);
}

#[tokio::test]
async fn shutdown_leaves_no_role() {
    let (cluster, vault, root) = start_with_database().await;
    role(&root, "app", "1h", "24h").await;
    for _ in 0..20 {
        creds(&root, "app").await;
    }
    assert_eq!(roles_left(&cluster).await, 20);
    let report = vault.shutdown(Duration::from_secs(30)).await;
    assert_eq!((report.revoked, report.left.len()), (20, 0));
    assert_eq!(roles_left(&cluster).await, 0);
}

#[tokio::test]
async fn disabling_the_mount_revokes_its_leases() {
    let (cluster, _vault, root) = start_with_database().await;
    role(&root, "app", "1h", "24h").await;
    creds(&root, "app").await;
    assert_eq!(root.delete("sys/mounts/database").await.status, 204);
    assert_eq!(roles_left(&cluster).await, 0);
}

#[tokio::test]
async fn postgresql_down_and_back() {
    let (mut cluster, vault, root) = start_with_database().await;
    role(&root, "app", "1h", "24h").await;
    let old = creds(&root, "app").await;
    cluster.stop_server().await;
    let answer = root.get("database/creds/app").await;
    assert_eq!(answer.status, 500);
    let error = &answer.errors()[0];
    assert!(
        error.starts_with(
            "1 error occurred:\n\t* unable to start transaction: failed to connect to `host=127.0.0.1"
        ),
        "{error}"
    );
    assert!(error.contains("connection refused"), "{error}");
    let refused = root.post("sys/leases/revoke", json!({ "lease_id": old.lease_id, "sync": true })).await;
    assert!(refused.errors()[0].starts_with("failed to revoke entry: "), "{refused:?}");
    let alive = root.post("sys/leases/lookup", json!({ "lease_id": old.lease_id })).await;
    assert_eq!(alive.status, 200, "who waits is told that it failed, and the lease lives on");
    assert_eq!(root.post("sys/leases/revoke", json!({ "lease_id": old.lease_id })).await.status, 204);
    let over = root.post("sys/leases/lookup", json!({ "lease_id": old.lease_id })).await;
    assert_eq!(over.status, 400, "over for Vault's clients, whatever PostgreSQL says");
    cluster.start_server().await.unwrap();
    assert_eq!(root.get("database/creds/app").await.status, 200, "it connects again by itself");
    vault.advance_clock(Duration::from_secs(60)).await;
    assert!(!role_exists(&cluster, &old.username).await, "the revocation was repeated");
}

#[tokio::test]
async fn a_restart_between_two_requests_goes_unnoticed() {
    let (mut cluster, _vault, root) = start_with_database().await;
    role(&root, "app", "1h", "24h").await;
    creds(&root, "app").await;
    cluster.restart().await.unwrap();
    creds(&root, "app").await;
}

#[tokio::test]
async fn a_failed_creation_leaves_nothing() {
    let (cluster, _vault, root) = start_with_database().await;
    let statements = [CREATION, "GRANT nonsense TO \"{{name}}\";"];
    root.put("database/roles/bad", json!({ "db_name": "pg", "creation_statements": statements })).await;
    let answer = root.get("database/creds/bad").await;
    assert_eq!(answer.status, 500);
    assert!(
        answer.errors()[0]
            .contains("failed to execute query: ERROR: role \"nonsense\" does not exist (SQLSTATE 42704)"),
        "{answer:?}"
    );
    assert_eq!(roles_left(&cluster).await, 0, "one transaction");
}

#[tokio::test]
async fn privileges_do_not_keep_a_role_alive() {
    let (cluster, _vault, root) = start_with_database().await;
    let admin = cluster.admin_connect().await.unwrap();
    admin
        .batch_execute("CREATE TABLE t (n serial); CREATE SCHEMA other; CREATE TABLE other.u (n int)")
        .await
        .unwrap();
    let statements = format!(
        "{CREATION} GRANT ALL ON ALL TABLES IN SCHEMA public, other TO \"{{{{name}}}}\"; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO \"{{{{name}}}}\"; GRANT USAGE ON SCHEMA other TO \"{{{{name}}}}\"; GRANT CONNECT ON DATABASE postgres TO \"{{{{name}}}}\""
    );
    root.put("database/roles/app", json!({ "db_name": "pg", "creation_statements": statements })).await;
    let creds = creds(&root, "app").await;
    root.put("sys/leases/revoke", json!({ "lease_id": creds.lease_id, "sync": true })).await;
    assert!(!role_exists(&cluster, &creds.username).await);
}

#[tokio::test]
async fn own_revocation_statements() {
    let (cluster, _vault, root) = start_with_database().await;
    let role = json!({
        "db_name": "pg",
        "creation_statements": CREATION,
        "revocation_statements": ["ALTER ROLE \"{{name}}\" NOLOGIN;"],
    });
    root.put("database/roles/app", role).await;
    let creds = creds(&root, "app").await;
    root.put("sys/leases/revoke", json!({ "lease_id": creds.lease_id, "sync": true })).await;
    assert!(role_exists(&cluster, &creds.username).await, "disabled, not dropped");
    let error = cluster.connect_as(&creds.username, &creds.password).await.unwrap_err();
    assert!(error.to_string().contains("not permitted to log in"), "{error}");
}

#[tokio::test]
async fn a_connection_is_verified_and_says_what_is_wrong() {
    let (_vault, root) = start().await;
    root.put("sys/mounts/database", json!({ "type": "database" })).await;
    let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut config = json!({
        "plugin_name": "postgresql-database-plugin",
        "connection_url": format!("postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{refused}/postgres"),
        "username": "postgres",
        "password": "c4nary-p4ssword",
        "allowed_roles": "app",
    });
    let answer = root.post("database/config/pg", config.clone()).await;
    assert_eq!(answer.status, 400);
    assert!(answer.errors()[0].starts_with("error creating database object: error verifying connection: ping failed: failed to connect to `host=127.0.0.1 user=postgres database=postgres`: dial error"));
    assert!(!answer.text.contains("c4nary"));
    config["verify_connection"] = json!(false);
    assert_eq!(root.post("database/config/pg", config).await.status, 204);
    let read = root.get("database/config/pg").await;
    assert!(!read.text.contains("c4nary"), "{read:?}");
    assert_eq!(read.data("allowed_roles"), json!(["app"]));
    root.put("database/roles/other", json!({ "db_name": "pg", "creation_statements": CREATION })).await;
    assert_eq!(
        root.get("database/creds/other").await.errors(),
        ["1 error occurred:\n\t* \"other\" is not an allowed role\n\n"]
    );
    assert_eq!(root.get("database/creds/nope").await.errors(), ["unknown role: nope"]);
}

#[tokio::test]
async fn the_root_password_can_be_rotated() {
    let (cluster, _vault, root) = start_with_database().await;
    role(&root, "app", "1h", "24h").await;
    assert_eq!(root.post("database/rotate-root/pg", json!({})).await.status, 204);
    assert!(cluster.admin_connect().await.is_err(), "only Vault knows it now");
    creds(&root, "app").await;
}

#[tokio::test]
async fn wrapped_credentials_keep_their_lease() {
    let (cluster, _vault, root) = start_with_database().await;
    role(&root, "app", "1h", "24h").await;
    configure(&root, &cluster).await;
    let wrapped = root.with_header("X-Vault-Wrap-TTL", "60").get("database/creds/app").await;
    assert_eq!(wrapped.json()["lease_id"], "");
    let unwrapped = root.with_token(wrapped.wrap_info("token")).put("sys/wrapping/unwrap", json!({})).await;
    let lease = unwrapped.json()["lease_id"].clone();
    assert_eq!(root.put("sys/leases/lookup", json!({ "lease_id": lease })).await.data("ttl"), 3600);
}
