//! What passes through: every method and path, as it came.

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Agent, Answer, Ask, CONFIG, HANG, Setup, Vault};

#[tokio::test]
async fn every_method_passes_and_answers_are_vaults() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    for ask in [
        Ask::method("LIST", "/v1/secret/metadata"),
        Ask::get("/v1/secret/metadata?list=true"),
        Ask::get("/v1/secret/metadata/myapp/config"),
        Ask::get("/v1/sys/health"),
        Ask::get("/v1/sys/mounts"),
        Ask::get("/v1/no/such/mount"),
        Ask::method("HEAD", "/v1/sys/health"),
        Ask::method("OPTIONS", "/v1/sys/health"),
        Ask::method("POST", "/v1/secret/data/x")
            .json(&json!({ "data": { "a": 1 }, "options": { "cas": 7 } })),
        Ask::method("PUT", "/v1/sys/mounts/none").json(&json!({ "type": "nonsense" })),
        Ask::method("PATCH", CONFIG).json(&json!({ "data": { "n": 1 } })),
    ] {
        let ask = ask.token("root");
        let (through, direct) = (agent.ask(ask.clone()).await, vault.direct(ask.clone()).await);
        let strip = |answer: &Answer| {
            let (status, mut body) = if answer.body.starts_with(b"{") {
                answer.comparable()
            } else {
                (answer.status, Value::Null)
            };
            if let Some(object) = body.as_object_mut() {
                object.remove("server_time_utc");
            }
            (status, body)
        };
        assert_eq!(strip(&through), strip(&direct), "{direct:?}");
        assert_eq!(through.cache(), "BYPASS");
        for name in ["content-type", "cache-control", "content-length"] {
            assert_eq!(through.header(name), direct.header(name), "{name}: {direct:?}");
        }
    }
}

#[tokio::test]
async fn wrapped_answers_are_never_cached() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    agent.get(CONFIG).await.is(200, "MISS");
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let wrapped = agent.ask(Ask::get(CONFIG).header("x-vault-wrap-ttl", "60s")).await;
        tokens.push(wrapped.is(200, "BYPASS").json()["wrap_info"]["token"].as_str().unwrap().to_owned());
    }
    assert_ne!(tokens[0], tokens[1]);
    let unwrap = || Ask::new(Method::POST, "/v1/sys/wrapping/unwrap").token(&tokens[0]);
    assert_eq!(agent.ask(unwrap()).await.is(200, "BYPASS").data()["db_host"], "localhost");
    assert_eq!(agent.ask(unwrap()).await.status, 400, "once");
    agent.get(CONFIG).await.is(200, "HIT");
}

#[tokio::test]
async fn logins_pass_without_the_agents_token_and_are_never_cached() {
    let vault = Vault::start().await;
    vault.root.sys().enable_auth("userpass", "userpass").await.unwrap();
    let user = json!({ "password": "pw", "token_policies": ["myapp"] });
    vault.root.request(Method::POST, "auth/userpass/users/alice").json(&user).send().await.unwrap();
    let agent = vault.agent().start().await;
    let login = || Ask::method("PUT", "/v1/auth/userpass/login/alice").json(&json!({ "password": "pw" }));
    let token = |answer: &Answer| answer.json()["auth"]["client_token"].as_str().unwrap().to_owned();
    let (first, second) = (agent.ask(login()).await, agent.ask(login()).await);
    assert_ne!(token(first.is(200, "BYPASS")), token(second.is(200, "BYPASS")));
    agent.ask(Ask::get(CONFIG).token(&token(&first))).await.is(200, "MISS");
}

#[tokio::test]
async fn large_bodies_are_streamed_both_ways() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    let large = "x".repeat(700_000);
    let write = Ask::method("PUT", "/v1/kv1/large").json(&json!({ "value": large }));
    agent.ask(write).await.is(204, "BYPASS");
    let read = agent.get("/v1/kv1/large").await;
    assert_eq!(read.is(200, "MISS").json()["data"]["value"], large.as_str());
    let through = agent.ask(Ask::get("/v1/kv1/large").header("cache-control", "no-store")).await;
    assert_eq!(through.is(200, "BYPASS").json()["data"]["value"], large.as_str());
}

/// A server that answers one request with `answer`, and says what it was asked.
async fn one_answer(answer: &'static [u8]) -> (String, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let n = stream.read(&mut buffer).await.unwrap();
            asked.extend_from_slice(&buffer[..n]);
            if n == 0 || asked.ends_with(b"}") || (asked.ends_with(b"\r\n\r\n") && asked.starts_with(b"GET"))
            {
                break;
            }
        }
        stream.write_all(answer).await.unwrap();
        stream.shutdown().await.unwrap();
        asked
    });
    (url, asked)
}

async fn before(url: &str) -> Agent {
    // Nothing but what is passed on reaches the server.
    Setup::new(url).env("SECRETS_AGENT_OWN_LEND", "false").start().await
}

