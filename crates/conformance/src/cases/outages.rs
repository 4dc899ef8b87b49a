//! A Vault that is sealed, frozen, gone or back: what an application sees of it.

use std::time::Duration;

use secrets_service::{ErrorKind, OnClose, Origin, ResilientVaultClient, VaultConfig};
use serde_json::json;

use super::{HOUR, MINUTE, cases};
use crate::corner::{Application, Corner, PAST_THE_CACHE};
use crate::eventually::eventually;

cases! {
    OwnServer: [
        sealed_is_stale_and_unsealed_is_fresh,
        frozen_is_stale_and_thawed_is_fresh,
        frozen_with_nothing_to_fall_back_on,
        gone_is_stale,
        gone_with_nothing_to_fall_back_on,
        stale_values_have_an_end,
        stale_values_can_be_refused,
        a_deleted_secret_does_not_come_back,
        a_denied_secret_does_not_come_back,
        database_sessions_go_on_in_an_outage,
        a_login_in_an_outage_says_unavailable,
        closing_in_an_outage_ends,
        a_write_in_an_outage_fails,
    ],
    LastingServer: [
        a_restart_changes_nothing,
        a_restart_keeps_leases,
    ],
}

/// Nothing stays fresh, and a frozen server is given up on quickly.
fn impatient(app: &Application<'_>) -> VaultConfig {
    let mut config = app.config();
    config.cache_ttl = Duration::ZERO;
    config.retry_max_attempts = 1;
    config.stale_deadline = Duration::from_millis(500);
    config.read_deadline = Duration::from_secs(5);
    config
}

fn impatient_client(app: &Application<'_>) -> ResilientVaultClient {
    ResilientVaultClient::new(&impatient(app)).unwrap()
}

/// Where the secret came from, and which version it is.
async fn read(client: &ResilientVaultClient, path: &str) -> (Origin, u64) {
    let read = client.get_secret(path).await.unwrap();
    assert_eq!(read.is_stale(), read.stale_reason().is_some());
    (read.origin(), read.version().unwrap().version)
}

/// Once Vault answers again, so do reads, though not at once: a breaker may be open.
async fn fresh_again(client: &ResilientVaultClient, path: &str, version: u64) {
    let found = eventually("reads are fresh again", || async {
        let (origin, found) = read(client, path).await;
        (origin == Origin::Vault).then_some(found)
    });
    assert_eq!(found.await, version);
}

async fn sealed_is_stale_and_unsealed_is_fresh(corner: Corner) {
    let app = Application::new(&corner).await;
    let (client, path) = (impatient_client(&app), app.path("config"));
    read(&client, &path).await;
    app.as_root().put("myapp/config", &json!({"x": 2}), None).await.unwrap();
    corner.server().seal().await;
    for _ in 0..20 {
        assert_eq!(read(&client, &path).await, (Origin::Stale, 1));
    }
    let reason = client.get_secret(&path).await.unwrap().stale_reason().unwrap().to_string();
    assert!(reason.contains("503") || reason.contains("not answered"), "{reason}");
    assert!(!client.status().troubled_mounts.is_empty());
    corner.server().unseal().await;
    fresh_again(&client, &path, 2).await;
    assert_eq!(client.stats().logins, 1, "the login has survived");
}

async fn frozen_is_stale_and_thawed_is_fresh(corner: Corner) {
    let app = Application::new(&corner).await;
    let (client, path) = (impatient_client(&app), app.path("config"));
    read(&client, &path).await;
    app.as_root().put("myapp/config", &json!({"x": 2}), None).await.unwrap();
    corner.server().freeze().await;
    for _ in 0..5 {
        assert_eq!(read(&client, &path).await, (Origin::Stale, 1));
    }
    corner.server().thaw().await;
    fresh_again(&client, &path, 2).await;
}

