//! Connections that fail before an answer begins.

use std::time::Duration;

use gds_vault::{Address, ErrorKind, Method};
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{Reply, Server, builder, client, nobody, read_error};

#[tokio::test]
async fn refused_was_never_sent() {
    let address = nobody().await;
    let client = builder().address(address.clone()).build().unwrap();
    let error = read_error(&client).await;
    assert_eq!((error.kind(), error.was_sent(), error.status()), (ErrorKind::Connect, false, None));
    assert_eq!(error.address(), Some(&address));
    assert!(error.is_unavailable());
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn an_unknown_name_was_never_sent() {
    let client =
        builder().address(Address::parse("http://no-such-host.invalid:8200").unwrap()).build().unwrap();
    let error = read_error(&client).await;
    assert_eq!((error.kind(), error.was_sent()), (ErrorKind::Connect, false), "{error}");
}

#[tokio::test]
async fn closed_before_an_answer_may_have_been_sent() {
    for reply in [
        Reply::ThenClose(Vec::new()),
        Reply::ThenReset(Vec::new()),
        Reply::ThenClose(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()),
    ] {
        let server = Server::always(reply).await;
        let error = read_error(&client(&server)).await;
        assert_eq!((error.kind(), error.was_sent()), (ErrorKind::Connect, true), "{error}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_malformed() {
    for garbage in ["SSH-2.0-OpenSSH_9.2\r\n", "\0\u{1}\u{2}\u{3}\r\n\r\n", "HTTP/9.9 200 OK\r\n\r\n"] {
        let server = Server::always(Reply::ThenClose(garbage.as_bytes().to_vec())).await;
        let error = read_error(&client(&server)).await;
        assert_eq!(error.kind(), ErrorKind::MalformedAnswer, "{garbage:?} {error}");
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_no_connection() {
    // Accepted by the system, answered by nobody.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
    let tls = gds_vault::TlsConfig { skip_verify: true, ..Default::default() };
    let client =
        builder().address(address).tls(tls).connect_timeout(Duration::from_millis(100)).build().unwrap();
    let error = read_error(&client).await;
    assert_eq!((error.kind(), error.was_sent()), (ErrorKind::Connect, false));
    assert!(error.to_string().contains("no connection in time"), "{error}");
}

#[tokio::test]
async fn the_connect_timeout_does_not_shorten_a_slow_answer() {
    let body = json!({"data": {}}).to_string();
    let whole = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes();
    let server = Server::always(Reply::Drip(whole, Duration::from_millis(30))).await;
    let client = builder().address(server.address()).connect_timeout(Duration::from_secs(1)).build().unwrap();
    client.request(Method::GET, "a").read().await.unwrap();
}

#[tokio::test]
async fn connections_are_kept_and_shared_by_clones() {
    let server = Server::always(Reply::data(&json!({}))).await;
    let client = client(&server);
    for _ in 0..5 {
        client.clone().request(Method::GET, "a").read().await.unwrap();
        client.with_namespace(Some("ns")).request(Method::GET, "a").read().await.unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (10, 1));
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced() {
    // The answer says that the connection stays, then it is closed all the same.
    let body = json!({"data": {}}).to_string();
    let whole = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes();
    let server = Server::always(Reply::ThenClose(whole)).await;
    let client =
        builder().address(server.address()).pool_idle_timeout(Duration::from_secs(20)).build().unwrap();
    for _ in 0..3 {
        client.request(Method::GET, "a").read().await.unwrap();
        // Let the client see the end of the connection, as it would between two uses.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_dropped_request_leaves_the_client_usable() {
    let server = Server::script([Reply::frozen(), Reply::data(&json!({}))]).await;
    let client = client(&server);
    let request = client.request(Method::GET, "a").send();
    assert!(tokio::time::timeout(Duration::from_millis(100), request).await.is_err());
    client.request(Method::GET, "a").send().await.unwrap();
}
