//! Response wrapping.

use std::time::Duration;

use serde_json::json;

use crate::support::start;

const INVALID: &str = "wrapping token is not valid or does not exist";

#[tokio::test]
async fn any_answer_can_be_wrapped_and_looked_up() {
    let (_vault, root) = start().await;
    root.put("secret/data/x", json!({ "data": { "a": 1 } })).await;
    let wrapped = root.with_header("X-Vault-Wrap-TTL", "2m").get("secret/data/x").await;
    assert_eq!(wrapped.json()["data"], json!(null));
    assert_eq!(wrapped.json()["wrap_info"]["ttl"], 120);
    let token = wrapped.wrap_info("token");
    let about = root.without_token().put("sys/wrapping/lookup", json!({ "token": token })).await;
    assert_eq!(
        (about.data("creation_path"), about.data("creation_ttl")),
        (json!("secret/data/x"), json!(120))
    );
    let unwrapped = root.put("sys/wrapping/unwrap", json!({ "token": token })).await;
    assert_eq!(unwrapped.json()["data"]["data"], json!({ "a": 1 }));
    assert_eq!(root.post("sys/wrapping/unwrap", json!({ "token": token })).await.errors(), [INVALID]);
}

#[tokio::test]
async fn wrap_rewrap_and_expiry() {
    let (vault, root) = start().await;
    let wrapped =
        root.with_header("X-Vault-Wrap-TTL", "60").put("sys/wrapping/wrap", json!({ "a": "b" })).await;
    let again = root.put("sys/wrapping/rewrap", json!({ "token": wrapped.wrap_info("token") })).await;
    assert_eq!(again.wrap_info("creation_path"), "sys/wrapping/wrap");
    assert_eq!(
        root.post("sys/wrapping/unwrap", json!({ "token": wrapped.wrap_info("token") })).await.status,
        400
    );
    vault.advance_clock(Duration::from_secs(60)).await;
    let late = root.post("sys/wrapping/unwrap", json!({ "token": again.wrap_info("token") })).await;
    assert_eq!((late.status, late.errors()), (400, vec![INVALID.to_owned()]));
}

#[tokio::test]
async fn what_is_not_wrapped() {
    let (_vault, root) = start().await;
    let wrapping = root.with_header("X-Vault-Wrap-TTL", "60");
    assert_eq!(wrapping.get("secret/data/nothing").await.status, 404);
    assert_eq!(root.with_header("X-Vault-Wrap-TTL", "bad").get("secret/data/x").await.status, 400);
    assert_eq!(
        root.post("sys/wrapping/wrap", json!({ "a": 1 })).await.errors(),
        ["endpoint requires response wrapping to be used"]
    );
    let wrapped = wrapping.put("sys/wrapping/wrap", json!({ "a": 1 })).await;
    let bearer = root.with_token(wrapped.wrap_info("token"));
    assert_eq!(bearer.get("auth/token/lookup-self").await.status, 403, "it is good for one thing only");
}