#[tokio::test]
async fn headers_pass_but_for_those_of_one_connection() {
    let answer =
        b"HTTP/1.1 202 Accepted\r\nX-Vault-Index: abc\r\nWarning: w\r\nSet-Thing: 1\r\nSet-Thing: 2\r\n\
        Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\n{}";
    let (url, asked) = one_answer(answer).await;
    let agent = before(&url).await;
    let ask = Ask::method("POST", "/v1/a%20b/c%2Fd?x=1&y=%26")
        .token("t")
        .header("x-vault-inconsistent", "forward-active-node")
        .header("x-vault-index", "i")
        .header("x-vault-namespace", "team")
        .header("connection", "keep-alive, x-secret-hop")
        .header("x-secret-hop", "1")
        .header("user-agent", "my-client/1.0")
        .json(&json!({ "a": 1 }));
    let answer = agent.ask(ask).await;
    answer.is(202, "BYPASS");
    assert_eq!((answer.header("x-vault-index"), answer.header("warning")), ("abc", "w"));
    assert_eq!((answer.header("x-hop"), answer.header("keep-alive")), ("", ""));
    let asked = String::from_utf8(asked.await.unwrap()).unwrap().to_ascii_lowercase();
    let head: Vec<_> = asked.lines().collect();
    assert_eq!(head[0], "post /v1/a%20b/c%2fd?x=1&y=%26 http/1.1");
    for line in [
        "x-vault-token: t",
        "x-vault-request: true",
        "x-vault-inconsistent: forward-active-node",
        "x-vault-index: i",
        "x-vault-namespace: team",
        "user-agent: my-client/1.0",
        "content-type: application/json",
        "content-length: 7",
    ] {
        assert_eq!(head.iter().filter(|known| **known == line).count(), 1, "{line}: {asked}");
    }
    assert!(!asked.contains("x-secret-hop") && !asked.contains("keep-alive"), "{asked}");
    assert!(asked.contains(&format!("host: {}", url.trim_start_matches("http://"))), "{asked}");
    assert!(asked.ends_with(r#"{"a":1}"#));
}

#[tokio::test]
async fn an_answer_cut_short_is_not_taken_for_whole() {
    let (url, _asked) = one_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"half\":").await;
    let agent = before(&url).await;
    let mut stream = TcpStream::connect(agent.address()).await.unwrap();
    let request =
        "GET /v1/sys/x HTTP/1.1\r\nHost: localhost\r\nX-Vault-Request: true\r\nX-Vault-Token: t\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(HANG, stream.read_to_end(&mut answer)).await.expect("no end");
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains("content-length: 100") && answer.ends_with("{\"half\":"), "{answer}");
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    let body = r#"{"a":"b"}"#;
    let mut stream = TcpStream::connect(agent.address()).await.unwrap();
    let head = format!(
        "PUT /v1/kv1/x HTTP/1.1\r\nHost: localhost\r\nX-Vault-Request: true\r\nX-Vault-Token: root\r\n\
         Expect: 100-continue\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 25];
    tokio::time::timeout(HANG, stream.read_exact(&mut start)).await.expect("no 100").unwrap();
    assert!(start.starts_with(b"HTTP/1.1 100 Continue"));
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(" 204 "), "{answer}");
    assert_eq!(agent.get("/v1/kv1/x").await.json()["data"], json!({ "a": "b" }));
}

#[tokio::test]
async fn what_cannot_be_passed_on_is_a_clear_error_in_vaults_form() {
    let agent = Setup::new("http://127.0.0.1:1").env("VAULT_TOKEN", "none").start().await;
    for ask in [
        Ask::get("/v1/sys/health"),
        Ask::get("/v1/sys/mounts").token("t"),
        Ask::get(CONFIG),
        Ask::get(CONFIG).token("t"),
    ] {
        let answer = agent.ask(ask).await;
        answer.is(503, "BYPASS");
        assert!(answer.error().contains("127.0.0.1:1"), "{answer:?}");
    }
    // Started without Vault, and ready to say so.
    assert_eq!(agent.admin("/agent/v1/live").await["live"], true);
}

#[tokio::test]
async fn several_servers_are_tried_in_turn() {
    let vault = Vault::start().await;
    let urls = format!("http://127.0.0.1:1,{}", vault.server.url());
    let agent = Setup::new(&urls).env("VAULT_TOKEN", "root").start().await;
    agent.ask(Ask::get("/v1/sys/mounts").token("root")).await.is(200, "BYPASS");
    let write = Ask::method("PUT", "/v1/kv1/x").token("root").json(&json!({ "a": "x".repeat(100_000) }));
    agent.ask(write).await.is(204, "BYPASS");
    agent.get(CONFIG).await.is(200, "MISS");
}

#[tokio::test]
async fn a_standby_that_redirects_is_followed() {
    let (active, standby) = (Vault::start().await, Vault::start().await);
    let _redirect = standby.server.fault(vault_dev::Fault::Redirect(active.server.url().to_owned())).await;
    let agent = Setup::new(standby.server.url()).env("VAULT_TOKEN", "root").start().await;
    let write = Ask::method("PUT", "/v1/kv1/x").token("root").json(&json!({ "a": "b" }));
    agent.ask(write).await.is(204, "BYPASS");
    agent.ask(Ask::method("LIST", "/v1/kv1/").token("root")).await.is(200, "BYPASS");
    assert_eq!(agent.get("/v1/kv1/x").await.is(200, "MISS").json()["data"], json!({ "a": "b" }));
    assert_eq!(active.server.count("PUT", "kv1/x"), 1);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_streamed() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    let mut stream = TcpStream::connect(agent.address()).await.unwrap();
    let head = "PUT /v1/kv1/x HTTP/1.1\r\nHost: localhost\r\nX-Vault-Request: true\r\nX-Vault-Token: root\r\n\
        Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    for piece in ["{\"a\":", "\"b", "\"}"] {
        stream.write_all(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(HANG, stream.read_to_string(&mut answer)).await.expect("no end").unwrap();
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    assert_eq!(agent.get("/v1/kv1/x").await.json()["data"], json!({ "a": "b" }));
}
