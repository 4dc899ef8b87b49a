//! Tokens: their lives, and what they tell of themselves.

use std::time::Duration;

use gds_vault::{AuthMethod as _, Client, ErrorKind, SecretString, TokenAuth, TokenType};
use serde_json::{Value, json};

use super::cases;
use crate::corner::{Corner, assert_error, call, envelope};
use crate::eventually::eventually;
use crate::like::assert_like;

cases! {
    Nothing: [
        a_token_ends_by_itself,
        an_ended_parent_ends_its_children,
        a_token_looks_itself_up,
        the_root_token_never_ends,
        what_creation_answers,
        renewal_grants_what_is_asked_for,
        renewal_is_capped_by_the_explicit_maximum,
        a_periodic_token_is_renewed_to_its_period,
        what_cannot_be_renewed,
        the_system_has_a_maximum,
        uses_run_out,
        the_last_use_cannot_ask_for_capabilities,
        asking_about_the_last_use_is_the_last_use,
        batch_tokens_are_on_their_own,
        a_revoked_token_is_dead,
        a_revoked_parent_takes_its_children_along,
        an_orphan_survives_its_parent,
        an_accessor_stands_for_its_token,
        a_token_grants_no_more_than_it_has,
        a_token_of_ones_own_choosing,
        a_token_is_a_way_to_log_in,
        a_token_that_may_not_look_itself_up,
        other_tokens_by_name,
    ],
}

const INVALID: &str = "2 errors occurred: * permission denied * invalid token";

#[track_caller]
fn assert_dead<T: std::fmt::Debug>(result: Result<T, gds_vault::Error>) {
    assert_error(&result.unwrap_err(), ErrorKind::InvalidToken, 403, &[INVALID]);
}

/// A client with a new token, a child of root's.
async fn holder(corner: &Corner, settings: Value) -> Client {
    corner.client(&corner.token(settings).await.client_token)
}

async fn a_token_looks_itself_up(corner: Corner) {
    let settings = json!({
        "policies": ["p1"], "ttl": "10m", "explicit_max_ttl": "20m", "display_name": "Mine!", "meta": {"a": "b"},
    });
    let auth = corner.token(settings).await;
    let client = corner.client(&auth.client_token);
    let answer = call(&client, "GET", "auth/token/lookup-self", None).await;
    let data = json!({
        "accessor": auth.accessor,
        "creation_time": "<number>",
        "creation_ttl": 600,
        "display_name": "token-Mine",
        "entity_id": "",
        "expire_time": "<time>",
        "explicit_max_ttl": 1_200,
        "id": auth.client_token.expose(),
        "issue_time": "<time>",
        "meta": {"a": "b"},
        "num_uses": 0,
        "orphan": false,
        "path": "auth/token/create",
        "policies": ["default", "p1"],
        "renewable": true,
        "ttl": "<570..600>",
        "type": "service",
    });
    assert_like(&answer.body, &envelope("token", &data));
    let found = client.tokens().lookup_self().await.unwrap();
    assert_eq!((found.creation_ttl.as_secs(), found.explicit_max_ttl.as_secs()), (600, 1_200));
}

async fn the_root_token_never_ends(corner: Corner) {
    let answer = corner.call("GET", "auth/token/lookup-self", None).await;
    let data = json!({
        "accessor": "<text>",
        "creation_time": "<number>",
        "creation_ttl": 0,
        "display_name": "token",
        "entity_id": "",
        "expire_time": null,
        "explicit_max_ttl": 0,
        "id": "root",
        "issue_time": "<time>",
        "meta": null,
        "num_uses": 0,
        "orphan": true,
        "path": "auth/token/create",
        "policies": ["root"],
        "renewable": false,
        "ttl": 0,
        "type": "service",
    });
    assert_like(&answer.body, &envelope("token", &data));
}

async fn what_creation_answers(corner: Corner) {
    let settings = json!({"policies": ["p2", "p1"], "ttl": "10m", "meta": {"a": "b"}});
    let answer = corner.call("POST", "auth/token/create", settings).await;
    let mut expected = envelope("token", &Value::Null);
    expected["warnings"] = json!(["Policy \"p1\" does not exist", "Policy \"p2\" does not exist"]);
    expected["auth"] = json!({
        "client_token": "<text>",
        "accessor": "<text>",
        "policies": ["default", "p1", "p2"],
        "token_policies": ["default", "p1", "p2"],
        "metadata": {"a": "b"},
        "lease_duration": 600,
        "renewable": true,
        "entity_id": "",
        "token_type": "service",
        "orphan": false,
        "mfa_requirement": null,
        "num_uses": 0,
    });
    assert_like(&answer.body, &expected);
    let refused = corner.call("POST", "auth/token/create", json!({"ttl": "abc"})).await;
    refused.assert_refused(400, &["time: invalid duration \"abc\""]);
}

