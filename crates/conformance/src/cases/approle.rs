//! AppRole: roles, secret ids, logging in.

use std::io::Write as _;

use gds_vault::{
    AppRoleAuth, AuthInfo, AuthMethod as _, Credential, ErrorKind, SecretId, SecretString, TokenType,
};
use serde_json::{Value, json};

use super::cases;
use crate::corner::{AppRole, Corner, assert_error, call, envelope};
use crate::eventually::eventually;
use crate::like::assert_like;

cases! {
    Nothing: [
        a_secret_id_runs_out,
        logs_in,
        what_a_login_answers,
        credentials_in_files_are_read_anew,
        a_wrong_credential_is_refused,
        a_missing_credential_is_refused,
        a_secret_id_is_used_up,
        a_secret_id_of_ones_own,
        a_role_that_needs_no_secret_id,
        a_role_shows_its_settings,
        a_role_id_of_ones_own,
        a_role_that_is_not_there,
        a_destroyed_secret_id_is_refused,
        secret_ids_can_be_looked_up,
        a_deleted_role_lets_nobody_in,
        limits_of_a_role_hold_for_its_secret_ids,
        tokens_have_the_settings_of_the_role,
        metadata_of_a_secret_id_goes_to_the_token,
    ],
}

const REFUSED: &str = "invalid role or secret ID";

async fn log_in(corner: &Corner, auth: &AppRoleAuth) -> Result<AuthInfo, gds_vault::Error> {
    auth.login(&corner.anonymous()).await
}

async fn role(corner: &Corner) -> AppRole {
    corner.approle(json!({"token_policies": ["p1", "p2"], "token_ttl": "20m", "token_max_ttl": "1h"})).await
}

async fn logs_in(corner: Corner) {
    let role = role(&corner).await;
    let secret_id = role.secret_id(json!({})).await;
    let auth = log_in(&corner, &role.auth(&secret_id)).await.unwrap();
    assert_eq!(auth.policies, ["default", "p1", "p2"]);
    assert_eq!((auth.lease_duration.as_secs(), auth.renewable, auth.orphan), (1_200, true, true));
    assert_eq!((auth.token_type, auth.num_uses), (TokenType::Service, 0));
    assert_eq!(auth.metadata["role_name"], "app");
    assert!(auth.client_token.expose().starts_with("hvs."));

    let found = corner.client(&auth.client_token).tokens().lookup_self().await.unwrap();
    assert_eq!(found.accessor, auth.accessor);
    assert_eq!(found.display_name, role.mount);
    assert_eq!(found.path, format!("auth/{}/login", role.mount));
    assert_eq!((found.creation_ttl.as_secs(), found.renewable), (1_200, true));
}

async fn what_a_login_answers(corner: Corner) {
    let role = role(&corner).await;
    let secret_id = role.secret_id(json!({})).await;
    let body = json!({"role_id": role.role_id.expose(), "secret_id": secret_id.expose()});
    let answer = call(&corner.anonymous(), "POST", &format!("auth/{}/login", role.mount), body).await;
    let mut expected = envelope("", &Value::Null);
    expected["auth"] = json!({
        "client_token": "<text>",
        "accessor": "<text>",
        "policies": ["default", "p1", "p2"],
        "token_policies": ["default", "p1", "p2"],
        "metadata": {"role_name": "app"},
        "lease_duration": 1_200,
        "renewable": true,
        "entity_id": "<uuid>",
        "token_type": "service",
        "orphan": true,
        "mfa_requirement": null,
        "num_uses": 0,
    });
    assert_like(&answer.body, &expected);
}

async fn credentials_in_files_are_read_anew(corner: Corner) {
    let role = role(&corner).await;
    let mut role_id = tempfile::NamedTempFile::new().unwrap();
    let secret_id = tempfile::NamedTempFile::new().unwrap();
    writeln!(role_id, "{}", role.role_id.expose()).unwrap();
    let auth = AppRoleAuth::new(
        Credential::File(role_id.path().into()),
        SecretId::Plain(Credential::File(secret_id.path().into())),
    )
    .mount(&role.mount);
    std::fs::write(secret_id.path(), "not-yet-rotated\n").unwrap();
    assert_eq!(log_in(&corner, &auth).await.unwrap_err().kind(), ErrorKind::LoginRefused);
    std::fs::write(secret_id.path(), format!("{}\n", role.secret_id(json!({})).await.expose())).unwrap();
    log_in(&corner, &auth).await.unwrap();
}

