//! Database users made for the asking, in a real PostgreSQL.

use std::time::Duration;

use gds_vault::{ErrorKind, SecretString};
use serde_json::json;
use vault_dev::postgres::Cluster;

use super::{HOUR, MINUTE, cases};
use crate::corner::{Corner, assert_error, envelope};
use crate::eventually::eventually;
use crate::like::assert_like;
use crate::postgres::{CREATION, Login};

cases! {
    Nothing: [
        users_are_dropped_when_their_time_is_up,
        a_user_is_made_and_can_log_in,
        every_read_makes_another_user,
        renewal_lets_the_user_in_for_longer,
        renewal_stops_at_the_maximum,
        the_maximum_holds_from_the_beginning,
        a_revoked_user_is_dropped,
        rights_on_tables_are_taken_away_first,
        a_user_that_owns_something_stays,
        a_revoked_token_takes_its_users_along,
        a_removed_mount_takes_its_users_along,
        a_database_that_is_away,
        who_may_read_credentials,
    ],
}

async fn a_user_is_made_and_can_log_in(corner: Corner) {
    let database = corner.database().await;
    database.role("app", 10 * MINUTE, HOUR).await;
    let answer = database.call("GET", "creds/app").await;
    let mut expected = envelope("database", &json!({"username": "<text>", "password": "<text>"}));
    expected["lease_id"] = "<text>".into();
    expected["renewable"] = true.into();
    expected["lease_duration"] = 600.into();
    assert_like(&answer.body, &expected);

    let secret = database.credentials("app").await;
    let lease = secret.lease().unwrap();
    let id = lease.id.strip_prefix(&format!("{}/creds/app/", database.mount)).unwrap();
    assert!(id.len() == 24 && id.chars().all(|c| c.is_ascii_alphanumeric()), "{id}");
    let login = Login::of(&secret);
    let parts: Vec<_> = login.username.split('-').collect();
    let [v, display_name, role, random, time] = parts[..] else { panic!("{}", login.username) };
    assert_eq!((v, display_name, role, random.len()), ("v", "token", "app", 20));
    assert!(time.len() == 10 && time.chars().all(|c| c.is_ascii_digit()), "{time}");
    let password = login.password.expose();
    assert!(password.len() == 20 && password.chars().all(|c| c == '-' || c.is_ascii_alphanumeric()));

    assert!(database.postgres.has_user(&login.username).await);
    assert_eq!(database.postgres.log_in(&login.username, password).await.unwrap(), login.username);
    database.postgres.log_in(&login.username, "wrong").await.unwrap_err();
    let valid_for = database.postgres.valid_for(&login.username).await;
    assert!((500.0..700.0).contains(&valid_for), "PostgreSQL itself ends it: {valid_for}");
}

async fn every_read_makes_another_user(corner: Corner) {
    let database = corner.database().await;
    database.role("app", HOUR, HOUR).await;
    let (one, two) = (database.credentials("app").await, database.credentials("app").await);
    assert_ne!(Login::of(&one).username, Login::of(&two).username);
    assert_ne!(one.lease(), two.lease());
}

async fn renewal_lets_the_user_in_for_longer(corner: Corner) {
    let database = corner.database().await;
    database.role("app", MINUTE, HOUR).await;
    let secret = database.credentials("app").await;
    let username = Login::of(&secret).username;
    let renewed = corner.root().leases().renew(&secret.lease().unwrap().id, Some(30 * MINUTE)).await.unwrap();
    let lease = renewed.lease().unwrap();
    assert_eq!((lease.duration, lease.renewable), (30 * MINUTE, true));
    assert_eq!(lease.id, secret.lease().unwrap().id);
    assert!(renewed.data().is_empty() && renewed.warnings().is_empty());
    let valid_for = database.postgres.valid_for(&username).await;
    assert!(valid_for > 1_500.0, "PostgreSQL knows: {valid_for}");
}