async fn renewal_grants_what_is_asked_for(corner: Corner) {
    let client = holder(&corner, json!({"policies": ["default"], "ttl": "10m"})).await;
    for (asked, granted) in [(None, 600), (Some(60), 60), (Some(1_800), 1_800)] {
        let auth = client.tokens().renew_self(asked.map(Duration::from_secs)).await.unwrap();
        assert_eq!((auth.lease_duration.as_secs(), auth.renewable), (granted, true), "{asked:?}");
        assert_eq!(Some(auth.client_token), client.token().map(|token| (*token).clone()));
    }
    let found = client.tokens().lookup_self().await.unwrap();
    assert_eq!(found.creation_ttl.as_secs(), 600, "it does not change");
    assert!(found.ttl.as_secs() > 1_200);
}

async fn renewal_is_capped_by_the_explicit_maximum(corner: Corner) {
    let client =
        holder(&corner, json!({"policies": ["default"], "ttl": "10m", "explicit_max_ttl": "20m"})).await;
    let answer = call(&client, "POST", "auth/token/renew-self", json!({"increment": "50m"})).await;
    // How much that is depends on how long ago it was made.
    let warning = answer.body["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("TTL of \"50m\" exceeded the effective max_ttl of \""), "{warning}");
    assert!(warning.ends_with("\"; TTL value is capped accordingly"), "{warning}");
    assert_like(&answer.body["auth"]["lease_duration"], &json!("<1170..1200>"));
}

async fn a_periodic_token_is_renewed_to_its_period(corner: Corner) {
    let client = holder(&corner, json!({"policies": ["default"], "period": "1h"})).await;
    for increment in [None, Some(Duration::from_secs(60)), Some(Duration::from_secs(86_400))] {
        let auth = client.tokens().renew_self(increment).await.unwrap();
        assert_eq!(auth.lease_duration.as_secs(), 3_600);
    }
    let found = client.tokens().lookup_self().await.unwrap();
    assert_eq!((found.period.as_secs(), found.renewable), (3_600, true));
}

async fn what_cannot_be_renewed(corner: Corner) {
    let said = &["lease is not renewable"];
    assert_error(
        &corner.root().tokens().renew_self(None).await.unwrap_err(),
        ErrorKind::BadRequest,
        400,
        said,
    );
    let client = holder(&corner, json!({"policies": ["default"], "ttl": "10m", "renewable": false})).await;
    assert!(!client.tokens().lookup_self().await.unwrap().renewable);
    assert_error(&client.tokens().renew_self(None).await.unwrap_err(), ErrorKind::BadRequest, 400, said);
}

async fn the_system_has_a_maximum(corner: Corner) {
    let answer =
        corner.call("POST", "auth/token/create", json!({"policies": ["default"], "ttl": "1000h"})).await;
    let warning =
        "TTL of \"1000h\" exceeded the effective max_ttl of \"768h\"; TTL value is capped accordingly";
    assert_like(&answer.body["warnings"], &json!([warning]));
    assert_eq!(answer.body["auth"]["lease_duration"], 2_764_800);
}

async fn uses_run_out(corner: Corner) {
    let client = holder(&corner, json!({"policies": ["default"], "num_uses": 3})).await;
    assert_eq!(client.tokens().lookup_self().await.unwrap().num_uses, 2);
    assert_eq!(client.tokens().lookup_self().await.unwrap().num_uses, 1);
    let error = client.kv2("secret").read("anything").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "a use all the same");
    assert_dead(client.tokens().lookup_self().await);
}

/// Vault counts the use first, and then no longer knows the token that it is asked about.
async fn the_last_use_cannot_ask_for_capabilities(corner: Corner) {
    let client = holder(&corner, json!({"policies": ["default"], "num_uses": 1})).await;
    let error = client.sys().capabilities_self(&["a"]).await.unwrap_err();
    assert_error(&error, ErrorKind::BadRequest, 400, &["1 error occurred: * invalid token"]);
    assert_dead(client.tokens().lookup_self().await);
}

