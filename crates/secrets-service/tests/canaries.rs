//! No secret in a log, an error, Debug output or a status: canary values go through every operation and every
//! failure, and everything that can be read of it is searched.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::fmt::Write as _;
use std::time::Duration;

use secrets_service::gds_vault::{Credential, SecretString};
use secrets_service::{Patch, ReadOptions, SecretsService, ServiceConfig};
use support::logs::capture;
use support::{FakeVault, Reply, Seen, answer, approle_config, client, errors, login};

/// Planted in every place that may hold a secret: values, password, token, role_id, secret_id.
const CANARIES: [&str; 6] = [
    "canary-value-6f1d",
    "canary-password-a7c2",
    "canary-token-11fe",
    "canary-role-90ab",
    "canary-secret-id-42d7",
    "canary-new-key-c3e8",
];

fn kv_with_canary() -> Reply {
    let body = r#"{"request_id":"r","lease_id":"","data":{"data":{"stripe":"canary-value-6f1d","db_host":"h","db_name":"canary-value-6f1d"},"metadata":{"version":1,"created_time":"t","deletion_time":"","destroyed":false}}}"#;
    Reply::Json(200, body.into())
}

fn credentials() -> Reply {
    let body = r#"{"request_id":"r","lease_id":"database/creds/myapp/x","lease_duration":60,"renewable":true,"data":{"username":"v-myapp","password":"canary-password-a7c2"}}"#;
    Reply::Json(200, body.into())
}

/// Failures whose bodies a careless client would print. Error messages echo what the request carried (the server
/// knows nothing else that it could put there); answers that are no answers hold stored values, too.
fn hostile(n: usize, seen: &Seen) -> Option<Reply> {
    let echo = format!("bad request: {} {}", seen.token, seen.body.replace(['"', '\\'], "'"));
    let all = CANARIES.join(" ");
    let replies = [
        errors(400, &echo),
        errors(403, &echo),
        errors(404, &echo),
        errors(405, &echo),
        errors(412, &echo),
        errors(429, &echo),
        errors(500, &echo),
        errors(503, &echo),
        Reply::Json(200, format!("<html>{all}</html>")),
        Reply::Json(200, format!(r#"{{"data":"{all}"}}"#)),
        Reply::Json(200, format!(r#"{{"data":{{"data":"{all}"}}}}"#)),
        Reply::Json(502, format!("<html>{all}</html>")),
        Reply::Cut,
        Reply::Hang,
    ];
    replies.into_iter().nth(n)
}

const HOSTILE: usize = 14;

#[tokio::test]
async fn row21_no_secret_is_ever_printed() {
    let (captured, _logging) = capture();
    let mut shown = String::new();

    let vault = FakeVault::start().await;
    vault.script(|seen| match seen.path.as_str() {
        path if path.ends_with("/login") => login("canary-token-11fe", 3_600),
        path if path.starts_with("database/") => credentials(),
        _ => answer(seen, &kv_with_canary()),
    });
    let secret_id = Credential::Value(SecretString::new("canary-secret-id-42d7"));
    let mut config = approle_config(&vault.address, "canary-role-90ab", secret_id);
    config.cache_ttl = Duration::ZERO;
    config.retry_backoff =
        secrets_service::retry::Backoff::new(Duration::from_millis(1), Duration::from_millis(2));
    let _ = writeln!(shown, "{config:?}");
    let service = SecretsService::new(client(&config), ServiceConfig::default());

    let url = service.get_database_connection_string().await.unwrap();
    assert!(url.expose().contains("canary-password-a7c2"), "the canaries are really there");
    let key = service.get_api_key("stripe").await.unwrap();
    assert_eq!(key.expose(), "canary-value-6f1d");
    let _ = writeln!(shown, "{url:?} {url} {key:?} {key} {service:?} {:?}", service.vault().status());
    let read = service.vault().get_secret("secret/myapp/config").await.unwrap();
    let credentials = service.vault().get_database_credentials("myapp").await.unwrap();
    let change = Patch::new().set("stripe", &SecretString::new("canary-new-key-c3e8"));
    let _ = writeln!(shown, "{read:?} {:?} {:?} {credentials:?} {change:?}", read.secret(), read.data());
    let _ = writeln!(
        shown,
        "{:?}",
        service.set_api_key("stripe", &SecretString::new("canary-new-key-c3e8")).await
    );
    let _ = writeln!(shown, "{:?}", service.get_api_key("no-such-key").await.unwrap_err());

    for n in 0..HOSTILE {
        vault.script(move |seen| match seen.path.as_str() {
            path if path.ends_with("/login") => login("canary-token-11fe", 3_600),
            path if path.starts_with("secret/") || path.starts_with("database/") => {
                hostile(n, seen).expect("one for each number")
            }
            _ => answer(seen, &Reply::Hang),
        });
        let fresh = client(&config);
        for path in ["secret/myapp/config", "database/creds/myapp"] {
            let options = ReadOptions { version: None, bypass_cache: n % 2 == 0, within: None };
            for read in [fresh.get_secret(path).await, fresh.get_secret_with(path, options).await] {
                match read {
                    Ok(read) => writeln!(shown, "{read:?} {:?}", read.decode::<Vec<u8>>()).unwrap(),
                    Err(error) => writeln!(shown, "{error} {error:?} {:?}", error.vault_error()).unwrap(),
                }
            }
        }
        let written = fresh.put_secret("secret/a", &[("k", "canary-new-key-c3e8")], None).await;
        let _ = writeln!(shown, "{written:?} {:?} {fresh:?}", fresh.status());
        let _ = fresh.close(secrets_service::OnClose::Revoke).await;
    }
    for n in 0..HOSTILE {
        vault.script(move |seen| hostile(n, seen).expect("one for each number")); // the login too
        let _ = writeln!(shown, "{:?}", client(&config).get_secret("secret/a").await);
    }

    let logs = captured.text();
    assert!(
        logs.contains("operation") && logs.contains("secret/myapp/config"),
        "the logs were captured: {logs}"
    );
    for canary in CANARIES {
        assert!(!shown.contains(canary), "{canary} in what was shown: {}", around(&shown, canary));
        assert!(!logs.contains(canary), "{canary} in the logs: {}", around(&logs, canary));
    }
}

fn around(text: &str, canary: &str) -> String {
    let at = text.find(canary).unwrap_or(0);
    text.chars().skip(text[..at].chars().count().saturating_sub(200)).take(400).collect()
}
