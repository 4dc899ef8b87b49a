//! Leases: asking about them, renewing and revoking them.

use gds_vault::{ErrorKind, Secret};
use serde_json::{Value, json};

use super::{HOUR, MINUTE, cases};
use crate::corner::{Corner, assert_error, call, envelope};
use crate::like::assert_like;
use crate::postgres::{Database, Login};

cases! {
    Nothing: [
        a_lease_tells_when_it_ends,
        renewal_grants_what_is_asked_for,
        renewal_without_a_wish_grants_the_default,
        every_renewal_is_capped_at_the_maximum,
        what_a_renewal_answers,
        an_ended_lease_is_unknown,
        all_leases_under_a_path_end_together,
        leases_are_listed,
        who_may_renew,
        older_paths_do_the_same,
        static_secrets_have_none,
    ],
}

fn id(secret: &Secret) -> &str {
    &secret.lease().unwrap().id
}

/// A database engine with the role `app`: credentials for ten minutes, an hour at most.
async fn database(corner: &Corner) -> Database<'_> {
    let database = corner.database().await;
    database.role("app", 10 * MINUTE, HOUR).await;
    database
}

async fn a_lease_tells_when_it_ends(corner: Corner) {
    let database = database(&corner).await;
    let secret = database.credentials("app").await;
    let answer = corner.call("POST", "sys/leases/lookup", json!({"lease_id": id(&secret)})).await;
    let data = json!({
        "expire_time": "<time>",
        "id": id(&secret),
        "issue_time": "<time>",
        "last_renewal": null,
        "renewable": true,
        "ttl": "<570..600>",
    });
    assert_like(&answer.body, &envelope("system", &data));
    let found = corner.root().leases().lookup(id(&secret)).await.unwrap();
    assert!(found.renewable && found.expire_time.is_some());
    corner.root().leases().renew(id(&secret), None).await.unwrap();
    let answer = corner.call("POST", "sys/leases/lookup", json!({"lease_id": id(&secret)})).await;
    assert_like(&answer.body["data"]["last_renewal"], &json!("<time>"));
}

async fn renewal_grants_what_is_asked_for(corner: Corner) {
    let database = database(&corner).await;
    let secret = database.credentials("app").await;
    let leases = corner.root().leases();
    for increment in [MINUTE, 30 * MINUTE, 2 * MINUTE] {
        let renewed = leases.renew(id(&secret), Some(increment)).await.unwrap();
        assert_eq!(renewed.lease().unwrap().duration, increment, "less than is left, too");
        let ttl = leases.lookup(id(&secret)).await.unwrap().ttl;
        assert!(ttl <= increment && ttl + MINUTE / 2 > increment, "{ttl:?}");
    }
}

async fn renewal_without_a_wish_grants_the_default(corner: Corner) {
    let database = database(&corner).await;
    let secret = database.credentials("app").await;
    let renewed = corner.root().leases().renew(id(&secret), None).await.unwrap();
    assert_eq!(renewed.lease().unwrap().duration, 10 * MINUTE);
    assert!(renewed.warnings().is_empty());
}

async fn every_renewal_is_capped_at_the_maximum(corner: Corner) {
    let database = corner.database().await;
    database.role("app", MINUTE, 2 * MINUTE).await;
    let secret = database.credentials("app").await;
    for _ in 0..2 {
        let renewed = corner.root().leases().renew(id(&secret), Some(HOUR)).await.unwrap();
        let seconds = renewed.lease().unwrap().duration.as_secs();
        assert!((90..=120).contains(&seconds), "counted from the beginning: {seconds}");
        assert_eq!(renewed.warnings().len(), 1);
    }
}

async fn what_a_renewal_answers(corner: Corner) {
    let database = database(&corner).await;
    let secret = database.credentials("app").await;
    let answer =
        corner.call("POST", "sys/leases/renew", json!({"lease_id": id(&secret), "increment": "5m"})).await;
    let mut expected = envelope("system", &Value::Null);
    expected["lease_id"] = id(&secret).into();
    expected["renewable"] = true.into();
    expected["lease_duration"] = 300.into();
    assert_like(&answer.body, &expected);
}

