//! AppRole.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Asker, start};

async fn role(root: &Asker, params: Value) -> String {
    root.put("sys/auth/approle", json!({ "type": "approle" })).await;
    root.put("auth/approle/role/app", params).await;
    root.get("auth/approle/role/app/role-id").await.data("role_id").as_str().unwrap().to_owned()
}

async fn secret_id(root: &Asker) -> String {
    let answer = root.put("auth/approle/role/app/secret-id", json!({})).await;
    answer.data("secret_id").as_str().unwrap().to_owned()
}

async fn log_in(root: &Asker, role_id: &str, secret_id: &str) -> Answer {
    root.without_token()
        .post("auth/approle/login", json!({ "role_id": role_id, "secret_id": secret_id }))
        .await
}

#[tokio::test]
async fn a_login_gives_a_token_as_the_role_says() {
    let (_vault, root) = start().await;
    let role_id =
        role(&root, json!({ "token_policies": "default,app", "token_ttl": "20m", "token_max_ttl": "30m" }))
            .await;
    let answer = log_in(&root, &role_id, &secret_id(&root).await).await;
    let json = answer.json();
    assert_eq!(json["auth"]["policies"], json!(["app", "default"]));
    assert_eq!(json["auth"]["lease_duration"], 1200);
    assert_eq!(json["auth"]["metadata"], json!({ "role_name": "app" }));
    assert_eq!(json["auth"]["orphan"], true);
    assert_eq!(json["mount_type"], "");
    let own = root.with_token(answer.auth("client_token")).get("auth/token/lookup-self").await;
    assert_eq!(own.data("path"), "auth/approle/login");
    assert_eq!(own.data("display_name"), "approle");
}

#[tokio::test]
async fn a_wrong_secret_id_is_a_400() {
    let (_vault, root) = start().await;
    let role_id = role(&root, json!({})).await;
    for (role_id, secret_id) in [(role_id.as_str(), "wrong"), ("wrong", "wrong")] {
        let answer = log_in(&root, role_id, secret_id).await;
        assert_eq!((answer.status, answer.errors()), (400, vec!["invalid role or secret ID".to_owned()]));
    }
    assert_eq!(log_in(&root, &role_id, "").await.errors(), ["missing secret_id"]);
}

#[tokio::test]
async fn secret_ids_are_used_up_and_expire() {
    let (vault, root) = start().await;
    let role_id = role(&root, json!({ "secret_id_num_uses": 2, "secret_id_ttl": "10m" })).await;
    let used = secret_id(&root).await;
    assert_eq!(log_in(&root, &role_id, &used).await.status, 200);
    assert_eq!(log_in(&root, &role_id, &used).await.status, 200);
    assert_eq!(log_in(&root, &role_id, &used).await.status, 400);
    let old = secret_id(&root).await;
    vault.advance_clock(Duration::from_secs(600)).await;
    assert_eq!(log_in(&root, &role_id, &old).await.status, 400);
}

#[tokio::test]
async fn secret_ids_are_found_and_destroyed() {
    let (_vault, root) = start().await;
    let role_id = role(&root, json!({})).await;
    root.put(
        "auth/approle/role/app/custom-secret-id",
        json!({ "secret_id": "mine", "metadata": "{\"a\":\"b\"}" }),
    )
    .await;
    let found = root.put("auth/approle/role/app/secret-id/lookup", json!({ "secret_id": "mine" })).await;
    assert_eq!(found.data("metadata"), json!({ "a": "b" }));
    assert_eq!(log_in(&root, &role_id, "mine").await.json()["auth"]["metadata"]["a"], "b");
    let accessor = found.data("secret_id_accessor");
    assert_eq!(root.list("auth/approle/role/app/secret-id").await.data("keys"), json!([accessor]));
    let body = json!({ "secret_id_accessor": accessor });
    assert_eq!(root.post("auth/approle/role/app/secret-id-accessor/lookup", body.clone()).await.status, 200);
    assert_eq!(root.post("auth/approle/role/app/secret-id-accessor/destroy", body.clone()).await.status, 204);
    assert_eq!(root.post("auth/approle/role/app/secret-id-accessor/lookup", body).await.status, 404);
    assert_eq!(log_in(&root, &role_id, "mine").await.status, 400);
    let other = secret_id(&root).await;
    root.put("auth/approle/role/app/secret-id/destroy", json!({ "secret_id": other })).await;
    assert_eq!(log_in(&root, &role_id, &other).await.status, 400);
}

