//! What `/agent/v1/status` tells beside what the page and the document are tested for.

use serde_json::json;
use tokio::time::Instant;
use vault_dev::{Fault, FaultRule};

use crate::support::{Agent, CONFIG, Vault, eventually};

async fn state(agent: &Agent) -> String {
    agent.admin("/agent/v1/status").await["vault"]["state"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn vault_is_asked_how_it_is_only_while_someone_looks_and_seldom() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    agent.get(CONFIG).await.is(200, "MISS");
    for path in ["/agent/v1/ready", "/agent/v1/cache", "/agent/v1/live"] {
        agent.admin(path).await;
    }
    assert_eq!(vault.server.count("*", "sys/health"), 0);
    let started = Instant::now();
    for _ in 0..50 {
        state(&agent).await;
    }
    let most = started.elapsed().as_secs() / 5 + 1;
    let asked = vault.server.count("*", "sys/health");
    assert!((1..=most).contains(&asked), "{asked}, {most}");
    eventually("active", async || state(&agent).await == "active").await;
}

#[tokio::test]
async fn every_state_of_vault_is_told_and_a_frozen_one_holds_up_nobody() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    eventually("active", async || state(&agent).await == "active").await;
    vault.server.seal();
    eventually("sealed", async || state(&agent).await == "sealed").await;
    vault.server.unseal();
    let frozen = vault.server.fault(FaultRule::new(Fault::Frozen).on("sys/health")).await;
    eventually("frozen", async || state(&agent).await == "unavailable").await;
    let status = agent.admin("/agent/v1/status").await;
    assert_eq!(status["vault"]["why"], "no answer within 2 s");
    frozen.lift();
    eventually("back", async || state(&agent).await == "active").await;
    let refused = vault.server.fault(Fault::Refused).await;
    eventually("refused", async || state(&agent).await == "unavailable").await;
    refused.lift();
}

#[tokio::test]
async fn of_what_was_served_stale_the_last_hundred_are_remembered() {
    let vault = Vault::start().await;
    for n in 0..103 {
        vault.store(&format!("myapp/many-{n}"), &json!({ "n": "canary" })).await;
    }
    let agent = vault.agent().env("VAULT_CACHE_TTL_SECONDS", "0").start().await;
    let read = async |n: u32| agent.get(&format!("/v1/secret/data/myapp/many-{n}")).await;
    for n in 0..103 {
        read(n).await.is(200, "MISS");
    }
    assert_eq!(agent.admin("/agent/v1/status").await["stale_served"], json!([]));
    vault.server.seal();
    for n in 0..103 {
        read(n).await.is(200, "STALE");
    }
    read(50).await.is(200, "STALE");
    let status = agent.admin("/agent/v1/status").await;
    let served = status["stale_served"].as_array().unwrap();
    assert_eq!(served.len(), 100);
    assert_eq!((&served[0]["path"], &served[0]["times"]), (&json!("secret/myapp/many-50"), &json!(2)));
    assert_eq!(served[1]["path"], "secret/myapp/many-102");
    assert!(!served.iter().any(|one| one["path"] == "secret/myapp/many-0"), "served the longest ago");
    assert!(served.iter().all(|one| one["why"].as_str().is_some_and(|why| !why.is_empty())));
    assert!(!status.to_string().contains("canary"));
    let stale = agent.metric("secrets_agent_requests_total{cache=\"stale\"}").await;
    assert_eq!(stale, Some(104.0));
    assert_eq!((&status["requests"]["stale"], &status["requests"]["miss"]), (&json!(104), &json!(103)));
}