async fn renewal_stops_at_the_maximum(corner: Corner) {
    let database = corner.database().await;
    database.role("app", MINUTE, 10 * MINUTE).await;
    let secret = database.credentials("app").await;
    let renewed = corner.root().leases().renew(&secret.lease().unwrap().id, Some(HOUR)).await.unwrap();
    let seconds = renewed.lease().unwrap().duration.as_secs();
    assert!((570..=600).contains(&seconds), "{seconds}");
    let warning = "TTL of \"1h\" exceeded the effective max_ttl of ";
    assert!(renewed.warnings()[0].starts_with(warning), "{:?}", renewed.warnings());
    assert!(renewed.warnings()[0].ends_with("; TTL value is capped accordingly"), "{:?}", renewed.warnings());
}

async fn a_revoked_user_is_dropped(corner: Corner) {
    let database = corner.database().await;
    database.role("app", HOUR, HOUR).await;
    let secret = database.credentials("app").await;
    let login = Login::of(&secret);
    corner.root().leases().revoke_sync(&secret.lease().unwrap().id).await.unwrap();
    assert!(!database.postgres.has_user(&login.username).await);
    database.postgres.log_in(&login.username, login.password.expose()).await.unwrap_err();
    // In the background, unless asked to wait.
    let secret = database.credentials("app").await;
    corner.root().leases().revoke(&secret.lease().unwrap().id).await.unwrap();
    database.postgres.no_user(&Login::of(&secret).username).await;
}

async fn rights_on_tables_are_taken_away_first(corner: Corner) {
    let database = corner.database().await;
    database.execute("CREATE TABLE data (n int)").await;
    let grants = [
        r#"GRANT USAGE ON SCHEMA public TO "{{name}}""#,
        r#"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO "{{name}}""#,
    ];
    let statements = [CREATION, &grants].concat();
    let role = json!({"db_name": "pg", "creation_statements": statements, "default_ttl": "1h"});
    database.write("roles/app", role).await.assert_done();
    let secret = database.credentials("app").await;
    let login = Login::of(&secret);
    database.execute_as(&login.username, login.password.expose(), "INSERT INTO data VALUES (1)").await;
    corner.root().leases().revoke_sync(&secret.lease().unwrap().id).await.unwrap();
    assert!(!database.postgres.has_user(&login.username).await);
}