async fn frozen_with_nothing_to_fall_back_on(corner: Corner) {
    let app = Application::new(&corner).await;
    let client = impatient_client(&app);
    read(&client, &app.path("config")).await;
    corner.server().freeze().await;
    let error = client.get_secret(&app.path("api-keys")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    corner.server().thaw().await;
    eventually("it can be read", || async { client.get_secret(&app.path("api-keys")).await.ok() }).await;
}

async fn gone_is_stale(corner: Corner) {
    let app = Application::new(&corner).await;
    let (client, path) = (impatient_client(&app), app.path("config"));
    read(&client, &path).await;
    corner.server().kill().await;
    for _ in 0..20 {
        assert_eq!(read(&client, &path).await, (Origin::Stale, 1));
    }
    let error = client.get_secret_with(&path, PAST_THE_CACHE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

async fn gone_with_nothing_to_fall_back_on(corner: Corner) {
    let app = Application::new(&corner).await;
    let service = app.service_with(&impatient(&app));
    corner.server().kill().await;
    let error = service.get_api_key("stripe").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(&app.path("api-keys")), "{error}");
    assert!(error.to_string().contains("cannot connect"), "{error}");
}

async fn stale_values_have_an_end(corner: Corner) {
    let app = Application::new(&corner).await;
    let mut config = impatient(&app);
    config.cache_max_stale = Duration::from_secs(6);
    let (client, path) = (ResilientVaultClient::new(&config).unwrap(), app.path("config"));
    read(&client, &path).await;
    corner.server().seal().await;
    assert_eq!(read(&client, &path).await.0, Origin::Stale);
    let error = eventually("it is too old", || async { client.get_secret(&path).await.err() }).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

async fn stale_values_can_be_refused(corner: Corner) {
    let app = Application::new(&corner).await;
    let mut config = impatient(&app);
    config.cache_max_stale = Duration::ZERO;
    let (client, path) = (ResilientVaultClient::new(&config).unwrap(), app.path("config"));
    read(&client, &path).await;
    corner.server().seal().await;
    assert_eq!(client.get_secret(&path).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

async fn a_deleted_secret_does_not_come_back(corner: Corner) {
    let app = Application::new(&corner).await;
    let (client, path) = (impatient_client(&app), app.path("config"));
    read(&client, &path).await;
    app.as_root().delete("myapp/config").await.unwrap();
    eventually("it is known to be deleted", || async {
        client.get_secret(&path).await.err().filter(|error| error.kind() == ErrorKind::NotFound)
    })
    .await;
    corner.server().seal().await;
    for _ in 0..20 {
        assert!(client.get_secret(&path).await.is_err());
    }
}

async fn a_denied_secret_does_not_come_back(corner: Corner) {
    let app = Application::new(&corner).await;
    let (client, path) = (impatient_client(&app), app.path("config"));
    read(&client, &path).await;
    corner
        .root()
        .sys()
        .put_policy(&corner.name("app"), r#"path "x" { capabilities = ["read"] }"#)
        .await
        .unwrap();
    eventually("it is known to be denied", || async {
        client.get_secret(&path).await.err().filter(|error| error.kind() == ErrorKind::PermissionDenied)
    })
    .await;
    corner.server().seal().await;
    for _ in 0..20 {
        assert!(client.get_secret(&path).await.is_err());
    }
}

async fn database_sessions_go_on_in_an_outage(corner: Corner) {
    let app = Application::new(&corner).await;
    let database = app.database(10 * MINUTE, HOUR).await;
    let service = app.service_with(&impatient(&app));
    let before = service.get_database_connection_string().await.unwrap();
    corner.server().seal().await;
    let user = service.vault().get_database_credentials("app").await.unwrap();
    assert!(!user.read().is_stale(), "its lease runs on");
    assert_eq!(service.get_database_connection_string().await.unwrap(), before);
    let name = database.postgres.log_in(user.username(), user.password().expose()).await.unwrap();
    assert_eq!(name, user.username());
}

async fn a_login_in_an_outage_says_unavailable(corner: Corner) {
    let app = Application::new(&corner).await;
    let client = impatient_client(&app);
    corner.server().seal().await;
    let error = client.log_in().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    corner.server().unseal().await;
    eventually("the login succeeds", || async { client.log_in().await.ok() }).await;
    assert!(client.status().logged_in);
}

async fn closing_in_an_outage_ends(corner: Corner) {
    let app = Application::new(&corner).await;
    let service = app.service_with(&impatient(&app));
    service.get_api_key("stripe").await.unwrap();
    corner.server().freeze().await;
    let error = service.close(OnClose::Revoke).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    corner.server().thaw().await;
}

async fn a_write_in_an_outage_fails(corner: Corner) {
    let app = Application::new(&corner).await;
    let service = app.service_with(&impatient(&app));
    service.get_api_key("stripe").await.unwrap();
    corner.server().seal().await;
    let error = service.set_api_key("new", &"1".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(service.get_api_key("stripe").await.unwrap().expose(), "sk_test_xxx", "reads go on");
}

async fn a_restart_changes_nothing(corner: Corner) {
    let app = Application::new(&corner).await;
    let (client, path) = (impatient_client(&app), app.path("config"));
    read(&client, &path).await;
    app.as_root().put("myapp/config", &json!({"x": 2}), None).await.unwrap();
    corner.server().kill().await;
    assert_eq!(read(&client, &path).await, (Origin::Stale, 1));
    corner.server().start_again().await;
    fresh_again(&client, &path, 2).await;
    assert_eq!(client.stats().logins, 1, "Vault still knows the token");
}

async fn a_restart_keeps_leases(corner: Corner) {
    let app = Application::new(&corner).await;
    let database = app.database(10 * MINUTE, HOUR).await;
    let service = app.service_with(&impatient(&app));
    service.get_database_connection_string().await.unwrap();
    let credentials = service.vault().get_database_credentials("app").await.unwrap();
    corner.server().kill().await;
    corner.server().start_again().await;
    let id = &credentials.lease().unwrap().id;
    let renewed = eventually("the lease can be renewed", || async {
        corner.root().leases().renew(id, Some(15 * MINUTE)).await.ok()
    })
    .await;
    assert_eq!(renewed.lease().unwrap().duration, 15 * MINUTE);
    corner.root().leases().revoke_sync(id).await.unwrap();
    assert!(!database.postgres.has_user(credentials.username()).await);
}
