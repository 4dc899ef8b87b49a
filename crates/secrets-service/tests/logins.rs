//! The login: made once, replaced once when dead, never in a loop; and the secret_id's life.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use secrets_service::gds_vault::{self, AuthInfo, AuthMethod, BoxFuture, Client, Credential, SecretString};
use secrets_service::{AuthSettings, ErrorKind, OnClose, ReadOptions, ResilientVaultClient};
use support::{FakeVault, Reply, answer, approle_config, client, errors, kv, login, steady_clock, value};

const PATH: &str = "secret/myapp/config";
const BYPASS: ReadOptions = ReadOptions { version: None, bypass_cache: true, within: None };

fn plain(text: &str) -> Credential {
    Credential::Value(SecretString::new(text))
}

/// Logins give `t-1`, `t-2`…; only the newest token is alive.
fn only_the_newest_token_lives(vault: &FakeVault, dead_message: &'static str) -> Arc<AtomicUsize> {
    let issued = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&issued);
    vault.script(move |seen| {
        if seen.path.ends_with("/login") {
            return login(&format!("t-{}", count.fetch_add(1, Ordering::SeqCst) + 1), 3_600);
        }
        let newest = format!("t-{}", count.load(Ordering::SeqCst));
        if seen.token == newest { answer(seen, &kv("v1", 1)) } else { errors(403, dead_message) }
    });
    issued
}

#[tokio::test(flavor = "multi_thread")]
async fn row16_a_dead_token_costs_a_hundred_readers_one_login_and_no_failed_read() {
    // Newer Vaults say that the token is invalid; older ones say only "permission denied".
    for message in [r"2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n", "permission denied"]
    {
        let vault = FakeVault::start().await;
        let issued = only_the_newest_token_lives(&vault, message);
        let client = client(&approle_config(&vault.address, "5e1f-role", plain("s")));
        client.get_secret(PATH).await.unwrap();
        assert_eq!(vault.logins_seen(), 1);
        if message == "permission denied" {
            // A token that was known to be alive a moment ago is believed to be, so a 403 is genuine; see below.
            continue;
        }
        issued.fetch_add(1, Ordering::SeqCst); // as if it had been revoked
        let reads: Vec<_> = (0..100)
            .map(|n| {
                let client = client.clone();
                tokio::spawn(async move { client.get_secret(&format!("secret/app/{n}")).await })
            })
            .collect();
        for read in reads {
            assert_eq!(value(&read.await.unwrap().unwrap()), "v1");
        }
        assert_eq!(vault.logins_seen(), 2, "one login for all");
    }
}

