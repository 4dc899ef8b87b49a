//! No request storms: however many readers are busy, and whatever Vault does, few requests reach it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use secrets_service::gds_vault::{Credential, SecretString};
use support::{FakeVault, Reply, answer, approle_config, client, config, errors, kv, steady_clock};
use tokio::task::JoinSet;
use tokio::time::Instant;

const READERS: usize = 100;
/// How often each reader asks.
const PAUSE: Duration = Duration::from_millis(20);

/// The classes of failure, and the most requests per minute that each may cause.
///
/// One key's failure is remembered for a second at least (60 a minute); where the breaker opens, a probe goes every
/// 3.75 to 5 s, after a short start. A frozen Vault holds each request for ten seconds.
fn classes() -> Vec<(&'static str, Reply, usize)> {
    vec![
        ("connection closed", Reply::Hang, 40),
        ("frozen", Reply::Freeze, 20),
        ("cut body", Reply::Cut, 40),
        ("not JSON", Reply::Garbage, 40),
        ("500", errors(500, "internal error"), 40),
        ("502", Reply::Json(502, "<html>bad gateway</html>".into()), 40),
        ("503 sealed", errors(503, "Vault is sealed"), 40),
        ("429", errors(429, "request path quota exceeded"), 90),
        ("429, Retry-After 7", Reply::With("Retry-After: 7", 429, r#"{"errors":["slow down"]}"#.into()), 10),
        ("412", errors(412, "required index state not present"), 90),
        ("473 standby", errors(473, "standby"), 90),
        ("400", errors(400, "missing client token"), 65),
        ("403", errors(403, "permission denied"), 70),
        ("404", Reply::Json(404, r#"{"errors":[]}"#.into()), 65),
    ]
}

/// Runs every class at once for a while; `STORM_SECONDS=60` gives the figures of a whole minute.
#[tokio::test(flavor = "multi_thread")]
async fn row08_no_class_of_failure_becomes_a_request_storm() {
    let seconds = std::env::var("STORM_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(15usize);
    let mut runs = JoinSet::new();
    for (name, reply, most) in classes() {
        runs.spawn(async move {
            let reads = storm(reply, Duration::from_secs(seconds as u64)).await;
            (name, reads, most)
        });
    }
    let mut rows = runs.join_all().await;
    rows.sort_by_key(|row| row.0);
    println!(
        "requests at Vault by {READERS} busy readers of one secret, {seconds} s of each failure, per minute:"
    );
    for (name, (answered, requests), most) in &rows {
        let per_minute = requests * 60 / seconds;
        println!("  {name:<22} {per_minute:>5} (at most {most}), readers answered {answered} times");
    }
    for (name, (answered, requests), most) in rows {
        let allowed = most * seconds / 60 + 10; // the start, before the breaker opens
        assert!(requests <= allowed, "{name}: {requests} requests in {seconds} s");
        assert!(answered > 0, "{name}: the readers got no answer");
    }
}

/// How often readers were answered, and how many requests (of any sort) Vault got for it.
async fn storm(reply: Reply, length: Duration) -> (usize, usize) {
    let vault = FakeVault::start().await;
    let client = client(&config(&vault.address));
    client.get_secret("secret/warm/up").await.unwrap();
    vault.forget();
    vault.script(
        move |seen| {
            if matches!(reply, Reply::Json(403, _)) { answer(seen, &reply) } else { reply.clone() }
        },
    );
    let end = Instant::now() + length;
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let client = client.clone();
        readers.spawn(async move {
            let mut answered = 0;
            while Instant::now() < end {
                let read = tokio::time::timeout_at(end, client.get_secret("secret/myapp/config")).await;
                if let Ok(read) = read {
                    assert!(read.is_err());
                    answered += 1;
                }
                tokio::time::sleep(PAUSE).await;
            }
            answered
        });
    }
    let answered = readers.join_all().await.into_iter().sum();
    (answered, vault.seen().len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_different_paths_do_not_multiply_an_outage() {
    let vault = FakeVault::start().await;
    let client = client(&config(&vault.address));
    client.get_secret("secret/warm/up").await.unwrap();
    vault.forget();
    vault.everything(errors(503, "Vault is sealed"));
    let end = Instant::now() + Duration::from_secs(6);
    let mut readers = JoinSet::new();
    for n in 0..READERS {
        let client = client.clone();
        readers.spawn(async move {
            while Instant::now() < end {
                assert!(client.get_secret(&format!("secret/app/{n}")).await.is_err());
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    readers.join_all().await;
    // The first wave (bounded by the requests allowed at once), then only probes.
    assert!(vault.seen().len() <= 64 + 10, "{}", vault.seen().len());
}

#[tokio::test]
async fn row10_no_request_leaves_before_retry_after() {
    steady_clock();
    let vault = FakeVault::start().await;
    let client = client(&config(&vault.address));
    client.get_secret("secret/warm/up").await.unwrap();
    vault.forget();
    vault.reads(Reply::With("Retry-After: 7", 429, r#"{"errors":["slow down"]}"#.into()));
    assert!(client.get_secret("secret/a").await.is_err() || vault.reads_seen() == 2);
    let first = vault.seen()[0].at;
    vault.reads(kv("v1", 1));
    let mut read = client.get_secret("secret/a").await;
    while read.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        read = client.get_secret("secret/b").await; // another path: the pause is Vault's, not the path's
        assert!(first.elapsed() < Duration::from_secs(30), "never asked again: {read:?}");
    }
    let seen = vault.seen();
    let gap = seen[1].at - seen[0].at;
    assert!(gap >= Duration::from_secs(7), "asked again after {gap:?}");
}

#[tokio::test]
async fn a_refused_login_is_not_tried_in_a_storm() {
    steady_clock();
    let vault = FakeVault::start().await;
    vault.script(|seen| {
        if seen.path.ends_with("/login") {
            errors(400, "invalid role or secret ID")
        } else {
            answer(seen, &kv("v1", 1))
        }
    });
    let secret_id = Credential::Value(SecretString::new("used-up"));
    let client = client(&approle_config(&vault.address, "5e1f-role", secret_id));
    let end = Instant::now() + Duration::from_secs(6);
    let mut readers = JoinSet::new();
    for n in 0..READERS {
        let client = client.clone();
        readers.spawn(async move {
            let mut last = None;
            while Instant::now() < end {
                last = client.get_secret(&format!("secret/app/{}", n % 10)).await.err();
                tokio::time::sleep(PAUSE).await;
            }
            last.expect("every read fails")
        });
    }
    let errors = readers.join_all().await;
    // 1 s, 2 s, 4 s between them, jittered.
    assert!(vault.logins_seen() <= 4, "{} logins in 6 s", vault.logins_seen());
    for error in errors {
        assert_eq!(error.kind(), secrets_service::ErrorKind::Authentication);
        assert!(error.to_string().contains("secret_id"), "the remedy is told: {error}");
    }
}
