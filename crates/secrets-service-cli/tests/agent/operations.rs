//! How it is run: probes, metrics, reload, drain, configuration.

use std::process::Stdio;

use http::Method;
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use vault_dev::{Fault, FaultRule};

use crate::support::{Ask, CONFIG, HANG, Setup, Vault, eventually};

#[tokio::test]
async fn row19_live_is_always_and_ready_says_what_is_degraded() {
    let vault = Vault::start().await;
    let agent = vault.agent().env("VAULT_CACHE_TTL_SECONDS", "0").start().await;
    let ready = async || Ask::get("/agent/v1/ready").without("x-vault-request").send_to(&agent.admin).await;
    assert_eq!(ready().await.status, 200);
    agent.get(CONFIG).await.is(200, "MISS");
    let outage = vault.server.fault(Fault::Refused).await;
    for _ in 0..3 {
        agent.get(CONFIG).await.is(200, "STALE");
        agent.get("/v1/secret/data/myapp/none").await;
    }
    let degraded = ready().await;
    assert_eq!(degraded.status, 200, "what is needed can be served: {degraded:?}");
    let reasons = degraded.json()["degraded"].to_string();
    assert!(reasons.contains("secret/myapp/config") && reasons.contains("stale"), "{reasons}");
    assert_eq!(agent.admin("/agent/v1/live").await, json!({ "live": true }));
    outage.lift();

    let nothing = Setup::new("http://127.0.0.1:1").env("VAULT_TOKEN", "none").start().await;
    nothing.get(CONFIG).await.is(503, "BYPASS");
    let answer = Ask::get("/agent/v1/ready").send_to(&nothing.admin).await;
    assert_eq!(answer.status, 503, "no login, nothing cached: {answer:?}");
    assert!(answer.json()["degraded"][0]["why"].as_str().unwrap().contains("127.0.0.1:1"));
}

#[tokio::test]
async fn row19_an_agent_that_starts_before_vault_becomes_ready_without_being_asked() {
    let vault = Vault::start().await;
    let outage = vault.server.fault(Fault::Refused).await;
    let agent = vault.agent().start().await;
    let ready = async || Ask::get("/agent/v1/ready").send_to(&agent.admin).await.status;
    eventually("not ready", async || ready().await == 503).await;
    outage.lift();
    eventually("ready", async || ready().await == 200).await;
    assert_eq!(vault.server.count("*", "secret/"), 0);
}

#[tokio::test]
async fn the_admin_listener_is_for_this_machine_and_gives_no_secret() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    agent.get(CONFIG).await.is(200, "MISS");
    let admin = |ask: Ask| ask.send_to(&agent.admin);
    assert_eq!(admin(Ask::get("/metrics").header("host", "evil.example")).await.status, 403);
    assert_eq!(admin(Ask::get(CONFIG)).await.status, 404);
    assert_eq!(admin(Ask::new(Method::POST, "/agent/v1/cache")).await.status, 405);
    assert_eq!(admin(Ask::get("/agent/v1/purge")).await.status, 405);
    let form = Ask::new(Method::POST, "/agent/v1/purge")
        .header("content-type", "text/plain")
        .bytes(br#"{"all":true}"#.to_vec());
    assert_eq!(admin(form).await.status, 415, "what a foreign page's form can send is refused");
    agent.get(CONFIG).await.is(200, "HIT");
    assert_eq!(agent.get("/agent/v1/cache").await.status, 404, "not on the clients' listener");
    let shown = agent.admin("/agent/v1/cache").await;
    assert_eq!(shown["entries"][0]["path"], "secret/myapp/config");
    assert_eq!(shown["entries"][0]["state"], "fresh");
    assert!(!shown.to_string().contains("canary"));
}

#[tokio::test]
async fn row20_metrics_are_what_prometheus_reads() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    agent.get(CONFIG).await.is(200, "MISS");
    agent.get(CONFIG).await.is(200, "HIT");
    let answer = Ask::get("/metrics").without("x-vault-request").send_to(&agent.admin).await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let mut announced = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            announced = rest.split(' ').next().unwrap().to_owned();
        } else if !line.starts_with('#') {
            assert!(line.starts_with(&announced), "{line} under {announced}");
            let (_, number) = line.rsplit_once(' ').unwrap();
            number.parse::<f64>().unwrap();
        }
    }
    for (name, number) in [
        ("secrets_agent_requests_total{cache=\"hit\"}", 1.0),
        ("secrets_agent_requests_total{cache=\"miss\"}", 1.0),
        ("secrets_agent_logins_total", 1.0),
        ("secrets_agent_cached_secrets", 1.0),
    ] {
        assert_eq!(agent.metric(name).await, Some(number), "{name}");
    }
    vault.server.seal();
    for n in 0..8 {
        agent.get(&format!("/v1/secret/data/myapp/{n}")).await;
    }
    let open = agent.metric("secrets_agent_breaker_open{mount=\"secret\"}").await;
    assert!(open.is_some_and(|open| open > 0.0), "{open:?}");
}

