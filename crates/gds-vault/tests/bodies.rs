//! Answers that are too large, cut short, late or garbled.

use std::time::Duration;

use gds_vault::{Client, ErrorKind, Method};
use serde_json::json;

use crate::support::{Reply, Server, builder, client, read_error};

fn small(server: &Server) -> Client {
    builder().address(server.address()).max_response_bytes(1_000).build().unwrap()
}

fn chunked(body: &str, end: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n{end}", body.len())
        .into_bytes()
}

#[tokio::test]
async fn too_large_is_refused_whether_announced_or_not() {
    let body = json!({"data": {"x": "y".repeat(2_000)}}).to_string();
    for reply in [
        // Announced: not even waited for.
        Reply::ThenFreeze(b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n{".to_vec()),
        Reply::Raw(chunked(&body, "0\r\n\r\n")),
        Reply::ThenClose(format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}").into_bytes()),
    ] {
        let server = Server::always(reply).await;
        let error = read_error(&small(&server)).await;
        assert_eq!(error.kind(), ErrorKind::AnswerTooLarge);
        assert_eq!(error.status(), Some(200));
        assert!(error.to_string().contains("1000 bytes"), "{error}");
        assert!(error.was_sent() && !error.is_unavailable());
    }
}

#[tokio::test]
async fn exactly_the_limit_is_accepted() {
    let empty = json!({"data": {"x": ""}}).to_string().len();
    let body = json!({"data": {"x": "y".repeat(1_000 - empty)}}).to_string();
    assert_eq!(body.len(), 1_000);
    for reply in [Reply::text(200, &[], &body), Reply::Raw(chunked(&body, "0\r\n\r\n"))] {
        let server = Server::always(reply).await;
        let secret = small(&server).request(Method::GET, "a").read().await.unwrap();
        assert_eq!(secret.raw_body(), body.as_bytes());
    }
}

#[tokio::test]
async fn a_refusal_that_is_too_large_keeps_its_status() {
    let server = Server::always(Reply::text(403, &[], &"x".repeat(5_000))).await;
    let error = read_error(&small(&server)).await;
    assert_eq!((error.kind(), error.status()), (ErrorKind::PermissionDenied, Some(403)));
    let any = small(&server).request(Method::GET, "a").send_any().await.unwrap_err();
    assert_eq!(any.kind(), ErrorKind::AnswerTooLarge);
}

#[tokio::test]
async fn large_answers_arrive_whole() {
    let value = "z".repeat(3 << 20);
    let body = json!({"data": {"x": value}}).to_string();
    for reply in [Reply::text(200, &[], &body), Reply::Raw(chunked(&body, "0\r\n\r\n"))] {
        let server = Server::always(reply).await;
        let secret = client(&server).request(Method::GET, "a").read().await.unwrap();
        assert!(secret.field("x").unwrap().text().expose() == value);
    }
}

#[tokio::test]
async fn a_body_cut_short_is_interrupted() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"data\":".to_vec();
    for reply in [
        Reply::ThenClose(head.clone()),
        Reply::ThenReset(head),
        Reply::ThenClose(chunked("{\"data\":", "")),
        Reply::ThenReset(chunked("{\"data\":", "")),
    ] {
        let server = Server::always(reply.clone()).await;
        let error = read_error(&client(&server)).await;
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{reply:?} {error}");
        assert!(error.was_sent() && error.is_unavailable());
    }
}

#[tokio::test]
async fn a_body_without_a_length_that_ends_early_is_malformed() {
    let server = Server::always(Reply::ThenClose(b"HTTP/1.1 200 OK\r\n\r\n{\"data\":".to_vec())).await;
    assert_eq!(read_error(&client(&server)).await.kind(), ErrorKind::MalformedAnswer);
}

#[tokio::test]
async fn garbled_chunks_are_malformed() {
    let reply = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzzz\r\nrubbish\r\n".to_vec();
    let server = Server::always(Reply::Raw(reply)).await;
    assert_eq!(read_error(&client(&server)).await.kind(), ErrorKind::MalformedAnswer);
}

#[tokio::test]
async fn a_late_answer_is_a_timeout_wherever_it_is_late() {
    let body = json!({"data": {}}).to_string();
    let whole = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes();
    let late = async |reply: Reply| {
        let server = Server::always(reply).await;
        let request = client(&server).request(Method::GET, "a").timeout(Duration::from_secs(1));
        let error = request.send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(error.was_sent() && error.is_unavailable());
        assert!(error.to_string().contains("within 1s"), "{error}");
    };
    tokio::join!(
        late(Reply::frozen()),
        late(Reply::ThenFreeze(whole[..20].to_vec())),
        late(Reply::ThenFreeze(whole[..whole.len() - 1].to_vec())),
        // Each byte comes in time, the whole does not.
        late(Reply::Drip(whole, Duration::from_millis(50))),
    );
}

#[tokio::test]
async fn a_slow_answer_in_time_is_an_answer() {
    let body = json!({"data": {"a": 1}}).to_string();
    let whole = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes();
    let server = Server::always(Reply::Drip(whole, Duration::from_millis(1))).await;
    let secret = client(&server).request(Method::GET, "a").read().await.unwrap();
    assert_eq!(secret.field("a").unwrap().as_u64(), Some(1));
}
