//! How a request looks on the wire.

use std::time::Duration;

use gds_vault::{Address, Client, ErrorKind, Method, SecretString};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{Reply, Server, builder, client};

#[tokio::test]
async fn carries_the_headers_vault_wants() {
    let server = Server::always(Reply::data(&json!({}))).await;
    let client = builder().address(server.address()).namespace("/team/a/").build().unwrap();
    client.request(Method::GET, "secret/data/app").read().await.unwrap();
    let request = server.only_request();
    assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/v1/secret/data/app"));
    assert_eq!(request.header("x-vault-request"), Some("true"));
    assert_eq!(request.header("x-vault-token"), Some("hvs.test-token"));
    assert_eq!(request.header("x-vault-namespace"), Some("team/a"));
    assert_eq!(request.header("host"), Some(&server.address().to_string()["http://".len()..]));
    assert!(request.header("user-agent").unwrap().starts_with("gds-vault/"));
    assert_eq!(request.header("content-type"), None);
}

#[tokio::test]
async fn token_namespace_and_headers_can_be_chosen() {
    let server = Server::always(Reply::data(&json!({}))).await;
    let client = client(&server);
    client.request(Method::GET, "a").no_token().read().await.unwrap();
    client.request(Method::GET, "a").token(&SecretString::from("other")).read().await.unwrap();
    client.request(Method::GET, "a").header("X-Vault-Token", "third").read().await.unwrap();
    client.set_token(None);
    assert!(client.token().is_none());
    client.clone().request(Method::GET, "a").read().await.unwrap();
    client.clone().set_token(Some(SecretString::from("fourth")));
    assert_eq!(client.token().unwrap().expose(), "fourth");
    let there = client.with_namespace(Some("ns"));
    there.set_token(Some(SecretString::from("fifth")));
    there.request(Method::GET, "a").header("x-vault-index", "i").read().await.unwrap();
    client.request(Method::GET, "a").header("x-vault-namespace", "own").read().await.unwrap();
    let seen: Vec<_> = server
        .requests()
        .iter()
        .map(|request| {
            let header = |name| request.header(name).unwrap_or("-").to_owned();
            [header("x-vault-token"), header("x-vault-namespace"), header("x-vault-index")].join(" ")
        })
        .collect();
    assert_eq!(seen, ["- - -", "other - -", "third - -", "- - -", "fifth ns i", "fourth own -"]);
    assert_eq!((there.namespace(), client.namespace()), (Some("ns"), None));
    assert_eq!(there.with_namespace(None).namespace(), None);
}

