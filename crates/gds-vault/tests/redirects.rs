//! Redirects of a standby to the active node.

use gds_vault::{ErrorKind, Method, TlsConfig};
use serde_json::json;

use crate::support::{Authority, Reply, Server, builder, client, nobody, read_error};

#[tokio::test]
async fn is_followed_with_method_body_and_token() {
    for status in [307, 308] {
        let active = Server::always(Reply::data(&json!({"a": 1}))).await;
        let location = format!("{}/v1/secret/data/app?x=1", active.address());
        let standby = Server::always(Reply::redirect(status, &location)).await;
        let request = client(&standby).request(Method::POST, "secret/data/app").query("x", "1");
        let response = request.json(&json!({"k": "v"})).send().await.unwrap();
        assert_eq!(response.address, active.address());
        let arrived = active.only_request();
        assert_eq!((arrived.method.as_str(), arrived.target.as_str()), ("POST", "/v1/secret/data/app?x=1"));
        assert_eq!(arrived.body, r#"{"k":"v"}"#);
        assert_eq!(arrived.header("x-vault-token"), Some("hvs.test-token"));
        assert_eq!(arrived.header("host"), Some(&active.address().to_string()["http://".len()..]));
    }
}

#[tokio::test]
async fn may_be_relative() {
    let server = Server::script([Reply::redirect(307, "/v1/other"), Reply::data(&json!({}))]).await;
    client(&server).request(Method::GET, "a").read().await.unwrap();
    assert_eq!(server.log(), ["GET /v1/a", "GET /v1/other"]);
}

#[tokio::test]
async fn two_are_followed_and_no_more() {
    let server = Server::always(Reply::redirect(307, "/v1/round")).await;
    let error = read_error(&client(&server)).await;
    assert_eq!(error.kind(), ErrorKind::Standby);
    assert!(error.to_string().contains("more than 2 times"), "{error}");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn other_kinds_are_not_followed_and_name_the_host() {
    for status in [301, 302, 303] {
        let server = Server::always(Reply::redirect(status, "http://login.example/sso?secret=hidden")).await;
        let error = read_error(&client(&server)).await;
        assert_eq!((error.kind(), error.status()), (ErrorKind::Standby, Some(status)));
        let printed = error.to_string();
        assert!(printed.contains("login.example") && !printed.contains("hidden"), "{printed}");
        assert_eq!(server.requests().len(), 1);
    }
    for location in ["", "http://", "::::"] {
        let server = Server::always(Reply::redirect(307, location)).await;
        assert_eq!(read_error(&client(&server)).await.kind(), ErrorKind::Standby, "{location}");
    }
}

#[tokio::test]
async fn never_leads_to_another_scheme() {
    let plain = Server::always(Reply::data(&json!({}))).await;
    let authority = Authority::new();
    let location = format!("{}/v1/secret/data/app", plain.address());
    let encrypted =
        Server::encrypted(authority.server(&["127.0.0.1"]), move |_| Reply::redirect(307, &location)).await;
    let tls = TlsConfig { ca_cert: Some(authority.ca_file()), ..Default::default() };
    // Not even if the other one is configured.
    let client = builder().addresses([encrypted.address(), plain.address()]).tls(tls).build().unwrap();
    let error = read_error(&client).await;
    assert_eq!(error.kind(), ErrorKind::Standby);
    assert!(error.to_string().contains("scheme"), "{error}");
    assert!(plain.requests().is_empty());

    let location = encrypted.address().to_string();
    let to_https = Server::always(Reply::redirect(308, &location)).await;
    let error = read_error(&crate::support::client(&to_https)).await;
    assert_eq!(error.kind(), ErrorKind::Standby);
    assert!(error.to_string().contains(&location), "{error}");
}

#[tokio::test]
async fn a_redirect_with_user_information_is_not_followed() {
    let server = Server::always(Reply::redirect(307, "http://user:hidden@127.0.0.1:9/v1/a")).await;
    let error = read_error(&client(&server)).await;
    assert_eq!(error.kind(), ErrorKind::Standby);
    assert!(!format!("{error:?}").contains("hidden"), "{error:?}");
}

#[tokio::test]
async fn a_stale_leader_is_passed_over() {
    let gone = nobody().await;
    let standby = Server::always(Reply::redirect(307, &format!("{gone}/v1/a"))).await;
    let other = Server::always(Reply::data(&json!({}))).await;
    let client = builder().addresses([standby.address(), other.address()]).build().unwrap();
    let response = client.request(Method::GET, "a").send().await.unwrap();
    assert_eq!(response.address, other.address());
}