async fn an_ended_lease_is_unknown(corner: Corner) {
    let database = database(&corner).await;
    let secret = database.credentials("app").await;
    let leases = corner.root().leases();
    leases.revoke_sync(id(&secret)).await.unwrap();
    assert_error(
        &leases.lookup(id(&secret)).await.unwrap_err(),
        ErrorKind::BadRequest,
        400,
        &["invalid lease"],
    );
    let error = leases.renew(id(&secret), None).await.unwrap_err();
    assert_error(&error, ErrorKind::BadRequest, 400, &["lease not found"]);
    leases.revoke(id(&secret)).await.unwrap();
    leases.revoke_sync(id(&secret)).await.unwrap();
}

async fn all_leases_under_a_path_end_together(corner: Corner) {
    let database = database(&corner).await;
    database.role("application", HOUR, HOUR).await;
    let ours = [database.credentials("app").await, database.credentials("app").await];
    let other = database.credentials("application").await;
    let leases = corner.root().leases();
    leases.revoke_prefix(&format!("{}/creds/app", database.mount)).await.unwrap();
    for secret in &ours {
        database.postgres.no_user(&Login::of(secret).username).await;
        assert!(leases.lookup(id(secret)).await.is_err());
    }
    assert!(leases.lookup(id(&other)).await.is_ok(), "the prefix ends at a slash");
    leases.revoke_prefix(&format!("{}/creds/none", database.mount)).await.unwrap();
}

async fn leases_are_listed(corner: Corner) {
    let database = database(&corner).await;
    let secret = database.credentials("app").await;
    let prefix = format!("{}/creds/app/", database.mount);
    let answer = corner.call("LIST", &format!("sys/leases/lookup/{prefix}"), None).await;
    let name = id(&secret).strip_prefix(&prefix).unwrap();
    assert_like(&answer.body, &envelope("system", &json!({"keys": [name]})));
    let folders = corner.call("LIST", &format!("sys/leases/lookup/{}/", database.mount), None).await;
    assert_eq!(folders.body["data"]["keys"], json!(["creds/"]));
    corner.call("LIST", "sys/leases/lookup/no/such/", None).await.assert_refused(404, &[]);
}

async fn who_may_renew(corner: Corner) {
    let database = database(&corner).await;
    let rules = format!(r#"path "{}/creds/app" {{ capabilities = ["read"] }}"#, database.mount);
    let client = corner.client_with(&rules).await;
    let secret = client.database(&*database.mount).credentials("app").await.unwrap();
    client.leases().renew(id(&secret), None).await.unwrap();
    client.leases().lookup(id(&secret)).await.unwrap();
    let denied = "1 error occurred: * permission denied";
    let error = client.leases().revoke(id(&secret)).await.unwrap_err();
    assert_error(&error, ErrorKind::PermissionDenied, 403, &[denied]);
    let error = client.leases().revoke_prefix(&database.mount).await.unwrap_err();
    assert_error(&error, ErrorKind::PermissionDenied, 403, &[denied]);
    // The default policy lets anyone renew who knows the id.
    let other = corner.client(&corner.token(json!({"policies": ["default"]})).await.client_token);
    other.leases().renew(id(&secret), None).await.unwrap();
}

async fn older_paths_do_the_same(corner: Corner) {
    let database = database(&corner).await;
    let (one, two) = (database.credentials("app").await, database.credentials("app").await);
    let renewed =
        call(&corner.root(), "PUT", "sys/renew", json!({"lease_id": id(&one), "increment": 60})).await;
    assert_eq!(renewed.body["lease_duration"], 60);
    let renewed =
        corner.call("PUT", &format!("sys/leases/renew/{}", id(&one)), json!({"increment": 90})).await;
    assert_eq!(renewed.body["lease_duration"], 90);
    assert_eq!(
        corner.call("PUT", "sys/revoke", json!({"lease_id": id(&one), "sync": true})).await.status,
        204
    );
    assert!(!database.postgres.has_user(&Login::of(&one).username).await);
    let path = format!("sys/leases/revoke/{}", id(&two));
    assert!(matches!(corner.call("PUT", &path, None).await.status, 202 | 204));
    database.postgres.no_user(&Login::of(&two).username).await;
}

async fn static_secrets_have_none(corner: Corner) {
    let (kv1, kv2) = (corner.kv1().await, corner.kv2().await);
    corner.root().kv1(&*kv1).put("a", &json!({"x": 1})).await.unwrap();
    corner.root().kv2(&*kv2).put("a", &json!({"x": 1}), None).await.unwrap();
    assert!(corner.root().kv1(&*kv1).read("a").await.unwrap().lease().is_none());
    assert!(corner.root().kv2(&*kv2).read("a").await.unwrap().lease().is_none());
}
