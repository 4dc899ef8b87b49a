//! `sys/`: mounts, policies, health, seal.

use serde_json::json;

use crate::support::start;

#[tokio::test]
async fn which_mount_a_path_belongs_to() {
    let (_vault, root) = start().await;
    root.put("sys/mounts/team/kv", json!({ "type": "kv", "options": { "version": "2" } })).await;
    root.put("sys/mounts/old", json!({ "type": "kv" })).await;
    let answer = root.get("sys/internal/ui/mounts/team/kv/some/secret").await;
    assert_eq!((answer.data("path"), answer.data("type")), (json!("team/kv/"), json!("kv")));
    assert_eq!(answer.data("options"), json!({ "version": "2" }));

    let limited = root
        .limited(
            r#"path "team/+/data/x" { capabilities = ["read"] } path "old/*" { capabilities = ["deny"] }"#,
        )
        .await;
    assert_eq!(limited.get("sys/internal/ui/mounts/team/kv/x").await.status, 200);
    for path in ["old/x", "nope/x", "secret/x"] {
        let answer = limited.get(&format!("sys/internal/ui/mounts/{path}")).await;
        assert_eq!(answer.status, 403);
        let expected = format!(
            "preflight capability check returned 403, please ensure client's policies grant access to path \"{path}/\""
        );
        assert_eq!(answer.errors(), [expected]);
    }
    assert_eq!(root.without_token().get("sys/internal/ui/mounts/secret/x").await.status, 403);
}

#[tokio::test]
async fn mounts_are_enabled_tuned_and_disabled() {
    let (_vault, root) = start().await;
    root.put(
        "sys/mounts/kv",
        json!({ "type": "kv", "description": "d", "config": { "max_lease_ttl": "2h" } }),
    )
    .await;
    assert_eq!(
        root.post("sys/mounts/kv", json!({ "type": "kv" })).await.errors(),
        ["path is already in use at kv/"]
    );
    assert_eq!(root.post("sys/mounts/x", json!({ "type": "nope" })).await.status, 400);
    let listed = root.get("sys/mounts").await;
    assert_eq!(listed.json()["kv/"], listed.data("kv/"));
    assert_eq!(listed.data("kv/")["config"]["max_lease_ttl"], 7200);
    root.put("sys/mounts/kv/tune", json!({ "default_lease_ttl": "1h" })).await;
    assert_eq!(root.get("sys/mounts/kv/tune").await.data("default_lease_ttl"), 3600);
    assert_eq!(root.post("sys/mounts/kv/tune", json!({ "default_lease_ttl": "3h" })).await.status, 400);
    root.put("kv/a", json!({ "a": 1 })).await;
    root.delete("sys/mounts/kv").await;
    assert_eq!(root.get("kv/a").await.errors(), ["no handler for route \"kv/a\". route entry not found."]);
    root.put("sys/mounts/kv", json!({ "type": "kv" })).await;
    assert_eq!(root.get("kv/a").await.status, 404, "a new mount is empty");
    assert_eq!(root.delete("sys/mounts/sys").await.status, 400);
}

#[tokio::test]
async fn policies_are_written_read_and_refused() {
    let (_vault, root) = start().await;
    let text = "# comment\npath \"x\" { capabilities = [\"read\"] }\n";
    assert_eq!(root.post("sys/policies/acl/p", json!({ "policy": text })).await.status, 204);
    assert_eq!(root.get("sys/policies/acl/p").await.data("policy"), text);
    assert_eq!(root.get("sys/policy/p").await.json()["rules"], text);
    assert_eq!(root.list("sys/policies/acl").await.data("keys"), json!(["default", "p", "root"]));
    let bad = root.post("sys/policies/acl/p", json!({ "policy": "path \"x\" {" })).await;
    assert_eq!(bad.status, 400);
    assert!(bad.errors()[0].starts_with("failed to parse policy: At 1:"), "{bad:?}");
    root.delete("sys/policies/acl/p").await;
    assert_eq!(root.get("sys/policies/acl/p").await.status, 404);
    assert_eq!(root.delete("sys/policies/acl/default").await.status, 400);
}

#[tokio::test]
async fn health_and_seal() {
    let (vault, root) = start().await;
    let nobody = root.without_token();
    assert_eq!(nobody.get("sys/health").await.json()["sealed"], false);
    assert_eq!(nobody.get("sys/health?activecode=299").await.status, 299);
    assert_eq!(nobody.get("sys/health?activecode=x").await.status, 400);
    assert_eq!(nobody.ask("HEAD", "sys/health", None).await.status, 200);
    assert_eq!(nobody.post("sys/seal", json!({})).await.status, 403);

    assert_eq!(root.post("sys/seal", json!({})).await.status, 204);
    assert!(vault.is_sealed());
    assert_eq!(nobody.get("sys/health").await.status, 503);
    assert_eq!(nobody.get("sys/health?sealedcode=200").await.status, 200);
    assert_eq!(nobody.get("sys/seal-status").await.json()["sealed"], true);
    let sealed = root.get("secret/data/x").await;
    assert_eq!((sealed.status, sealed.errors()), (503, vec!["Vault is sealed".to_owned()]));
    assert_eq!(nobody.post("sys/unseal", json!({ "key": "AAAA" })).await.status, 400);
    let opened = nobody.post("sys/unseal", json!({ "key": vault.unseal_key() })).await;
    assert_eq!(opened.json()["sealed"], false);
    assert_eq!(root.get("secret/data/x").await.status, 404);
    assert_eq!(nobody.get("sys/init").await.json(), json!({ "initialized": true }));
}

