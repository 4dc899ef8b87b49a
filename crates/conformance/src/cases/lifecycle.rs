//! Credentials that never run out: leases and logins that are kept alive, and replaced while the old ones still work.

use std::sync::Arc;
use std::time::Duration;

use gds_vault::{AuthMethod as _, Credential};
use secrets_service::{
    ErrorKind, LeaseChange, LeaseEvents, OnClose, ResilientVaultClient, RotatingCredentials, SecretIdSource,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{HOUR, MINUTE, cases};
use crate::corner::{Application, Corner, PAST_THE_CACHE, Settings};
use crate::eventually::eventually;
use crate::postgres::{Database, Postgres};

cases! {
    OwnServer: [
        row07_the_same_lease_survives_an_outage_of_most_of_its_life,
        row07_after_the_end_readers_are_told_when_and_recover,
    ],
    Nothing: [
        row11_there_are_valid_credentials_at_every_instant,
        row14_a_static_roles_new_password_is_served,
        row15_one_lease_is_shared_by_all,
        row16_a_revoked_token_costs_one_login_and_no_read,
        row16_a_policy_taken_away_costs_no_login,
        row17_a_secret_id_in_a_file_is_replaced_in_time,
        leases_move_to_the_new_login_before_the_old_one_ends,
        a_lease_that_nobody_uses_is_not_replaced,
        a_revoked_lease_is_replaced,
        a_listener_hears_what_happens,
    ],
}

const SECOND: Duration = Duration::from_secs(1);

fn lease_of(credentials: &RotatingCredentials) -> String {
    credentials.current().credentials.lease().unwrap().id.clone()
}

async fn works(postgres: &Postgres, credentials: &RotatingCredentials) -> Result<String, String> {
    let current = credentials.current().credentials;
    postgres.log_in(current.username(), current.password().expose()).await
}

/// Waits for an event of that sort.
async fn hear(events: &mut LeaseEvents, wanted: &str) -> LeaseChange {
    let heard = async {
        loop {
            let event = events.next().await.expect("the client lives");
            if event.change.as_str() == wanted {
                return event.change;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(40), heard).await.unwrap_or_else(|_| panic!("no event {wanted}"))
}

/// Logs in to PostgreSQL with the newest credentials, over and over; each time it must work. Returns how many
/// different users that were.
async fn log_in_for(length: Duration, database: &Database<'_>, credentials: &RotatingCredentials) -> u64 {
    let first = credentials.current().generation;
    let until = Instant::now() + length;
    while Instant::now() < until {
        let current = credentials.current().credentials;
        let login = database.postgres.log_in(current.username(), current.password().expose()).await;
        assert!(login.is_ok(), "{current:?}: {login:?}");
        sleep(Duration::from_millis(100)).await;
    }
    credentials.current().generation - first + 1
}

async fn row07_the_same_lease_survives_an_outage_of_most_of_its_life(corner: Corner) {
    let app = Application::new(&corner).await;
    let database = app.database(15 * SECOND, HOUR).await;
    let client = app.client();
    let mut events = client.lease_events();
    let credentials = client.rotating_database_credentials("app").await.unwrap();
    let lease = lease_of(&credentials);
    corner.server().freeze().await;
    sleep(9 * SECOND).await;
    corner.server().thaw().await;
    hear(&mut events, "renewed").await;
    // Past its first end.
    sleep(9 * SECOND).await;
    assert_eq!(lease_of(&credentials), lease);
    works(database.postgres, &credentials).await.unwrap();
}

async fn row07_after_the_end_readers_are_told_when_and_recover(corner: Corner) {
    let app = Application::new(&corner).await;
    let database = app.database(4 * SECOND, HOUR).await;
    let mut config = app.config();
    config.read_deadline = 3 * SECOND;
    let client = ResilientVaultClient::new(&config).unwrap();
    let mut events = client.lease_events();
    let credentials = client.rotating_database_credentials("app").await.unwrap();
    let lease = lease_of(&credentials);
    corner.server().freeze().await;
    hear(&mut events, "expiring").await;
    hear(&mut events, "lost").await;
    let error = client.get_database_credentials("app").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(&format!("the lease {lease} ended ")), "{error}");
    assert!(credentials.current().credentials.usable_for().is_zero());
    let error = credentials.usable().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    corner.server().thaw().await;
    // By itself: nobody reads.
    hear(&mut events, "recovered").await;
    assert_ne!(lease_of(&credentials), lease);
    works(database.postgres, &credentials).await.unwrap();
    client.get_database_credentials("app").await.unwrap();
}

async fn row11_there_are_valid_credentials_at_every_instant(corner: Corner) {
    let app = Application::new(&corner).await;
    let database = app.database(5 * SECOND, 10 * SECOND).await;
    let client = app.client();
    let credentials = client.rotating_database_credentials("app").await.unwrap();
    let users = log_in_for(25 * SECOND, &database, &credentials).await;
    assert!((3..=8).contains(&users), "{users} users in 25 s of 10 s leases");
    let last = credentials.current().credentials.username().to_owned();
    client.close(OnClose::Revoke).await.unwrap();
    database.postgres.no_user(&last).await;
}

async fn row14_a_static_roles_new_password_is_served(corner: Corner) {
    let app = Application::new(&corner).await;
    let database = app.database(MINUTE, HOUR).await;
    let user = database.static_role("app-static", json!({"rotation_period": "5s"})).await;
    let client = app.client();
    let mut credentials = client.rotating_static_database_credentials("app-static").await.unwrap();
    for _ in 0..2 {
        let changed = tokio::time::timeout(Duration::from_secs(40), credentials.changed()).await;
        let rotation = changed.expect("Vault rotates every 5 s").unwrap();
        assert_eq!(rotation.credentials.username(), user);
        let password = rotation.credentials.password().expose().to_owned();
        database.postgres.log_in(&user, &password).await.unwrap();
        // Whoever just reads gets it as well.
        let read = client.get_static_database_credentials("app-static").await.unwrap();
        assert!(read.password().expose() == password);
    }
    // Out of turn: a database that refuses the password is the first sign of it.
    let before = credentials.current();
    database.write("rotate-role/app-static", json!({})).await.assert_done();
    let newer = credentials.newer_than(before.generation).await.unwrap();
    database.postgres.log_in(&user, newer.credentials.password().expose()).await.unwrap();
}

async fn live_leases(corner: &Corner, database: &Database<'_>) -> usize {
    let path = format!("sys/leases/lookup/{}/creds/app/", database.mount);
    let answer = corner.call("LIST", &path, Value::Null).await;
    answer.body["data"]["keys"].as_array().map_or(0, Vec::len)
}

async fn row15_one_lease_is_shared_by_all(corner: Corner) {
    let app = Application::new(&corner).await;
    let database = app.database(MINUTE, HOUR).await;
    for _restart in 0..10 {
        let client = app.client();
        let workers = (0..8).map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                client.get_database_credentials("app").await.unwrap().username().to_owned()
            })
        });
        let users = futures::future::join_all(workers).await;
        let first = users[0].as_ref().unwrap();
        assert!(users.iter().all(|user| user.as_ref().unwrap() == first));
        assert_eq!(live_leases(&corner, &database).await, 1);
        client.close(OnClose::Revoke).await.unwrap();
    }
    assert_eq!(live_leases(&corner, &database).await, 0);
}