#[tokio::test]
async fn row16_a_genuine_403_never_loops_logins() {
    let vault = FakeVault::start().await;
    vault.reads(errors(403, "permission denied"));
    let client = client(&approle_config(&vault.address, "5e1f-role", plain("s")));
    for n in 0..300 {
        let error = client.get_secret(&format!("secret/app/{n}")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }
    assert_eq!(vault.logins_seen(), 1, "only the first");
    assert!(vault.count("auth/token/lookup-self") <= 1, "and hardly a question about the token");
}

#[tokio::test]
async fn a_login_refused_after_a_denial_is_not_papered_over_with_old_values() {
    steady_clock();
    let vault = FakeVault::start().await;
    let mut config = approle_config(&vault.address, "5e1f-role", plain("s"));
    config.cache_ttl = Duration::from_millis(50);
    let client = client(&config);
    client.get_secret(PATH).await.unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
    // The token was revoked and the role deleted: access has been taken away.
    vault.script(|seen| {
        if seen.path.ends_with("/login") {
            errors(400, "invalid role or secret ID")
        } else {
            errors(403, "invalid token")
        }
    });
    for _ in 0..3 {
        assert_eq!(client.get_secret(PATH).await.unwrap_err().kind(), ErrorKind::Authentication);
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}

#[tokio::test]
async fn a_dead_token_with_the_login_out_of_reach_serves_stale_values() {
    steady_clock();
    let vault = FakeVault::start().await;
    let mut config = approle_config(&vault.address, "5e1f-role", plain("s"));
    config.cache_ttl = Duration::from_millis(50);
    let client = client(&config);
    client.get_secret(PATH).await.unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
    vault.script(
        |seen| if seen.path.ends_with("/login") { Reply::Hang } else { errors(403, "invalid token") },
    );
    assert!(client.get_secret(PATH).await.unwrap().is_stale());
}

#[tokio::test]
async fn row17_a_token_that_ran_out_with_a_used_up_secret_id_serves_stale_and_says_so() {
    steady_clock();
    let vault = FakeVault::start().await;
    let logins = AtomicUsize::new(0);
    vault.script(move |seen| match seen.path.ends_with("/login") {
        true if logins.fetch_add(1, Ordering::SeqCst) == 0 => login("t-1", 1),
        true => errors(400, "invalid role or secret ID"),
        false => answer(seen, &kv("v1", 1)),
    });
    let mut config = approle_config(&vault.address, "5e1f-role", plain("s"));
    config.cache_ttl = Duration::from_millis(50);
    let client = client(&config);
    client.get_secret(PATH).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert!(client.get_secret(PATH).await.unwrap().is_stale());
    let trouble = client.status().login_error.expect("readiness can tell");
    assert_eq!(trouble.kind(), ErrorKind::Authentication);
    assert!(trouble.to_string().contains("invalid role or secret ID"), "{trouble}");
    assert!(trouble.advice().contains("secret_id"), "{}", trouble.advice());
}

#[tokio::test]
async fn row17_a_replaced_secret_id_file_is_used_at_the_next_login() {
    steady_clock();
    let vault = FakeVault::start().await;
    vault.script(|seen| match seen.path.ends_with("/login") {
        true if seen.body.contains("second") => login("t-2", 3_600),
        true if seen.body.contains("first") => login("t-1", 1),
        true => errors(400, "invalid role or secret ID"),
        false => answer(seen, &kv(&seen.token, 1)),
    });
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "first").unwrap();
    let secret_id = Credential::File(file.path().to_owned());
    let client = client(&approle_config(&vault.address, "5e1f-role", secret_id));
    assert_eq!(value(&client.get_secret(PATH).await.unwrap()), "t-1");
    std::fs::write(file.path(), "second\n").unwrap();
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert_eq!(value(&client.get_secret_with(PATH, BYPASS).await.unwrap()), "t-2");
}

/// A login that Vault refuses, as it does when a secret_id has been used up.
#[derive(Debug, Default)]
struct UsedUp {
    attempts: AtomicUsize,
}

impl AuthMethod for UsedUp {
    fn name(&self) -> &'static str {
        "approle"
    }

    fn login<'a>(&'a self, _: &'a Client) -> BoxFuture<'a, Result<AuthInfo, gds_vault::Error>> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            Err(gds_vault::Error::new(gds_vault::ErrorKind::LoginRefused, "invalid role or secret ID"))
        })
    }
}