#[tokio::test]
async fn unknown_parameters_are_warned_of() {
    let (_vault, root) = start().await;
    let answer = root.put("auth/token/create", json!({ "metadata": { "a": "b" } })).await;
    assert_eq!(answer.warnings(), ["Endpoint ignored these unrecognized parameters: [metadata]"]);
}

#[tokio::test]
async fn what_is_not_there() {
    let (_vault, root) = start().await;
    assert_eq!(root.get("sys/nope").await.errors(), ["1 error occurred:\n\t* unsupported path\n\n"]);
    let answer = root.get("auth/token/create").await;
    assert_eq!(
        (answer.status, answer.errors()),
        (405, vec!["1 error occurred:\n\t* unsupported operation\n\n".to_owned()])
    );
    assert_eq!(root.ask("BREW", "sys/mounts", None).await.status, 405);
    assert_eq!(root.get("secret/data//x").await.header("location"), Some("/v1/secret/data/x"));
}

#[tokio::test]
async fn a_cubbyhole_is_private_and_ends_with_its_token() {
    let (_vault, root) = start().await;
    let one = root.token(&["default"]).await;
    one.put("cubbyhole/a", json!({ "x": 1 })).await;
    assert_eq!(one.get("cubbyhole/a").await.data("x"), 1);
    assert_eq!(one.list("cubbyhole").await.data("keys"), json!(["a"]));
    assert_eq!(root.get("cubbyhole/a").await.status, 404);
}

#[tokio::test]
async fn a_mount_moves_with_its_secrets() {
    let (_vault, root) = start().await;
    root.put("secret/data/x", json!({ "data": { "a": 1 } })).await;
    let moved = root.put("sys/remount", json!({ "from": "secret", "to": "new/place" })).await;
    let id = moved.data("migration_id");
    let status = root.get(&format!("sys/remount/status/{}", id.as_str().unwrap())).await;
    assert_eq!(status.data("migration_info")["status"], "success");
    assert_eq!(
        root.get("secret/data/x").await.errors(),
        ["no handler for route \"secret/data/x\". route entry not found."]
    );
    assert_eq!(root.get("new/place/data/x").await.data("data"), json!({ "a": 1 }));
    assert_eq!(root.get("sys/internal/ui/mounts/new/place/x").await.data("path"), "new/place/");
    for (from, to) in [("nope", "x"), ("sys", "x"), ("new/place", "cubbyhole"), ("new/place", "auth/x")] {
        assert_eq!(
            root.post("sys/remount", json!({ "from": from, "to": to })).await.status,
            400,
            "{from} {to}"
        );
    }
}

#[tokio::test]
async fn why_a_mount_cannot_be_made() {
    let (_vault, root) = start().await;
    let too_long = json!({ "type": "kv", "config": { "default_lease_ttl": "2h", "max_lease_ttl": "1h" } });
    let no_ttl = json!({ "type": "kv", "config": { "default_lease_ttl": "zz" } });
    for (path, body, complaint) in [
        ("auth/token", json!({ "type": "token" }), "path is already in use at token/"),
        ("auth/token/x", json!({ "type": "bogus" }), "path is already in use at token/"),
        ("auth/token", json!({}), "backend type must be specified as a string"),
        ("auth/new", json!({ "type": "token" }), "token credential backend cannot be instantiated"),
        ("auth/new", json!({ "type": "bogus" }), "plugin not found in the catalog: bogus"),
        (
            "auth/new",
            json!({ "type": "approle", "options": { "version": "2" } }),
            "auth method \"approle\" does not allow setting a version",
        ),
        ("mounts/secret", json!({ "type": "bogus" }), "path is already in use at secret/"),
        ("mounts/secret", json!({ "type": "system" }), "mount type of \"system\" is not mountable"),
        ("mounts/sys", json!({ "type": "system" }), "cannot mount \"sys/\""),
        ("mounts/sys", no_ttl, "unable to parse default TTL of zz: time: invalid duration \"zz\""),
        ("mounts/new", too_long, "given default lease TTL greater than given max lease TTL"),
        (
            "mounts/new",
            json!({ "type": "kv", "options": { "version": "3" } }),
            "nil backend of type \"kv\" returned from factory",
        ),
    ] {
        let answer = root.post(&format!("sys/{path}"), body.clone()).await;
        assert_eq!((answer.status, answer.errors()), (400, vec![complaint.to_owned()]), "{path} {body}");
    }
}
