use serde_json::json;

use crate::support::{Invocation, Vault, secrets_service, write};

/// How it ended: the code, and the lines that tell problems.
async fn problems(invocation: Invocation) -> (i32, String) {
    let ended = invocation.run().await;
    let lines: Vec<_> = ended.stdout.lines().filter(|line| line.starts_with("problem")).collect();
    assert_eq!(ended.stderr.contains("error: "), !lines.is_empty(), "{ended:?}");
    (ended.code(), lines.join("\n"))
}

#[track_caller]
fn assert_told((code, told): &(i32, String), expected: i32, parts: &[&str]) {
    assert_eq!(*code, expected, "{told}");
    for part in parts {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    assert_eq!(told.lines().count(), parts.len(), "one line per problem: {told}");
}

#[tokio::test]
async fn without_any_configuration_all_that_is_missing_is_told() {
    for arguments in [&["check"][..], &["check", "--offline"]] {
        assert_told(&problems(secrets_service(arguments)).await, 2, &["VAULT_ADDR", "VAULT_TOKEN"]);
    }
    let approle = secrets_service(&["check"]).env("VAULT_AUTH_METHOD", "approle");
    assert_told(&problems(approle).await, 2, &["VAULT_ADDR", "VAULT_ROLE_ID", "VAULT_SECRET_ID"]);
}

fn offline() -> Invocation {
    secrets_service(&["check", "--offline"])
        .env("VAULT_ADDR", "http://127.0.0.1:1")
        .env("VAULT_TOKEN", "canary")
}

#[tokio::test]
async fn row27_offline_check_of_a_right_configuration_makes_no_request() {
    let vault = Vault::start().await;
    let ended = vault.run(&["check", "--offline"]).run().await;
    assert!(ended.succeeded().contains("ok       settings"), "{ended:?}");
    assert_eq!(vault.server.connections(), 0);
}

#[tokio::test]
async fn row27_offline_check_fails_on_every_typo() {
    let misspelt = [
        ("VAULT_AUTH_METHOD", "aprole", "VAULT_AUTH_METHOD"),
        ("VAULT_CACHE_TTL_SECONDS", "30O", "VAULT_CACHE_TTL_SECONDS"),
        ("VAULT_CLIENT_TIMEOUT", "soon", "VAULT_CLIENT_TIMEOUT"),
        ("VAULT_SKIP_VERIFY", "flase", "VAULT_SKIP_VERIFY"),
        ("VAULT_ADDR", "htp://vault:8200", "VAULT_ADDR"),
        ("VAULT_CACERT", "/no/such/file.pem", "VAULT_CACERT"),
        ("SECRETS_DB_ROLE", "my/app", "SECRETS_DB_ROLE"),
        ("SECRETS_DB_CONFIG_PATH", "secret//config", "SECRETS_DB_CONFIG_PATH"),
        ("VAULT_CACHE_TTL_SECOND", "30", "is VAULT_CACHE_TTL_SECONDS meant"),
        ("VAULT_NAMEPSACE", "team", "is VAULT_NAMESPACE meant"),
        ("SECRETS_API_KEY_PATH", "secret/x", "is SECRETS_API_KEYS_PATH meant"),
        ("VAULT_TOKEN_FILE_", "x", "is VAULT_TOKEN_FILE meant"),
        ("vault_role_id", "x", "is VAULT_ROLE_ID meant"),
    ];
    for (name, value, told) in misspelt {
        let invocation = offline().env(name, value);
        let (code, lines) = problems(invocation).await;
        assert_eq!(code, 2, "{name}={value}");
        assert!(lines.contains(told) && !lines.contains("canary"), "{name}={value}: {lines}");
    }
    let all = misspelt.iter().filter(|(name, ..)| *name != "VAULT_ADDR" && *name != "VAULT_AUTH_METHOD");
    let invocation = all.clone().fold(offline(), |invocation, (name, value, _)| invocation.env(name, *value));
    let told: Vec<_> = all.map(|(.., told)| *told).collect();
    assert_told(&problems(invocation).await, 2, &told);
}

#[tokio::test]
async fn row27_secret_files_must_be_readable_and_certificates_be_some() {
    for content in ["", " \n", "\u{0}".repeat(70_000).as_str()] {
        let invocation = secrets_service(&["check", "--offline"]).env("VAULT_ADDR", "http://127.0.0.1:1");
        let file = invocation.file("token", content);
        let result = problems(invocation.env("VAULT_TOKEN_FILE", file)).await;
        assert_told(&result, 2, &["VAULT_TOKEN"]);
    }
    let invocation = offline().env("VAULT_ADDR", "https://127.0.0.1:1");
    let file = invocation.file("ca.pem", "not a certificate");
    assert_told(&problems(invocation.env("VAULT_CACERT", file)).await, 2, &["ca.pem"]);
}

#[tokio::test]
async fn remarks_are_no_problems() {
    let invocation =
        offline().env("VAULT_ADDR", "http://vault.example.com:8200").env("VAULT_SKIP_VERIFY", "1");
    let ended = invocation.run().await;
    let told = ended.succeeded();
    assert!(told.contains("note     VAULT_ADDR: http://vault.example.com:8200 is not https"), "{told}");
    assert!(told.contains("note     VAULT_SKIP_VERIFY"), "{told}");
}

#[tokio::test]
async fn every_address_is_asked() {
    let vault = Vault::start().await;
    let addresses = format!("http://127.0.0.1:1,{}", vault.server.url());
    let ended = vault.run(&["check"]).env("VAULT_ADDR", addresses).run().await;
    assert_eq!(ended.code(), 5, "{ended:?}");
    assert!(ended.stdout.contains("problem  http://127.0.0.1:1: "), "{ended:?}");
    assert!(ended.stdout.contains(&format!("ok       {}: Vault 1.", vault.server.url())), "{ended:?}");
    assert!(
        ended.stdout.contains("ok       login: as approle, policies"),
        "what can be asked is asked: {ended:?}"
    );

    vault.server.seal();
    assert_told(&problems(vault.run(&["check"])).await, 5, &["Vault is sealed"]);
    vault.server.unseal();
    vault.server.refuse().await;
    assert_told(&problems(vault.run(&["check"])).await, 5, &["refused"]);
}

#[tokio::test]
async fn a_refused_login() {
    let vault = Vault::start().await;
    assert_told(&problems(vault.run(&["check"]).env("VAULT_SECRET_ID", "x")).await, 3, &["login: "]);
    assert_told(&problems(vault.run_with_token("hvs.x", &["check"])).await, 3, &["login: "]);
}

const NO_DATABASE: &str = "database/creds/myapp: ";

#[tokio::test]
async fn what_the_service_needs_is_looked_at_and_the_login_revoked() {
    let vault = Vault::start().await;
    let ended = vault.run(&["check"]).run().await;
    assert!(ended.stdout.contains("ok       secret/myapp/config"), "{ended:?}");
    assert!(ended.stdout.contains("ok       secret/myapp/api-keys: API keys: sendgrid, stripe"), "{ended:?}");
    assert!(ended.stdout.contains(&format!("problem  {NO_DATABASE}")), "{ended:?}");
    assert_eq!(ended.code(), 6, "nothing is mounted there, which Vault tells as 403: {ended:?}");
    assert_eq!(vault.server.count("POST", "auth/token/revoke-self"), 1);
}

#[tokio::test]
async fn broken_secrets_and_policies() {
    let vault = Vault::start().await;
    vault.store("myapp/config", &json!({ "db_port": "canary" })).await;
    vault.root.kv2("secret").delete("myapp/api-keys").await.unwrap();
    let expected = [
        "db_host is missing; db_name is missing; db_port is not a port",
        "secret/myapp/api-keys: ",
        NO_DATABASE,
    ];
    assert_told(&problems(vault.run(&["check"])).await, 6, &expected);

    let policy = r#"path "secret/data/myapp/api-keys" { capabilities = ["create"] }"#;
    vault.root.sys().put_policy("myapp", policy).await.unwrap();
    let expected = [
        "the policies do not allow \"read\" on secret/data/myapp/config",
        "the policies do not allow \"read\" on secret/data/myapp/api-keys",
        NO_DATABASE,
    ];
    assert_told(&problems(vault.run(&["check"])).await, 6, &expected);

    let not_a_database = vault.run(&["check"]).env("VAULT_DATABASE_MOUNT", "secret");
    let (code, told) = problems(not_a_database).await;
    assert_eq!(code, 6);
    assert!(told.contains("the mount secret/ is not a database engine"), "{told}");
}

#[tokio::test]
async fn reading_only_is_enough_and_said() {
    let vault = Vault::start().await;
    let policy = r#"path "secret/data/myapp/*" { capabilities = ["read"] }"#;
    vault.root.sys().put_policy("myapp", policy).await.unwrap();
    let ended = vault.run(&["check"]).run().await;
    let note = "note     secret/myapp/api-keys: the policies do not allow create and update";
    assert!(ended.stdout.contains(note), "{ended:?}");
}

#[tokio::test]
async fn when_vault_does_not_tell_capabilities_it_is_tried() {
    let vault = Vault::start().await;
    let role = json!({ "token_policies": "myapp", "token_no_default_policy": true });
    write(&vault.root, "auth/approle/role/myapp", &role).await;
    let ended = vault.run(&["check"]).run().await;
    assert!(ended.stdout.contains("note     permissions"), "{ended:?}");
    assert!(ended.stdout.contains("ok       secret/myapp/config"), "{ended:?}");
}