async fn a_wrong_credential_is_refused(corner: Corner) {
    let role = role(&corner).await;
    let secret_id = role.secret_id(json!({})).await;
    let wrong = SecretString::from("11111111-2222-3333-4444-555555555555");
    let error = log_in(&corner, &role.auth(&wrong)).await.unwrap_err();
    assert_error(&error, ErrorKind::LoginRefused, 400, &[REFUSED]);
    assert_eq!(error.operation(), "login (approle)");
    let other = AppRoleAuth::new(wrong, SecretId::Plain(Credential::Value(secret_id))).mount(&role.mount);
    assert_error(&log_in(&corner, &other).await.unwrap_err(), ErrorKind::LoginRefused, 400, &[REFUSED]);
}

async fn a_missing_credential_is_refused(corner: Corner) {
    let role = role(&corner).await;
    let error = log_in(&corner, &role.auth_with(SecretId::None)).await.unwrap_err();
    assert_error(&error, ErrorKind::LoginRefused, 400, &["missing secret_id"]);
    let path = format!("auth/{}/login", role.mount);
    let answer = call(&corner.anonymous(), "POST", &path, json!({"secret_id": "x"})).await;
    answer.assert_refused(500, &["failed to determine alias name from login request"]);
}

async fn a_secret_id_is_used_up(corner: Corner) {
    let role = corner.approle(json!({"secret_id_num_uses": 2})).await;
    let secret_id = role.secret_id(json!({})).await;
    let auth = role.auth(&secret_id);
    log_in(&corner, &auth).await.unwrap();
    log_in(&corner, &auth).await.unwrap();
    assert_error(&log_in(&corner, &auth).await.unwrap_err(), ErrorKind::LoginRefused, 400, &[REFUSED]);
}

async fn a_secret_id_runs_out(corner: Corner) {
    let role = corner.approle(json!({"secret_id_ttl": "1s"})).await;
    let answer = role.secret_id_answer(json!({})).await;
    assert_eq!(answer.field("secret_id_ttl").unwrap().as_u64(), Some(1));
    let auth = role.auth(&answer.field("secret_id").unwrap().text());
    log_in(&corner, &auth).await.unwrap();
    let error = eventually("the secret_id is refused", || async {
        // A real Vault takes one until it has tidied up, which it does once a minute, or now.
        let tidied = corner.call("POST", &format!("auth/{}/tidy/secret-id", role.mount), json!({})).await;
        assert_eq!(tidied.status, 202, "{tidied:?}");
        log_in(&corner, &auth).await.err()
    })
    .await;
    assert_error(&error, ErrorKind::LoginRefused, 400, &[REFUSED]);
}

async fn a_secret_id_of_ones_own(corner: Corner) {
    let role = role(&corner).await;
    let mine = SecretString::from("chosen-elsewhere");
    let answer =
        corner.call("POST", &role.path("custom-secret-id"), json!({"secret_id": mine.expose()})).await;
    let data = json!({
        "secret_id": "chosen-elsewhere",
        "secret_id_accessor": "<uuid>",
        "secret_id_num_uses": 0,
        "secret_id_ttl": 0,
    });
    assert_like(&answer.body, &envelope("approle", &data));
    log_in(&corner, &role.auth(&mine)).await.unwrap();
    let again =
        corner.call("POST", &role.path("custom-secret-id"), json!({"secret_id": mine.expose()})).await;
    again.assert_refused(
        500,
        &["1 error occurred:\n\t* failed to store secret_id: SecretID is already registered\n\n"],
    );
}

async fn a_role_that_needs_no_secret_id(corner: Corner) {
    let role = corner.approle(json!({"bind_secret_id": false, "token_bound_cidrs": "127.0.0.0/8"})).await;
    log_in(&corner, &role.auth_with(SecretId::None)).await.unwrap();
    let unbound = format!("auth/{}/role/unbound", role.mount);
    let answer = corner.call("POST", &unbound, json!({"bind_secret_id": false})).await;
    answer.assert_refused(
        500,
        &["1 error occurred:\n\t* at least one constraint should be enabled on the role\n\n"],
    );
}