/// A hundred readers, each asking twice a second, on a clock that runs as fast as they do.
#[tokio::test(start_paused = true)]
async fn row17_a_used_up_secret_id_is_tried_seldom_however_many_want_to_read() {
    let config = approle_config("http://127.0.0.1:1", "5e1f-role", plain("s"));
    let auth = Arc::new(UsedUp::default());
    let vault = config.vault_client().unwrap();
    let client = ResilientVaultClient::with_auth(&config, vault, Arc::clone(&auth) as Arc<dyn AuthMethod>);
    let end = tokio::time::Instant::now() + Duration::from_secs(600);
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let client = client.clone();
        readers.spawn(async move {
            while tokio::time::Instant::now() < end {
                let error = client.get_secret(PATH).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
    }
    readers.join_all().await;
    let attempts = auth.attempts.load(Ordering::SeqCst);
    println!("used-up secret_id: {attempts} logins in 10 minutes of 100 readers");
    assert!((15..=40).contains(&attempts), "{attempts} logins in ten minutes");
    let trouble = client.status().login_error.expect("readiness can tell");
    assert!(trouble.advice().contains("secret_id"), "{trouble}");
}

#[tokio::test]
async fn row18_a_replaced_jwt_file_is_used_at_the_next_login() {
    steady_clock();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "first.jwt.signature").unwrap();
    let methods = [
        AuthSettings::Kubernetes {
            role: "app".to_owned(),
            jwt_file: Some(file.path().to_owned()),
            mount: None,
        },
        AuthSettings::Jwt {
            role: "app".to_owned(),
            jwt: Credential::File(file.path().to_owned()),
            mount: None,
        },
    ];
    for auth in methods {
        std::fs::write(file.path(), "first.jwt.signature\n").unwrap();
        let vault = FakeVault::start().await;
        vault.script(|seen| match seen.path.ends_with("/login") {
            true if seen.body.contains("second.jwt.signature") => login("t-2", 3_600),
            true if seen.body.contains("first.jwt.signature") => login("t-1", 1),
            true => errors(403, "permission denied"),
            false => answer(seen, &kv(&seen.token, 1)),
        });
        let mut config = approle_config(&vault.address, "unused", plain("s"));
        config.auth = auth;
        let client = client(&config);
        assert_eq!(value(&client.get_secret(PATH).await.unwrap()), "t-1");
        // As the kubelet does, long before the old one runs out.
        std::fs::write(file.path(), "second.jwt.signature\n").unwrap();
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        assert_eq!(value(&client.get_secret_with(PATH, BYPASS).await.unwrap()), "t-2");
    }
}

#[tokio::test]
async fn row04_two_logins_share_nothing() {
    steady_clock();
    let vault = FakeVault::start().await;
    vault.script(|seen| match (seen.path.ends_with("/login"), seen.token.as_str()) {
        (true, _) if seen.body.contains("role-a") => login("token-a", 3_600),
        (true, _) => login("token-b", 3_600),
        (_, "token-b") if seen.path.starts_with("secret/") => errors(403, "permission denied"),
        _ => answer(seen, &kv("for a only", 1)),
    });
    let a = client(&approle_config(&vault.address, "role-a", plain("s")));
    let b = client(&approle_config(&vault.address, "role-b", plain("s")));
    let mut elsewhere = approle_config(&vault.address, "role-b", plain("s"));
    elsewhere.namespace = Some("team".into());
    let elsewhere = client(&elsewhere);
    assert_eq!(value(&a.get_secret(PATH).await.unwrap()), "for a only");
    assert_eq!(b.get_secret(PATH).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    vault.everything(Reply::Hang);
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert_eq!(value(&a.get_secret(PATH).await.unwrap()), "for a only");
    assert_eq!(b.get_secret(PATH).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(elsewhere.get_secret(PATH).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn closing_revokes_the_leases_and_the_token_that_we_made() {
    let vault = FakeVault::start().await;
    let lease = r#"{"request_id":"r","lease_id":"database/creds/myapp/1","lease_duration":3600,"renewable":true,"data":{"username":"u","password":"p"}}"#;
    vault.reads(Reply::Json(200, lease.into()));
    for (on_close, revoked) in [(OnClose::Revoke, 1), (OnClose::Keep, 0)] {
        vault.forget();
        let client = client(&approle_config(&vault.address, "5e1f-role", plain("s")));
        let credentials = client.get_database_credentials("myapp").await.unwrap();
        assert_eq!((credentials.username(), credentials.password().expose()), ("u", "p"));
        assert_eq!(client.status().leases, 1);
        client.close(on_close).await.unwrap();
        assert_eq!(vault.count("sys/leases/revoke"), revoked);
        assert_eq!(vault.count("auth/token/revoke-self"), revoked);
    }
}

#[tokio::test]
async fn closing_tells_of_a_credential_that_could_not_be_revoked() {
    let vault = FakeVault::start().await;
    vault.script(|seen| match seen.path.as_str() {
        "sys/leases/revoke" => errors(400, "failed to revoke entry: the database is away"),
        path if path.starts_with("database/") => {
            let lease = r#"{"lease_id":"database/creds/myapp/1","lease_duration":3600,"renewable":true,"data":{"username":"u","password":"p"}}"#;
            Reply::Json(200, lease.into())
        }
        _ => answer(seen, &kv("v", 1)),
    });
    let client = client(&approle_config(&vault.address, "5e1f-role", plain("s")));
    client.get_database_credentials("myapp").await.unwrap();
    let error = client.close(OnClose::Revoke).await.unwrap_err();
    assert!(error.to_string().contains("1 not revoked"), "{error}");
    assert_eq!(vault.count("auth/token/revoke-self"), 1, "the login is ended all the same");
}
