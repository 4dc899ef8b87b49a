//! Tokens and policies.

use std::time::Duration;

use serde_json::json;

use crate::support::start;

#[tokio::test]
async fn who_may_not_is_told_so_as_in_vault() {
    let (_vault, root) = start().await;
    let nobody = root.without_token().get("secret/data/x").await;
    assert_eq!((nobody.status, nobody.errors()), (403, vec!["permission denied".to_owned()]));
    let stranger = root.with_token("hvs.unknown").get("secret/data/x").await;
    assert_eq!(stranger.status, 403);
    assert_eq!(stranger.errors(), ["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]);
    let limited = root.token(&["default"]).await.get("secret/data/x").await;
    assert_eq!(limited.status, 403);
    assert_eq!(limited.errors(), ["1 error occurred:\n\t* permission denied\n\n"]);
}

#[tokio::test]
async fn a_token_lives_is_renewed_and_ends() {
    let (vault, root) = start().await;
    let answer = root
        .put("auth/token/create", json!({ "ttl": "10m", "explicit_max_ttl": "15m", "policies": ["default"] }))
        .await;
    let token = root.with_token(answer.auth("client_token"));
    vault.advance_clock(Duration::from_secs(8 * 60)).await;
    let renewed = token.put("auth/token/renew-self", json!({ "increment": "1h" })).await;
    assert_eq!(renewed.json()["auth"]["lease_duration"], 7 * 60);
    assert!(renewed.warnings()[0].contains("exceeded the effective max_ttl of \"7m\""), "{renewed:?}");
    vault.advance_clock(Duration::from_secs(7 * 60 + 1)).await;
    let after = token.get("auth/token/lookup-self").await;
    assert_eq!(after.status, 403);
    assert!(after.errors()[0].contains("invalid token"));
}

#[tokio::test]
async fn revoking_a_parent_revokes_its_children_but_not_orphans() {
    let (_vault, root) = start().await;
    root.put(
        "sys/policies/acl/maker",
        json!({ "policy": r#"path "auth/token/*" { capabilities = ["update", "sudo"] }"# }),
    )
    .await;
    let parent = root.token(&["maker"]).await;
    let child = parent.put("auth/token/create", json!({})).await;
    let orphan = parent.put("auth/token/create-orphan", json!({})).await;
    parent.put("auth/token/revoke-self", json!({})).await;
    assert_eq!(root.with_token(child.auth("client_token")).get("auth/token/lookup-self").await.status, 403);
    assert_eq!(root.with_token(orphan.auth("client_token")).get("auth/token/lookup-self").await.status, 200);
}

#[tokio::test]
async fn a_limited_number_of_uses() {
    let (_vault, root) = start().await;
    let answer = root.put("auth/token/create", json!({ "num_uses": 2, "policies": ["default"] })).await;
    let token = root.with_token(answer.auth("client_token"));
    assert_eq!(token.get("auth/token/lookup-self").await.data("num_uses"), 1);
    assert_eq!(token.get("secret/data/denied").await.status, 403, "a refused request counts too");
    assert_eq!(
        token.get("auth/token/lookup-self").await.errors().concat().matches("invalid token").count(),
        1
    );
}

#[tokio::test]
async fn batch_and_periodic_and_unrenewable() {
    let (vault, root) = start().await;
    let batch = root
        .put("auth/token/create", json!({ "type": "batch", "ttl": "10m", "policies": ["default"] }))
        .await;
    assert!(batch.auth("client_token").starts_with("hvb."));
    let batch = root.with_token(batch.auth("client_token"));
    assert_eq!(
        batch.post("auth/token/renew-self", json!({})).await.errors(),
        ["batch tokens cannot be renewed"]
    );
    assert_eq!(
        batch.post("auth/token/revoke-self", json!({})).await.errors(),
        ["batch tokens cannot be revoked"]
    );

    let fixed = root
        .put("auth/token/create", json!({ "renewable": false, "ttl": "10m", "policies": ["default"] }))
        .await;
    let fixed = root.with_token(fixed.auth("client_token"));
    assert_eq!(fixed.post("auth/token/renew-self", json!({})).await.errors(), ["lease is not renewable"]);

    let periodic = root.put("auth/token/create", json!({ "period": "1h", "policies": ["default"] })).await;
    let periodic = root.with_token(periodic.auth("client_token"));
    for _ in 0..1000 {
        vault.advance_clock(Duration::from_secs(3000)).await;
        let renewed = periodic.put("auth/token/renew-self", json!({})).await;
        assert_eq!(renewed.json()["auth"]["lease_duration"], 3600, "for ever, also past 32 days");
    }
}

#[tokio::test]
async fn children_get_no_more_than_their_parents_have() {
    let (_vault, root) = start().await;
    let parent = root.limited(r#"path "auth/token/create" { capabilities = ["update"] }"#).await;
    for (body, complaint) in [
        (json!({ "policies": ["root"] }), "child policies must be subset of parent"),
        (json!({ "no_parent": true }), "root or sudo privileges required to create orphan token"),
        (json!({ "id": "mine" }), "root or sudo privileges required to specify token id"),
        (json!({ "period": "1h" }), "root or sudo privileges required to create periodic token"),
    ] {
        let answer = parent.post("auth/token/create", body).await;
        assert_eq!((answer.status, answer.errors()), (400, vec![complaint.to_owned()]));
    }
}

#[tokio::test]
async fn accessors() {
    let (_vault, root) = start().await;
    let answer = root.put("auth/token/create", json!({ "policies": ["default"] })).await;
    let accessor = json!({ "accessor": answer.auth("accessor") });
    let found = root.put("auth/token/lookup-accessor", accessor.clone()).await;
    assert_eq!(found.data("id"), "", "an accessor does not give the token away");
    assert!(
        root.list("auth/token/accessors").await.data("keys").to_string().contains(answer.auth("accessor"))
    );
    assert_eq!(root.post("auth/token/revoke-accessor", accessor.clone()).await.status, 204);
    assert_eq!(root.post("auth/token/lookup-accessor", accessor).await.status, 400);
}

#[tokio::test]
async fn create_is_not_update() {
    let (_vault, root) = start().await;
    let creator = root.limited(r#"path "secret/data/x" { capabilities = ["create"] }"#).await;
    let body = json!({ "data": { "a": 1 } });
    assert_eq!(creator.post("secret/data/x", body.clone()).await.status, 200);
    assert_eq!(creator.post("secret/data/x", body).await.status, 403);
}

#[tokio::test]
async fn capabilities_of_oneself() {
    let (_vault, root) = start().await;
    let limited = root.limited(r#"path "secret/data/x" { capabilities = ["update", "read"] }"#).await;
    let answer =
        limited.put("sys/capabilities-self", json!({ "paths": ["secret/data/x", "sys/mounts"] })).await;
    assert_eq!(answer.data("secret/data/x"), json!(["read", "update"]));
    assert_eq!(answer.json()["sys/mounts"], json!(["deny"]), "also at the top level");
    let answer = root.put("sys/capabilities-self", json!({ "path": "any" })).await;
    assert_eq!(answer.data("capabilities"), json!(["root"]));
}

#[tokio::test]
async fn the_last_use_is_over_when_capabilities_are_looked_up() {
    let (_vault, root) = start().await;
    let policy = r#"path "sys/capabilities*" { capabilities = ["update"] }"#;
    root.put("sys/policies/acl/asker", json!({ "policy": policy })).await;
    let invalid = ["1 error occurred:\n\t* invalid token\n\n"];
    for (path, about) in [
        ("sys/capabilities-self", None),
        ("sys/capabilities", Some(("token", "client_token"))),
        ("sys/capabilities-accessor", Some(("accessor", "accessor"))),
    ] {
        let new = json!({ "num_uses": 2, "policies": ["asker"] });
        let made = root.put("auth/token/create", new).await;
        let token = root.with_token(made.auth("client_token"));
        let mut body = json!({ "paths": ["a"] });
        if let Some((name, member)) = about {
            body[name] = made.auth(member).into();
        }
        assert_eq!(token.post(path, body.clone()).await.status, 200, "{path}");
        let last = token.post(path, body.clone()).await;
        assert_eq!((last.status, last.errors()), (400, invalid.map(str::to_owned).to_vec()), "{path}");
        assert_eq!(token.post(path, body).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn what_the_default_policy_grants() {
    let (_vault, root) = start().await;
    let token = root.token(&["default"]).await;
    let granted = [
        ("sys/tools/hash", json!(["update"])),
        ("sys/tools/hash/sha2-256", json!(["update"])),
        ("sys/control-group/request", json!(["update"])),
        ("identity/oidc/provider/x/authorize", json!(["read", "update"])),
        ("identity/oidc/provider/x/y/authorize", json!(["deny"])),
        ("cubbyhole/x", json!(["create", "delete", "list", "read", "update"])),
        ("secret/data/x", json!(["deny"])),
    ];
    for (path, capabilities) in granted {
        let answer = token.put("sys/capabilities-self", json!({ "path": path })).await;
        assert_eq!(answer.data("capabilities"), capabilities, "{path}");
    }
}