/// Vault takes away rights on tables. A user with other rights stays until the role says how to end them.
async fn a_user_that_owns_something_stays(corner: Corner) {
    let database = corner.database().await;
    let grant = [r#"GRANT USAGE, CREATE ON SCHEMA public TO "{{name}}""#];
    let statements = [CREATION, &grant].concat();
    let mut role = json!({"db_name": "pg", "creation_statements": statements, "default_ttl": "1h"});
    database.write("roles/app", role.clone()).await.assert_done();
    let secret = database.credentials("app").await;
    let login = Login::of(&secret);
    database.execute_as(&login.username, login.password.expose(), "CREATE TABLE mine (n int)").await;
    let error = corner.root().leases().revoke_sync(&secret.lease().unwrap().id).await.unwrap_err();
    let said = format!(
        "failed to revoke entry: resp: (*logical.Response)(nil) err: ERROR: role \"{}\" cannot be dropped because some \
         objects depend on it (SQLSTATE 2BP01)",
        login.username
    );
    assert_error(&error, ErrorKind::BadRequest, 400, &[&said]);
    role["revocation_statements"] = json!([r#"DROP OWNED BY "{{name}}""#, r#"DROP ROLE "{{name}}""#]);
    database.write("roles/app", role).await.assert_done();
    corner.root().leases().revoke_sync(&secret.lease().unwrap().id).await.unwrap();
    assert!(!database.postgres.has_user(&login.username).await);
}

async fn users_are_dropped_when_their_time_is_up(corner: Corner) {
    let database = corner.database().await;
    database.role("app", Duration::from_secs(2), HOUR).await;
    let secret = database.credentials("app").await;
    let login = Login::of(&secret);
    database.postgres.log_in(&login.username, login.password.expose()).await.unwrap();
    database.postgres.no_user(&login.username).await;
    let error = eventually("the lease is gone", || async {
        corner.root().leases().lookup(&secret.lease().unwrap().id).await.err()
    })
    .await;
    assert_error(&error, ErrorKind::BadRequest, 400, &["invalid lease"]);
}

async fn a_revoked_token_takes_its_users_along(corner: Corner) {
    let database = corner.database().await;
    database.role("app", HOUR, HOUR).await;
    let rules = format!(r#"path "{}/creds/app" {{ capabilities = ["read"] }}"#, database.mount);
    let client = corner.client_with(&rules).await;
    let login = Login::of(&client.database(&*database.mount).credentials("app").await.unwrap());
    assert!(database.postgres.has_user(&login.username).await);
    client.tokens().revoke_self().await.unwrap();
    database.postgres.no_user(&login.username).await;
}

async fn a_removed_mount_takes_its_users_along(corner: Corner) {
    let database = corner.database().await;
    database.role("app", HOUR, HOUR).await;
    let logins =
        [database.credentials("app").await, database.credentials("app").await].map(|s| Login::of(&s));
    corner.root().sys().disable_secrets(&database.mount).await.unwrap();
    for login in logins {
        database.postgres.no_user(&login.username).await;
    }
}

async fn the_maximum_holds_from_the_beginning(corner: Corner) {
    let database = corner.database().await;
    database.role("app", 2 * HOUR, HOUR).await;
    let secret = database.credentials("app").await;
    assert_eq!(secret.lease().unwrap().duration, HOUR);
    let warning = "TTL of \"2h\" exceeded the effective max_ttl of \"1h\"; TTL value is capped accordingly";
    assert_eq!(secret.warnings(), [warning]);
}

/// PostgreSQL stops and comes back: Vault finds it again by itself.
async fn a_database_that_is_away(corner: Corner) {
    let mut cluster = Cluster::start().await.unwrap();
    let database = corner.database().await;
    let mut connection = database.connection(cluster.user(), cluster.password()).await;
    connection["connection_url"] = cluster.connection_url_template().into();
    database.write("config/pg", connection).await.assert_done();
    database.role("app", MINUTE, HOUR).await;
    let first = database.credentials("app").await;
    cluster.stop_server().await;
    let error = corner.root().database(&*database.mount).credentials("app").await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::ServerError, Some(500)), "{error}");
    assert!(corner.root().leases().revoke_sync(&first.lease().unwrap().id).await.is_err());
    cluster.start_server().await.unwrap();
    let second = eventually("there are credentials again", || async {
        corner.root().database(&*database.mount).credentials("app").await.ok()
    })
    .await;
    let login = Login::of(&second);
    cluster.connect_as(&login.username, login.password.expose()).await.unwrap();
    // Nobody tries the first revocation again: it must be asked for anew.
    let left = Login::of(&first);
    cluster.connect_as(&left.username, left.password.expose()).await.unwrap();
    corner.root().leases().revoke_sync(&first.lease().unwrap().id).await.unwrap();
    cluster.connect_as(&left.username, left.password.expose()).await.unwrap_err();
}

async fn who_may_read_credentials(corner: Corner) {
    let database = corner.database().await;
    database.role("app", MINUTE, HOUR).await;
    let rules = format!(r#"path "{}/creds/other" {{ capabilities = ["read"] }}"#, database.mount);
    let client = corner.client_with(&rules).await;
    let error = client.database(&*database.mount).credentials("app").await.unwrap_err();
    assert_error(&error, ErrorKind::PermissionDenied, 403, &["1 error occurred: * permission denied"]);
    let dead = corner.client(&SecretString::from("hvs.dead"));
    let error = dead.database(&*database.mount).credentials("app").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidToken);
}
