//! The copy of the cache on disk: what a process that starts while Vault is away can serve, and what it must not.

#![cfg(feature = "disk")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrets_service::gds_vault::{Credential, SecretString};
use secrets_service::{
    DiskSettings, ErrorKind, KeySource, OnClose, Origin, ReadOptions, ResilientVaultClient, VaultConfig,
};
use support::{FakeVault, Reply, answer, approle_config, client, errors, kv, login, value};

const ANEW: ReadOptions = ReadOptions { version: None, bypass_cache: true, within: None };

/// A folder with a key and, sooner or later, a cache in it.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        fs::write(&key, [7; 32]).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        Self { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn settings(&self) -> DiskSettings {
        DiskSettings::new(self.file(), KeySource::File(self.folder.path().join("key")))
    }

    /// What a process finds that is started when the one that uses this is killed right now.
    fn as_a_crash_would_leave_it(&self) -> Self {
        let copy = Self::new();
        fs::copy(self.file(), copy.file()).unwrap();
        copy
    }

    /// Settings of the service, with this disk.
    fn config(&self, vault: &FakeVault) -> VaultConfig {
        let mut config =
            approle_config(&vault.address, "5e1f-role", Credential::Value(SecretString::new("s")));
        config.disk = Some(self.settings());
        config.retry_backoff =
            secrets_service::retry::Backoff::new(Duration::from_millis(1), Duration::from_millis(2));
        config.read_deadline = Duration::from_secs(5);
        config
    }

    /// Every byte of every file.
    fn content(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for file in fs::read_dir(self.folder.path()).unwrap() {
            let path = file.unwrap().path();
            if !path.ends_with("key") {
                all.extend(fs::read(&path).unwrap());
                all.extend(path.file_name().unwrap().as_encoded_bytes());
            }
        }
        all
    }
}

/// A process that is killed once all that it knows is on disk, and another one that starts while Vault is away.
async fn restarted(
    vault: &FakeVault,
    disk: &Disk,
    old: &ResilientVaultClient,
) -> (Disk, ResilientVaultClient) {
    old.flush_disk().await.unwrap();
    let disk = disk.as_a_crash_would_leave_it();
    vault.everything(Reply::Hang);
    let new = client(&disk.config(vault));
    (disk, new)
}

fn credentials(lease: &str, seconds: u64) -> Reply {
    Reply::Json(
        200,
        format!(
            r#"{{"request_id":"r","lease_id":"{lease}","lease_duration":{seconds},"renewable":true,"data":{{"username":"canary-user","password":"canary-password"}}}}"#
        ),
    )
}

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
        path if path.starts_with("database/") => credentials("database/creds/myapp/1", 4),
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
    for _ in 0..600 {
        if second.get_database_credentials("myapp").await.unwrap().usable_for() > Duration::from_secs(60) {
            break;
        }
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

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Captured {
    fn lines(&self, words: &str) -> usize {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(words)).count()
    }
}

fn capture() -> (Captured, tracing::subscriber::DefaultGuard) {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    (captured, tracing::subscriber::set_default(subscriber))
}

#[tokio::test]
async fn row21_no_name_and_no_value_is_in_any_file_or_log() {
    const CANARIES: [&str; 7] = [
        "canary-value",
        "canary-name",
        "canary-user",
        "canary-password",
        "canary-token",
        "canary/lease",
        "5e1f-role",
    ];
    let (captured, _logging) = capture();
    let (vault, disk) = (FakeVault::start().await, Disk::new());
    vault.script(|seen| match seen.path.as_str() {
        path if path.ends_with("/login") => login("canary-token", 3_600),
        path if path.starts_with("database/") => credentials("database/creds/canary/lease", 3_600),
        _ => answer(seen, &kv("canary-value", 1)),
    });
    let mut config = disk.config(&vault);
    let first = client(&config);
    for n in 0..50 {
        first.get_secret(&format!("secret/canary-name-{n}")).await.unwrap();
    }
    first.get_database_credentials("canary-name").await.unwrap();
    for n in 0..20 {
        first.invalidate(&format!("secret/canary-name-{n}"));
    }
    first.close(OnClose::Keep).await.unwrap();
    // Taken over and written anew; then put aside.
    client(&config).close(OnClose::Keep).await.unwrap();
    config.namespace = Some("other".to_owned());
    client(&config).close(OnClose::Keep).await.unwrap();
    let content = disk.content();
    assert!(content.len() > 5_000, "{} bytes", content.len());
    let log = captured.0.lock().unwrap().clone();
    for canary in CANARIES {
        let within = |bytes: &[u8]| bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
        assert!(!within(&content), "{canary} is on disk in plain");
        // Paths and lease ids are no secrets in a log.
        let may_be_logged = canary.starts_with("canary-name") || canary.contains('/');
        assert!(may_be_logged || !within(&log), "{canary} is in the log");
    }
    assert!(log.windows(10).any(|window| window == b"taken over"), "the log was captured");
}

