use serde_json::json;
use vault_dev::Fault;

use crate::support::{Vault, secrets_service};

#[tokio::test]
async fn configuration_is_2() {
    let ended = secrets_service(&["get", "secret/myapp/config"]).run().await;
    let complaint = ended.failed(2);
    for variable in ["VAULT_ADDR", "VAULT_TOKEN"] {
        assert!(complaint.contains(variable), "every problem is named: {complaint}");
    }
    let vault = Vault::start().await;
    let ended = vault.run(&["get", "secret/myapp/config"]).env("VAULT_CACHE_TTL_SECONDS", "30O").run().await;
    let complaint = ended.failed(2);
    assert!(complaint.contains("VAULT_CACHE_TTL_SECONDS") && !complaint.contains("30O"), "{complaint}");
    vault.run(&["get", "secret/../sys"]).run().await.failed(2);
}

#[tokio::test]
async fn a_refused_login_is_3() {
    let vault = Vault::start().await;
    let ended = vault.run(&["get", "secret/myapp/config"]).env("VAULT_SECRET_ID", "wrong-canary").run().await;
    let complaint = ended.failed(3);
    assert!(complaint.contains("login") && complaint.contains("secret_id"), "{complaint}");
    assert!(!complaint.contains("canary"), "{complaint}");
    vault.run_with_token("hvs.canary", &["get", "secret/myapp/config"]).run().await.failed(3);
}

#[tokio::test]
async fn nothing_there_is_4() {
    let vault = Vault::start().await;
    let ended = vault.run(&["get", "secret/myapp/nothing"]).run().await;
    assert!(ended.failed(4).contains("secret/myapp/nothing"), "{ended:?}");
}

#[tokio::test]
async fn every_way_of_being_unavailable_is_5() {
    let vault = Vault::start().await;
    let faults = [
        Fault::Refused,
        Fault::Sealed,
        Fault::Frozen,
        Fault::Garbage,
        Fault::NotHttp,
        Fault::CutBody,
        Fault::Reset,
        Fault::Status { status: 500, retry_after: None },
        Fault::Status { status: 502, retry_after: None },
        Fault::Status { status: 429, retry_after: None },
        Fault::Standby(473),
    ];
    for fault in faults {
        let in_force = vault.server.fault(fault.clone()).await;
        let run = vault.run_with_token("root", &["get", "secret/myapp/config"]);
        let ended = run.env("VAULT_RETRY_MAX_ATTEMPTS", "1").env("VAULT_CLIENT_TIMEOUT", "500ms").run().await;
        let complaint = ended.failed(5);
        assert!(complaint.contains("secret/myapp/config"), "{fault:?}: {complaint}");
        assert!(complaint.contains("check that Vault runs"), "advice, {fault:?}: {complaint}");
        drop(in_force);
    }
}

#[tokio::test]
async fn what_the_policy_does_not_allow_is_6() {
    let vault = Vault::start().await;
    vault.store("other/x", &json!({ "k": "v" })).await;
    let ended = vault.run(&["get", "secret/other/x"]).run().await;
    assert!(ended.failed(6).contains("secret/other/x"), "{ended:?}");
    vault.run(&["put", "secret/myapp/config", "k=v"]).run().await.failed(6);
}

#[tokio::test]
async fn anything_else_is_1() {
    let vault = Vault::start().await;
    vault.store("myapp/config", &json!({ "db_name": "mydb" })).await;
    let ended = vault.run(&["db-url"]).run().await;
    assert!(ended.failed(1).contains("db_host is missing"), "{ended:?}");
}
