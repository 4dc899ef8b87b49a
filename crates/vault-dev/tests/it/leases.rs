//! `sys/leases`, and its older names.

use std::time::Duration;

use serde_json::json;

use crate::support::database::{creds, role, roles_left, start_with_database};
use crate::support::start;

#[tokio::test]
async fn looked_up_renewed_and_cut_at_the_maximum() {
    let (_cluster, vault, root) = start_with_database().await;
    role(&root, "app", "1h", "2h").await;
    let lease = creds(&root, "app").await.lease_id;
    let found = root.put("sys/leases/lookup", json!({ "lease_id": lease })).await;
    assert_eq!((found.data("ttl"), found.data("last_renewal")), (json!(3600), json!(null)));
    vault.advance_clock(Duration::from_secs(1800)).await;
    let renewed = root.put("sys/leases/renew", json!({ "lease_id": lease, "increment": "10h" })).await;
    assert_eq!(renewed.json()["lease_duration"], 5400);
    assert_eq!(renewed.json()["lease_id"], json!(lease));
    assert_eq!(
        renewed.warnings(),
        ["TTL of \"10h\" exceeded the effective max_ttl of \"1h30m\"; TTL value is capped accordingly"]
    );
    let unasked = root.put("sys/leases/renew", json!({ "lease_id": lease })).await;
    assert_eq!(unasked.json()["lease_duration"], 3600, "the role's own TTL");
    for path in ["sys/renew", &format!("sys/renew/{lease}"), &format!("sys/leases/renew/{lease}")] {
        let answer = root.put(path, json!({ "lease_id": lease, "increment": 60 })).await;
        assert_eq!(answer.json()["lease_duration"], 60, "{path}");
    }
    vault.advance_clock(Duration::from_secs(60)).await;
    let late = root.post("sys/leases/renew", json!({ "lease_id": lease })).await;
    assert_eq!((late.status, late.errors()), (400, vec!["lease not found".to_owned()]));
}

#[tokio::test]
async fn revoked_one_by_one_by_prefix_and_by_force() {
    let (mut cluster, _vault, root) = start_with_database().await;
    for name in ["a", "b"] {
        role(&root, name, "1h", "24h").await;
    }
    let one = creds(&root, "a").await.lease_id;
    root.put("sys/revoke", json!({ "lease_id": one })).await;
    creds(&root, "a").await;
    creds(&root, "a").await;
    creds(&root, "b").await;
    assert_eq!(root.list("sys/leases/lookup/database/creds").await.data("keys"), json!(["a/", "b/"]));
    assert_eq!(
        root.list("sys/leases/lookup/database/creds/a").await.data("keys").as_array().unwrap().len(),
        2
    );
    assert_eq!(
        root.ask("PUT", "sys/leases/revoke-prefix/database/creds/a", Some(&json!({}))).await.status,
        204
    );
    assert_eq!(roles_left(&cluster).await, 1);
    assert_eq!(root.list("sys/leases/lookup/database/creds/a").await.status, 404);
    cluster.stop_server().await;
    assert_eq!(root.post("sys/leases/revoke-prefix/database/creds/b", json!({})).await.status, 400);
    assert_eq!(root.post("sys/leases/revoke-force/database/creds/b", json!({})).await.status, 204);
    assert_eq!(root.list("sys/leases/lookup/database/creds").await.status, 404, "forgotten");
}

#[tokio::test]
async fn mistakes() {
    let (_vault, root) = start().await;
    assert_eq!(root.post("sys/leases/lookup", json!({})).await.errors(), ["lease_id must be specified"]);
    assert_eq!(root.post("sys/leases/lookup", json!({ "lease_id": "x" })).await.errors(), ["invalid lease"]);
    assert_eq!(root.post("sys/leases/renew", json!({ "lease_id": "x" })).await.errors(), ["lease not found"]);
    assert_eq!(root.post("sys/leases/revoke", json!({ "lease_id": "x" })).await.status, 204);
    let limited = root.token(&["default"]).await;
    assert_eq!(limited.post("sys/leases/revoke-prefix/database", json!({})).await.status, 403);
}

#[tokio::test]
async fn logins_are_leases_too() {
    let (_vault, root) = start().await;
    root.put("sys/auth/userpass", json!({ "type": "userpass" })).await;
    root.put("auth/userpass/users/bob", json!({ "password": "pw" })).await;
    let login = root.without_token().put("auth/userpass/login/bob", json!({ "password": "pw" })).await;
    let bob = root.with_token(login.auth("client_token"));
    assert_eq!(root.list("sys/leases/lookup").await.data("keys"), json!(["auth/"]));
    root.put("sys/leases/revoke-prefix/auth/userpass", json!({})).await;
    assert_eq!(bob.get("auth/token/lookup-self").await.status, 403);
}