async fn asking_about_the_last_use_is_the_last_use(corner: Corner) {
    let client = holder(&corner, json!({"policies": ["default"], "num_uses": 1})).await;
    assert_eq!(client.tokens().lookup_self().await.unwrap().num_uses, -1);
    assert_dead(client.tokens().lookup_self().await);

    let token = corner.token(json!({"policies": ["default"], "num_uses": 1})).await.client_token;
    let error = TokenAuth::new(token).login(&corner.anonymous()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LoginRefused);
}

async fn batch_tokens_are_on_their_own(corner: Corner) {
    let auth = corner.token(json!({"policies": ["default"], "type": "batch", "ttl": "10m"})).await;
    assert_eq!((auth.token_type, auth.renewable, &*auth.accessor), (TokenType::Batch, false, ""));
    assert!(auth.client_token.expose().starts_with("hvb."));
    let client = corner.client(&auth.client_token);
    let found = client.tokens().lookup_self().await.unwrap();
    assert_eq!(
        (found.token_type, found.renewable, found.creation_ttl.as_secs()),
        (TokenType::Batch, false, 600)
    );
    let error = client.tokens().renew_self(None).await.unwrap_err();
    assert_error(&error, ErrorKind::BadRequest, 400, &["batch tokens cannot be renewed"]);
    let error = client.tokens().revoke_self().await.unwrap_err();
    assert_error(&error, ErrorKind::BadRequest, 400, &["batch tokens cannot be revoked"]);
}

async fn a_revoked_token_is_dead(corner: Corner) {
    let client = holder(&corner, json!({"policies": ["default"]})).await;
    client.tokens().revoke_self().await.unwrap();
    assert_dead(client.tokens().lookup_self().await);
    assert_dead(client.tokens().revoke_self().await);
    assert_dead(client.kv2("secret").read("anything").await);
}

