//! The life of a read, on a scripted Vault: cache, single flight, stale values, deadlines, purging.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use secrets_service::{ErrorKind, Origin, ReadOptions};
use support::{FakeVault, Reply, answer, client, config, errors, kv, steady_clock, value};
use tokio::time::Instant;

const PATH: &str = "secret/myapp/config";

#[tokio::test]
async fn row02_a_thousand_reads_within_the_ttl_make_one_request() {
    let vault = FakeVault::start().await;
    let client = client(&config(&vault.address));
    for _ in 0..1_000 {
        assert_eq!(value(&client.get_secret(PATH).await.unwrap()), "v1");
    }
    assert_eq!(vault.reads_seen(), 1);
    let stats = client.stats();
    assert_eq!((stats.hits, stats.misses, stats.requests), (999, 1, 2), "the mount and one read: {stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_concurrent_cold_reads_make_one_request() {
    let vault = FakeVault::start().await;
    vault.reads(Reply::Slow(Duration::from_millis(100), Box::new(kv("v1", 1))));
    let client = client(&config(&vault.address));
    let reads: Vec<_> = (0..10_000)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { value(&client.get_secret(PATH).await.unwrap()) })
        })
        .collect();
    for read in reads {
        assert_eq!(read.await.unwrap(), "v1");
    }
    assert_eq!(vault.reads_seen(), 1);
    assert_eq!(vault.count("sys/"), 1, "the mount is asked once, too");
}

#[tokio::test]
async fn every_spelling_is_the_same_secret() {
    let vault = FakeVault::start().await;
    let client = client(&config(&vault.address));
    for path in [PATH, "secret/data/myapp/config", "myapp/config", "/secret/myapp/config/", "myapp/config"] {
        assert_eq!(value(&client.get_secret(path).await.unwrap()), "v1", "{path}");
    }
    assert_eq!(vault.reads_seen(), 1);
    assert_eq!(client.status().cached, 1);
    assert!(client.invalidate("myapp/config"));
    assert!(client.cached(PATH).is_none() && client.cached("secret/data/myapp/config").is_none());
}

#[tokio::test]
async fn row01_an_outage_serves_the_last_known_value_with_its_age_until_max_stale() {
    steady_clock();
    let vault = FakeVault::start().await;
    let mut config = config(&vault.address);
    config.cache_ttl = Duration::from_millis(200);
    config.cache_max_stale = Duration::from_secs(3);
    let client = client(&config);
    let first = client.get_secret(PATH).await.unwrap();
    assert_eq!((first.origin(), first.is_stale()), (Origin::Vault, false));

    vault.everything(errors(503, "Vault is sealed"));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let stale = client.get_secret(PATH).await.unwrap();
    assert_eq!((value(&stale).as_str(), stale.origin()), ("v1", Origin::Stale));
    assert!(
        stale.age() >= Duration::from_millis(300) && stale.age() < Duration::from_secs(3),
        "{:?}",
        stale.age()
    );
    let reason = stale.stale_reason().expect("a reason").to_string();
    assert!(reason.contains("sealed") || reason.contains("Sealed"), "{reason}");

    tokio::time::sleep(Duration::from_millis(2_800)).await;
    let error = client.get_secret(PATH).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(PATH), "{error}");
}

