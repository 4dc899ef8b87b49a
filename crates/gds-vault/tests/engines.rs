//! Databases, leases, tokens, wrapping.

use std::time::Duration;

use gds_vault::{ErrorKind, SecretString, TokenType};
use serde_json::{Value, json};

use crate::support::{CANARY, Reply, Server, assert_no_canary, client};

#[tokio::test]
async fn database_credentials_have_leases_and_static_ones_have_not() {
    let server = Server::script([
        Reply::json(
            200,
            &json!({
                "lease_id": "database/creds/app/x", "lease_duration": 60, "renewable": true,
                "data": {"username": "u", "password": "p"}
            }),
        ),
        Reply::data(&json!({"username": "u", "password": "p", "ttl": 5, "rotation_period": 10})),
    ])
    .await;
    let database = client(&server).database("database");
    let made = database.credentials("app").await.unwrap();
    assert_eq!(made.lease().unwrap().duration, Duration::from_mins(1));
    let kept = database.static_credentials("app role").await.unwrap();
    assert!(kept.lease().is_none());
    assert_eq!(kept.field("ttl").unwrap().as_u64(), Some(5));
    assert_eq!(server.log(), ["GET /v1/database/creds/app", "GET /v1/database/static-creds/app%20role"]);
    assert_eq!(database.credentials("a/b").await.unwrap_err().kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn leases_can_be_asked_about_renewed_and_ended() {
    let server = Server::script([
        Reply::data(&json!({
            "id": "l/1", "issue_time": "2026-01-01T00:00:00Z", "expire_time": "2026-01-01T01:00:00Z",
            "last_renewal": null, "renewable": true, "ttl": 30
        })),
        Reply::json(
            200,
            &json!({"lease_id": "l/1", "lease_duration": 20, "renewable": true, "warnings": ["capped"]}),
        ),
        Reply::json(200, &json!({"lease_id": "l/1", "lease_duration": 60, "renewable": true})),
        Reply::no_content(),
        Reply::no_content(),
        Reply::no_content(),
    ])
    .await;
    let leases = client(&server).leases();
    let found = leases.lookup("l/1").await.unwrap();
    assert_eq!((found.id.as_str(), found.renewable, found.ttl), ("l/1", true, Duration::from_secs(30)));
    assert_eq!(found.expire_time.as_deref(), Some("2026-01-01T01:00:00Z"));
    let renewed = leases.renew("l/1", Some(Duration::from_secs(40))).await.unwrap();
    assert_eq!(renewed.lease().unwrap().duration.as_secs(), 20);
    assert_eq!(renewed.warnings(), ["capped"]);
    leases.renew("l/1", None).await.unwrap();
    leases.revoke("l/1").await.unwrap();
    leases.revoke_sync("l/1").await.unwrap();
    leases.revoke_prefix("database/creds/app").await.unwrap();
    let sent: Vec<String> =
        server.requests().iter().map(|r| format!("{} {} {}", r.method, r.target, r.body)).collect();
    assert_eq!(
        sent,
        [
            r#"PUT /v1/sys/leases/lookup {"lease_id":"l/1"}"#,
            r#"PUT /v1/sys/leases/renew {"lease_id":"l/1","increment":40}"#,
            r#"PUT /v1/sys/leases/renew {"lease_id":"l/1"}"#,
            r#"PUT /v1/sys/leases/revoke {"lease_id":"l/1"}"#,
            r#"PUT /v1/sys/leases/revoke {"lease_id":"l/1","sync":true}"#,
            "PUT /v1/sys/leases/revoke-prefix/database/creds/app ",
        ]
    );
}

#[tokio::test]
async fn tokens_can_be_asked_about_renewed_made_and_revoked() {
    let server = Server::script([
        Reply::data(&json!({
            "accessor": "acc", "creation_ttl": 3600, "display_name": "approle", "entity_id": "e",
            "expire_time": "2026-01-01T01:00:00Z", "explicit_max_ttl": 7200, "id": CANARY, "num_uses": 0,
            "orphan": true, "path": "auth/approle/login", "period": 60, "policies": ["app", "default"],
            "renewable": true, "ttl": 1800, "type": "batch"
        })),
        Reply::login("hvs.same"),
        Reply::login("hvs.same"),
        Reply::login("hvs.child"),
        Reply::no_content(),
        Reply::data(&json!({})),
    ])
    .await;
    let tokens = client(&server).tokens();
    let found = tokens.lookup_self().await.unwrap();
    assert_eq!(
        [found.ttl, found.creation_ttl, found.explicit_max_ttl, found.period].map(|t| t.as_secs()),
        [1800, 3600, 7200, 60]
    );
    assert_eq!((found.path.as_str(), found.display_name.as_str()), ("auth/approle/login", "approle"));
    assert_eq!((found.token_type, found.orphan, found.accessor.as_str()), (TokenType::Batch, true, "acc"));
    assert_eq!((found.policies.len(), found.expire_time.as_deref()), (2, Some("2026-01-01T01:00:00Z")));
    assert_no_canary(&format!("{found:?}"));
    tokens.renew_self(Some(Duration::from_mins(1))).await.unwrap();
    assert_eq!(tokens.renew_self(None).await.unwrap().lease_duration, Duration::from_hours(1));
    assert_eq!(tokens.create(&json!({"ttl": "1h"})).await.unwrap().client_token.expose(), "hvs.child");
    tokens.revoke_self().await.unwrap();
    let sent: Vec<String> =
        server.requests().iter().map(|r| format!("{} {} {}", r.method, r.target, r.body)).collect();
    assert_eq!(
        sent,
        [
            "GET /v1/auth/token/lookup-self ",
            r#"POST /v1/auth/token/renew-self {"increment":60}"#,
            "POST /v1/auth/token/renew-self {}",
            r#"POST /v1/auth/token/create {"ttl":"1h"}"#,
            "POST /v1/auth/token/revoke-self ",
        ]
    );
    let error = tokens.renew_self(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MalformedAnswer);
    assert!(error.to_string().contains("no token in the answer"), "{error}");
}

#[tokio::test]
async fn answers_can_be_wrapped_looked_at_and_opened() {
    let server = Server::script([
        Reply::json(
            200,
            &json!({"data": null, "wrap_info": {
                "token": "hvs.wrapping", "accessor": "a", "ttl": 60, "creation_time": "now",
                "creation_path": "sys/wrapping/wrap"
            }}),
        ),
        Reply::data(
            &json!({"creation_path": "sys/wrapping/wrap", "creation_time": "now", "creation_ttl": 60}),
        ),
        Reply::data(&json!({"k": CANARY})),
    ])
    .await;
    let wrapping = client(&server).wrapping();
    let info = wrapping.wrap(&json!({"k": CANARY}), Duration::from_mins(1)).await.unwrap();
    assert_eq!((info.ttl.as_secs(), info.token.expose()), (60, "hvs.wrapping"));
    let found = wrapping.lookup(&info.token).await.unwrap();
    assert_eq!((found.creation_path.as_str(), found.creation_ttl.as_secs()), ("sys/wrapping/wrap", 60));
    let opened = wrapping.unwrap(&SecretString::from("hvs.wrapping")).await.unwrap();
    assert_eq!(opened.field("k").unwrap().text().expose(), CANARY);
    let requests = server.requests();
    assert_eq!(requests[0].header("x-vault-wrap-ttl"), Some("60"));
    assert_eq!(requests[1].header("x-vault-token"), None);
    assert_eq!(requests[1].json(), json!({"token": "hvs.wrapping"}));
    assert_eq!(requests[2].header("x-vault-token"), Some("hvs.wrapping"));
    assert!(server.log().iter().all(|line| !line.contains("hvs.")));
    assert_no_canary(&format!("{opened:?} {info:?} {found:?}"));
}

#[tokio::test]
async fn answers_of_the_wrong_shape_name_the_request() {
    let server = Server::always(Reply::data(&json!({"ttl": CANARY}))).await;
    let client = client(&server);
    for error in [
        client.tokens().lookup_self().await.unwrap_err(),
        client.leases().lookup("l").await.unwrap_err(),
        client.wrapping().wrap(&Value::Null, Duration::from_secs(1)).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::MalformedAnswer);
        assert!(!error.path().is_empty() && error.address().is_some(), "{error}");
        assert_no_canary(&format!("{error} {error:?}"));
    }
}
