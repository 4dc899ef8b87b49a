//! The copy of the cache on disk: what a process that starts while Vault is away can serve, and what it must not.

#![cfg(feature = "disk")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use secrets_service::gds_vault::{Credential, SecretString};
use secrets_service::{ErrorKind, OnClose, Origin, ReadOptions, VaultConfig};
use support::disk::{Disk, credentials, restarted};
use support::{FakeVault, Reply, answer, approle_config, client, errors, kv, login, value};

const ANEW: ReadOptions = ReadOptions { version: None, bypass_cache: true, within: None };

#[tokio::test]
async fn row06_a_restart_in_an_outage_serves_what_was_stored() {
    let (vault, disk) = (FakeVault::start().await, Disk::new());
    let first = client(&disk.config(&vault));
    for path in ["secret/a", "secret/b"] {
        first.get_secret(path).await.unwrap();
    }
    let status = first.disk_status().unwrap();
    assert_eq!((status.secrets, status.restored), (2, 0));
    let (second_disk, second) = restarted(&vault, &disk, &first).await;
    // In every spelling: it is known where things are mounted.
    for path in ["secret/a", "secret/data/a", "secret/b"] {
        let read = second.get_secret(path).await.unwrap();
        assert_eq!((value(&read).as_str(), read.origin()), ("v1", Origin::Cache), "{path}");
    }
    let error = second.get_secret("secret/never-read").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(second.disk_status().unwrap().restored, 2);

    // Once more, from what the second one has written itself.
    let (_, third) = restarted(&vault, &second_disk, &second).await;
    assert_eq!(value(&third.get_secret("secret/a").await.unwrap()), "v1");
    // Vault comes back: the login of the first process still counts, and new values arrive.
    vault.reads(kv("v2", 2));
    vault.forget();
    tokio::time::sleep(Duration::from_millis(1_500)).await; // the breaker's pause
    assert_eq!(value(&third.get_secret_with("secret/a", ANEW).await.unwrap()), "v2");
    assert_eq!(vault.logins_seen(), 0);
}

