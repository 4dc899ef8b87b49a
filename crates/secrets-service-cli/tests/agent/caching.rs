//! Reads: once asked for, then from the cache, and past their time while Vault is away.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use secrets_service::gds_vault;
use serde_json::json;
use tokio::task::JoinSet;
use vault_dev::{Fault, FaultRule};

use crate::support::{Ask, CONFIG, Vault, eventually, write};

#[tokio::test]
async fn row01_last_known_value_and_its_age_until_max_stale_then_503() {
    let vault = Vault::start().await;
    let agent = vault.agent().env("VAULT_CACHE_TTL_SECONDS", "0").env("VAULT_CACHE_MAX_STALE_SECONDS", "15");
    let agent = agent.start().await;
    let fresh = agent.get(CONFIG).await;
    fresh.is(200, "MISS");
    vault.server.seal();
    let stale = agent.get(CONFIG).await;
    assert_eq!(stale.is(200, "STALE").body, fresh.body, "to the byte");
    stale.header("age").parse::<u64>().unwrap();
    eventually("aged", async || {
        let answer = agent.get(CONFIG).await;
        answer.status != 200 || answer.header("age").parse::<u64>().unwrap() > 0
    })
    .await;
    eventually("503 at the end of max_stale", async || agent.get(CONFIG).await.status == 503).await;
    let never = agent.get(CONFIG).await;
    assert!(never.is(503, "BYPASS").error().contains("sealed"), "{never:?}");
    vault.server.unseal();
    eventually("back", async || agent.get(CONFIG).await.cache() == "MISS").await;
}

#[tokio::test]
async fn row01_every_sort_of_outage_is_outlived_and_uncached_reads_fail_clearly() {
    let vault = Vault::start().await;
    let agent =
        vault.agent().env("VAULT_CACHE_TTL_SECONDS", "0").env("VAULT_CLIENT_TIMEOUT", "2").start().await;
    let mut fresh = agent.get(CONFIG).await;
    fresh.is(200, "MISS");
    // So that its mount is known.
    agent.get("/v1/secret/data/myapp/other").await.is(404, "BYPASS");
    for fault in [
        Fault::Sealed,
        Fault::Refused,
        Fault::Frozen,
        Fault::Garbage,
        Fault::NotHttp,
        Fault::CutBody,
        Fault::Reset,
        Fault::Status { status: 500, retry_after: None },
        Fault::Status { status: 429, retry_after: Some(Duration::from_secs(1)) },
    ] {
        let name = format!("{fault:?}");
        let outage = vault.server.fault(fault).await;
        for _ in 0..3 {
            let answer = agent.get(CONFIG).await;
            assert_eq!((answer.status, answer.cache()), (200, "STALE"), "{name}: {answer:?}");
            assert_eq!(answer.body, fresh.body, "{name}");
        }
        let unknown = agent.get("/v1/secret/data/myapp/unknown").await;
        assert!([429, 500, 503, 504].contains(&unknown.status), "{name}: {unknown:?}");
        assert!(!unknown.error().is_empty(), "{name}: {unknown:?}");
        outage.lift();
        eventually(&name, async || {
            fresh = agent.get(CONFIG).await;
            fresh.cache() == "MISS"
        })
        .await;
    }
}

#[tokio::test]
async fn row02_a_thousand_reads_are_one_request() {
    let vault = Vault::start().await;
    let agent = Arc::new(vault.agent().start().await);
    let mut reads = JoinSet::new();
    for _ in 0..200 {
        let agent = Arc::clone(&agent);
        reads.spawn(async move {
            let mut bodies = Vec::new();
            for _ in 0..5 {
                bodies.push(agent.get(CONFIG).await.body);
            }
            bodies
        });
    }
    let bodies = reads.join_all().await.concat();
    assert_eq!(bodies.len(), 1_000);
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(vault.server.count("GET", "secret/data/"), 1);
    assert_eq!(vault.server.count("POST", "auth/approle/login"), 1);
    let hits = agent.metric("secrets_agent_requests_total{cache=\"hit\"}").await.unwrap();
    let misses = agent.metric("secrets_agent_requests_total{cache=\"miss\"}").await.unwrap();
    assert!((hits + misses - 1_000.0).abs() < 0.5 && misses >= 1.0, "{hits} {misses}");
}