type Spoil = fn(&Path);

#[tokio::test]
async fn a_file_that_cannot_be_used_is_one_line_and_an_empty_cache() {
    let cases: [(&str, Spoil); 5] = [
        ("cannot be used", |file| fs::write(file, "not a cache at all").unwrap()),
        ("cannot be used", |file| {
            let mut bytes = fs::read(file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(file, bytes).unwrap();
        }),
        ("cannot be used", |file| fs::write(file.with_file_name("key"), [8; 32]).unwrap()),
        ("neither read nor written", |file| {
            fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
        }),
        ("neither read nor written", |file| {
            fs::set_permissions(file.with_file_name("key"), fs::Permissions::from_mode(0o644)).unwrap();
        }),
    ];
    for (n, (words, spoil)) in cases.into_iter().enumerate() {
        let (vault, disk) = (FakeVault::start().await, Disk::new());
        let first = client(&disk.config(&vault));
        first.get_secret("secret/a").await.unwrap();
        first.close(OnClose::Keep).await.unwrap();
        spoil(&disk.file());
        let (captured, logging) = capture();
        let second = client(&disk.config(&vault));
        drop(logging);
        assert_eq!(captured.lines("cache on disk"), 1, "case {n}");
        assert_eq!(captured.lines(words), 1, "case {n}");
        assert_eq!(second.status().cached, 0, "case {n}");
        // As if there had never been a file.
        assert_eq!(value(&second.get_secret("secret/a").await.unwrap()), "v1");
        second.flush_disk().await.unwrap();
    }
}

#[tokio::test]
async fn a_second_process_runs_without_the_file() {
    let (vault, disk) = (FakeVault::start().await, Disk::new());
    let first = client(&disk.config(&vault));
    let second = client(&disk.config(&vault));
    assert!(second.disk_status().is_none());
    second.get_secret("secret/a").await.unwrap();
    first.get_secret("secret/b").await.unwrap();
    first.flush_disk().await.unwrap();
    assert_eq!(first.disk_status().unwrap().secrets, 1);
}

#[tokio::test]
async fn a_disk_that_fails_holds_nobody_up_and_keeps_nothing_that_was_to_go() {
    let (vault, disk) = (FakeVault::start().await, Disk::new());
    let first = client(&disk.config(&vault));
    first.get_secret("secret/a").await.unwrap();
    first.close(OnClose::Keep).await.unwrap();
    // In the way of the new file that a process makes when it starts.
    let obstacle = disk.folder.path().join("cache.new");
    fs::create_dir(&obstacle).unwrap();
    let second = client(&disk.config(&vault));
    assert_eq!(second.flush_disk().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(second.disk_status().unwrap().problem.is_some());
    assert!(disk.file().exists(), "old is better than nothing");
    assert_eq!(value(&second.get_secret("secret/a").await.unwrap()), "v1");

    second.clear();
    second.flush_disk().await.unwrap_err();
    assert!(!disk.file().exists(), "nothing is better than what was to be forgotten");

    fs::remove_dir(&obstacle).unwrap();
    second.get_secret("secret/b").await.unwrap();
    second.flush_disk().await.unwrap();
    assert!(second.disk_status().unwrap().problem.is_none());
    let (_, third) = restarted(&vault, &disk, &second).await;
    assert_eq!(third.disk_status().unwrap().restored, 1);
}

#[tokio::test]
async fn the_key_may_come_from_the_secret_id() {
    let (vault, disk) = (FakeVault::start().await, Disk::new());
    let with = |secret_id: &str| {
        let mut config =
            approle_config(&vault.address, "role", Credential::Value(SecretString::new(secret_id)));
        config.disk = Some(DiskSettings::new(disk.file(), KeySource::SecretId));
        client(&config)
    };
    let (one, other) = ("0a1b2c3d-0000-4000-8000-000000000001", "0a1b2c3d-0000-4000-8000-000000000002");
    let first = with(one);
    first.get_secret("secret/a").await.unwrap();
    first.close(OnClose::Keep).await.unwrap();
    let again = with(one);
    assert_eq!(again.disk_status().unwrap().restored, 1);
    again.close(OnClose::Keep).await.unwrap();
    assert_eq!(with(other).disk_status().unwrap().restored, 0);
}