async fn a_role_shows_its_settings(corner: Corner) {
    let role = role(&corner).await;
    let path = format!("auth/{}/role/app", role.mount);
    let mut data = json!({
        "bind_secret_id": true,
        "local_secret_ids": false,
        "secret_id_bound_cidrs": null,
        "secret_id_num_uses": 0,
        "secret_id_ttl": 0,
        "token_bound_cidrs": [],
        "token_explicit_max_ttl": 0,
        "token_max_ttl": 3_600,
        "token_no_default_policy": false,
        "token_num_uses": 0,
        "token_period": 0,
        "token_policies": ["p1", "p2"],
        "token_ttl": 1_200,
        "token_type": "default",
    });
    assert_like(&corner.call("GET", &path, None).await.body, &envelope("approle", &data));
    // A second write changes what it names, and nothing else.
    let written = corner.call("POST", &path, json!({"token_ttl": "5m", "secret_id_num_uses": 3})).await;
    assert_eq!((written.status, written.body), (204, Value::Null));
    data["token_ttl"] = 300.into();
    data["secret_id_num_uses"] = 3.into();
    assert_like(&corner.call("GET", &path, None).await.body, &envelope("approle", &data));
    let listed = corner.call("LIST", &format!("auth/{}/role", role.mount), None).await;
    assert_like(&listed.body, &envelope("approle", &json!({"keys": ["app"]})));
}

async fn a_role_id_of_ones_own(corner: Corner) {
    let role = role(&corner).await;
    let shown = corner.call("GET", &role.path("role-id"), None).await;
    assert_like(&shown.body, &envelope("approle", &json!({"role_id": "<uuid>"})));
    let mine = corner.name("role-id");
    assert_eq!(corner.call("POST", &role.path("role-id"), json!({"role_id": mine})).await.status, 204);
    let secret_id = role.secret_id(json!({})).await;
    let auth =
        AppRoleAuth::new(SecretString::new(mine), SecretId::Plain(Credential::Value(secret_id.clone())));
    log_in(&corner, &auth.mount(&role.mount)).await.unwrap();
    assert_eq!(log_in(&corner, &role.auth(&secret_id)).await.unwrap_err().kind(), ErrorKind::LoginRefused);
}

async fn a_role_that_is_not_there(corner: Corner) {
    let role = role(&corner).await;
    let at = |rest: &str| format!("auth/{}/role/none{rest}", role.mount);
    corner.call("GET", &at(""), None).await.assert_refused(404, &[]);
    corner.call("GET", &at("/role-id"), None).await.assert_refused(404, &[]);
    let said = "role \"none\" does not exist";
    corner.call("POST", &at("/secret-id"), json!({})).await.assert_refused(404, &[said]);
    corner.call("LIST", &at("/secret-id"), None).await.assert_refused(400, &[said]);
    assert_eq!(corner.call("DELETE", &at(""), None).await.status, 204);
}

async fn a_destroyed_secret_id_is_refused(corner: Corner) {
    let role = role(&corner).await;
    let by_id = role.secret_id(json!({})).await;
    let destroyed =
        corner.call("POST", &role.path("secret-id/destroy"), json!({"secret_id": by_id.expose()})).await;
    assert_eq!(destroyed.status, 204);
    assert_eq!(log_in(&corner, &role.auth(&by_id)).await.unwrap_err().kind(), ErrorKind::LoginRefused);

    let answer = role.secret_id_answer(json!({})).await;
    let accessor = answer.field("secret_id_accessor").unwrap().text();
    let path = role.path("secret-id-accessor/destroy");
    let destroyed = corner.call("POST", &path, json!({"secret_id_accessor": accessor.expose()})).await;
    assert_eq!(destroyed.status, 204);
    let auth = role.auth(&answer.field("secret_id").unwrap().text());
    assert_error(&log_in(&corner, &auth).await.unwrap_err(), ErrorKind::LoginRefused, 400, &[REFUSED]);
}