#[tokio::test]
async fn row02_a_thousand_cold_reads_with_a_token_are_one_request() {
    let vault = Vault::start().await;
    let token =
        vault.token("reader", r#"path "secret/data/*" { capabilities = ["read"] }"#, &json!({})).await;
    vault.server.reset_counts();
    let agent = Arc::new(vault.agent().start().await);
    let mut reads = JoinSet::new();
    for _ in 0..1_000 {
        let (agent, token) = (Arc::clone(&agent), token.clone());
        reads.spawn(async move { agent.ask(Ask::get(CONFIG).token(&token)).await.status });
    }
    assert!(reads.join_all().await.into_iter().all(|status| status == 200));
    assert_eq!(vault.server.count("GET", "secret/data/"), 1);
    assert!(vault.server.count("*", "auth/token/lookup-self") <= 3);
}

#[tokio::test]
async fn row03_what_was_deleted_or_denied_never_comes_back() {
    let vault = Vault::start().await;
    let agent = vault.agent().env("VAULT_CACHE_TTL_SECONDS", "0").start().await;
    agent.get(CONFIG).await.is(200, "MISS");
    vault.root.kv2("secret").delete("myapp/config").await.unwrap();
    let gone = agent.get(CONFIG).await;
    assert_eq!(gone.status, 404, "{gone:?}");
    let outage = vault.server.fault(Fault::Refused).await;
    let later = agent.get(CONFIG).await;
    assert!(later.status >= 400, "{later:?}");
    outage.lift();
    vault.server.clear_faults().await;

    vault.store("myapp/config", &json!({ "a": 1 })).await;
    eventually("written anew", async || agent.get(CONFIG).await.status == 200).await;
    vault.root.sys().put_policy("myapp", r#"path "kv1/*" { capabilities = ["read"] }"#).await.unwrap();
    let denied = agent.get(CONFIG).await;
    assert_eq!(denied.status, 403, "{denied:?}");
    let _outage = vault.server.fault(Fault::Refused).await;
    let later = agent.get(CONFIG).await;
    assert!(later.status >= 400, "{later:?}");
}

#[tokio::test]
async fn row05_versions_are_kept_apart() {
    let vault = Vault::start().await;
    for n in 2..=3 {
        vault.store("myapp/config", &json!({ "n": n })).await;
    }
    vault.server.reset_counts();
    let agent = vault.agent().start().await;
    let version = |n: u64| format!("{CONFIG}?version={n}");
    for _ in 0..3 {
        assert_eq!(agent.get(CONFIG).await.data(), json!({ "n": 3 }));
        assert_eq!(agent.get(&version(1)).await.data()["db_host"], "localhost");
        assert_eq!(agent.get(&version(2)).await.data(), json!({ "n": 2 }));
        assert_eq!(agent.get(&version(0)).await.data(), json!({ "n": 3 }), "0 is the newest");
    }
    assert_eq!(vault.server.count("GET", "secret/data/"), 3, "newest, 1 and 2");
    agent.get(&version(1)).await.is(200, "HIT");
    assert_eq!(agent.get(&version(9)).await.status, 404);
    vault.server.seal();
    agent.get(&version(1)).await.is(200, "HIT");
    assert_eq!(agent.get(CONFIG).await.data(), json!({ "n": 3 }));
}

#[tokio::test]
async fn answers_are_vaults_to_the_byte() {
    let vault = Vault::start().await;
    write(&vault.root, "kv1/plain", &json!({ "a": "b", "n": 1.50, "ttl": "1h" })).await;
    vault
        .store("myapp/o d+d%é", &json!({ "ü": "\u{1F600}\\\"", "big": 12_345_678_901_234_567_890_u64 }))
        .await;
    let agent = vault.agent().start().await;
    for path in [CONFIG, "/v1/kv1/plain", "/v1/secret/data/myapp/o%20d%2Bd%25%C3%A9"] {
        let direct = vault.direct(Ask::get(path)).await;
        for cache in ["MISS", "HIT"] {
            let through = agent.get(path).await;
            through.is(200, cache);
            assert_eq!(through.comparable(), direct.comparable(), "{path}");
            assert_eq!(through.body.len(), direct.body.len(), "{path}");
            for header in ["content-type", "cache-control"] {
                assert_eq!(through.header(header), direct.header(header), "{path} {header}");
            }
        }
    }
}

#[tokio::test]
async fn no_cache_asks_vault_and_no_store_keeps_nothing() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    agent.get(CONFIG).await.is(200, "MISS");
    vault.store("myapp/config", &json!({ "new": true })).await;
    agent.get(CONFIG).await.is(200, "HIT");
    let forced = agent.ask(Ask::get(CONFIG).header("cache-control", "no-cache")).await;
    assert_eq!(forced.is(200, "MISS").data(), json!({ "new": true }));
    assert_eq!(agent.get(CONFIG).await.is(200, "HIT").data(), json!({ "new": true }));
    agent.ask(Ask::get(CONFIG).header("cache-control", "no-store")).await.is(200, "BYPASS");
    vault.server.seal();
    let forced = agent.ask(Ask::get(CONFIG).header("cache-control", "no-cache")).await;
    assert_eq!(forced.status, 503, "what was forced is not answered from memory: {forced:?}");
    agent.get(CONFIG).await.is(200, "HIT");
}

#[tokio::test]
async fn a_path_means_what_the_api_says_and_nothing_shorter() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    agent.get(CONFIG).await.is(200, "MISS");
    for path in [
        "/v1/secret/myapp/config",
        "/v1/myapp/config",
        "/v1/secret/data/myapp/config/",
        "/v1/secret/data/myapp/config?version=x",
        "/v1/secret/metadata/myapp/config",
    ] {
        let through = agent.ask(Ask::get(path).token("root")).await;
        let direct = vault.direct(Ask::get(path)).await;
        assert_eq!(through.comparable(), direct.comparable(), "{path}");
        assert_eq!(through.cache(), "BYPASS", "{path}");
    }
}

