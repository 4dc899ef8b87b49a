//! No secret on stderr, however much is logged, and whether things go well or not.

use serde_json::json;
use vault_dev::Fault;

use crate::support::{Ended, Invocation, Vault, write};

const WAYS_TO_LOG: [(&[&str], Option<&str>); 4] = [
    (&["-vv"], None),
    (&[], Some("trace")),
    (&["--log-format", "json"], Some("trace")),
    (&["-vv", "--log-format=json"], None),
];

/// Runs it with each way of logging; nothing secret may be on stderr.
async fn without_a_leak(vault: &Vault, make: impl Fn(&[&str]) -> Invocation) -> Vec<Ended> {
    let under_way = WAYS_TO_LOG.map(|(options, filter)| {
        // An outage need not be outlasted here.
        let invocation = make(options).env("VAULT_RETRY_MAX_ATTEMPTS", "2");
        tokio::spawn(invocation.env("RUST_LOG", filter.unwrap_or_default()).run())
    });
    let mut all = Vec::new();
    for ended in under_way {
        let ended = ended.await.unwrap();
        for secret in ["canary", &vault.secret_id, "hvs."] {
            assert!(!ended.stderr.contains(secret), "{secret}: {ended:?}");
        }
        assert!(ended.stderr.lines().count() > 1, "something is logged at all: {ended:?}");
        all.push(ended);
    }
    all
}

/// As [`without_a_leak`], for arguments.
async fn run(vault: &Vault, arguments: &[&str], stdin: &str) -> Vec<Ended> {
    // After the name of the command, for `run` takes what comes last for itself.
    let (command, rest) = arguments.split_first().unwrap();
    without_a_leak(vault, |options| vault.run(&[&[*command], options, rest].concat()).stdin(stdin)).await
}

const COMMANDS: [(&[&str], &str); 8] = [
    (&["get", "secret/myapp/secret"], ""),
    (&["get", "secret/myapp/secret", "--field", "k", "--format", "env"], ""),
    (&["put", "secret/myapp/own", "a=canary-2", "b=-"], "canary-3"),
    (&["api-key", "stripe"], ""),
    (&["api-key", "set", "stripe"], "canary-4"),
    (&["list", "secret/myapp"], ""),
    (&["run", "--env", "K=secret/myapp/secret#k", "--", "sh", "-c", "test -n \"$K\""], ""),
    (&["check"], ""),
];

async fn vault_with_canaries() -> Vault {
    let vault = Vault::start().await;
    vault.store("myapp/secret", &json!({ "k": "canary-1" })).await;
    vault.store("myapp/api-keys", &json!({ "stripe": "canary-5" })).await;
    vault
}

#[tokio::test]
async fn when_all_is_well() {
    let vault = vault_with_canaries().await;
    for (arguments, stdin) in COMMANDS.into_iter().filter(|(arguments, _)| arguments[0] != "check") {
        for ended in run(&vault, arguments, stdin).await {
            ended.succeeded();
        }
    }
}

#[tokio::test]
async fn when_vault_is_in_trouble() {
    let vault = vault_with_canaries().await;
    let faults =
        [Fault::Sealed, Fault::CutBody, Fault::Garbage, Fault::Status { status: 500, retry_after: None }];
    for fault in faults {
        let _in_force = vault.server.fault(fault).await;
        for (arguments, stdin) in COMMANDS {
            for ended in run(&vault, arguments, stdin).await {
                assert_eq!(ended.code(), 5, "{ended:?}");
            }
        }
    }
}

#[tokio::test]
async fn when_the_policy_says_no() {
    let vault = vault_with_canaries().await;
    write(&vault.root, "auth/approle/role/myapp", &json!({ "token_policies": "default" })).await;
    for (arguments, stdin) in COMMANDS {
        for ended in run(&vault, arguments, stdin).await {
            assert_eq!(ended.code(), 6, "{ended:?}");
        }
    }
}

#[tokio::test]
async fn when_the_login_is_refused() {
    let vault = vault_with_canaries().await;
    let ended = without_a_leak(&vault, |options| {
        let arguments = [&["get", "secret/myapp/secret"], options].concat();
        vault.run(&arguments).env("VAULT_SECRET_ID", "canary-6")
    });
    for ended in ended.await {
        ended.failed(3);
    }
    let ended = without_a_leak(&vault, |options| {
        vault.run_with_token("canary-7", &[&["get", "secret/myapp/secret"], options].concat())
    });
    for ended in ended.await {
        ended.failed(3);
    }
}

#[tokio::test]
async fn json_logs_are_json() {
    let vault = Vault::start().await;
    let ended = vault.run(&["get", "secret/myapp/config", "-v", "--log-format", "json"]).run().await;
    ended.succeeded();
    for line in ended.stderr.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string(), "{line}");
    }
    assert!(!ended.stderr.is_empty());
}

#[tokio::test]
async fn quiet_unless_asked() {
    let vault = Vault::start().await;
    let ended = vault.run(&["get", "secret/myapp/config"]).run().await;
    ended.succeeded();
    assert_eq!(ended.stderr, "");
    let ended = vault.run(&["get", "secret/myapp/config"]).env("RUST_LOG", "=not a=filter,").run().await;
    ended.succeeded();
    assert!(ended.stderr.contains("RUST_LOG"), "{ended:?}");
}
