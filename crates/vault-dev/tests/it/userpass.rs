//! userpass.

use serde_json::json;

use crate::support::start;

#[tokio::test]
async fn users_log_in_with_their_password() {
    let (_vault, root) = start().await;
    root.put("sys/auth/userpass", json!({ "type": "userpass", "config": { "default_lease_ttl": "30m" } }))
        .await;
    root.put("auth/userpass/users/Bob", json!({ "password": "pw", "token_policies": "app" })).await;
    let nobody = root.without_token();
    let answer = nobody.put("auth/userpass/login/bob", json!({ "password": "pw" })).await;
    assert_eq!(answer.json()["auth"]["lease_duration"], 1800);
    assert_eq!(answer.json()["auth"]["metadata"]["username"], "bob");
    for user in ["bob", "nobody"] {
        let answer = nobody.post(&format!("auth/userpass/login/{user}"), json!({ "password": "no" })).await;
        assert_eq!((answer.status, answer.errors()), (400, vec!["invalid username or password".to_owned()]));
    }
    root.put("auth/userpass/users/bob/password", json!({ "password": "new" })).await;
    assert_eq!(nobody.post("auth/userpass/login/bob", json!({ "password": "pw" })).await.status, 400);
    assert_eq!(nobody.post("auth/userpass/login/bob", json!({ "password": "new" })).await.status, 200);
    assert_eq!(root.list("auth/userpass/users").await.data("keys"), json!(["bob"]));
    root.delete("auth/userpass/users/bob").await;
    assert_eq!(nobody.post("auth/userpass/login/bob", json!({ "password": "new" })).await.status, 400);
}
