use serde_json::json;

use crate::support::Vault;

#[tokio::test]
async fn read_in_both_spellings() {
    let vault = Vault::start().await;
    assert_eq!(vault.run(&["api-key", "stripe"]).run().await.succeeded(), "sk_test_xxx\n");
    assert_eq!(vault.run(&["api-key", "get", "sendgrid"]).run().await.succeeded(), "SG.xxx\n");
}

#[tokio::test]
async fn stored_and_the_others_kept() {
    let vault = Vault::start().await;
    let ended = vault.run(&["api-key", "set", "set"]).stdin("new-key\n").run().await;
    assert_eq!(ended.succeeded(), "");
    assert!(ended.stderr.contains("secret/myapp/api-keys"), "{ended:?}");
    let expected = json!({ "stripe": "sk_test_xxx", "sendgrid": "SG.xxx", "set": "new-key" });
    assert_eq!(vault.stored("myapp/api-keys").await, expected);
    assert_eq!(vault.run(&["api-key", "get", "set"]).run().await.succeeded(), "new-key\n");
}

#[tokio::test]
async fn row24_an_unknown_key_fails_and_the_known_ones_are_named() {
    let vault = Vault::start().await;
    let ended = vault.run(&["api-key", "stirpe"]).run().await;
    let complaint = ended.failed(4);
    assert!(complaint.contains("stirpe") && complaint.contains("sendgrid, stripe"), "{complaint}");
}

#[tokio::test]
async fn a_key_on_the_command_line_is_refused_and_not_repeated() {
    let vault = Vault::start().await;
    let ended = vault.run(&["api-key", "set", "stripe", "canary"]).run().await;
    let complaint = ended.failed(2);
    assert!(complaint.contains("stdin") && !complaint.contains("canary"), "{complaint}");
    assert_eq!(vault.server.count("*", ""), 0);
}

#[tokio::test]
async fn an_empty_key_is_refused() {
    let vault = Vault::start().await;
    vault.run(&["api-key", "set", "stripe"]).stdin("\n").run().await.failed(2);
    assert_eq!(vault.stored("myapp/api-keys").await["stripe"], "sk_test_xxx");
}

#[tokio::test]
async fn another_path_for_the_keys() {
    let vault = Vault::start().await;
    vault.store("myapp/other", &json!({ "k": "v" })).await;
    let run = vault.run(&["api-key", "k"]).env("SECRETS_API_KEYS_PATH", "myapp/other");
    assert_eq!(run.run().await.succeeded(), "v\n");
}
