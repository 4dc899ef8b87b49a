//! User names and passwords.

use gds_vault::{AuthInfo, AuthMethod as _, ErrorKind, SecretString, UserpassAuth};
use serde_json::{Value, json};

use super::cases;
use crate::corner::{Corner, assert_error, call, envelope};
use crate::like::assert_like;

cases! {
    Nothing: [
        logs_in,
        a_name_may_be_written_in_capitals,
        a_wrong_password_is_refused,
        a_missing_password_is_refused,
        a_password_can_be_changed,
        a_user_shows_its_settings,
        a_deleted_user_is_refused,
    ],
}

/// A userpass mount with the user `alice`.
async fn mount(corner: &Corner) -> String {
    let mount = corner.name("userpass");
    corner.root().sys().enable_auth(&mount, "userpass").await.unwrap();
    let alice = json!({"password": "wonder land", "token_policies": ["p1"], "token_ttl": "5m"});
    assert_eq!(corner.call("POST", &format!("auth/{mount}/users/alice"), alice).await.status, 204);
    mount
}

async fn log_in(
    corner: &Corner,
    mount: &str,
    user: &str,
    password: &str,
) -> Result<AuthInfo, gds_vault::Error> {
    UserpassAuth::new(user, SecretString::from(password)).mount(mount).login(&corner.anonymous()).await
}

async fn logs_in(corner: Corner) {
    let mount = mount(&corner).await;
    let auth = log_in(&corner, &mount, "alice", "wonder land").await.unwrap();
    assert_eq!(auth.policies, ["default", "p1"]);
    assert_eq!(auth.metadata["username"], "alice");
    assert_eq!((auth.lease_duration.as_secs(), auth.renewable, auth.orphan), (300, true, true));
    let found = corner.client(&auth.client_token).tokens().lookup_self().await.unwrap();
    assert_eq!(found.display_name, format!("{mount}-alice"));
    assert_eq!(found.path, format!("auth/{mount}/login/alice"));
}

async fn a_name_may_be_written_in_capitals(corner: Corner) {
    let mount = mount(&corner).await;
    let auth = log_in(&corner, &mount, "ALICE", "wonder land").await.unwrap();
    assert_eq!(auth.metadata["username"], "alice");
}

async fn a_wrong_password_is_refused(corner: Corner) {
    let mount = mount(&corner).await;
    for (user, password) in [("alice", "guess"), ("nobody", "wonder land")] {
        let error = log_in(&corner, &mount, user, password).await.unwrap_err();
        assert_error(&error, ErrorKind::LoginRefused, 400, &["invalid username or password"]);
    }
}

async fn a_missing_password_is_refused(corner: Corner) {
    let mount = mount(&corner).await;
    let answer = call(&corner.anonymous(), "POST", &format!("auth/{mount}/login/alice"), json!({})).await;
    answer.assert_refused(400, &["invalid credentials"]);
    let answer = corner.call("POST", &format!("auth/{mount}/users/bob"), json!({})).await;
    answer.assert_refused(400, &["\"password\" or \"password_hash\" must be supplied"]);
}

async fn a_password_can_be_changed(corner: Corner) {
    let mount = mount(&corner).await;
    let path = format!("auth/{mount}/users/alice/password");
    assert_eq!(corner.call("POST", &path, json!({"password": "new"})).await.status, 204);
    assert!(log_in(&corner, &mount, "alice", "wonder land").await.is_err());
    let auth = log_in(&corner, &mount, "alice", "new").await.unwrap();
    assert_eq!(auth.lease_duration.as_secs(), 300, "the other settings stay");
}

async fn a_user_shows_its_settings(corner: Corner) {
    let mount = mount(&corner).await;
    let answer = corner.call("GET", &format!("auth/{mount}/users/alice"), None).await;
    let data = json!({
        "token_bound_cidrs": [],
        "token_explicit_max_ttl": 0,
        "token_max_ttl": 0,
        "token_no_default_policy": false,
        "token_num_uses": 0,
        "token_period": 0,
        "token_policies": ["p1"],
        "token_ttl": 300,
        "token_type": "default",
    });
    assert_like(&answer.body, &envelope("userpass", &data));
    let listed = corner.call("LIST", &format!("auth/{mount}/users"), None).await;
    assert_like(&listed.body, &envelope("userpass", &json!({"keys": ["alice"]})));
    corner.call("GET", &format!("auth/{mount}/users/nobody"), None).await.assert_refused(404, &[]);
}

async fn a_deleted_user_is_refused(corner: Corner) {
    let mount = mount(&corner).await;
    let deleted = corner.call("DELETE", &format!("auth/{mount}/users/alice"), None).await;
    assert_eq!((deleted.status, deleted.body), (204, Value::Null));
    let error = log_in(&corner, &mount, "alice", "wonder land").await.unwrap_err();
    assert_error(&error, ErrorKind::LoginRefused, 400, &["invalid username or password"]);
}