#[tokio::test]
async fn after_an_outage_reads_are_fresh_again() {
    steady_clock();
    let vault = FakeVault::start().await;
    let mut config = config(&vault.address);
    config.cache_ttl = Duration::from_millis(50);
    let client = client(&config);
    client.get_secret(PATH).await.unwrap();
    vault.everything(Reply::Hang);
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert!(client.get_secret(PATH).await.unwrap().is_stale());

    vault.reads(kv("v2", 2));
    let started = Instant::now();
    while client.get_secret(PATH).await.unwrap().is_stale() {
        assert!(started.elapsed() < Duration::from_secs(20), "never fresh again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(value(&client.get_secret(PATH).await.unwrap()), "v2");
    assert!(client.status().troubled_mounts.is_empty(), "{:?}", client.status());
}

#[tokio::test]
async fn row03_what_was_deleted_or_denied_is_never_served_again() {
    steady_clock();
    for refusal in
        [errors(404, ""), Reply::Json(404, r#"{"errors":[]}"#.into()), errors(403, "permission denied")]
    {
        let vault = FakeVault::start().await;
        let mut config = config(&vault.address);
        config.cache_ttl = Duration::from_millis(50);
        let client = client(&config);
        client.get_secret(PATH).await.unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;

        vault.reads(refusal.clone());
        let kind = client.get_secret(PATH).await.unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::NotFound | ErrorKind::PermissionDenied), "{kind:?}");
        assert_eq!(client.status().cached, 0, "purged");

        vault.everything(Reply::Hang);
        tokio::time::sleep(Duration::from_millis(1_400)).await; // past the memory of the refusal itself
        assert_eq!(client.get_secret(PATH).await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
}

#[tokio::test]
async fn row05_versions_do_not_mix() {
    let vault = FakeVault::start().await;
    vault.script(|seen| {
        let reply = match seen.path.split_once("version=").map(|(_, version)| version) {
            Some("1") => kv("one", 1),
            Some("2") => kv("two", 2),
            _ => kv("newest", 3),
        };
        answer(seen, &reply)
    });
    let client = client(&config(&vault.address));
    for _ in 0..3 {
        for (version, expected) in [(Some(1), "one"), (None, "newest"), (Some(2), "two"), (None, "newest")] {
            let options = ReadOptions { version, ..ReadOptions::default() };
            let read = client.get_secret_with(PATH, options).await.unwrap();
            assert_eq!(value(&read), expected);
        }
    }
    assert_eq!(vault.reads_seen(), 3);
}

#[tokio::test]
async fn a_frozen_vault_costs_a_caller_its_deadline_and_no_more() {
    steady_clock();
    let vault = FakeVault::start().await;
    let mut config = config(&vault.address);
    config.cache_ttl = Duration::from_millis(50);
    config.stale_deadline = Duration::from_millis(300);
    config.read_deadline = Duration::from_secs(1);
    let client = client(&config);
    client.get_secret(PATH).await.unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
    vault.everything(Reply::Freeze);

    let started = Instant::now();
    assert!(client.get_secret(PATH).await.unwrap().is_stale());
    let first = started.elapsed();
    assert!(first >= Duration::from_millis(250) && first < Duration::from_secs(1), "{first:?}");

    let started = Instant::now();
    assert!(client.get_secret(PATH).await.unwrap().is_stale());
    assert!(
        started.elapsed() < Duration::from_millis(150),
        "the second does not wait: {:?}",
        started.elapsed()
    );

    let started = Instant::now();
    let error = client.get_secret("secret/never/read").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    for part in ["secret/never/read", "no answer from Vault within", "tried"] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

/// Those who come when Vault has been silent for long do not each wait for it anew.
#[tokio::test]
async fn an_outage_costs_the_readers_of_all_secrets_one_wait() {
    steady_clock();
    let limited = Reply::With("Retry-After: 2", 429, r#"{"errors":["too many requests"]}"#.into());
    for outage in [Reply::Freeze, Reply::Hang, errors(503, "Vault is sealed"), limited] {
        let vault = FakeVault::start().await;
        let mut config = config(&vault.address);
        config.cache_ttl = Duration::from_millis(50);
        let client = client(&config);
        let paths: Vec<_> = (0..20).map(|n| format!("secret/myapp/{n}")).collect();
        for path in &paths {
            client.get_secret(path).await.unwrap();
        }
        vault.everything(outage.clone());
        tokio::time::sleep(Duration::from_millis(60)).await;

        let started = Instant::now();
        assert!(client.get_secret(&paths[0]).await.unwrap().is_stale());
        // Where Vault is silent. A refusal may be told sooner.
        let first = started.elapsed();
        assert!(first < Duration::from_millis(2_100), "{outage:?}: {first:?}");
        tokio::time::sleep(Duration::from_secs(2)).await;
        for path in &paths[1..] {
            let started = Instant::now();
            assert!(client.get_secret(path).await.unwrap().is_stale());
            let took = started.elapsed();
            assert!(took < Duration::from_millis(150), "{outage:?}: {path}: {took:?}");
        }

        // And none of them is left with the old value once Vault is back.
        vault.script(|seen| answer(seen, &kv("v2", 2)));
        let started = Instant::now();
        for path in &paths {
            while value(&client.get_secret(path).await.unwrap()) == "v1" {
                assert!(started.elapsed() < Duration::from_secs(30), "{outage:?}: {path} stays old");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

#[tokio::test]
async fn bypassing_the_cache_asks_vault_and_does_not_fall_back() {
    let vault = FakeVault::start().await;
    let client = client(&config(&vault.address));
    client.get_secret(PATH).await.unwrap();
    vault.reads(kv("v2", 2));
    assert_eq!(value(&client.get_secret(PATH).await.unwrap()), "v1");
    let bypass = ReadOptions { bypass_cache: true, ..ReadOptions::default() };
    assert_eq!(value(&client.get_secret_with(PATH, bypass).await.unwrap()), "v2");
    assert_eq!(value(&client.get_secret(PATH).await.unwrap()), "v2", "others see what was read");
    vault.everything(Reply::Hang);
    assert_eq!(client.get_secret_with(PATH, bypass).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(value(&client.get_secret(PATH).await.unwrap()), "v2");
}

#[tokio::test]
async fn a_busy_key_is_refreshed_before_it_goes_stale() {
    steady_clock();
    let vault = FakeVault::start().await;
    let mut config = config(&vault.address);
    config.cache_ttl = Duration::from_secs(1);
    let client = client(&config);
    client.get_secret(PATH).await.unwrap();
    vault.reads(Reply::Slow(Duration::from_millis(50), Box::new(kv("v2", 2))));
    let started = Instant::now();
    while value(&client.get_secret(PATH).await.unwrap()) == "v1" {
        assert!(started.elapsed() < Duration::from_secs(10), "never refreshed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(client.stats().misses, 1, "nobody had to wait for the refresh");
    assert_eq!(vault.reads_seen(), 2);
}

#[tokio::test]
async fn a_refused_connection_is_told_with_path_address_and_time() {
    let mut config = config("http://127.0.0.1:1");
    config.retry_backoff =
        secrets_service::retry::Backoff::new(Duration::from_millis(10), Duration::from_millis(20));
    let error = client(&config).get_secret(PATH).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    for part in [PATH, "127.0.0.1:1", "tried 3 times in", "check that Vault runs"] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn a_closed_client_says_so() {
    let vault = FakeVault::start().await;
    let client = client(&config(&vault.address));
    client.get_secret(PATH).await.unwrap();
    client.close(secrets_service::OnClose::Revoke).await.unwrap();
    assert_eq!(client.get_secret(PATH).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(
        vault.count("auth/token/revoke-self"),
        0,
        "a token that was handed to us is not ours to revoke"
    );
}
