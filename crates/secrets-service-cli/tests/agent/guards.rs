//! Who is not let in: browsers, proxies, foreign names, and those who take too much.

use http::Method;
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Ask, CONFIG, HANG, Vault, eventually};

#[tokio::test]
async fn row28_on_tcp_the_header_of_vaults_clients_is_needed() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    let refused = agent.ask(Ask::get(CONFIG).without("x-vault-request")).await;
    assert_eq!(
        refused.is(412, "BYPASS").error(),
        "missing 'X-Vault-Request' header",
        "as Vault's agent says it"
    );
    agent.ask(Ask::get(CONFIG).header("x-vault-request", "false")).await.is(412, "BYPASS");
    agent.get(CONFIG).await.is(200, "MISS");
    // Warm, and with a token, likewise.
    agent.ask(Ask::get(CONFIG).without("x-vault-request")).await.is(412, "BYPASS");
    agent.ask(Ask::get(CONFIG).without("x-vault-request").token("root")).await.is(412, "BYPASS");
}

#[tokio::test]
async fn browsers_proxies_and_foreign_hosts_are_refused_and_vault_does_not_hear_of_it() {
    let vault = Vault::start().await;
    let agent =
        vault.agent().env("SECRETS_AGENT_ALLOWED_HOSTS", "agent.internal,other.internal").start().await;
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("x-forwarded-for", "10.0.0.1"),
        ("forwarded", "for=10.0.0.1"),
        ("sec-fetch-site", "cross-site"),
        ("host", "evil.example"),
        ("host", "evil.example:8100"),
        ("host", "127.0.0.1.evil.example"),
        ("host", "192.168.0.1"),
    ] {
        let refused = agent.ask(Ask::get(CONFIG).token("root").header(name, value)).await;
        assert_eq!(refused.status, 403, "{name}: {value}: {refused:?}");
        assert!(!refused.error().is_empty());
    }
    assert_eq!(vault.server.count("*", "secret/") + vault.server.count("*", "sys/"), 0);
    for host in
        ["localhost", "localhost:1", "127.0.0.1:8100", "[::1]", "agent.internal:8100", "other.internal"]
    {
        let answer = agent.ask(Ask::get(CONFIG).token("root").header("host", host)).await;
        assert_eq!(answer.status, 200, "{host}: {answer:?}");
    }
    assert!(agent.metric("secrets_agent_refused_total{reason=\"host\"}").await.unwrap() >= 4.0);
}

/// Sends bytes as they are; what comes back until the connection ends.
async fn raw(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset, where the agent has not read all, is an end as well.
    let _ = tokio::time::timeout(HANG, stream.read_to_end(&mut answer)).await.expect("no end");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn requests_for_other_servers_or_with_two_meanings_are_refused() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    let end = "X-Vault-Request: true\r\nConnection: close\r\n\r\n";
    for (start, status) in [
        ("GET http://evil.example/v1/secret/data/a HTTP/1.1\r\nHost: localhost\r\n", 400),
        ("GET /v1/secret/data/a HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n", 400),
        ("GET /v1/secret/data/a HTTP/1.1\r\n", 400),
        ("GET /v1/secret/data/a HTTP/1.0\r\n", 403),
        ("CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n", 400),
        (
            "GET /v1/secret/data/a HTTP/1.1\r\nHost: localhost\r\nX-Vault-Token: a\r\nX-Vault-Token: b\r\n",
            400,
        ),
        ("GET /ui/ HTTP/1.1\r\nHost: localhost\r\n", 404),
        ("POST /v1/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n", 400),
        ("GET nonsense HTTP/1.1\r\nHost: localhost\r\n", 400),
    ] {
        let answer = raw(agent.address(), format!("{start}{end}").as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} "))
                || answer.starts_with(&format!("HTTP/1.0 {status} ")),
            "{start}: {answer}"
        );
    }
    assert_eq!(vault.server.count("*", "secret/") + vault.server.count("*", "sys/"), 0);
}

