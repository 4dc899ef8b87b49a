//! Mounts: their settings, and what those mean for leases; and the one mount that every token has to itself.

use std::time::Duration;

use gds_vault::{AuthMethod as _, ErrorKind, SecretString, UserpassAuth};
use serde_json::{Value, json};

use super::{HOUR, cases};
use crate::corner::{Corner, assert_error, call, envelope};
use crate::like::assert_like;

cases! {
    Nothing: [
        a_mount_is_listed,
        an_auth_mount_is_listed,
        a_mount_can_be_tuned,
        a_mount_limits_its_leases,
        a_mount_has_a_default_for_its_leases,
        an_auth_mount_limits_its_logins,
        a_removed_auth_mount_ends_its_tokens,
        the_version_of_kv_is_chosen,
        a_cubbyhole_for_each_token,
    ],
}

/// What is told of a mount.
fn mount(kind: &str, config: &Value, options: &Value) -> Value {
    json!({
        "accessor": "<text>",
        "config": config,
        "deprecation_status": "supported",
        "description": "what it is for",
        "external_entropy_access": false,
        "local": false,
        "options": options,
        "plugin_version": "",
        "running_plugin_version": "<text>",
        "running_sha256": "",
        "seal_wrap": false,
        "type": kind,
        "uuid": "<uuid>",
    })
}

/// `sys/` answers with everything in `data`, and once more beside it, where it was in the first versions of Vault.
fn twice(data: &Value) -> Value {
    let mut all = envelope("system", data);
    for (name, value) in data.as_object().unwrap() {
        all[name] = value.clone();
    }
    all
}

async fn a_mount_is_listed(corner: Corner) {
    let name = corner.name("kv");
    let body = json!({"type": "kv", "description": "what it is for", "options": {"version": "2"}, "config": {"default_lease_ttl": "10m"}});
    assert_eq!(corner.call("POST", &format!("sys/mounts/{name}"), body).await.status, 204);
    let config = json!({"default_lease_ttl": 600, "force_no_cache": false, "max_lease_ttl": 0});
    let expected = mount("kv", &config, &json!({"version": "2"}));
    let listed = corner.call("GET", "sys/mounts", None).await;
    let key = format!("{name}/");
    assert_like(&listed.body["data"][&key], &expected);
    assert_like(&listed.body[&key], &expected);
    let alone = corner.call("GET", &format!("sys/mounts/{name}"), None).await;
    assert_like(&alone.body, &twice(&expected));
    let none = corner.call("GET", &format!("sys/mounts/{}", corner.name("none")), None).await;
    none.assert_refused(400, &[&format!("No secret engine mount at {}/", corner.name("none"))]);
}

async fn an_auth_mount_is_listed(corner: Corner) {
    let name = corner.name("userpass");
    let body = json!({"type": "userpass", "description": "what it is for"});
    assert_eq!(corner.call("POST", &format!("sys/auth/{name}"), body).await.status, 204);
    let config = json!({
        "default_lease_ttl": 0,
        "force_no_cache": false,
        "max_lease_ttl": 0,
        "token_type": "default-service",
    });
    let listed = corner.call("GET", "sys/auth", None).await;
    assert_like(&listed.body["data"][format!("{name}/")], &mount("userpass", &config, &json!({})));
}

async fn a_mount_can_be_tuned(corner: Corner) {
    let path = format!("sys/mounts/{}/tune", corner.kv1().await);
    let told = |default: u64, max: u64, description: &str| {
        let data = json!({
            "default_lease_ttl": default,
            "description": description,
            "force_no_cache": false,
            "max_lease_ttl": max,
            "options": {"version": "1"},
        });
        twice(&data)
    };
    assert_like(&corner.call("GET", &path, None).await.body, &told(2_764_800, 2_764_800, ""));
    let body = json!({"default_lease_ttl": "10m", "max_lease_ttl": "2h", "description": "tuned"});
    let tuned = corner.call("POST", &path, body).await;
    assert_eq!((tuned.status, tuned.body), (204, Value::Null));
    assert_like(&corner.call("GET", &path, None).await.body, &told(600, 7_200, "tuned"));
    let refused = corner.call("POST", &path, json!({"default_lease_ttl": "3h"})).await;
    refused.assert_refused(
        400,
        &["backend max lease TTL of 7200 would be less than backend default lease TTL of 10800"],
    );
}