#[tokio::test]
async fn a_deleted_version_is_told_with_its_metadata() {
    let vault = Vault::start().await;
    vault.root.kv2("secret").delete("myapp/config").await.unwrap();
    let agent = vault.agent().start().await;
    let through = agent.get(CONFIG).await;
    assert_eq!(through.comparable(), vault.direct(Ask::get(CONFIG)).await.comparable());
    assert!(through.json()["data"]["metadata"]["deletion_time"].is_string(), "{through:?}");
}

#[tokio::test]
async fn row08_a_missing_secret_is_asked_for_once_a_second_however_often_it_is_wanted() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    let started = tokio::time::Instant::now();
    for _ in 0..200 {
        assert_eq!(agent.get("/v1/secret/data/myapp/missing").await.status, 404);
    }
    let seconds = started.elapsed().as_secs() + 1;
    let asked = vault.server.count("GET", "secret/data/");
    assert!(asked <= seconds + 1, "{asked} requests in {seconds} s");
}

#[tokio::test]
async fn what_is_leased_elsewhere_than_in_a_database_is_not_confused_with_what_is_not() {
    let vault = Vault::start().await;
    // cubbyhole stands for everything that belongs to one token.
    vault.root.request(Method::POST, "cubbyhole/x").json(&json!({ "a": 1 })).send().await.unwrap();
    let agent = vault.agent().start().await;
    for _ in 0..2 {
        agent.ask(Ask::get("/v1/cubbyhole/x").token("root")).await.is(200, "BYPASS");
        agent.ask(Ask::get("/v1/sys/mounts").token("root")).await.is(200, "BYPASS");
        agent.ask(Ask::get("/v1/auth/token/lookup-self").token("root")).await.is(200, "BYPASS");
    }
    assert!(
        vault
            .root
            .request(Method::GET, "cubbyhole/y")
            .read()
            .await
            .is_err_and(|error| { error.kind() == gds_vault::ErrorKind::NotFound })
    );
}

#[tokio::test]
async fn a_slow_vault_holds_up_nobody_for_whom_there_is_a_value() {
    let vault = Vault::start().await;
    let agent = vault.agent().env("VAULT_CACHE_TTL_SECONDS", "0").start().await;
    agent.get(CONFIG).await.is(200, "MISS");
    let _slow = vault.server.fault(FaultRule::new(Fault::Frozen).on("secret/data/")).await;
    agent.get(CONFIG).await.is(200, "STALE");
    let asked = vault.server.count("GET", "secret/data/");
    for _ in 0..5 {
        agent.get(CONFIG).await.is(200, "STALE");
    }
    assert_eq!(vault.server.count("GET", "secret/data/"), asked, "those who come next need not even wait");
}
