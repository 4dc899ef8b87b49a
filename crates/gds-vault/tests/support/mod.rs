//! What the tests share: a scripted server, and clients of it.

mod certificates;
mod reply;
mod server;

use std::time::Duration;

use gds_vault::{Address, Client, ClientBuilder, Error, Method, SecretString};

pub(crate) use certificates::Authority;
pub(crate) use reply::Reply;
pub(crate) use server::Server;

/// A text that must never be seen. Long enough to be scrubbed, and unlike anything else.
pub(crate) const CANARY: &str = "cAnArY-7319";

/// A client of one server, with a token and short timeouts.
pub(crate) fn client(server: &Server) -> Client {
    builder().address(server.address()).build().unwrap()
}

/// Timeouts are hang guards here: long enough for a busy machine, short enough to wait for.
pub(crate) fn builder() -> ClientBuilder {
    Client::builder().token(SecretString::from("hvs.test-token")).timeout(Duration::from_secs(20))
}

/// The error of a plain read.
pub(crate) async fn read_error(client: &Client) -> Error {
    client.request(Method::GET, "secret/data/app").read().await.unwrap_err()
}

/// An address where nobody listens: the port was free a moment ago.
pub(crate) async fn nobody() -> Address {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    Address::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap()
}

/// Whether anything printed has a secret in it.
#[track_caller]
pub(crate) fn assert_no_canary(shown: &str) {
    assert!(!shown.contains(CANARY), "{shown}");
}