#[tokio::test]
async fn sighup_reads_rules_again_and_keeps_the_old_ones_if_the_new_are_wrong() {
    let vault = Vault::start().await;
    let setup = vault.agent();
    let file = setup.file("agent.toml", "[own]\nallow = [\"kv1/*\"]\n");
    let agent = setup.arg("--config").arg(file.to_str().unwrap()).start().await;
    agent.get(CONFIG).await.is(403, "BYPASS");
    std::fs::write(&file, "[own]\nallow = [\"secret/data/*\"]\n").unwrap();
    agent.send(Signal::SIGHUP);
    agent.says("settings read again").await;
    agent.get(CONFIG).await.is(200, "MISS");
    std::fs::write(&file, "[own]\nalow = []\n").unwrap();
    agent.send(Signal::SIGHUP);
    agent.says("the old settings stay in use").await;
    assert!(
        agent.log().contains("agent.toml:2: there is no option own.alow; is own.allow meant?"),
        "{}",
        agent.log()
    );
    agent.get(CONFIG).await.is(200, "HIT");
    std::fs::write(&file, "[limits]\nconnections = 5\n").unwrap();
    agent.send(Signal::SIGHUP);
    agent.says("changed by a restart only").await;
}

#[tokio::test]
async fn a_secret_can_come_from_where_it_can_be_read_once() {
    let vault = Vault::start().await;
    let setup = Setup::new(vault.server.url());
    let pipe = setup.home().join("token");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let there = pipe.clone();
    // Opening it waits for a reader; who opens it again waits for ever.
    let written = std::thread::spawn(move || std::fs::write(there, "root"));
    let agent = setup.env("VAULT_TOKEN_FILE", &pipe).start().await;
    written.join().unwrap().unwrap();
    agent.get(CONFIG).await.is(200, "MISS");
}

#[tokio::test]
async fn on_sigterm_what_is_under_way_ends_and_nothing_new_begins() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    let slow = FaultRule::new(Fault::Slow(std::time::Duration::from_millis(1_500))).on("sys/mounts");
    let _slow = vault.server.fault(slow).await;
    let address = agent.address().to_owned();
    let mut idle = TcpStream::connect(&address).await.unwrap();
    let request = format!("GET {CONFIG} HTTP/1.1\r\nHost: localhost\r\nX-Vault-Request: true\r\n\r\n");
    idle.write_all(request.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    idle.read_exact(&mut start).await.unwrap();
    let under_way = tokio::spawn(
        Ask::get("/v1/sys/mounts").token("root").send_to(Box::leak(address.clone().into_boxed_str())),
    );
    eventually("asked", async || vault.server.count("GET", "sys/mounts") > 0).await;
    agent.send(Signal::SIGTERM);
    let answer = under_way.await.unwrap();
    answer.is(200, "BYPASS");
    let (code, _) = agent.ended().await;
    assert_eq!(code, Some(0));
    assert!(TcpStream::connect(&address).await.is_err());
    let mut rest = Vec::new();
    tokio::time::timeout(HANG, idle.read_to_end(&mut rest)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_drain_has_an_end() {
    let vault = Vault::start().await;
    let agent = vault.agent().env("SECRETS_AGENT_DRAIN_SECONDS", "1").start().await;
    let _frozen = vault.server.fault(FaultRule::new(Fault::Frozen).on("sys/mounts")).await;
    let mut stream = TcpStream::connect(agent.address()).await.unwrap();
    let request = "GET /v1/sys/mounts HTTP/1.1\r\nHost: localhost\r\nX-Vault-Request: true\r\nX-Vault-Token: root\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    eventually("asked", async || vault.server.count("GET", "sys/mounts") > 0).await;
    agent.send(Signal::SIGTERM);
    let (code, log) = agent.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("still under way"), "{log}");
}

async fn command(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_secrets-service"));
    command.args(arguments).env_clear().env("VAULT_ADDR", "http://127.0.0.1:1").env("VAULT_TOKEN", "canary");
    command.stdin(Stdio::null());
    let output = tokio::time::timeout(HANG, command.output()).await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn row27_check_names_file_and_line_offline() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.toml");
    let (code, reference, _) = command(&["agent", "--print-config"]).await;
    assert_eq!(code, Some(0));
    std::fs::write(&file, &reference).unwrap();
    let path = file.to_str().unwrap();
    let (code, told, errors) = command(&["check", "--config", path]).await;
    assert_eq!(code, Some(0), "the reference is right: {told}{errors}");
    assert!(told.contains("ok       listen: 127.0.0.1:8100"), "{told}");
    std::fs::write(&file, "listen = \"127.0.0.1:8100\"\n\n[limits]\nconections = 5\nrequests = \"many\"\n")
        .unwrap();
    let (code, told, _) = command(&["check", "--config", path]).await;
    assert_eq!(code, Some(2), "{told}");
    assert!(
        told.contains("agent.toml:4: there is no option limits.conections; is limits.connections meant?"),
        "{told}"
    );
    assert!(told.contains("agent.toml:5: limits.requests must be a whole number"), "{told}");
    let (code, told, _) = command(&["check", "--config", "/no/such/file.toml"]).await;
    assert_eq!(code, Some(2));
    assert!(told.contains("/no/such/file.toml: cannot be read"), "{told}");
}
