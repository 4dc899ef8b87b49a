use serde_json::{Value, json};

use crate::support::Vault;

#[tokio::test]
async fn every_format_of_a_whole_secret() {
    let vault = Vault::start().await;
    let exact = r#"{"b":"it's","a":1.50,"tree":{"x":[1, 2]}}"#;
    let raw: Box<serde_json::value::RawValue> = serde_json::from_str(exact).unwrap();
    vault.root.kv2("secret").put("myapp/x", &raw, None).await.unwrap();

    let json: Value =
        serde_json::from_str(vault.run(&["get", "secret/myapp/x"]).run().await.succeeded()).unwrap();
    assert_eq!(json, json!({ "b": "it's", "a": 1.5, "tree": { "x": [1, 2] } }));
    let same = vault.run(&["get", "secret/myapp/x", "--format", "json"]).run().await;
    assert_eq!(serde_json::from_str::<Value>(same.succeeded()).unwrap(), json);
    let env = vault.run(&["get", "secret/myapp/x", "--format", "env"]).run().await;
    assert!(env.succeeded().contains("B='it'\\''s'\n") && env.stdout.contains("A='1.5"), "{env:?}");
}

#[tokio::test]
async fn one_field_in_every_format() {
    let vault = Vault::start().await;
    vault.store("myapp/x", &json!({ "a-b": "va\"lue\n", "n": 5 })).await;
    let cases = [
        (vec!["--field", "a-b"], "va\"lue\n\n"),
        (vec!["-f", "a-b", "--format", "raw"], "va\"lue\n"),
        (vec!["--field", "a-b", "--format", "json"], "\"va\\\"lue\\n\"\n"),
        (vec!["--field", "a-b", "--format", "env"], "A_B='va\"lue\n'\n"),
        (vec!["--field", "n"], "5\n"),
        (vec!["--field", "n", "--format", "json"], "5\n"),
    ];
    for (options, expected) in cases {
        let arguments = [vec!["get", "secret/myapp/x"], options].concat();
        assert_eq!(vault.run(&arguments).run().await.succeeded(), expected, "{arguments:?}");
    }
}

#[tokio::test]
async fn raw_of_a_whole_secret_needs_a_single_field() {
    let vault = Vault::start().await;
    vault.store("myapp/one", &json!({ "only": "value" })).await;
    let ended = vault.run(&["get", "secret/myapp/one", "--format", "raw"]).run().await;
    assert_eq!(ended.succeeded(), "value");
    let ended = vault.run(&["get", "secret/myapp/config", "--format", "raw"]).run().await;
    let complaint = ended.failed(2);
    assert!(complaint.contains("--field") && complaint.contains("db_host, db_name"), "{complaint}");
}

#[tokio::test]
async fn all_spellings_of_a_path_and_kv_1() {
    let vault = Vault::start().await;
    for path in ["secret/myapp/config", "secret/data/myapp/config", "myapp/config", "/secret/myapp/config/"] {
        let ended = vault.run(&["get", path, "--field", "db_host"]).run().await;
        assert_eq!(ended.succeeded(), "localhost\n", "{path}");
    }
    vault.root.kv1("kv1").put("a", &json!({ "k": "v" })).await.unwrap();
    assert_eq!(vault.run(&["get", "kv1/a", "--field", "k"]).run().await.succeeded(), "v\n");
}

#[tokio::test]
async fn older_versions() {
    let vault = Vault::start().await;
    vault.store("myapp/x", &json!({ "k": "first" })).await;
    vault.store("myapp/x", &json!({ "k": "second" })).await;
    let version =
        async |number| vault.run(&["get", "secret/myapp/x", "-f", "k", "--version", number]).run().await;
    assert_eq!(version("1").await.succeeded(), "first\n");
    assert_eq!(version("2").await.succeeded(), "second\n");
    assert!(version("9").await.failed(4).contains("secret/myapp/x"));
    version("0").await.failed(2);
}

#[tokio::test]
async fn row24_a_missing_field_fails_and_is_named() {
    let vault = Vault::start().await;
    for format in ["json", "env", "raw"] {
        let arguments = ["get", "secret/myapp/config", "--field", "db_hots", "--format", format];
        let ended = vault.run(&arguments).run().await;
        let complaint = ended.failed(4);
        assert!(complaint.contains("db_hots") && complaint.contains("db_host, db_name"), "{complaint}");
    }
    vault.store("myapp/x", &json!({ "none": null })).await;
    let ended = vault.run(&["get", "secret/myapp/x", "--field", "none"]).run().await;
    assert!(ended.failed(4).contains("null"), "{ended:?}");
}

#[tokio::test]
async fn what_cannot_be_a_variable_is_an_error_without_half_an_output() {
    let vault = Vault::start().await;
    vault.store("myapp/x", &json!({ "fine": "x", "1st": "y" })).await;
    let ended = vault.run(&["get", "secret/myapp/x", "--format", "env"]).run().await;
    assert!(ended.failed(1).contains("1st"), "{ended:?}");
}

#[tokio::test]
async fn the_login_made_for_it_is_revoked() {
    let vault = Vault::start().await;
    vault.run(&["get", "secret/myapp/config", "--bypass-cache"]).run().await.succeeded();
    assert_eq!(vault.server.count("POST", "auth/approle/login"), 1);
    assert_eq!(vault.server.count("POST", "auth/token/revoke-self"), 1);
    // A token that was given is not ours to revoke.
    vault.run_with_token("root", &["get", "secret/myapp/config"]).run().await.succeeded();
    assert_eq!(vault.server.count("POST", "auth/token/revoke-self"), 1);
}

#[tokio::test]
async fn names_below_a_path() {
    let vault = Vault::start().await;
    assert_eq!(vault.run(&["list", "secret/myapp"]).run().await.succeeded(), "api-keys\nconfig\n");
    vault.run(&["list", "kv1/nothing"]).run().await.failed(4);
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_failure() {
    let vault = Vault::start().await;
    vault.store("myapp/big", &json!({ "k": "x".repeat(500_000) })).await;
    let mut running = vault.run(&["get", "secret/myapp/big"]).spawn();
    drop(running.child.stdout.take());
    assert_eq!(running.wait().await.code(), Some(0));
}