async fn secret_ids_can_be_looked_up(corner: Corner) {
    let role = role(&corner).await;
    let answer =
        role.secret_id_answer(json!({"ttl": "10m", "num_uses": 5, "metadata": r#"{"host":"a"}"#})).await;
    let secret_id = answer.field("secret_id").unwrap().text();
    let accessor = answer.field("secret_id_accessor").unwrap().text();
    let expected = envelope(
        "approle",
        &json!({
            "cidr_list": [],
            "creation_time": "<time>",
            "expiration_time": "<time>",
            "last_updated_time": "<time>",
            "metadata": {"host": "a"},
            "secret_id_accessor": accessor.expose(),
            "secret_id_num_uses": 5,
            "secret_id_ttl": 600,
            "token_bound_cidrs": [],
        }),
    );
    let by_id = json!({"secret_id": secret_id.expose()});
    assert_like(&corner.call("POST", &role.path("secret-id/lookup"), by_id).await.body, &expected);
    let by_accessor = json!({"secret_id_accessor": accessor.expose()});
    let path = role.path("secret-id-accessor/lookup");
    assert_like(&corner.call("POST", &path, by_accessor).await.body, &expected);
    let listed = corner.call("LIST", &role.path("secret-id"), None).await;
    assert_like(&listed.body, &envelope("approle", &json!({"keys": [accessor.expose()]})));

    let unknown = corner.call("POST", &role.path("secret-id/lookup"), json!({"secret_id": "none"})).await;
    assert_eq!((unknown.status, unknown.body), (204, Value::Null));
    let unknown = corner.call("POST", &path, json!({"secret_id_accessor": "none"})).await;
    let said = "failed to find accessor entry for secret_id_accessor: \"none\"";
    assert_eq!(unknown.status, 404);
    assert_like(&unknown.body, &envelope("", &json!({"error": said})));
}

async fn a_deleted_role_lets_nobody_in(corner: Corner) {
    let role = role(&corner).await;
    let secret_id = role.secret_id(json!({})).await;
    assert_eq!(corner.call("DELETE", &format!("auth/{}/role/app", role.mount), None).await.status, 204);
    let error = log_in(&corner, &role.auth(&secret_id)).await.unwrap_err();
    assert_error(&error, ErrorKind::LoginRefused, 400, &[REFUSED]);
}

async fn limits_of_a_role_hold_for_its_secret_ids(corner: Corner) {
    let role = corner.approle(json!({"secret_id_num_uses": 2, "secret_id_ttl": "10m"})).await;
    let refusals = [
        (json!({"num_uses": 3}), "num_uses cannot be higher than the role's secret_id_num_uses"),
        (json!({"num_uses": 0}), "num_uses cannot be higher than the role's secret_id_num_uses"),
        (json!({"ttl": "1h"}), "ttl cannot be longer than the role's secret_id_ttl"),
    ];
    for (settings, said) in refusals {
        corner.call("POST", &role.path("secret-id"), settings).await.assert_refused(400, &[said]);
    }
    let answer = role.secret_id_answer(json!({"num_uses": 1, "ttl": "1m"})).await;
    assert_eq!(answer.field("secret_id_num_uses").unwrap().as_u64(), Some(1));
    assert_eq!(answer.field("secret_id_ttl").unwrap().as_u64(), Some(60));
}

async fn tokens_have_the_settings_of_the_role(corner: Corner) {
    let settings = json!({
        "token_policies": "p1",
        "token_no_default_policy": true,
        "token_num_uses": 7,
        "token_period": "10m",
    });
    let role = corner.approle(settings).await;
    let secret_id = role.secret_id(json!({})).await;
    let auth = log_in(&corner, &role.auth(&secret_id)).await.unwrap();
    assert_eq!(
        (auth.policies, auth.num_uses, auth.lease_duration.as_secs()),
        (vec!["p1".to_owned()], 7, 600)
    );

    let path = format!("auth/{}/role/app", role.mount);
    let settings = json!({"token_type": "batch", "token_num_uses": 0, "token_period": 0, "token_ttl": "5m"});
    assert_eq!(corner.call("POST", &path, settings).await.status, 204);
    let auth = log_in(&corner, &role.auth(&secret_id)).await.unwrap();
    assert_eq!(
        (auth.token_type, auth.renewable, auth.lease_duration.as_secs()),
        (TokenType::Batch, false, 300)
    );
    assert!(auth.client_token.expose().starts_with("hvb.") && auth.accessor.is_empty());
}

async fn metadata_of_a_secret_id_goes_to_the_token(corner: Corner) {
    let role = role(&corner).await;
    let secret_id = role.secret_id(json!({"metadata": r#"{"host":"a"}"#})).await;
    let auth = log_in(&corner, &role.auth(&secret_id)).await.unwrap();
    assert_eq!(
        auth.metadata.into_iter().collect::<Vec<_>>(),
        [("host".to_owned(), "a".to_owned()), ("role_name".to_owned(), "app".to_owned())]
    );
}