async fn row16_a_revoked_token_costs_one_login_and_no_read(corner: Corner) {
    let app = Application::new(&corner).await;
    let database = app.database(MINUTE, HOUR).await;
    let client = app.client();
    let credentials = client.rotating_database_credentials("app").await.unwrap();
    let path: Arc<str> = app.path("config").into();
    let token = client.vault().token().unwrap();
    let readers = (0..100).map(|_| {
        let (client, path) = (client.clone(), Arc::clone(&path));
        tokio::spawn(async move {
            for _ in 0..5 {
                client.get_secret_with(&path, PAST_THE_CACHE).await.unwrap();
                client.get_database_credentials("app").await.unwrap();
            }
        })
    });
    let readers = futures::future::join_all(readers);
    let (_, readers) =
        tokio::join!(corner.call("POST", "auth/token/revoke", json!({"token": token.expose()})), readers,);
    readers.into_iter().for_each(Result::unwrap);
    assert_eq!(client.stats().logins, 2, "the first, and one more for all");
    // Its lease died with the token: there is another one, by itself.
    eventually("new credentials work", || async { works(database.postgres, &credentials).await.ok() }).await;
}

/// Three seconds of load; a minute of it with `ENDURANCE=long`.
async fn row16_a_policy_taken_away_costs_no_login(corner: Corner) {
    let app = Application::new(&corner).await;
    let client = app.client();
    let path: Arc<str> = app.path("config").into();
    client.get_secret(&path).await.unwrap();
    let policy = format!("sys/policies/acl/{}", corner.name("app"));
    assert_eq!(corner.call("DELETE", &policy, Value::Null).await.status, 204);
    let long = std::env::var("ENDURANCE").is_ok_and(|length| length == "long");
    let until = Instant::now() + if long { 55 * SECOND } else { 3 * SECOND };
    let readers = (0..100).map(|_| {
        let (client, path) = (client.clone(), Arc::clone(&path));
        tokio::spawn(async move {
            let mut refused = 0;
            while Instant::now() < until {
                let error = client.get_secret_with(&path, PAST_THE_CACHE).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
                refused += 1;
                sleep(Duration::from_millis(20)).await;
            }
            refused
        })
    });
    let refused: u64 = futures::future::join_all(readers).await.into_iter().map(Result::unwrap).sum();
    println!("policy taken away: {refused} reads refused, {} logins", client.stats().logins);
    assert_eq!(client.stats().logins, 1, "the first, and none for {refused} refusals");
}

