//! Who gets what: nothing that was cached for one is ever served to another.

use http::Method;
use serde_json::json;
use vault_dev::Fault;

use crate::support::{Ask, CONFIG, Vault, eventually, write};

const READER: &str = r#"path "secret/data/*" { capabilities = ["read"] }"#;
const STRANGER: &str = r#"path "kv1/*" { capabilities = ["read"] }"#;

#[tokio::test]
async fn row04_what_one_may_read_is_not_served_to_another() {
    let vault = Vault::start().await;
    let a = vault.token("a", READER, &json!({})).await;
    let b = vault.token("b", STRANGER, &json!({})).await;
    let agent = vault.agent().start().await;
    agent.ask(Ask::get(CONFIG).token(&a)).await.is(200, "MISS");
    agent.ask(Ask::get(CONFIG).token(&a)).await.is(200, "HIT");
    agent.get(CONFIG).await.is(200, "MISS");
    for _ in 0..2 {
        let denied = agent.ask(Ask::get(CONFIG).token(&b)).await;
        assert_eq!(denied.status, 403, "{denied:?}");
    }
    assert_eq!(agent.ask(Ask::get(CONFIG).token("hvs.made-up")).await.status, 403);
    let _outage = vault.server.fault(Fault::Refused).await;
    agent.ask(Ask::get(CONFIG).token(&a)).await.is(200, "HIT");
    for other in [&b, "hvs.made-up", "hvs.another"] {
        let refused = agent.ask(Ask::get(CONFIG).token(other)).await;
        assert!([403, 503].contains(&refused.status), "{refused:?}");
        assert!(!String::from_utf8_lossy(&refused.body).contains("canary"));
    }
}

#[tokio::test]
async fn row04_a_namespace_has_a_cache_of_its_own() {
    let vault = Vault::start().await;
    for namespace in ["team", "other"] {
        vault
            .root
            .request(Method::POST, format!("sys/namespaces/{namespace}"))
            .json(&json!({}))
            .send()
            .await
            .unwrap();
        let inside = vault.root.with_namespace(Some(namespace));
        inside.sys().enable_secrets("secret", "kv", &[("version", "2")]).await.unwrap();
    }
    let team = vault.root.with_namespace(Some("team"));
    team.kv2("secret").put("myapp/config", &json!({ "of": "team" }), None).await.unwrap();
    let agent = vault.agent().start().await;
    let ask = |namespace: &str| Ask::get(CONFIG).token("root").header("x-vault-namespace", namespace);
    assert_eq!(agent.ask(Ask::get(CONFIG).token("root")).await.data()["db_host"], "localhost");
    for namespace in ["team", "team/", "/team"] {
        assert_eq!(agent.ask(ask(namespace)).await.data(), json!({ "of": "team" }), "{namespace}");
    }
    agent.ask(ask("team")).await.is(200, "HIT");
    assert_eq!(agent.ask(ask("other")).await.status, 404);
    vault.server.seal();
    agent.ask(ask("team")).await.is(200, "HIT");
    assert!(agent.ask(ask("other")).await.status >= 400);
    assert!(agent.ask(ask("third")).await.status >= 400);
}

#[tokio::test]
async fn a_token_in_the_other_form_is_the_same_one() {
    let vault = Vault::start().await;
    let token = vault.token("a", READER, &json!({})).await;
    let agent = vault.agent().start().await;
    agent.ask(Ask::get(CONFIG).token(&token)).await.is(200, "MISS");
    agent.ask(Ask::get(CONFIG).header("authorization", &format!("Bearer {token}"))).await.is(200, "HIT");
}

#[tokio::test]
async fn row16_a_revoked_token_is_noticed_and_its_entries_die() {
    let vault = Vault::start().await;
    let token = vault.token("a", READER, &json!({})).await;
    let agent = vault.agent().env("SECRETS_AGENT_TOKENS_CHECK_SECONDS", "1").start().await;
    let ask = || Ask::get(CONFIG).token(&token);
    agent.ask(ask()).await.is(200, "MISS");
    agent.ask(ask()).await.is(200, "HIT");
    write(&vault.root, "auth/token/revoke", &json!({ "token": token })).await;
    eventually("refused", async || agent.ask(ask()).await.status == 403).await;
    let _outage = vault.server.fault(Fault::Refused).await;
    for _ in 0..2 {
        let answer = agent.ask(ask()).await;
        assert!([403, 503].contains(&answer.status), "an outage does not resurrect it: {answer:?}");
    }
}

