//! How a server says how it is; and a sealed one.

use gds_vault::{ErrorKind, SecretString};
use serde_json::{Value, json};

use super::cases;
use crate::corner::{Corner, assert_error, call};
use crate::like::assert_like;

cases! {
    Nothing: [
        a_healthy_server,
        the_status_of_the_seal,
        the_leader,
        a_status_can_be_chosen,
        a_wrong_unseal_key_is_refused,
    ],
    OwnServer: [
        a_sealed_server,
        a_sealed_server_answers_nothing_else,
        an_unsealed_server_knows_everything_again,
        who_may_seal,
    ],
}

async fn a_healthy_server(corner: Corner) {
    let answer = call(&corner.anonymous(), "GET", "sys/health", None).await;
    let expected = json!({
        "initialized": true,
        "sealed": false,
        "standby": false,
        "performance_standby": false,
        "replication_performance_mode": "disabled",
        "replication_dr_mode": "disabled",
        "server_time_utc": "<number>",
        "version": "<text>",
        "enterprise": false,
        "cluster_name": "<text>",
        "cluster_id": "<uuid>",
        "echo_duration_ms": 0,
        "clock_skew_ms": 0,
        "replication_primary_canary_age_ms": 0,
    });
    assert_eq!(answer.status, 200);
    assert_like(&answer.body, &expected);
    let health = corner.anonymous().sys().health().await.unwrap();
    assert!(health.initialized && !health.sealed && !health.standby);
    assert!(health.version.starts_with(|c: char| c.is_ascii_digit()), "{}", health.version);
}

/// What a server says of its seal. An open one tells its cluster, too.
fn seal_status(sealed: bool) -> Value {
    json!({
        "type": "shamir",
        "initialized": true,
        "sealed": sealed,
        "t": 1,
        "n": 1,
        "progress": 0,
        "nonce": "",
        "version": "<text>",
        "build_date": "<time>",
        "migration": false,
        "recovery_seal": false,
        "storage_type": "inmem",
    })
}

async fn the_status_of_the_seal(corner: Corner) {
    let answer = call(&corner.anonymous(), "GET", "sys/seal-status", None).await;
    let mut expected = seal_status(false);
    expected["cluster_name"] = json!("<text>");
    expected["cluster_id"] = json!("<uuid>");
    assert_like(&answer.body, &expected);
    let status = corner.anonymous().sys().seal_status().await.unwrap();
    assert_eq!((status.sealed, status.threshold, status.shares, status.progress), (false, 1, 1, 0));
}

async fn the_leader(corner: Corner) {
    let answer = call(&corner.anonymous(), "GET", "sys/leader", None).await;
    let expected = json!({
        "ha_enabled": false,
        "is_self": false,
        "active_time": "0001-01-01T00:00:00Z",
        "leader_address": "",
        "leader_cluster_address": "",
        "performance_standby": false,
        "performance_standby_last_remote_wal": 0,
    });
    assert_like(&answer.body, &expected);
}

async fn a_status_can_be_chosen(corner: Corner) {
    let answer = call(&corner.anonymous(), "GET", "sys/health?activecode=299", None).await;
    assert_eq!((answer.status, &answer.body["sealed"]), (299, &json!(false)));
    let head = call(&corner.anonymous(), "HEAD", "sys/health", None).await;
    assert_eq!((head.status, head.body), (200, Value::Null));
}

async fn a_sealed_server(corner: Corner) {
    corner.server().seal().await;
    let answer = call(&corner.anonymous(), "GET", "sys/health", None).await;
    let expected = json!({
        "initialized": true,
        "sealed": true,
        "standby": true,
        "performance_standby": false,
        "replication_performance_mode": "unknown",
        "replication_dr_mode": "unknown",
        "server_time_utc": "<number>",
        "version": "<text>",
        "enterprise": false,
        "echo_duration_ms": 0,
        "clock_skew_ms": 0,
        "replication_primary_canary_age_ms": 0,
    });
    assert_eq!(answer.status, 503);
    assert_like(&answer.body, &expected);
    assert!(corner.anonymous().sys().health().await.unwrap().sealed, "an answer, not an error");
    let chosen = call(&corner.anonymous(), "GET", "sys/health?sealedcode=298", None).await;
    assert_eq!(chosen.status, 298);
    let status = call(&corner.anonymous(), "GET", "sys/seal-status", None).await;
    assert_eq!(status.status, 200);
    assert_like(&status.body, &seal_status(true));
}

async fn a_sealed_server_answers_nothing_else(corner: Corner) {
    corner.server().seal().await;
    for (method, path) in [
        ("GET", "secret/data/a"),
        ("POST", "secret/data/a"),
        ("LIST", "secret/metadata"),
        ("GET", "no/such/mount"),
        ("GET", "auth/token/lookup-self"),
        ("POST", "auth/approle/login"),
        ("GET", "sys/mounts"),
        ("GET", "sys/internal/ui/mounts/secret"),
        ("PUT", "sys/leases/renew"),
        ("POST", "sys/wrapping/unwrap"),
    ] {
        let body = (method != "GET" && method != "LIST").then(|| json!({}));
        call(&corner.root(), method, path, body).await.assert_refused(503, &["Vault is sealed"]);
    }
    let error = corner.root().kv2("secret").read("a").await.unwrap_err();
    assert_error(&error, ErrorKind::Sealed, 503, &["Vault is sealed"]);
    assert!(error.is_unavailable());
}

async fn an_unsealed_server_knows_everything_again(corner: Corner) {
    let kv = corner.root().kv2("secret");
    kv.put("a", &json!({"x": 1}), None).await.unwrap();
    let token = corner.token(json!({"policies": ["default"], "ttl": "10m"})).await.client_token;
    corner.server().seal().await;
    assert_eq!(kv.read("a").await.unwrap_err().kind(), ErrorKind::Sealed);
    corner.server().unseal().await;
    assert_eq!(kv.read("a").await.unwrap().data().expose_json(), r#"{"x":1}"#);
    assert_eq!(corner.client(&token).tokens().lookup_self().await.unwrap().creation_ttl.as_secs(), 600);
}

async fn who_may_seal(corner: Corner) {
    for rules in
        [r#"path "x" { capabilities = ["read"] }"#, r#"path "sys/seal" { capabilities = ["update"] }"#]
    {
        let error = corner.client_with(rules).await.sys().seal().await.unwrap_err();
        assert_error(&error, ErrorKind::PermissionDenied, 403, &["1 error occurred: * permission denied"]);
    }
    assert!(!corner.anonymous().sys().seal_status().await.unwrap().sealed);
    let client = corner.client_with(r#"path "sys/seal" { capabilities = ["update", "sudo"] }"#).await;
    client.sys().seal().await.unwrap();
    assert!(corner.anonymous().sys().seal_status().await.unwrap().sealed);
}

async fn a_wrong_unseal_key_is_refused(corner: Corner) {
    let sys = corner.anonymous().sys();
    let error = sys.unseal(&SecretString::from("bogus")).await.unwrap_err();
    assert_error(&error, ErrorKind::BadRequest, 400, &["'key' must be a valid hex or base64 string"]);
    let answer = call(&corner.anonymous(), "PUT", "sys/unseal", json!({})).await;
    answer.assert_refused(400, &["'key' must be specified in request body as JSON, or 'reset' set to true"]);
    let status = sys.unseal(corner.server().unseal_key()).await.unwrap();
    assert!(!status.sealed, "one that is open stays open");
}
