//! The file that the copy of the cache on disk is: what stands in it, and what happens if it cannot be used.

#![cfg(feature = "disk")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use secrets_service::gds_vault::{Credential, SecretString};
use secrets_service::{DiskSettings, ErrorKind, KeySource, OnClose};
use support::disk::{Disk, credentials, restarted};
use support::logs::capture;
use support::{FakeVault, answer, approle_config, client, kv, login, value};

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
    let log = captured.text().into_bytes();
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