#[tokio::test]
async fn a_wrapped_secret_id() {
    let (_vault, root) = start().await;
    let role_id = role(&root, json!({})).await;
    let wrapped =
        root.with_header("X-Vault-Wrap-TTL", "60").put("auth/approle/role/app/secret-id", json!({})).await;
    assert_eq!(wrapped.wrap_info("creation_path"), "auth/approle/role/app/secret-id");
    let bearer = root.with_token(wrapped.wrap_info("token"));
    let unwrapped = bearer.put("sys/wrapping/unwrap", json!({})).await;
    let secret_id = unwrapped.data("secret_id");
    assert_eq!(log_in(&root, &role_id, secret_id.as_str().unwrap()).await.status, 200);
    assert_eq!(bearer.post("sys/wrapping/unwrap", json!({})).await.status, 400, "only once");
}

#[tokio::test]
async fn roles_are_changed_listed_and_deleted_on_any_mount() {
    let (_vault, root) = start().await;
    root.put("sys/auth/team/approle", json!({ "type": "approle" })).await;
    root.put("auth/team/approle/role/App", json!({ "token_ttl": "1h" })).await;
    root.put("auth/team/approle/role/app", json!({ "token_num_uses": 5 })).await;
    let role = root.get("auth/team/approle/role/app").await;
    assert_eq!((role.data("token_ttl"), role.data("token_num_uses")), (json!(3600), json!(5)));
    root.put("auth/team/approle/role/app/role-id", json!({ "role_id": "chosen" })).await;
    assert_eq!(root.get("auth/team/approle/role/app/role-id").await.data("role_id"), "chosen");
    assert_eq!(root.list("auth/team/approle/role").await.data("keys"), json!(["app"]));
    root.delete("auth/team/approle/role/app").await;
    assert_eq!(root.list("auth/team/approle/role").await.status, 404);
    assert_eq!(root.post("auth/team/approle/role/app/secret-id", json!({})).await.status, 404);
}

#[tokio::test]
async fn disabling_the_method_ends_its_tokens() {
    let (_vault, root) = start().await;
    let role_id = role(&root, json!({})).await;
    let answer = log_in(&root, &role_id, &secret_id(&root).await).await;
    let app = root.with_token(answer.auth("client_token"));
    assert_eq!(app.get("auth/token/lookup-self").await.status, 200);
    root.delete("sys/auth/approle").await;
    assert_eq!(app.get("auth/token/lookup-self").await.status, 403);
}

#[tokio::test]
async fn tidying_up_takes_what_has_expired_and_no_more() {
    let (vault, root) = start().await;
    let role_id = role(&root, json!({ "secret_id_ttl": "10m" })).await;
    let old = secret_id(&root).await;
    vault.advance_clock(Duration::from_secs(300)).await;
    let young = secret_id(&root).await;
    vault.advance_clock(Duration::from_secs(301)).await;
    let answer = root.post("auth/approle/tidy/secret-id", json!({})).await;
    assert_eq!((answer.status, answer.warnings().len()), (202, 1));
    assert_eq!(log_in(&root, &role_id, &old).await.status, 400);
    assert_eq!(log_in(&root, &role_id, &young).await.status, 200);
    assert_eq!(root.get("auth/approle/tidy/secret-id").await.status, 405);
    assert_eq!(root.post("auth/approle/tidy/other", json!({})).await.status, 404);
}
