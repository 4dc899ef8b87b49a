//! What is logged of a request, and what is not.

use std::io::Write;
use std::sync::{Arc, Mutex};

use gds_vault::{Method, SecretString, TlsConfig};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Authority, CANARY, Reply, Server, assert_no_canary, builder, client};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Captured {
    /// Everything, of every crate, down to the finest level.
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let captured = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(captured.clone())
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        (captured, guard)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn requests_are_logged_without_their_content() {
    let (captured, _guard) = Captured::start();
    let reply = Reply::text(200, &[("x-secret", CANARY)], &json!({"data": {"k": CANARY}}).to_string());
    let server = Server::script([reply, Reply::errors(403, &[CANARY]), Reply::ThenClose(Vec::new())]).await;
    let client = client(&server);
    client.set_token(Some(SecretString::from(CANARY)));
    for _ in 0..3 {
        let request = client.request(Method::POST, "secret/data/app").json(&json!({"x": CANARY}));
        let _ = request.query("q", CANARY).header("x-own", CANARY).send().await;
    }
    let _ = client.request(Method::GET, "auth/token/lookup/hvs.CAESIlooksLikeOne").no_token().send().await;
    let text = captured.text();
    assert_no_canary(&text);
    assert!(!text.contains("hvs.CAESI"), "{text}");
    let line = text.lines().find(|line| line.contains("gds_vault") && line.contains("status=200")).unwrap();
    for part in ["DEBUG", "operation=POST", "secret/data/app", "http://127.0.0.1:", "ms="] {
        assert!(line.contains(part), "{line}");
    }
    assert!(text.lines().any(|line| line.contains("gds_vault") && line.contains("cannot connect")), "{text}");
}

#[tokio::test]
async fn skipped_verification_is_loud_and_said_once_per_client() {
    let (captured, _guard) = Captured::start();
    let server = Server::encrypted(Authority::new().server(&["x"]), |_| Reply::data(&json!({}))).await;
    let tls = TlsConfig { skip_verify: true, ..Default::default() };
    let client = builder().address(server.address()).tls(tls).build().unwrap();
    for _ in 0..3 {
        client.clone().request(Method::GET, "a").send().await.unwrap();
    }
    let text = captured.text();
    let warnings: Vec<&str> =
        text.lines().filter(|line| line.contains("WARN") && line.contains("NOT verified")).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}
