//! A secret_id that comes wrapped, so that only its reader sees it; and what is not what it seems.

use std::time::Duration;

use gds_vault::{AppRoleAuth, AuthMethod as _, Credential, ErrorKind, SecretId, SecretString};
use serde_json::json;

use super::{MINUTE, cases};
use crate::corner::{AppRole, Corner};
use crate::eventually::eventually;

cases! {
    Nothing: [
        one_that_is_over_is_refused,
        logs_in_and_in_again,
        a_new_one_in_the_file_is_opened,
        one_that_someone_else_opened_is_refused,
        one_that_wraps_something_else_is_refused_unopened,
        one_of_another_mount_is_refused_unopened,
        a_custom_secret_id_may_be_wrapped,
    ],
}

const NOT_VALID: &str = "the wrapping token is not valid: it is over, or someone else has opened it";

async fn role(corner: &Corner) -> AppRole {
    corner.approle(json!({})).await
}

fn wrapped(role: &AppRole, token: &SecretString) -> AppRoleAuth {
    role.auth_with(SecretId::Wrapped(Credential::Value(token.clone())))
}

async fn logs_in_and_in_again(corner: Corner) {
    let role = role(&corner).await;
    let info = role.wrapped_secret_id(MINUTE).await;
    assert_eq!(info.creation_path, role.path("secret-id"));
    assert_eq!((info.ttl, info.wrapped_accessor.is_some()), (MINUTE, true));
    let auth = wrapped(&role, &info.token);
    // The second time with the secret_id that the first has taken out.
    for _ in 0..2 {
        auth.login(&corner.anonymous()).await.unwrap();
    }
    let error = corner.root().wrapping().lookup(&info.token).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadRequest, "it is used up");
}

async fn a_new_one_in_the_file_is_opened(corner: Corner) {
    let role = role(&corner).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let auth = role.auth_with(SecretId::Wrapped(Credential::File(file.path().into())));
    for _ in 0..2 {
        let token = role.wrapped_secret_id(MINUTE).await.token;
        std::fs::write(file.path(), token.expose()).unwrap();
        auth.login(&corner.anonymous()).await.unwrap();
        assert!(corner.root().wrapping().lookup(&token).await.is_err(), "it was opened");
    }
}

async fn one_that_someone_else_opened_is_refused(corner: Corner) {
    let role = role(&corner).await;
    let token = role.wrapped_secret_id(MINUTE).await.token;
    corner.anonymous().wrapping().unwrap(&token).await.unwrap();
    let error = wrapped(&role, &token).login(&corner.anonymous()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LoginRefused);
    assert!(error.to_string().contains(NOT_VALID), "{error}");
    assert_eq!(error.messages(), ["wrapping token is not valid or does not exist"]);
}

async fn one_that_is_over_is_refused(corner: Corner) {
    let role = role(&corner).await;
    let token = role.wrapped_secret_id(Duration::from_secs(1)).await.token;
    eventually("the wrapping token is over", || async {
        corner.root().wrapping().lookup(&token).await.err()
    })
    .await;
    let error = wrapped(&role, &token).login(&corner.anonymous()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LoginRefused);
    assert!(error.to_string().contains(NOT_VALID), "{error}");
}

/// Whoever got hold of the real one could have put this in its place.
async fn one_that_wraps_something_else_is_refused_unopened(corner: Corner) {
    let role = role(&corner).await;
    let secret_id = role.secret_id(json!({})).await;
    let forged = json!({"secret_id": secret_id.expose()});
    let token = corner.root().wrapping().wrap(&forged, MINUTE).await.unwrap().token;
    let error = wrapped(&role, &token).login(&corner.anonymous()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LoginRefused);
    assert!(error.to_string().contains("made by `sys/wrapping/wrap`"), "{error}");
    assert!(corner.root().wrapping().unwrap(&token).await.is_ok(), "it was left as it was");
}

async fn one_of_another_mount_is_refused_unopened(corner: Corner) {
    let role = role(&corner).await;
    let elsewhere = corner.name("elsewhere");
    corner.root().sys().enable_auth(&elsewhere, "approle").await.unwrap();
    let info = role.wrapped_secret_id(MINUTE).await;
    let auth = wrapped(&role, &info.token).mount(&elsewhere);
    let error = auth.login(&corner.anonymous()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LoginRefused);
    assert!(error.to_string().contains("may have been tampered with"), "{error}");
    wrapped(&role, &info.token).login(&corner.anonymous()).await.unwrap();
}

async fn a_custom_secret_id_may_be_wrapped(corner: Corner) {
    let role = role(&corner).await;
    let request = corner.root().request(gds_vault::Method::POST, role.path("custom-secret-id"));
    let answer = request.json(&json!({"secret_id": "chosen"})).wrap_ttl(MINUTE).read().await.unwrap();
    let token = answer.wrap_info().unwrap().token.clone();
    wrapped(&role, &token).login(&corner.anonymous()).await.unwrap();
}
