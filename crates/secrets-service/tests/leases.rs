//! Leases and tokens that are in use are renewed in time, and replaced when they cannot be.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use secrets_service::gds_vault::{Credential, SecretString};
use secrets_service::{LeaseChange, ResilientVaultClient};
use support::{FakeVault, Reply, Seen, answer, approle_config, client, errors, kv, login, steady_clock};
use tokio::time::Instant;

fn credential(n: usize, seconds: u64) -> Reply {
    Reply::Json(
        200,
        format!(
            r#"{{"request_id":"r","lease_id":"database/creds/myapp/{n}","lease_duration":{seconds},"renewable":true,"data":{{"username":"u{n}","password":"p"}}}}"#
        ),
    )
}

fn renewed(seconds: u64) -> Reply {
    let lease = r#""lease_id":"database/creds/myapp/1","renewable":true"#;
    Reply::Json(200, format!(r#"{{"request_id":"r",{lease},"lease_duration":{seconds},"data":null}}"#))
}

/// A Vault that makes credentials for two seconds and answers their renewal with `renewal`.
fn two_second_leases(vault: &FakeVault, renewal: impl Fn() -> Reply + Send + 'static) -> Arc<AtomicUsize> {
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    vault.script(move |seen: &Seen| match seen.path.as_str() {
        "sys/leases/renew" => renewal(),
        path if path.starts_with("database/creds/") => {
            credential(count.fetch_add(1, Ordering::SeqCst) + 1, 2)
        }
        _ => answer(seen, &kv("v", 1)),
    });
    made
}

fn service(vault: &FakeVault) -> ResilientVaultClient {
    client(&approle_config(&vault.address, "5e1f-role", Credential::Value(SecretString::new("s"))))
}

/// Reads the credential every 20 ms for a while; each must have life left. Returns the user names in order.
async fn keep_reading(client: &ResilientVaultClient, length: Duration) -> Vec<String> {
    let end = Instant::now() + length;
    let mut names: Vec<String> = Vec::new();
    while Instant::now() < end {
        let credentials = client.get_database_credentials("myapp").await.unwrap();
        assert!(credentials.usable_for() > Duration::ZERO, "{credentials:?} is dead");
        if names.last().is_none_or(|last| last != credentials.username()) {
            names.push(credentials.username().to_owned());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    names
}

#[tokio::test]
async fn a_credential_in_use_is_renewed_and_stays_the_same() {
    steady_clock();
    let vault = FakeVault::start().await;
    let made = two_second_leases(&vault, || renewed(2));
    let client = service(&vault);
    let names = keep_reading(&client, Duration::from_secs(5)).await;
    assert_eq!(names, ["u1"]);
    assert_eq!(made.load(Ordering::SeqCst), 1);
    let renewals = vault.count("sys/leases/renew");
    assert!((2..=6).contains(&renewals), "{renewals} renewals in 5 s of 2 s leases");
    assert_eq!(client.stats().misses, 1, "nobody waited for a renewal");
}

#[tokio::test]
async fn a_credential_that_cannot_be_renewed_for_long_is_replaced_before_its_end() {
    steady_clock();
    let replaced = |refusal: Reply, ends_at_once: bool| async move {
        let vault = FakeVault::start().await;
        let reply = refusal.clone();
        two_second_leases(&vault, move || reply.clone());
        let client = service(&vault);
        let names = keep_reading(&client, Duration::from_secs(4)).await;
        assert!(names.len() >= 3, "{refusal:?}: {names:?}");
        // If Vault says that it has just ended, whoever reads at that moment has to wait for the next one.
        assert!(ends_at_once || client.stats().misses == 1, "{refusal:?}: nobody waited for a replacement");
    };
    tokio::join!(
        replaced(renewed(1), false),
        replaced(renewed(0), true),
        replaced(errors(400, "lease not found"), false),
        replaced(errors(403, "permission denied"), false),
    );
}

/// A lease is asked for by someone even if nobody has asked in the moment since it began to count.
#[tokio::test]
async fn whoever_comes_now_and_then_is_noticed() {
    steady_clock();
    let seldom = || async {
        let vault = FakeVault::start().await;
        two_second_leases(&vault, || errors(400, "lease not found"));
        let client = service(&vault);
        for _ in 0..60 {
            client.get_database_credentials("myapp").await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(client.stats().misses, 1, "nobody waited for a replacement");
    };
    tokio::join!(seldom(), seldom(), seldom(), seldom());
}

#[tokio::test]
async fn a_revoked_credential_that_nobody_used_is_not_handed_out() {
    steady_clock();
    let vault = FakeVault::start().await;
    let made = two_second_leases(&vault, || errors(400, "lease not found"));
    let client = service(&vault);
    let mut events = client.lease_events();
    client.get_database_credentials("myapp").await.unwrap();
    let change = loop {
        let change = events.next().await.unwrap().change;
        if !matches!(change, LeaseChange::Rotated { .. }) {
            break change;
        }
    };
    assert!(matches!(change, LeaseChange::Lost { reason: None }), "{change:?}, not at its end");
    let known = made.load(Ordering::SeqCst);
    let next = client.get_database_credentials("myapp").await.unwrap();
    assert_eq!(next.username(), format!("u{}", known + 1));
}

#[tokio::test]
async fn an_outage_in_the_middle_of_a_lease_does_not_end_it() {
    steady_clock();
    let vault = FakeVault::start().await;
    let started = Instant::now();
    two_second_leases(&vault, move || {
        // Away from 1.0 s to 1.4 s: when the first renewal is due.
        let away = (1.0..1.4).contains(&started.elapsed().as_secs_f64());
        if away { Reply::Hang } else { renewed(2) }
    });
    let client = service(&vault);
    assert_eq!(keep_reading(&client, Duration::from_secs(4)).await, ["u1"]);
}

#[tokio::test]
async fn a_token_in_use_is_renewed_and_no_login_is_made() {
    steady_clock();
    let vault = FakeVault::start().await;
    vault.script(|seen| match seen.path.as_str() {
        path if path.ends_with("/login") => login("t-1", 2),
        "auth/token/renew-self" => login("t-1", 2),
        _ => answer(seen, &kv("v", 1)),
    });
    let client = service(&vault);
    read_for(&client, Duration::from_secs(5)).await;
    assert_eq!(vault.logins_seen(), 1);
    assert!(
        (2..=6).contains(&vault.count("auth/token/renew-self")),
        "{}",
        vault.count("auth/token/renew-self")
    );
}

#[tokio::test]
async fn a_token_near_its_max_ttl_is_replaced_by_a_new_login_before_it_ends() {
    steady_clock();
    let vault = FakeVault::start().await;
    vault.script(|seen| match seen.path.as_str() {
        path if path.ends_with("/login") => login("t", 2),
        "auth/token/renew-self" => login("t", 1),
        _ => answer(seen, &kv("v", 1)),
    });
    let client = service(&vault);
    read_for(&client, Duration::from_secs(5)).await;
    let logins = vault.logins_seen();
    assert!((2..=4).contains(&logins), "{logins} logins in 5 s of 2 s tokens");
    assert_eq!(client.stats().login_failures, 0);
}

async fn read_for(client: &ResilientVaultClient, length: Duration) {
    let end = Instant::now() + length;
    let anew = secrets_service::ReadOptions { bypass_cache: true, ..secrets_service::ReadOptions::default() };
    while Instant::now() < end {
        client.get_secret_with("secret/a", anew).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_credential_ends_with_the_token_that_made_it() {
    steady_clock();
    let vault = FakeVault::start().await;
    vault.script(|seen| match seen.path.as_str() {
        path if path.ends_with("/login") => login("t", 60),
        path if path.starts_with("database/creds/") => credential(1, 3_600),
        _ => answer(seen, &kv("v", 1)),
    });
    let credentials = service(&vault).get_database_credentials("myapp").await.unwrap();
    assert!(credentials.usable_for() <= Duration::from_secs(60), "{:?}", credentials.usable_for());
}