#[tokio::test]
async fn bodies_queries_and_wrapping_are_sent() {
    let server =
        Server::script([Reply::no_content(), Reply::data(&json!({"a": 1})), Reply::data(&json!({}))]).await;
    let client = client(&server);
    let request = client.request(Method::POST, "/v1/a/").json(&json!({"k": "v"})).query("q", "a b&c");
    assert!(request.write().await.unwrap().is_none());
    let request =
        client.request(Method::PUT, "a").body(b"{}".as_slice().into()).wrap_ttl(Duration::from_secs(90));
    assert!(request.write().await.unwrap().is_some());
    client.request(Method::from_bytes(b"LIST").unwrap(), "a").read().await.unwrap();
    let requests = server.requests();
    assert_eq!(requests[0].target, "/v1/a?q=a%20b%26c");
    assert_eq!(requests[0].header("content-type"), Some("application/json"));
    assert_eq!(requests[0].body, r#"{"k":"v"}"#);
    assert_eq!((requests[1].method.as_str(), requests[1].body.as_str()), ("PUT", "{}"));
    assert_eq!(requests[1].header("x-vault-wrap-ttl"), Some("90"));
    assert_eq!((requests[2].method.as_str(), requests[2].target.as_str()), ("GET", "/v1/a?list=true"));
}

#[tokio::test]
async fn mistakes_are_told_when_it_is_sent_and_nothing_is() {
    struct NotJson;
    impl serde::Serialize for NotJson {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("cAnArY-7319"))
        }
    }
    let server = Server::script([]).await;
    let client = client(&server);
    let get = |path: &str| client.request(Method::GET, path);
    for request in [
        get("a/../b"),
        get("a//b"),
        get(""),
        get("a\nb"),
        get("a").json(&NotJson),
        get("a").header("bad name", "x"),
        get("a").header("name", "bad\nvalue"),
        get("a").token(&SecretString::from("bad\ntoken")),
        client.with_namespace(Some("bad\nname")).request(Method::GET, "a"),
        get(&"a".repeat(70_000)),
    ] {
        let error = request.send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert_eq!(error.operation(), "GET");
        assert!(!error.was_sent());
        assert!(!error.to_string().contains("cAnArY"), "{error}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn labels_name_requests_in_errors() {
    let server = Server::always(Reply::errors(500, &[])).await;
    let client = client(&server);
    let error = client.request(Method::POST, "a").label("login (test)").send().await.unwrap_err();
    assert!(error.to_string().starts_with("login (test) a at http://127.0.0.1:"), "{error}");
    for (method, name) in
        [(Method::PUT, "PUT"), (Method::DELETE, "DELETE"), (Method::from_bytes(b"LIST").unwrap(), "LIST")]
    {
        let error = client.request(method, "a").send().await.unwrap_err();
        assert_eq!(error.operation(), name);
    }
}

#[tokio::test]
async fn any_status_is_an_answer_where_that_is_wanted() {
    let server = Server::always(Reply::text(418, &[("x-pot", "tea")], "short and stout")).await;
    let response = client(&server).request(Method::GET, "pot").send_any().await.unwrap();
    assert_eq!((response.status, &response.body[..]), (418, &b"short and stout"[..]));
    assert_eq!(response.headers["x-pot"], "tea");
    assert_eq!(response.address, server.address());
    assert_eq!(response.secret().unwrap_err().kind(), ErrorKind::MalformedAnswer);
}

#[tokio::test]
async fn a_prefixed_address_keeps_its_prefix() {
    let server = Server::always(Reply::data(&json!({}))).await;
    let address = Address::parse(&format!("{}/vault/", server.address())).unwrap();
    let client = builder().address(address).build().unwrap();
    client.request(Method::GET, "a").query("b", "c").read().await.unwrap();
    assert_eq!(server.only_request().target, "/vault/v1/a?b=c");
}

#[tokio::test]
async fn builders_refuse_what_cannot_work() {
    let address = || Address::parse("http://127.0.0.1:1").unwrap();
    let many = (1..=33).map(|port| Address::parse(&format!("http://127.0.0.1:{port}")).unwrap());
    for (builder, said) in [
        (Client::builder(), "no Vault address"),
        (Client::builder().addresses(many), "more than 32"),
        (Client::builder().address(address()).timeout(Duration::ZERO), "timeout of 0"),
        (Client::builder().address(address()).connect_timeout(Duration::ZERO), "timeout of 0"),
        (Client::builder().address(address()).namespace("a\nb"), "namespace"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(said), "{error}");
    }
    let twice = Client::builder().address(address()).address(address()).build().unwrap();
    assert_eq!(twice.addresses(), [address()]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_name_arrives_as_it_is(name in "[^/\\x00-\\x1f\\x7f-\\u{9f}]{1,16}") {
        prop_assume!(!matches!(&*name, "." | ".."));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::always(Reply::kv2(&json!({}))).await;
            client(&server).kv2("secret").read(&format!("folder/{name}")).await.unwrap();
            let request = server.only_request();
            assert_eq!(request.path(), format!("/v1/secret/data/folder/{name}"));
            assert!(!request.target.contains(['?', '#', '+', ' ']), "{}", request.target);
        });
    }
}
