//! Every answer that says no, and what it is taken for.

use std::time::Duration;

use gds_vault::{ErrorKind, Method, SecretString};
use serde_json::json;

use crate::support::{CANARY, Reply, Server, assert_no_canary, client, read_error};

#[tokio::test]
async fn every_status_has_its_kind() {
    use ErrorKind as K;
    for (status, message, kind, unavailable) in [
        (400, "missing field", K::BadRequest, false),
        (400, "check-and-set parameter did not match the current version", K::CheckAndSet, false),
        (400, "check-and-set parameter required for this call", K::BadRequest, false),
        (401, "who are you", K::BadRequest, false),
        (403, "permission denied", K::PermissionDenied, false),
        (403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n", K::InvalidToken, false),
        (403, "bad token", K::InvalidToken, false),
        (404, "no handler for route", K::NotFound, false),
        (405, "unsupported operation", K::MethodNotAllowed, false),
        (412, "required index state not present", K::NotYetThere, true),
        (413, "too large", K::BadRequest, false),
        (429, "request path \"x\": rate limit quota exceeded", K::RateLimited, true),
        (472, "", K::Standby, true),
        (473, "", K::Standby, true),
        (500, "internal error", K::ServerError, true),
        (500, "context deadline exceeded", K::ServerError, true),
        (500, "local node not active but active cluster node not found", K::Standby, true),
        (500, "Vault is sealed", K::Sealed, true),
        (501, "", K::ServerError, true),
        (502, "", K::ServerError, true),
        (503, "Vault is sealed", K::Sealed, true),
        (504, "", K::ServerError, true),
    ] {
        let server = Server::always(Reply::errors(status, &[message])).await;
        let error = read_error(&client(&server)).await;
        assert_eq!((error.kind(), error.is_unavailable()), (kind, unavailable), "{status} {message}");
        assert_eq!(error.status(), Some(status));
        assert_eq!((error.operation(), error.path()), ("GET", "secret/data/app"));
        assert_eq!(error.address(), Some(&server.address()));
        assert!(error.was_sent());
        let printed = error.to_string();
        assert!(printed.contains(&kind.to_string()) && printed.contains(&status.to_string()), "{printed}");
        assert!(!printed.contains('\n'), "{printed}");
    }
}

#[tokio::test]
async fn bodies_that_are_not_vaults_do_not_hide_the_status() {
    let page = format!("<html>{}</html>", "x".repeat(2 << 20));
    for (reply, kind) in [
        (Reply::text(503, &[], "<html>maintenance</html>"), ErrorKind::Sealed),
        (Reply::text(502, &[], &page), ErrorKind::ServerError),
        (Reply::text(403, &[], ""), ErrorKind::PermissionDenied),
        (Reply::text(404, &[], r#"{"errors": null}"#), ErrorKind::NotFound),
        (Reply::text(404, &[], r#"{"errors": [1, 2]}"#), ErrorKind::NotFound),
    ] {
        let server = Server::always(reply).await;
        let error = read_error(&client(&server)).await;
        assert_eq!(error.kind(), kind);
        assert!(error.messages().is_empty(), "{error}");
    }
}

#[tokio::test]
async fn plain_http_to_a_tls_port_is_a_configuration_error() {
    let server =
        Server::always(Reply::text(400, &[], "Client sent an HTTP request to an HTTPS server.\n")).await;
    let error = read_error(&client(&server)).await;
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("https://"), "{error}");
}

#[tokio::test]
async fn two_hundred_without_vaults_json_is_malformed() {
    for body in ["", "<html>login</html>", "[]", r#"{"data": "#, r#"{"data": 5}"#] {
        let server = Server::always(Reply::text(200, &[], body)).await;
        let error = read_error(&client(&server)).await;
        assert_eq!(error.kind(), ErrorKind::MalformedAnswer, "{body}");
        assert_eq!((error.status(), error.path()), (Some(200), "secret/data/app"));
    }
}

#[tokio::test]
async fn gone_versions_are_told_apart() {
    for (deletion_time, destroyed, said) in [
        ("2026-11-01T12:00:00Z", false, "version 3 was deleted at 2026-11-01T12:00:00Z"),
        ("", true, "version 3 was destroyed"),
    ] {
        let body = json!({"data": {"data": null, "metadata": {
            "created_time": "2026-01-01T00:00:00Z", "custom_metadata": null, "deletion_time": deletion_time,
            "destroyed": destroyed, "version": 3
        }}, "lease_id": "", "mount_type": "", "warnings": null});
        let server = Server::always(Reply::json(404, &body)).await;
        let error = read_error(&client(&server)).await;
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[tokio::test]
async fn retry_after_is_told() {
    for (header, expected) in [
        ("7", Some(7)),
        (" 0 ", Some(0)),
        ("99999999999", Some(24 * 60 * 60)),
        ("-1", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ] {
        let server = Server::always(Reply::text(429, &[("retry-after", header)], "{}")).await;
        let error = read_error(&client(&server)).await;
        assert_eq!(error.retry_after(), expected.map(Duration::from_secs), "{header}");
    }
}

#[tokio::test]
async fn messages_are_bounded() {
    let long = "x".repeat(5_000);
    let messages: Vec<&str> = std::iter::repeat_n(long.as_str(), 50).collect();
    let server = Server::always(Reply::errors(500, &messages)).await;
    let error = read_error(&client(&server)).await;
    assert_eq!(error.messages().len(), 8);
    assert!(error.messages().iter().all(|message| message.chars().count() <= 301));
}

#[tokio::test]
async fn what_the_request_carried_is_not_repeated() {
    let body = json!({"errors": [
        format!("bad value {CANARY} in field"),
        "token hvs.test-token and hvs.CAESIsomeoneelses and s.0123456789abcdefghijklmn",
        "inner value: s3cr3t-inner, number 987654",
    ]});
    let server = Server::always(Reply::json(400, &body)).await;
    let fields = json!({"password": CANARY, "nested": {"list": ["s3cr3t-inner", 987_654]}});
    let request = client(&server).request(Method::POST, "secret/data/app").json(&fields);
    let error = request.send().await.unwrap_err();
    let shown = format!("{error} {error:?} {:?}", error.messages());
    assert_no_canary(&shown);
    for secret in ["hvs.", "s.0123", "s3cr3t-inner", "987654"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert_eq!(error.messages()[0], "bad value [redacted] in field");
}

#[tokio::test]
async fn secrets_named_for_a_request_are_not_repeated() {
    let server = Server::always(Reply::errors(400, &[&format!("no user with {CANARY}")])).await;
    let request = client(&server).request(Method::GET, "auth/x").secrets([SecretString::from(CANARY)]);
    let error = request.send().await.unwrap_err();
    assert_eq!(error.messages(), ["no user with [redacted]"]);

    // A token of the request's own counts too, whatever it looks like, and so do the values of a raw body.
    let request = client(&server).request(Method::GET, "auth/x").token(&SecretString::from(CANARY));
    assert_no_canary(&request.send().await.unwrap_err().to_string());
    let request = client(&server).request(Method::GET, "auth/x").header("X-Vault-Token", CANARY);
    assert_no_canary(&request.send().await.unwrap_err().to_string());
    let body = json!({"x": CANARY}).to_string();
    let request = client(&server).request(Method::POST, "auth/x").body(body.into());
    assert_no_canary(&request.send().await.unwrap_err().to_string());
}