#[tokio::test]
async fn a_token_revoked_through_the_agent_is_doubted_at_once() {
    let vault = Vault::start().await;
    let rules = format!("{READER}\npath \"auth/token/revoke-self\" {{ capabilities = [\"update\"] }}");
    for through in ["revoke-self", "revoke"] {
        let token = vault.token("a", &rules, &json!({})).await;
        let agent = vault.agent().start().await;
        let ask = || Ask::get(CONFIG).token(&token);
        agent.ask(ask()).await.is(200, "MISS");
        agent.ask(ask()).await.is(200, "HIT");
        let revoke = Ask::new(Method::POST, &format!("/v1/auth/token/{through}"));
        let revoke = if through == "revoke" {
            revoke.token("root").json(&json!({ "token": token }))
        } else {
            revoke.token(&token)
        };
        agent.ask(revoke).await.is(204, "BYPASS");
        assert_eq!(agent.ask(ask()).await.status, 403, "{through}");
    }
}

#[tokio::test]
async fn a_token_that_ends_is_not_served_past_its_end() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    let token = vault.token("a", READER, &json!({ "ttl": "10s" })).await;
    agent.ask(Ask::get(CONFIG).token(&token)).await.is(200, "MISS");
    vault.server.seal();
    eventually("refused", async || agent.ask(Ask::get(CONFIG).token(&token)).await.status >= 400).await;
}

#[tokio::test]
async fn in_an_outage_a_token_that_was_alive_is_still_served() {
    let vault = Vault::start().await;
    let token = vault.token("a", READER, &json!({})).await;
    let agent = vault
        .agent()
        .env("SECRETS_AGENT_TOKENS_CHECK_SECONDS", "1")
        .env("VAULT_CACHE_TTL_SECONDS", "0")
        .start()
        .await;
    agent.ask(Ask::get(CONFIG).token(&token)).await.is(200, "MISS");
    let _outage = vault.server.fault(Fault::Refused).await;
    // Past the check, which nobody answers.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    agent.ask(Ask::get(CONFIG).token(&token)).await.is(200, "STALE");
}

#[tokio::test]
async fn a_token_whose_uses_count_is_passed_through() {
    let vault = Vault::start().await;
    let token = vault.token("a", READER, &json!({ "num_uses": 4 })).await;
    let agent = vault.agent().start().await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let answer = agent.ask(Ask::get(CONFIG).token(&token)).await;
        statuses.push(answer.status);
        assert_eq!(answer.cache(), "BYPASS");
    }
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        2,
        "two went into asking: {statuses:?}"
    );
    assert_eq!(statuses.last(), Some(&403));
}

#[tokio::test]
async fn row16_a_dead_own_token_is_replaced_by_one_login_and_a_genuine_403_never_loops() {
    let vault = Vault::start().await;
    let agent = vault.agent().env("VAULT_CACHE_TTL_SECONDS", "0").start().await;
    agent.get(CONFIG).await.is(200, "MISS");
    let accessors =
        vault.root.request(Method::GET, "auth/token/accessors").query("list", "true").read().await.unwrap();
    let accessors: serde_json::Value = serde_json::from_str(accessors.data().expose_json()).unwrap();
    for accessor in accessors["keys"].as_array().unwrap() {
        let found =
            write(&vault.root, "auth/token/lookup-accessor", &json!({ "accessor": accessor })).await.unwrap();
        if found.field("path").unwrap().text().expose() == "auth/approle/login" {
            write(&vault.root, "auth/token/revoke-accessor", &json!({ "accessor": accessor })).await;
        }
    }
    vault.server.reset_counts();
    agent.get(CONFIG).await.is(200, "MISS");
    assert_eq!(vault.server.count("POST", "auth/approle/login"), 1);
    // The same for a request that is passed through.
    agent.ask(Ask::method("LIST", "/v1/secret/metadata/myapp")).await.is(200, "BYPASS");
    for _ in 0..20 {
        assert_eq!(agent.get("/v1/sys/mounts").await.status, 403);
    }
    assert_eq!(vault.server.count("POST", "auth/approle/login"), 1);
}