async fn row17_a_secret_id_in_a_file_is_replaced_in_time(corner: Corner) {
    let app = Application::new(&corner).await;
    let secret_ids = app.may_replace_its_secret_id().await;

    let first = app.approle.secret_id(json!({"ttl": "6s", "metadata": r#"{"host": "a"}"#})).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret_id");
    std::fs::write(&file, first.expose()).unwrap();
    let mut config = app.config_with(SecretIdSource::Plain(Credential::File(file.clone())));
    config.rotate_secret_id = true;
    let client = ResilientVaultClient::new(&config).unwrap();
    client.log_in().await.unwrap();
    let second = eventually("there is another secret_id in the file", || async {
        let now = std::fs::read_to_string(&file).unwrap();
        (now != first.expose()).then_some(now)
    })
    .await;
    eventually("the first one is no longer good", || async {
        app.approle.auth(&first).login(&corner.anonymous()).await.err()
    })
    .await;
    let known = corner.call("POST", &format!("{secret_ids}/lookup"), json!({"secret_id": second})).await;
    assert_eq!(known.body["data"]["metadata"], json!({"host": "a"}), "it is like the first one");
    assert_eq!(known.body["data"]["secret_id_ttl"], 6);
    // It is replaced in its turn, and the file is good for a login at any time.
    config.rotate_secret_id = false;
    for _ in 0..20 {
        let other = ResilientVaultClient::new(&config).unwrap();
        other.log_in().await.unwrap();
        sleep(Duration::from_millis(250)).await;
    }
    assert_ne!(std::fs::read_to_string(&file).unwrap(), second);
}

async fn leases_move_to_the_new_login_before_the_old_one_ends(corner: Corner) {
    let approle = json!({"token_ttl": "6s", "token_max_ttl": "9s"});
    let app = Application::with(&corner, Settings { approle }).await;
    let database = app.database(HOUR, HOUR).await;
    let client = app.client();
    let credentials = client.rotating_database_credentials("app").await.unwrap();
    let users = log_in_for(28 * SECOND, &database, &credentials).await;
    assert!(users >= 3, "{users} users in 28 s of logins that last 9 s");
    assert_eq!(client.stats().login_failures, 0);
}

async fn a_lease_that_nobody_uses_is_not_replaced(corner: Corner) {
    let app = Application::new(&corner).await;
    let database = app.database(2 * SECOND, 4 * SECOND).await;
    let client = app.client();
    let mut events = client.lease_events();
    let user = client.get_database_credentials("app").await.unwrap().username().to_owned();
    assert!(matches!(hear(&mut events, "lost").await, LeaseChange::Lost { reason: None }));
    database.postgres.no_user(&user).await;
    assert_eq!(live_leases(&corner, &database).await, 0);
    // Until someone wants it again.
    assert_ne!(client.get_database_credentials("app").await.unwrap().username(), user);
}

async fn a_revoked_lease_is_replaced(corner: Corner) {
    let app = Application::new(&corner).await;
    let database = app.database(4 * SECOND, HOUR).await;
    let client = app.client();
    let mut events = client.lease_events();
    let credentials = client.rotating_database_credentials("app").await.unwrap();
    let lease = lease_of(&credentials);
    corner.root().leases().revoke_sync(&lease).await.unwrap();
    hear(&mut events, "rotated").await;
    assert_ne!(lease_of(&credentials), lease);
    works(database.postgres, &credentials).await.unwrap();
}

async fn a_listener_hears_what_happens(corner: Corner) {
    let app = Application::new(&corner).await;
    app.database(4 * SECOND, 8 * SECOND).await;
    let client = app.client();
    let mut events = client.lease_events();
    let mut credentials = client.rotating_database_credentials("app").await.unwrap();
    let first = lease_of(&credentials);
    let LeaseChange::Renewed { lease, ends_in } = hear(&mut events, "renewed").await else { unreachable!() };
    assert!(lease == first && ends_in <= 4 * SECOND);
    let LeaseChange::Rotated { old, new, old_ends_in } = hear(&mut events, "rotated").await else {
        unreachable!()
    };
    assert_eq!(old, Some(first));
    assert!(new.is_some() && !old_ends_in.is_zero(), "the old one still works: {old_ends_in:?}");
    assert_eq!(client.leases().len(), 1);
    assert!(client.leases()[0].watched);
    client.close(OnClose::Revoke).await.unwrap();
    while events.next().await.is_some() {}
    while credentials.changed().await.is_ok() {}
}