#[tokio::test]
async fn row06_a_stale_value_is_labelled_and_ends_with_max_stale() {
    let (vault, disk) = (FakeVault::start().await, Disk::new());
    let mut config = disk.config(&vault);
    config.cache_ttl = Duration::ZERO;
    let first = client(&config);
    first.get_secret("secret/a").await.unwrap();
    let (copy, second) = restarted(&vault, &disk, &first).await;
    let read = second.get_secret("secret/a").await.unwrap();
    assert!(read.is_stale() && read.stale_reason().is_some());
    assert!(read.usable_for() <= Duration::from_secs(86_400), "{:?}", read.usable_for());
    second.close(OnClose::Keep).await.unwrap();
    let mut strict = copy.config(&vault);
    strict.cache_max_stale = Duration::ZERO;
    let third = client(&strict);
    assert_eq!(third.get_secret("secret/a").await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn row03_what_was_purged_stays_purged() {
    let (vault, disk) = (FakeVault::start().await, Disk::new());
    let first = client(&disk.config(&vault));
    let paths = [
        "secret/gone",
        "secret/denied",
        "secret/forgotten",
        "secret/written",
        "secret/deep/x",
        "secret/kept",
    ];
    for path in paths {
        first.get_secret(path).await.unwrap();
    }
    first.flush_disk().await.unwrap();
    vault.script(|seen| match seen.path.as_str() {
        "secret/data/gone" => errors(404, "nothing"),
        "secret/data/denied" => errors(403, "permission denied"),
        "auth/token/lookup-self" => answer(seen, &Reply::Hang),
        "secret/data/written" if seen.method != "GET" => answer(
            seen,
            &Reply::Json(
                200,
                r#"{"data":{"version":2,"created_time":"t","deletion_time":"","destroyed":false}}"#.into(),
            ),
        ),
        _ => answer(seen, &kv("v2", 2)),
    });
    first.get_secret_with("secret/gone", ANEW).await.unwrap_err();
    first.get_secret_with("secret/denied", ANEW).await.unwrap_err();
    assert!(first.invalidate("secret/forgotten"));
    first.put_secret("secret/written", &[("a", 1)], None).await.unwrap();
    first.invalidate_under("secret/deep");
    // Urgent: it is written without being asked for. Here it is only waited for.
    let (_, second) = restarted(&vault, &disk, &first).await;
    for path in &paths[..5] {
        let error = second.get_secret(path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{path}");
    }
    assert_eq!(value(&second.get_secret("secret/kept").await.unwrap()), "v1");
    first.clear();
    let (_, third) = restarted(&vault, &disk, &first).await;
    third.get_secret("secret/kept").await.unwrap_err();
}

#[tokio::test]
async fn a_write_of_unknown_outcome_leaves_nothing_fresh() {
    let (vault, disk) = (FakeVault::start().await, Disk::new());
    let first = client(&disk.config(&vault));
    first.get_secret("secret/a").await.unwrap();
    first.flush_disk().await.unwrap();
    vault.everything(Reply::Hang);
    first.put_secret("secret/a", &[("a", 1)], None).await.unwrap_err();
    let (_, second) = restarted(&vault, &disk, &first).await;
    assert!(second.get_secret("secret/a").await.unwrap().is_stale());
}

type Change<'a> = (&'a str, &'a dyn Fn(&mut VaultConfig));

#[tokio::test]
async fn row04_nothing_of_one_is_served_to_another() {
    let (vault, disk) = (FakeVault::start().await, Disk::new());
    let first = client(&disk.config(&vault));
    first.get_secret("secret/a").await.unwrap();
    let callers = first.for_token(&disk.config(&vault), SecretString::new("hvs.someone"), None);
    callers.get_secret("secret/theirs").await.unwrap();
    assert!(callers.disk_status().is_none());
    let other_namespace = first.for_namespace(&disk.config(&vault), Some("team"));
    assert!(other_namespace.disk_status().is_none());
    first.flush_disk().await.unwrap();
    vault.everything(Reply::Hang);

    let same = disk.as_a_crash_would_leave_it();
    let own = client(&same.config(&vault));
    own.get_secret("secret/a").await.unwrap();
    own.get_secret("secret/theirs").await.unwrap_err();

    let role = |config: &mut VaultConfig| {
        let other = approle_config(&vault.address, "another-role", Credential::Value(SecretString::new("s")));
        config.auth = other.auth;
    };
    let changes: [Change<'_>; 4] = [
        ("another role", &role),
        ("a token", &|config| config.auth = support::config(&vault.address).auth),
        ("another namespace", &|config| config.namespace = Some("team".to_owned())),
        ("another Vault", &|config| config.addresses.push("http://127.0.0.1:1".parse().unwrap())),
    ];
    for (what, change) in changes {
        let copy = disk.as_a_crash_would_leave_it();
        let mut config = copy.config(&vault);
        change(&mut config);
        let other = client(&config);
        assert_eq!(other.disk_status().unwrap().restored, 0, "{what}");
        assert_eq!(other.get_secret("secret/a").await.unwrap_err().kind(), ErrorKind::Unavailable, "{what}");
        assert!(copy.folder.path().join("cache.unusable").exists(), "{what}");
    }
}

#[tokio::test]
async fn credentials_keep_their_lease_and_the_login_its_token() {
    let (vault, disk) = (FakeVault::start().await, Disk::new());
    vault.script(|seen| match seen.path.as_str() {
        path if path.ends_with("/login") => login("t-first", 3_600),
        path if path.starts_with("database/") => credentials("database/creds/myapp/1", 12),
        _ => answer(seen, &kv("v1", 1)),
    });
    let first = client(&disk.config(&vault));
    let before = first.get_database_credentials("myapp").await.unwrap();
    let (_, second) = restarted(&vault, &disk, &first).await;
    drop(first); // its keeper would renew the lease as well
    let after = second.get_database_credentials("myapp").await.unwrap();
    assert_eq!(after.lease(), before.lease());
    let at_most = before.usable_for();
    assert!(after.usable_for() <= at_most, "{:?}, {at_most:?}", after.usable_for());
    assert!(second.status().logged_in && second.leases().len() == 1);

    vault.script(|seen| match seen.path.as_str() {
        "sys/leases/renew" => credentials("database/creds/myapp/1", 3_600),
        path if path.starts_with("database/") => errors(500, "no more"),
        _ => answer(seen, &kv("v1", 1)),
    });
    vault.forget();
    while second.get_database_credentials("myapp").await.unwrap().usable_for() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let renewals: Vec<_> = vault.seen().into_iter().filter(|seen| seen.path == "sys/leases/renew").collect();
    assert!(!renewals.is_empty() && renewals.iter().all(|seen| seen.token == "t-first"), "{renewals:?}");
    assert_eq!(vault.logins_seen(), 0);
}

#[tokio::test]
async fn what_has_ended_meanwhile_is_not_taken_over() {
    let (vault, disk) = (FakeVault::start().await, Disk::new());
    vault.script(|seen| match seen.path.as_str() {
        path if path.ends_with("/login") => login("t-first", 1),
        path if path.starts_with("database/") => credentials("database/creds/myapp/1", 1),
        _ => answer(seen, &kv("v1", 1)),
    });
    let first = client(&disk.config(&vault));
    first.get_database_credentials("myapp").await.unwrap();
    first.flush_disk().await.unwrap();
    let copy = disk.as_a_crash_would_leave_it();
    vault.everything(Reply::Hang);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let second = client(&copy.config(&vault));
    assert!(!second.status().logged_in);
    assert!(second.leases().is_empty());
    second.get_database_credentials("myapp").await.unwrap_err();
}

#[tokio::test]
async fn access_that_was_taken_away_does_not_come_back_with_a_restart() {
    let (vault, disk) = (FakeVault::start().await, Disk::new());
    let mut config = disk.config(&vault);
    config.cache_ttl = Duration::ZERO;
    let first = client(&config);
    first.get_secret("secret/a").await.unwrap();
    // The token is revoked, and the role does not let us in again.
    let closed = |seen: &support::Seen| match seen.path.as_str() {
        path if path.ends_with("/login") => errors(400, "invalid role or secret ID"),
        _ => errors(403, "invalid token"),
    };
    vault.script(closed);
    let error = first.get_secret("secret/a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    first.flush_disk().await.unwrap();
    let copy = disk.as_a_crash_would_leave_it();
    let second = client(&copy.config(&vault));
    assert!(!second.status().logged_in);
    let error = second.get_secret("secret/a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
}

#[tokio::test]
async fn closing_revokes_or_keeps_and_leaves_the_static_secrets() {
    for (on_close, leases) in [(OnClose::Revoke, 0), (OnClose::Keep, 1)] {
        let (vault, disk) = (FakeVault::start().await, Disk::new());
        vault.script(|seen| match seen.path.as_str() {
            path if path.starts_with("database/") => credentials("database/creds/myapp/1", 3_600),
            _ => answer(seen, &kv("v1", 1)),
        });
        let first = client(&disk.config(&vault));
        first.get_secret("secret/a").await.unwrap();
        first.get_database_credentials("myapp").await.unwrap();
        first.close(on_close).await.unwrap();
        vault.everything(Reply::Hang);
        // The file is free as soon as the first one is closed.
        let second = client(&disk.config(&vault));
        assert_eq!(value(&second.get_secret("secret/a").await.unwrap()), "v1");
        assert_eq!((second.leases().len(), second.status().logged_in), (leases, leases == 1), "{on_close:?}");
    }
}
