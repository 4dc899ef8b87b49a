//! Writes, merges, and the service's API keys, on a scripted Vault that keeps one KV v2 secret.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrets_service::gds_vault::SecretString;
use secrets_service::{ErrorKind, Patch, SecretsService, ServiceConfig};
use support::{FakeVault, Reply, Seen, answer, client, config, errors, kv, steady_clock, value};

const PATH: &str = "secret/myapp/api-keys";

/// One KV v2 secret with check-and-set.
#[derive(Default)]
struct Store {
    version: u64,
    data: Option<serde_json::Value>,
}

impl Store {
    fn handle(&mut self, seen: &Seen) -> Reply {
        let created = r#""created_time":"t","deletion_time":"","destroyed":false"#;
        if seen.path.starts_with("secret/metadata/") {
            let body = format!(r#"{{"request_id":"r","data":{{"current_version":{}}}}}"#, self.version);
            return if self.version == 0 { errors(404, "") } else { Reply::Json(200, body) };
        }
        if seen.method == "GET" {
            let Some(data) = &self.data else { return Reply::Json(404, r#"{"errors":[]}"#.into()) };
            let body = format!(
                r#"{{"request_id":"r","data":{{"data":{data},"metadata":{{"version":{},{created}}}}}}}"#,
                self.version
            );
            return Reply::Json(200, body);
        }
        let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
        if body["options"]["cas"].as_u64().is_some_and(|cas| cas != self.version) {
            return errors(400, "check-and-set parameter did not match the current version");
        }
        self.version += 1;
        self.data = Some(body["data"].clone());
        Reply::Json(200, format!(r#"{{"request_id":"r","data":{{"version":{},{created}}}}}"#, self.version))
    }
}

fn keep_a_secret(vault: &FakeVault) -> Arc<Mutex<Store>> {
    let store = Arc::new(Mutex::new(Store::default()));
    let kept = Arc::clone(&store);
    vault.script(move |seen| {
        if seen.path.starts_with("secret/") {
            kept.lock().unwrap().handle(seen)
        } else {
            answer(seen, &kv("", 1))
        }
    });
    store
}

fn service(vault: &FakeVault) -> SecretsService {
    SecretsService::new(client(&config(&vault.address)), ServiceConfig::default())
}

#[tokio::test]
async fn an_api_key_is_stored_and_read_back_and_the_others_are_kept() {
    let vault = FakeVault::start().await;
    let store = keep_a_secret(&vault);
    let service = service(&vault);
    for (name, key) in [("stripe", "sk_1"), ("sendgrid", "SG.1"), ("stripe", "sk_2")] {
        service.set_api_key(name, &SecretString::new(key)).await.unwrap();
        assert_eq!(service.get_api_key(name).await.unwrap().expose(), key);
    }
    assert_eq!(service.get_api_key("sendgrid").await.unwrap().expose(), "SG.1");
    let store = store.lock().unwrap();
    assert_eq!(store.data, Some(serde_json::json!({"stripe": "sk_2", "sendgrid": "SG.1"})));
    assert_eq!(store.version, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_at_the_same_time_lose_nothing() {
    let vault = FakeVault::start().await;
    let store = keep_a_secret(&vault);
    let writers: Vec<_> = (0..4)
        .map(|n| {
            let service = service(&vault); // each a process of its own, as far as Vault can tell
            tokio::spawn(
                async move { service.set_api_key(&format!("key{n}"), &SecretString::new("x")).await },
            )
        })
        .collect();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    assert_eq!(store.lock().unwrap().data.as_ref().unwrap().as_object().unwrap().len(), 4);
}

#[tokio::test]
async fn a_lasting_conflict_is_told_as_one() {
    let vault = FakeVault::start().await;
    vault.script(|seen| match seen.method.as_str() {
        "GET" => answer(seen, &kv("v", 1)),
        _ => errors(400, "check-and-set parameter did not match the current version"),
    });
    let error = service(&vault).set_api_key("a", &SecretString::new("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn who_writes_reads_it_back_whatever_was_cached() {
    let vault = FakeVault::start().await;
    keep_a_secret(&vault);
    let client = client(&config(&vault.address));
    client.put_secret(PATH, &serde_json::json!({"value": "one"}), None).await.unwrap();
    assert_eq!(value(&client.get_secret(PATH).await.unwrap()), "one");
    let version = client.put_secret(PATH, &serde_json::json!({"value": "two"}), Some(1)).await.unwrap();
    assert_eq!(version, Some(2));
    assert_eq!(value(&client.get_secret(PATH).await.unwrap()), "two");
    let error = client.put_secret(PATH, &serde_json::json!({"value": "three"}), Some(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let changed =
        client.patch_secret(PATH, &Patch::new().set("more", &SecretString::new("m"))).await.unwrap();
    assert_eq!(changed, Some(3));
    assert_eq!(value(&client.get_secret(PATH).await.unwrap()), "two");
}

#[tokio::test]
async fn a_write_whose_outcome_is_unknown_is_not_repeated_and_ages_the_cache() {
    let vault = FakeVault::start().await;
    vault.reads(kv("old", 1));
    let client = client(&config(&vault.address));
    client.get_secret(PATH).await.unwrap();
    vault.script(|seen| if seen.method == "GET" { answer(seen, &kv("new", 2)) } else { Reply::Cut });
    vault.forget();
    let error = client.put_secret(PATH, &serde_json::json!({"value": "new"}), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(vault.seen().iter().filter(|seen| seen.method != "GET").count(), 1, "written once at most");
    assert_eq!(value(&client.get_secret(PATH).await.unwrap()), "new", "no longer taken for fresh");
}

#[tokio::test]
async fn a_write_refused_while_sealed_is_repeated() {
    let vault = FakeVault::start().await;
    let mut refusals = 1;
    vault.script(move |seen| match seen.method.as_str() {
        "GET" => answer(seen, &kv("v", 1)),
        _ if refusals > 0 => {
            refusals -= 1;
            errors(503, "Vault is sealed")
        }
        _ => Reply::Json(
            200,
            r#"{"data":{"version":2,"created_time":"t","deletion_time":"","destroyed":false}}"#.into(),
        ),
    });
    let written =
        client(&config(&vault.address)).put_secret(PATH, &serde_json::json!({"value": "x"}), None).await;
    assert_eq!(written.unwrap(), Some(2));
}

#[tokio::test]
async fn a_credential_is_not_asked_for_twice_after_a_cut_answer() {
    let vault = FakeVault::start().await;
    vault.reads(Reply::Cut);
    let error = client(&config(&vault.address)).get_database_credentials("myapp").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(vault.count("database/creds/myapp"), 1, "each request makes a user in the database");
}

#[tokio::test]
async fn static_credentials_are_served_until_their_ttl() {
    steady_clock();
    let vault = FakeVault::start().await;
    vault.reads(Reply::Json(
        200,
        r#"{"request_id":"r","lease_id":"","data":{"username":"app","password":"p1","ttl":1,"rotation_period":5}}"#.into(),
    ));
    let client = client(&config(&vault.address));
    for _ in 0..3 {
        assert_eq!(client.get_static_database_credentials("app").await.unwrap().password().expose(), "p1");
    }
    assert_eq!(vault.reads_seen(), 1);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    client.get_static_database_credentials("app").await.unwrap();
    assert_eq!(vault.reads_seen(), 2);
}

/// Wrong calls and wrong secrets, and what the caller is told.
#[tokio::test]
async fn bad_calls_and_bad_secrets_get_a_clear_error() {
    let vault = FakeVault::start().await;
    vault.script(|seen| {
        let data = |data: &str| {
            Reply::Json(200, format!(r#"{{"data":{{"data":{data},"metadata":{{"version":1,"created_time":"t","deletion_time":"","destroyed":false}}}}}}"#))
        };
        let reply = match seen.path.as_str() {
            path if path.ends_with("/config") => data(r#"{"db_name":"m","db_port":"many"}"#),
            path if path.ends_with("/api-keys") => data(r#"{"stripe":"k","empty":null}"#),
            path if path.starts_with("database/creds/odd") => Reply::Json(200, r#"{"data":{"username":"u"}}"#.into()),
            path if path.starts_with("database/creds/none") => errors(400, "unknown role: none"),
            _ => Reply::Json(200, r#"{"lease_id":"l","lease_duration":60,"data":{"username":"u","password":"p"}}"#.into()),
        };
        answer(seen, &reply)
    });
    let service = service(&vault);
    let key = |name: &'static str| service.get_api_key(name);
    let cases = [
        (
            key("nope").await.map(|_| ()),
            ErrorKind::NotFound,
            "no API key named \"nope\"; there are: empty, stripe",
        ),
        (key("empty").await.map(|_| ()), ErrorKind::NotFound, "no API key named"),
        (key("").await.map(|_| ()), ErrorKind::InvalidRequest, "is empty"),
        (key("a\nb").await.map(|_| ()), ErrorKind::InvalidRequest, "control character"),
        (service.set_api_key("a", &SecretString::new("")).await, ErrorKind::InvalidRequest, "is empty"),
        (
            service.get_database_connection_string().await.map(|_| ()),
            ErrorKind::InvalidSecret,
            "secret/myapp/config: db_host is missing; db_port is not a port",
        ),
        (
            service.vault().get_database_credentials("odd").await.map(|_| ()),
            ErrorKind::InvalidSecret,
            "Vault's answer has no password",
        ),
        (
            service.vault().get_database_credentials("none").await.map(|_| ()),
            ErrorKind::InvalidRequest,
            "unknown role",
        ),
        (
            service.vault().get_database_credentials("a/b").await.map(|_| ()),
            ErrorKind::InvalidRequest,
            "without slashes",
        ),
        (
            service.vault().get_database_credentials("").await.map(|_| ()),
            ErrorKind::InvalidRequest,
            "without slashes",
        ),
        (
            service.vault().get_secret("").await.map(|_| ()),
            ErrorKind::InvalidRequest,
            "is not a path in Vault",
        ),
        (
            service.vault().get_secret("secret/../x").await.map(|_| ()),
            ErrorKind::InvalidRequest,
            "is not a path in Vault",
        ),
        (
            service.vault().get_secret("secret//x").await.map(|_| ()),
            ErrorKind::InvalidRequest,
            "is not a path in Vault",
        ),
        (
            service.vault().get_secret("secret/a\u{0}b").await.map(|_| ()),
            ErrorKind::InvalidRequest,
            "is not a path in Vault",
        ),
    ];
    for (n, (result, kind, part)) in cases.into_iter().enumerate() {
        let error = result.expect_err(part);
        assert_eq!(error.kind(), kind, "case {n}: {error}");
        assert!(error.to_string().contains(part), "case {n}: {part:?} in {error}");
    }
}

#[tokio::test]
async fn a_database_mount_that_cannot_be_seen_is_what_the_error_is_about() {
    let vault = FakeVault::start().await;
    let mut config = config(&vault.address);
    config.database_mount = "elsewhere".into();
    let error = client(&config).get_database_credentials("myapp").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().starts_with("elsewhere/creds/myapp: "), "{error}");
    assert_eq!(vault.reads_seen(), 0, "not looked for under another mount");
}
