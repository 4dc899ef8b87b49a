//! Namespaces.

use serde_json::json;

use crate::support::start;

#[tokio::test]
async fn mounts_policies_and_tokens_are_separate() {
    let (_vault, root) = start().await;
    assert_eq!(root.put("sys/namespaces/team", json!({})).await.data("path"), "team/");
    let team = root.with_header("X-Vault-Namespace", "team");
    assert_eq!(team.get("secret/data/x").await.status, 404);
    team.put("sys/mounts/secret", json!({ "type": "kv-v2" })).await;
    team.put("secret/data/x", json!({ "data": { "where": "team" } })).await;
    root.put("secret/data/x", json!({ "data": { "where": "root" } })).await;
    assert_eq!(team.get("secret/data/x").await.json()["data"]["data"]["where"], "team");
    assert_eq!(root.get("secret/data/x").await.json()["data"]["data"]["where"], "root");
    assert_eq!(
        root.get("team/secret/data/x").await.json()["data"]["data"]["where"],
        "team",
        "also in the path"
    );

    let limited = team.limited(r#"path "secret/data/*" { capabilities = ["read"] }"#).await;
    assert_eq!(limited.get("secret/data/x").await.status, 200);
    let outside = root.with_token(limited.token.as_deref().unwrap());
    assert_eq!(outside.get("secret/data/x").await.status, 403, "a child's token is nobody in the parent");
    assert_eq!(outside.get("team/secret/data/x").await.status, 200);
    assert_eq!(outside.get("team/auth/token/lookup-self").await.data("namespace_path"), "team/");
}

#[tokio::test]
async fn a_parents_token_reaches_into_children_by_full_paths() {
    let (_vault, root) = start().await;
    root.put("sys/namespaces/team", json!({})).await;
    root.put("team/sys/mounts/kv", json!({ "type": "kv" })).await;
    root.put("team/kv/x", json!({ "a": 1 })).await;
    let parent = root.limited(r#"path "team/kv/x" { capabilities = ["read"] }"#).await;
    assert_eq!(parent.get("team/kv/x").await.status, 200);
    assert_eq!(parent.with_header("X-Vault-Namespace", "team").get("kv/x").await.status, 200);
    assert_eq!(parent.get("kv/x").await.status, 403);
}

#[tokio::test]
async fn created_listed_nested_deleted() {
    let (_vault, root) = start().await;
    root.put("sys/namespaces/a", json!({ "custom_metadata": { "k": "v" } })).await;
    root.put("a/sys/namespaces/b", json!({})).await;
    assert_eq!(root.list("sys/namespaces").await.data("keys"), json!(["a/"]));
    assert_eq!(root.get("sys/namespaces/a").await.data("custom_metadata"), json!({ "k": "v" }));
    assert_eq!(root.with_header("X-Vault-Namespace", "a/b").get("sys/mounts").await.status, 200);
    assert_eq!(root.delete("sys/namespaces/a").await.status, 400, "it has a child");
    assert_eq!(root.delete("a/sys/namespaces/b").await.status, 204);
    assert_eq!(root.delete("sys/namespaces/a").await.status, 204);
    assert_eq!(root.with_header("X-Vault-Namespace", "a").get("sys/mounts").await.status, 404);
}