#[tokio::test]
async fn heads_and_bodies_have_limits() {
    let vault = Vault::start().await;
    let agent = vault.agent().env("SECRETS_AGENT_BODY_BYTES", "200000").start().await;
    let long = format!("GET /v1/a HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\n\r\n", "a".repeat(100_000));
    let answer = raw(agent.address(), long.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 ") || answer.is_empty(), "{answer}");
    let many = format!("GET /v1/a HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X-A: b\r\n".repeat(200));
    let answer = raw(agent.address(), many.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let large = Ask::new(Method::POST, CONFIG).token("root").bytes(vec![b' '; 200_001]);
    agent.ask(large).await.is(413, "BYPASS");
    // The same without saying so beforehand.
    let mut chunked = b"POST /v1/secret/data/a HTTP/1.1\r\nHost: localhost\r\nX-Vault-Request: true\r\n\
        X-Vault-Token: root\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        .to_vec();
    for _ in 0..3 {
        chunked.extend_from_slice(b"18000\r\n");
        chunked.extend_from_slice(&vec![b' '; 0x18000]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let answer = raw(agent.address(), &chunked).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    agent.get(CONFIG).await.is(200, "MISS");
}

#[tokio::test]
async fn slow_heads_and_idle_connections_stop_nobody_and_are_closed() {
    let vault = Vault::start().await;
    let agent = vault
        .agent()
        .env("SECRETS_AGENT_HEAD_SECONDS", "2")
        .env("SECRETS_AGENT_IDLE_SECONDS", "3")
        .start()
        .await;
    let mut slow = Vec::new();
    for n in 0..300 {
        let mut stream = TcpStream::connect(agent.address()).await.unwrap();
        if n % 2 == 0 {
            stream.write_all(b"GET /v1/secret/data/a HTTP/1.1\r\nHost: loc").await.unwrap();
        }
        slow.push(stream);
    }
    let mut idle = TcpStream::connect(agent.address()).await.unwrap();
    let request = format!("GET {CONFIG} HTTP/1.1\r\nHost: localhost\r\nX-Vault-Request: true\r\n\r\n");
    idle.write_all(request.as_bytes()).await.unwrap();
    agent.get(CONFIG).await;
    agent.get(CONFIG).await.is(200, "HIT");
    let mut rest = Vec::new();
    for stream in &mut slow {
        tokio::time::timeout(HANG, stream.read_to_end(&mut rest)).await.expect("not closed").ok();
    }
    tokio::time::timeout(HANG, idle.read_to_end(&mut rest)).await.expect("not closed").unwrap();
    assert!(String::from_utf8_lossy(&rest).starts_with("HTTP/1.1 200"));
    eventually("gone", async || agent.metric("secrets_agent_connections").await.unwrap() < 1.0).await;
}

#[tokio::test]
async fn ten_thousand_idle_connections_stop_nobody() {
    // Both ends are in file descriptors of two processes; this one may be allowed few.
    let (soft, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    let wanted = 10_000.min(hard.saturating_sub(500));
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, hard.max(soft), hard).unwrap();
    let vault = Vault::start().await;
    // However long it takes to open them all, the first are still there.
    let agent = vault.agent().env("SECRETS_AGENT_HEAD_SECONDS", "600").start().await;
    agent.get(CONFIG).await.is(200, "MISS");
    let mut idle = Vec::new();
    for _ in 0..wanted {
        idle.push(TcpStream::connect(agent.address()).await.unwrap());
    }
    agent.get(CONFIG).await.is(200, "HIT");
    let all = f64::from(u32::try_from(wanted).unwrap());
    eventually("all are open", async || agent.metric("secrets_agent_connections").await.unwrap() >= all)
        .await;
    drop(idle);
    agent.get(CONFIG).await.is(200, "HIT");
}

#[tokio::test]
async fn beyond_the_limit_of_connections_others_wait_their_turn() {
    let vault = Vault::start().await;
    let agent = vault
        .agent()
        .env("SECRETS_AGENT_CONNECTIONS", "2")
        .env("SECRETS_AGENT_HEAD_SECONDS", "1")
        .start()
        .await;
    let _slow = [
        TcpStream::connect(agent.address()).await.unwrap(),
        TcpStream::connect(agent.address()).await.unwrap(),
    ];
    // Waits until one of them has overstayed.
    agent.get(CONFIG).await.is(200, "MISS");
}

#[tokio::test]
async fn the_own_login_is_lent_for_listed_paths_only_and_never_handed_out() {
    let vault = Vault::start().await;
    let agent = vault.agent().env("SECRETS_AGENT_OWN_ALLOW", "secret/data/myapp/*").start().await;
    agent.get(CONFIG).await.is(200, "MISS");
    for path in [
        "/v1/kv1/plain",
        "/v1/secret/data/myapp/../other",
        "/v1/secret/data/myapp/%2e%2e/other",
        "/v1/secret/data//myapp/config",
        "/v1/sys/mounts",
        "/v1/secret/data/%ff",
    ] {
        let refused = agent.get(path).await;
        assert!([403, 404].contains(&refused.status), "{path}: {refused:?}");
        assert_eq!(refused.cache(), "BYPASS");
    }
    for (method, path) in
        [("GET", "lookup-self"), ("POST", "lookup-self"), ("POST", "revoke-self"), ("PUT", "renew-self")]
    {
        let ask = Ask::method(method, &format!("/v1/auth/token/{path}"));
        agent.ask(ask).await.is(403, "BYPASS");
    }
    assert_eq!(vault.server.count("*", "kv1/"), 0);
    assert_eq!(vault.server.count("*", "auth/token/"), 0);
    // What needs no login passes, also while there can be none.
    agent.get("/v1/sys/health").await.is(200, "BYPASS");
    vault.server.seal();
    assert_eq!(agent.get("/v1/sys/health").await.status, 503);
    assert_eq!(agent.get("/v1/sys/seal-status").await.json()["sealed"], true);
    let key = json!({ "key": vault.server.unseal_key() });
    agent.ask(Ask::method("PUT", "/v1/sys/unseal").json(&key)).await.is(200, "BYPASS");
}

#[tokio::test]
async fn an_agent_that_lends_nothing_passes_through_without_a_token() {
    let vault = Vault::start().await;
    let agent =
        crate::support::Setup::new(vault.server.url()).env("SECRETS_AGENT_OWN_LEND", "false").start().await;
    assert_eq!(agent.get(CONFIG).await.is(403, "BYPASS").json()["errors"][0], "permission denied");
    agent.ask(Ask::get(CONFIG).token("root")).await.is(200, "MISS");
    agent.ask(Ask::get(CONFIG).token("root")).await.is(200, "HIT");
    assert_eq!(vault.server.count("*", "auth/approle"), 0);
}

#[tokio::test]
async fn nothing_secret_is_in_the_log() {
    let vault = Vault::start().await;
    let token = vault
        .token(
            "reader",
            r#"path "secret/data/*" { capabilities = ["create", "read", "update"] }"#,
            &json!({}),
        )
        .await;
    let agent = vault.agent().arg("-vv").env("VAULT_CACHE_TTL_SECONDS", "0").start().await;
    agent.get(CONFIG).await.is(200, "MISS");
    agent.ask(Ask::get(&format!("{CONFIG}?canary-query=1")).token(&token)).await;
    agent.ask(Ask::get(CONFIG).token(&token).header("x-custom", "canary-header")).await;
    let body = json!({ "data": { "a": "canary-body" } });
    agent.ask(Ask::new(Method::POST, CONFIG).token(&token).json(&body)).await.is(200, "BYPASS");
    agent.ask(Ask::get(CONFIG).token("hvs.canary-token-0123456789")).await;
    agent.ask(Ask::get(CONFIG).header("origin", "http://canary-origin")).await;
    vault.server.seal();
    agent.get(CONFIG).await;
    let metrics = Ask::get("/metrics").send_to(&agent.admin).await;
    for path in ["/agent/v1/ready", "/agent/v1/cache", "/agent/v1/leases"] {
        assert!(!agent.admin(path).await.to_string().contains("canary"), "{path}");
    }
    assert!(!String::from_utf8_lossy(&metrics.body).contains("canary"));
    agent.send(Signal::SIGTERM);
    let (_, log) = agent.ended().await;
    assert!(log.contains("passed through"), "{log}");
    for secret in ["canary", &token] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
