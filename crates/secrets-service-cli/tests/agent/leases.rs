//! Dynamic credentials on a real PostgreSQL: one lease for everyone who asks.

use std::sync::Arc;

use http::Method;
use secrets_service::gds_vault::Client;
use serde_json::json;
use tokio::task::JoinSet;
use vault_dev::postgres::Cluster;

use crate::support::{Ask, Vault, eventually, write};

pub(crate) const CREDS: &str = "/v1/database/creds/myapp";

pub(crate) async fn with_database() -> (Vault, Cluster) {
    let cluster = Cluster::start().await.unwrap();
    let vault = Vault::start().await;
    give_credentials_for(&cluster, &vault.root).await;
    vault.server.reset_counts();
    (vault, cluster)
}

/// The database engine, with a role `myapp` whose leases last an hour.
pub(crate) async fn give_credentials_for(cluster: &Cluster, root: &Client) {
    root.sys().enable_secrets("database", "database", &[]).await.unwrap();
    let connection = json!({
        "plugin_name": "postgresql-database-plugin",
        "connection_url": cluster.connection_url_template(),
        "username": cluster.user(), "password": cluster.password(),
        "allowed_roles": "*",
    });
    write(root, "database/config/pg", &connection).await;
    let role = json!({
        "db_name": "pg", "default_ttl": "1h", "max_ttl": "24h",
        "creation_statements": [
            "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'",
        ],
    });
    write(root, "database/roles/myapp", &role).await;
}

async fn leases(vault: &Vault) -> usize {
    let listed =
        vault.root.request(Method::GET, "sys/leases/lookup/database/creds/myapp").query("list", "true");
    match listed.read().await {
        Ok(listed) => {
            let keys: serde_json::Value = serde_json::from_str(listed.data().expose_json()).unwrap();
            keys["keys"].as_array().unwrap().len()
        }
        Err(_) => 0,
    }
}

#[tokio::test]
async fn row15_one_lease_is_shared_by_workers_and_restarts_of_the_application() {
    let (vault, cluster) = with_database().await;
    let agent = Arc::new(vault.agent().start().await);
    for _restart in 0..10 {
        let mut workers = JoinSet::new();
        for _ in 0..8 {
            let agent = Arc::clone(&agent);
            workers.spawn(async move { agent.get(CREDS).await });
        }
        let answers = workers.join_all().await;
        assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body));
    }
    assert_eq!(leases(&vault).await, 1);
    assert_eq!(vault.server.count("GET", "database/creds/"), 1);
    let answer = agent.get(CREDS).await;
    let data = &answer.is(200, "HIT").json()["data"];
    let user = data["username"].as_str().unwrap();
    cluster.connect_as(user, data["password"].as_str().unwrap()).await.unwrap();

    // The agent goes, its credentials stay: whoever uses them works on.
    let agent = Arc::into_inner(agent).unwrap();
    agent.send(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(agent.ended().await.0, Some(0));
    cluster.connect_as(user, data["password"].as_str().unwrap()).await.unwrap();
}

#[tokio::test]
async fn row20_leases_are_shown_with_their_deadlines() {
    let (vault, _cluster) = with_database().await;
    let agent = vault.agent().env("SECRETS_AGENT_OWN_REVOKE_ON_STOP", "true").start().await;
    agent.get(CREDS).await.is(200, "MISS");
    let left =
        agent.metric("secrets_agent_lease_seconds_to_expiry{path=\"database/creds/myapp\"}").await.unwrap();
    assert!(left > 3_000.0 && left <= 3_600.0, "{left}");
    let shown = agent.admin("/agent/v1/leases").await;
    let lease = &shown["entries"][0];
    assert_eq!(lease["path"], "database/creds/myapp");
    assert!(lease["lease"]["id"].as_str().unwrap().starts_with("database/creds/myapp/"));
    assert!(lease["usable_for_seconds"].as_u64().unwrap() > 3_000, "{shown}");
    agent.send(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(agent.ended().await.0, Some(0));
    eventually("revoked", async || leases(&vault).await == 0).await;
}

#[tokio::test]
async fn a_lease_revoked_through_the_agent_is_forgotten_in_every_form() {
    let (vault, _cluster) = with_database().await;
    let agent = vault.agent().start().await;
    for form in ["body", "path", "prefix"] {
        let answer = agent.get(CREDS).await;
        let id = answer.is(200, "MISS").json()["lease_id"].as_str().unwrap().to_owned();
        agent.get(CREDS).await.is(200, "HIT");
        let revoke = match form {
            "body" => {
                Ask::method("PUT", "/v1/sys/leases/revoke").json(&json!({ "lease_id": id, "sync": true }))
            }
            "path" => Ask::method("PUT", &format!("/v1/sys/leases/revoke/{id}")),
            _ => Ask::method("PUT", "/v1/sys/leases/revoke-prefix/database/creds"),
        };
        let revoked = agent.ask(revoke.token("root")).await;
        assert!([200, 204].contains(&revoked.status), "{form}: {revoked:?}");
    }
    agent.get(CREDS).await.is(200, "MISS");
}

#[tokio::test]
async fn a_renewal_through_the_agent_keeps_the_entry_unless_it_brings_the_end_nearer() {
    let (vault, _cluster) = with_database().await;
    let agent = vault.agent().start().await;
    let id = agent.get(CREDS).await.is(200, "MISS").json()["lease_id"].as_str().unwrap().to_owned();
    let renew = |seconds: u64| {
        Ask::method("PUT", "/v1/sys/leases/renew").json(&json!({ "lease_id": id, "increment": seconds }))
    };
    agent.ask(renew(7_200)).await.is(200, "BYPASS");
    agent.get(CREDS).await.is(200, "HIT");
    agent.ask(renew(5)).await.is(200, "BYPASS");
    agent.get(CREDS).await.is(200, "MISS");
}

#[tokio::test]
async fn row14_static_credentials_are_kept_no_longer_than_vault_says() {
    let (vault, cluster) = with_database().await;
    let admin = cluster.admin_connect().await.unwrap();
    admin.batch_execute("CREATE ROLE fixed LOGIN PASSWORD 'x'").await.unwrap();
    let role = json!({ "db_name": "pg", "username": "fixed", "rotation_period": "5s" });
    write(&vault.root, "database/static-roles/fixed", &role).await;
    let path = "/v1/database/static-creds/fixed";
    let agent = vault.agent().start().await;
    let ask = || Ask::get(path).token("root");
    let password =
        |answer: &crate::support::Answer| answer.json()["data"]["password"].as_str().unwrap().to_owned();
    let first = password(&agent.ask(ask()).await);
    eventually("rotated", async || password(&agent.ask(ask()).await) != first).await;
    let rotate = Ask::method("POST", "/v1/database/rotate-role/fixed").token("root");
    let before = password(&agent.ask(ask()).await);
    agent.ask(rotate).await.is(204, "BYPASS");
    assert_ne!(password(&agent.ask(ask()).await), before, "at once");
}
