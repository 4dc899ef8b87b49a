//! Writes through the agent: whoever writes reads it back, whoever it is cached for.

use http::Method;
use serde_json::json;
use vault_dev::{Fault, FaultRule};

use crate::support::{Ask, CONFIG, Vault};

fn put(value: &str) -> Ask {
    Ask::new(Method::POST, CONFIG).json(&json!({ "data": { "v": value } }))
}

#[tokio::test]
async fn a_write_is_read_back_by_everyone() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    agent.get(CONFIG).await.is(200, "MISS");
    agent.ask(Ask::get(CONFIG).token("root")).await.is(200, "MISS");
    agent.ask(put("1")).await.is(200, "BYPASS");
    assert_eq!(agent.get(CONFIG).await.is(200, "MISS").data(), json!({ "v": "1" }));
    assert_eq!(agent.ask(Ask::get(CONFIG).token("root")).await.is(200, "MISS").data(), json!({ "v": "1" }));
    agent.ask(put("2").token("root")).await.is(200, "BYPASS");
    assert_eq!(agent.get(CONFIG).await.is(200, "MISS").data(), json!({ "v": "2" }));
    let other = "/v1/kv1/x";
    for value in ["1", "2"] {
        agent.ask(Ask::method("PUT", other).json(&json!({ "v": value }))).await.is(204, "BYPASS");
        assert_eq!(agent.get(other).await.is(200, "MISS").json()["data"]["v"], value);
    }
    agent.ask(Ask::method("DELETE", other)).await.is(204, "BYPASS");
    assert_eq!(agent.get(other).await.status, 404);
}

#[tokio::test]
async fn deletions_of_versions_and_metadata_reach_the_versions() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    let first = format!("{CONFIG}?version=1");
    agent.ask(put("2")).await.is(200, "BYPASS");
    agent.get(&first).await.is(200, "MISS");
    agent.ask(put("3")).await.is(200, "BYPASS");
    agent.get(&first).await.is(200, "HIT");
    let destroy = Ask::method("PUT", "/v1/secret/destroy/myapp/config").json(&json!({ "versions": [1] }));
    agent.ask(destroy).await.is(204, "BYPASS");
    assert_eq!(agent.get(&first).await.status, 404);
    agent.get(CONFIG).await.is(200, "MISS");
    agent.ask(Ask::method("DELETE", CONFIG)).await.is(204, "BYPASS");
    assert_eq!(agent.get(CONFIG).await.status, 404);
    vault.store("myapp/config", &json!({ "v": "4" })).await;
    let second = format!("{CONFIG}?version=2");
    agent.get(&second).await.is(200, "MISS");
    agent.ask(Ask::method("DELETE", "/v1/secret/metadata/myapp/config")).await.is(204, "BYPASS");
    assert_eq!(agent.get(&second).await.status, 404);
}

#[tokio::test]
async fn a_refused_write_changes_nothing() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    agent.get(CONFIG).await.is(200, "MISS");
    let conflict = json!({ "data": { "v": 1 }, "options": { "cas": 77 } });
    assert_eq!(agent.ask(Ask::new(Method::POST, CONFIG).json(&conflict)).await.status, 400);
    agent.get(CONFIG).await.is(200, "HIT");
}

#[tokio::test]
async fn after_a_write_of_unknown_outcome_vault_is_asked_but_an_outage_is_still_outlived() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    agent.get(CONFIG).await.is(200, "MISS");
    let lost = vault.server.fault(FaultRule::new(Fault::Reset).on("secret/data/").times(1)).await;
    assert_eq!(agent.ask(put("1")).await.status, 503);
    lost.lift();
    agent.get(CONFIG).await.is(200, "MISS");
    let _away = vault.server.fault(Fault::Refused).await;
    assert_eq!(agent.ask(put("2")).await.status, 503);
    let answer = agent.get(CONFIG).await;
    assert_eq!(answer.status, 200, "it was never sent, or it is stale: {answer:?}");
}

#[tokio::test]
async fn a_mount_that_changes_takes_its_entries_along() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    agent.ask(Ask::method("PUT", "/v1/kv1/x").json(&json!({ "v": 1 }))).await.is(204, "BYPASS");
    agent.get("/v1/kv1/x").await.is(200, "MISS");
    agent.ask(Ask::method("DELETE", "/v1/sys/mounts/kv1").token("root")).await.is(204, "BYPASS");
    assert!(agent.get("/v1/kv1/x").await.status >= 400);
    let again = json!({ "type": "kv", "options": { "version": "2" } });
    agent.ask(Ask::method("POST", "/v1/sys/mounts/kv1").token("root").json(&again)).await.is(204, "BYPASS");
    let data = json!({ "data": { "v": 2 } });
    assert_eq!(agent.ask(Ask::method("POST", "/v1/kv1/data/x").json(&data)).await.status, 200);
    assert_eq!(agent.get("/v1/kv1/data/x").await.is(200, "MISS").data(), json!({ "v": 2 }));
    agent.get("/v1/kv1/data/x").await.is(200, "HIT");
}

#[tokio::test]
async fn the_admin_api_purges_and_refreshes_one_or_all() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    let version = format!("{CONFIG}?version=1");
    agent.get(CONFIG).await.is(200, "MISS");
    agent.get(&version).await.is(200, "MISS");
    let path = json!({ "path": "secret/data/myapp/config" });
    let purged = agent.admin_post("/agent/v1/purge", &path).await;
    assert_eq!(purged.json()["purged"], 2);
    agent.get(CONFIG).await.is(200, "MISS");
    vault.store("myapp/config", &json!({ "v": "new" })).await;
    let refreshed = agent.admin_post("/agent/v1/refresh", &path).await;
    assert_eq!((refreshed.status, &refreshed.json()["refreshed"]), (200, &json!(1)), "{refreshed:?}");
    assert_eq!(agent.get(CONFIG).await.is(200, "HIT").data(), json!({ "v": "new" }));
    vault.store("myapp/config", &json!({ "v": "newer" })).await;
    agent.get(&version).await.is(200, "MISS");
    let all = json!({ "all": true });
    assert_eq!(agent.admin_post("/agent/v1/refresh", &all).await.json()["refreshed"], 2);
    assert_eq!(agent.get(CONFIG).await.is(200, "HIT").data(), json!({ "v": "newer" }));
    assert_eq!(agent.admin_post("/agent/v1/purge", &all).await.json()["purged"], 2);
    agent.get(CONFIG).await.is(200, "MISS");
    for wrong in [json!({}), json!({ "all": false }), json!({ "path": "a", "all": true }), json!([])] {
        assert_eq!(agent.admin_post("/agent/v1/purge", &wrong).await.status, 400, "{wrong}");
    }
    vault.server.seal();
    let failed = agent.admin_post("/agent/v1/refresh", &all).await;
    assert_eq!(failed.status, 502);
    assert!(failed.json()["failed"][0]["why"].as_str().unwrap().contains("sealed"));
}