async fn a_revoked_parent_takes_its_children_along(corner: Corner) {
    let policy = corner.policy("parent", r#"path "auth/token/create" { capabilities = ["update"] }"#).await;
    let parent = holder(&corner, json!({"policies": [policy]})).await;
    let child = parent.tokens().create(&json!({})).await.unwrap();
    assert_eq!(child.token_policies, [policy, "default".to_owned()], "those of the parent");
    let child = corner.client(&child.client_token);
    let grandchild = child.tokens().create(&json!({"policies": ["default"]})).await.unwrap();
    let grandchild = corner.client(&grandchild.client_token);
    parent.tokens().revoke_self().await.unwrap();
    assert_dead(child.tokens().lookup_self().await);
    assert_dead(grandchild.tokens().lookup_self().await);
}

async fn an_orphan_survives_its_parent(corner: Corner) {
    let rules = r#"path "auth/token/create-orphan" { capabilities = ["update", "sudo"] }"#;
    let parent = corner.client_with(rules).await;
    let body = json!({"policies": ["default"]});
    let answer = call(&parent, "POST", "auth/token/create-orphan", body).await;
    assert_eq!(answer.body["auth"]["orphan"], true, "{answer:?}");
    let orphan = corner.client(&answer.body["auth"]["client_token"].as_str().unwrap().into());
    parent.tokens().revoke_self().await.unwrap();
    assert!(orphan.tokens().lookup_self().await.unwrap().orphan);
}

async fn a_token_ends_by_itself(corner: Corner) {
    let client = holder(&corner, json!({"policies": ["default"], "ttl": "2s"})).await;
    let error = eventually("the token is over", || async { client.tokens().lookup_self().await.err() }).await;
    assert_error(&error, ErrorKind::InvalidToken, 403, &[INVALID]);
}

async fn an_ended_parent_ends_its_children(corner: Corner) {
    let policy = corner.policy("parent", r#"path "auth/token/create" { capabilities = ["update"] }"#).await;
    let parent = holder(&corner, json!({"policies": [policy], "ttl": "2s"})).await;
    let child = parent.tokens().create(&json!({"policies": ["default"], "ttl": "1h"})).await.unwrap();
    let child = corner.client(&child.client_token);
    child.tokens().lookup_self().await.unwrap();
    let error = eventually("the child is over", || async { child.tokens().lookup_self().await.err() }).await;
    assert_error(&error, ErrorKind::InvalidToken, 403, &[INVALID]);
}

async fn an_accessor_stands_for_its_token(corner: Corner) {
    let auth = corner.token(json!({"policies": ["default"], "ttl": "10m"})).await;
    let accessor = json!({"accessor": auth.accessor});
    let answer = corner.call("POST", "auth/token/lookup-accessor", accessor.clone()).await;
    assert_eq!((&answer.body["data"]["id"], &answer.body["data"]["creation_ttl"]), (&json!(""), &json!(600)));
    assert_eq!(corner.call("POST", "auth/token/revoke-accessor", accessor.clone()).await.status, 204);
    assert_dead(corner.client(&auth.client_token).tokens().lookup_self().await);
    let gone = corner.call("POST", "auth/token/lookup-accessor", accessor).await;
    gone.assert_refused(400, &["1 error occurred:\n\t* invalid accessor\n\n"]);
}

async fn a_token_grants_no_more_than_it_has(corner: Corner) {
    let client = corner.client_with(r#"path "auth/token/create" { capabilities = ["update"] }"#).await;
    for settings in [json!({"policies": ["root"]}), json!({"policies": ["other"]})] {
        let error = client.tokens().create(&settings).await.unwrap_err();
        assert_error(&error, ErrorKind::BadRequest, 400, &["child policies must be subset of parent"]);
    }
    let error = client.tokens().create(&json!({"no_parent": true})).await.unwrap_err();
    assert_error(
        &error,
        ErrorKind::BadRequest,
        400,
        &["root or sudo privileges required to create orphan token"],
    );
    let plain = holder(&corner, json!({"policies": ["default"]})).await;
    let error = plain.tokens().create(&json!({})).await.unwrap_err();
    assert_error(&error, ErrorKind::PermissionDenied, 403, &["1 error occurred: * permission denied"]);
}

async fn a_token_of_ones_own_choosing(corner: Corner) {
    let id = corner.name("token");
    let answer = corner.call("POST", "auth/token/create", json!({"id": id, "policies": ["default"]})).await;
    assert_eq!(answer.body["auth"]["client_token"], json!(id));
    let warning = "Supplying a custom ID for the token uses the weaker SHA1 hashing instead of the more secure \
                   SHA2-256 HMAC for token obfuscation. SHA1 hashed tokens on the wire leads to less secure lookups.";
    assert_eq!(answer.body["warnings"], json!([warning]));
    corner.client(&id.as_str().into()).tokens().lookup_self().await.unwrap();
    let again = corner.call("POST", "auth/token/create", json!({"id": id, "policies": ["default"]})).await;
    again.assert_refused(400, &["cannot create a token with a duplicate ID"]);
}

async fn a_token_is_a_way_to_log_in(corner: Corner) {
    let token = corner.token(json!({"policies": ["p1"], "ttl": "10m"})).await.client_token;
    let auth = TokenAuth::new(token.clone()).login(&corner.anonymous()).await.unwrap();
    assert_eq!(auth.client_token, token);
    assert_eq!((auth.policies.join(","), auth.renewable), ("default,p1".to_owned(), true));
    assert!((570..=600).contains(&auth.lease_duration.as_secs()));
    let wrong = TokenAuth::new(SecretString::from("hvs.wrong"));
    let error = wrong.login(&corner.anonymous()).await.unwrap_err();
    assert_error(&error, ErrorKind::LoginRefused, 403, &[INVALID]);
}

async fn a_token_that_may_not_look_itself_up(corner: Corner) {
    let policy = corner.policy("shy", r#"path "auth/token/lookup-self" { capabilities = ["deny"] }"#).await;
    let token = corner.token(json!({"policies": [policy], "ttl": "10m"})).await.client_token;
    let auth = TokenAuth::new(token).login(&corner.anonymous()).await.unwrap();
    assert_eq!(auth.lease_duration, Duration::ZERO, "not known");
}

async fn other_tokens_by_name(corner: Corner) {
    let auth = corner.token(json!({"policies": ["default"], "ttl": "10m"})).await;
    let token = json!({"token": auth.client_token.expose()});
    let found = corner.call("POST", "auth/token/lookup", token.clone()).await;
    assert_eq!(found.body["data"]["accessor"], json!(auth.accessor));
    let renewed = corner.call("POST", "auth/token/renew", token.clone()).await;
    assert_eq!(renewed.body["auth"]["lease_duration"], 600);
    assert_eq!(corner.call("POST", "auth/token/revoke", token.clone()).await.status, 204);
    corner.call("POST", "auth/token/lookup", token.clone()).await.assert_refused(403, &["bad token"]);
    corner.call("POST", "auth/token/renew", token.clone()).await.assert_refused(400, &["token not found"]);
    assert_eq!(corner.call("POST", "auth/token/revoke", token).await.status, 204);
}