async fn a_mount_limits_its_leases(corner: Corner) {
    let database = corner.database().await;
    database.role("app", HOUR, 2 * HOUR).await;
    let tune = format!("sys/mounts/{}/tune", database.mount);
    assert_eq!(corner.call("POST", &tune, json!({"max_lease_ttl": "10m"})).await.status, 204);
    let secret = database.credentials("app").await;
    assert_eq!(secret.lease().unwrap().duration.as_secs(), 600);
    let renewed = corner.root().leases().renew(&secret.lease().unwrap().id, Some(HOUR)).await.unwrap();
    assert!(renewed.lease().unwrap().duration.as_secs() <= 600);
}

async fn a_mount_has_a_default_for_its_leases(corner: Corner) {
    let database = corner.database().await;
    database.role("app", Duration::ZERO, Duration::ZERO).await;
    assert_eq!(database.credentials("app").await.lease().unwrap().duration.as_secs(), 2_764_800);
    let tune = format!("sys/mounts/{}/tune", database.mount);
    assert_eq!(corner.call("POST", &tune, json!({"default_lease_ttl": "7m"})).await.status, 204);
    assert_eq!(database.credentials("app").await.lease().unwrap().duration.as_secs(), 420);
}

async fn an_auth_mount_limits_its_logins(corner: Corner) {
    let name = corner.name("userpass");
    corner.root().sys().enable_auth(&name, "userpass").await.unwrap();
    let alice = json!({"password": "pw", "token_ttl": "1h"});
    assert_eq!(corner.call("POST", &format!("auth/{name}/users/alice"), alice).await.status, 204);
    let tune = format!("sys/auth/{name}/tune");
    assert_eq!(corner.call("POST", &tune, json!({"max_lease_ttl": "10m"})).await.status, 204);
    let auth = UserpassAuth::new("alice", SecretString::from("pw")).mount(&name);
    let auth = auth.login(&corner.anonymous()).await.unwrap();
    assert_eq!(auth.lease_duration.as_secs(), 600);
}

async fn a_removed_auth_mount_ends_its_tokens(corner: Corner) {
    let role = corner.approle(json!({})).await;
    let secret_id = role.secret_id(json!({})).await;
    let auth = role.auth(&secret_id).login(&corner.anonymous()).await.unwrap();
    let client = corner.client(&auth.client_token);
    client.tokens().lookup_self().await.unwrap();
    assert_eq!(corner.call("DELETE", &format!("sys/auth/{}", role.mount), None).await.status, 204);
    assert_eq!(client.tokens().lookup_self().await.unwrap_err().kind(), ErrorKind::InvalidToken);
    // Only a mount can say that its login needs no token.
    let error = role.auth(&secret_id).login(&corner.anonymous()).await.unwrap_err();
    assert_error(&error, ErrorKind::LoginRefused, 403, &["permission denied"]);
}

async fn the_version_of_kv_is_chosen(corner: Corner) {
    let sys = corner.root().sys();
    for (name, kind, options, expected) in [
        ("a", "kv", &[][..], gds_vault::MountKind::Kv1),
        ("b", "kv", &[("version", "1")][..], gds_vault::MountKind::Kv1),
        ("c", "kv-v1", &[][..], gds_vault::MountKind::Kv1),
        ("d", "kv-v2", &[][..], gds_vault::MountKind::Kv2),
    ] {
        let name = corner.name(name);
        sys.enable_secrets(&name, kind, options).await.unwrap();
        assert_eq!(sys.mount_of(&name).await.unwrap().kind, expected, "{kind} {options:?}");
    }
}

async fn a_cubbyhole_for_each_token(corner: Corner) {
    let (one, other) = (
        corner.token(json!({"policies": ["default"]})).await,
        corner.token(json!({"policies": ["default"]})).await,
    );
    let (one, other) = (corner.client(&one.client_token), corner.client(&other.client_token));
    let written = call(&one, "POST", "cubbyhole/a/b", json!({"x": 1})).await;
    assert_eq!((written.status, written.body), (204, Value::Null));
    assert_like(
        &call(&one, "GET", "cubbyhole/a/b", None).await.body,
        &envelope("cubbyhole", &json!({"x": 1})),
    );
    assert_like(
        &call(&one, "LIST", "cubbyhole/a", None).await.body,
        &envelope("cubbyhole", &json!({"keys": ["b"]})),
    );
    call(&other, "GET", "cubbyhole/a/b", None).await.assert_refused(404, &[]);
    call(&corner.root(), "GET", "cubbyhole/a/b", None).await.assert_refused(404, &[]);
    assert_eq!(call(&one, "DELETE", "cubbyhole/a/b", None).await.status, 204);
    call(&one, "GET", "cubbyhole/a/b", None).await.assert_refused(404, &[]);
}
