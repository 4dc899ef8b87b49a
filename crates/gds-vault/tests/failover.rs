//! Several servers: which is asked, and when the next one is.

use std::time::Duration;

use gds_vault::{Address, Client, ErrorKind, Method, TlsConfig};
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{Authority, Reply, Server, builder, nobody, read_error};

async fn good() -> Server {
    Server::always(Reply::data(&json!({}))).await
}

fn over(addresses: impl IntoIterator<Item = Address>) -> Client {
    builder().addresses(addresses).build().unwrap()
}

async fn ask(client: &Client) -> Address {
    client.request(Method::GET, "a").send().await.unwrap().address
}

#[tokio::test]
async fn the_first_server_is_asked_while_it_works() {
    let (first, second) = (good().await, good().await);
    let client = over([first.address(), second.address()]);
    for _ in 0..3 {
        assert_eq!(ask(&client).await, first.address());
    }
    assert!(second.requests().is_empty());
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_passed_over_in_the_same_request() {
    let second = good().await;
    let client = over([nobody().await, nobody().await, second.address()]);
    assert_eq!(ask(&client).await, second.address());
    // Even a write: nothing was sent to the others.
    client.request(Method::POST, "a").json(&json!({"k": "v"})).send().await.unwrap();
    assert_eq!(second.requests()[1].body, r#"{"k":"v"}"#);
}

#[tokio::test]
async fn when_none_can_be_reached_the_error_tells_of_all() {
    let (first, second) = (nobody().await, nobody().await);
    let error = read_error(&over([first.clone(), second.clone()])).await;
    assert_eq!((error.kind(), error.was_sent()), (ErrorKind::Connect, false));
    assert_eq!(error.address(), Some(&second));
    assert!(error.to_string().contains(&first.to_string()), "{error}");
}

#[tokio::test]
async fn a_server_that_was_unavailable_is_asked_last_next_time() {
    for reply in [
        Reply::errors(500, &[]),
        Reply::errors(503, &["Vault is sealed"]),
        Reply::errors(473, &[]),
        Reply::errors(412, &[]),
        Reply::ThenClose(Vec::new()),
        Reply::ThenClose(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec()),
        Reply::ThenClose(b"garbage\r\n\r\n".to_vec()),
        Reply::text(200, &[], "<html>a proxy's own page</html>"),
    ] {
        let (first, second) = (Server::always(reply.clone()).await, good().await);
        let client = over([first.address(), second.address()]);
        let error = read_error(&client).await;
        assert!(error.is_unavailable(), "{error}");
        assert_eq!(second.requests().len(), 0, "what may have been sent is not sent again: {reply:?}");
        for _ in 0..3 {
            assert_eq!(ask(&client).await, second.address(), "{reply:?}");
        }
        assert_eq!(first.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_server_that_says_no_is_a_good_server() {
    for status in [400, 403, 404, 405, 429] {
        let (first, second) = (Server::always(Reply::errors(status, &[])).await, good().await);
        let client = over([first.address(), second.address()]);
        for _ in 0..2 {
            assert_eq!(read_error(&client).await.status(), Some(status));
        }
        assert!(second.requests().is_empty(), "{status}");
    }
}

#[tokio::test]
async fn a_demoted_server_is_still_asked_when_the_others_are_gone() {
    let first =
        Server::script([Reply::errors(500, &[]), Reply::data(&json!({})), Reply::data(&json!({}))]).await;
    let second = nobody().await;
    let client = over([first.address(), second]);
    assert_eq!(read_error(&client).await.status(), Some(500));
    assert_eq!(ask(&client).await, first.address());
    assert_eq!(ask(&client).await, first.address(), "and it is in its place again");
}

#[tokio::test]
async fn a_silent_server_leaves_time_for_the_others() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = Address::parse(&format!("https://{}", silent.local_addr().unwrap())).unwrap();
    let second = good().await;
    let tls = TlsConfig { skip_verify: true, ..Default::default() };
    // The time to connect is longer than that of the whole request: only a share of it may be used up.
    let client = builder()
        .addresses([silent, second.address()])
        .tls(tls)
        .timeout(Duration::from_secs(4))
        .connect_timeout(Duration::from_mins(1))
        .build()
        .unwrap();
    assert_eq!(ask(&client).await, second.address());
}

#[tokio::test]
async fn an_untrusted_server_is_passed_over_and_not_told_the_token() {
    let authority = Authority::new();
    let untrusted = Server::encrypted(authority.server(&["127.0.0.1"]), |_| Reply::data(&json!({}))).await;
    let second = good().await;
    let other = Authority::new();
    let tls = TlsConfig { ca_cert: Some(other.ca_file()), ..Default::default() };
    let client = builder().addresses([untrusted.address(), second.address()]).tls(tls).build().unwrap();
    assert_eq!(ask(&client).await, second.address());
    assert!(untrusted.requests().is_empty());
}

/// The leader was killed: the standbys still send everybody there, until they have elected another one.
#[tokio::test]
async fn while_the_standbys_have_no_leader_no_server_counts_as_gone() {
    for leader_at in 0..3 {
        let gone = nobody().await;
        let location = format!("{gone}/v1/a");
        let (one, two) = (standby(&location).await, standby(&location).await);
        let mut addresses = vec![one.address(), two.address()];
        addresses.insert(leader_at, gone.clone());
        let client = over(addresses);
        // The second time with everyone demoted.
        for asked in 1..=2 {
            let error = read_error(&client).await;
            assert_eq!((error.kind(), error.was_sent()), (ErrorKind::Standby, false), "{leader_at}: {error}");
            assert!(error.to_string().contains("cannot connect"), "{error}");
            assert_eq!((one.requests().len(), two.requests().len()), (asked, asked), "{leader_at}");
        }
    }
}

#[tokio::test]
async fn a_standby_is_passed_over_while_its_leader_is_gone_even_by_a_write() {
    let gone = nobody().await;
    let (standby, elected) = (standby(&format!("{gone}/v1/a")).await, good().await);
    let client = over([standby.address(), gone, elected.address()]);
    for written in 1..=2 {
        client.request(Method::POST, "a").json(&json!({"k": "v"})).send().await.unwrap();
        assert_eq!(elected.requests().len(), written);
    }
    assert_eq!(standby.requests().len(), 1, "and is asked last for a while");
}

/// Without a leader to redirect to, Vault's standbys say so.
#[tokio::test]
async fn a_standby_without_a_leader_is_asked_last() {
    let message = "local node not active but active cluster node not found";
    let (standby, elected) = (Server::always(Reply::errors(500, &[message])).await, good().await);
    let client = over([standby.address(), elected.address()]);
    assert_eq!(read_error(&client).await.kind(), ErrorKind::Standby);
    assert_eq!(ask(&client).await, elected.address());
}

/// Redirects to where nobody may be any more.
async fn standby(location: &str) -> Server {
    Server::always(Reply::redirect(307, location)).await
}
