//! The layer above: an application's secrets, cached, with its logins and database users looked after.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use gds_vault::SecretString;
use secrets_service::{ErrorKind, OnClose, SecretsService};
use serde_json::json;
use tokio::time::Instant;

use super::{HOUR, MINUTE, cases};
use crate::corner::{Application, Corner};
use crate::eventually::eventually;
use crate::postgres::Login;

cases! {
    Nothing: [
        a_user_is_replaced_before_its_end,
        a_static_password_is_followed,
        from_a_login_to_a_database_session,
        everyone_gets_the_same_user,
        an_api_key_is_read,
        an_api_key_is_set_beside_the_others,
        keys_set_at_the_same_time_are_all_kept,
        the_first_api_key_of_all,
        what_was_made_is_given_back,
        what_is_still_used_is_left,
    ],
}

/// Who a database session of this connection string is.
async fn current_user(url: &SecretString) -> Result<String, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url.expose(), tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client.query_one("SELECT current_user::text", &[]).await?.get(0))
}

async fn from_a_login_to_a_database_session(corner: Corner) {
    let app = Application::new(&corner).await;
    let database = app.database(10 * MINUTE, HOUR).await;
    let service = app.service();
    let url = service.get_database_connection_string().await.unwrap();
    let credentials = service.vault().get_database_credentials("app").await.unwrap();
    assert_eq!(current_user(&url).await.unwrap(), credentials.username());
    assert!(database.postgres.has_user(credentials.username()).await);
    let cluster = database.postgres.cluster().await;
    let expected = format!("@{}:{}/{}", cluster.host(), cluster.port(), database.name);
    assert!(url.expose().starts_with("postgresql://v-") && url.expose().ends_with(&expected));
    assert_eq!(service.vault().stats().logins, 1);
    service.close(OnClose::Revoke).await.unwrap();
}

async fn everyone_gets_the_same_user(corner: Corner) {
    let app = Application::new(&corner).await;
    let database = app.database(10 * MINUTE, HOUR).await;
    let service = app.service();
    let asking = (0..20).map(|_| service.get_database_connection_string());
    let urls: BTreeSet<_> = futures::future::join_all(asking)
        .await
        .into_iter()
        .map(|url| url.unwrap().expose().to_owned())
        .collect();
    assert_eq!(urls.len(), 1, "one user for all");
    let leases = corner.call("LIST", &format!("sys/leases/lookup/{}/creds/app/", database.mount), None).await;
    assert_eq!(leases.body["data"]["keys"].as_array().unwrap().len(), 1, "and one lease");
    service.close(OnClose::Revoke).await.unwrap();
}

async fn an_api_key_is_read(corner: Corner) {
    let app = Application::new(&corner).await;
    let service = app.service();
    assert_eq!(service.get_api_key("stripe").await.unwrap().expose(), "sk_test_xxx");
    let error = service.get_api_key("twilio").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(
        error.to_string().contains("twilio") && error.to_string().contains(&app.path("api-keys")),
        "{error}"
    );
}

async fn an_api_key_is_set_beside_the_others(corner: Corner) {
    let app = Application::new(&corner).await;
    let service = app.service();
    service.set_api_key("twilio", &"tw-1".into()).await.unwrap();
    service.set_api_key("stripe", &"sk_live_yyy".into()).await.unwrap();
    for (name, key) in [("stripe", "sk_live_yyy"), ("sendgrid", "SG.xxx"), ("twilio", "tw-1")] {
        assert_eq!(service.get_api_key(name).await.unwrap().expose(), key);
    }
    let secret = app.as_root().read("myapp/api-keys").await.unwrap();
    assert_eq!((secret.version().unwrap().version, secret.data().len()), (3, 3));
}

async fn keys_set_at_the_same_time_are_all_kept(corner: Corner) {
    let app = Application::new(&corner).await;
    let services: Vec<_> = (0..4).map(|_| app.service()).collect();
    let set = services.iter().enumerate().map(|(n, service)| async move {
        service.set_api_key(&format!("key-{n}"), &format!("value-{n}").into()).await.unwrap();
    });
    futures::future::join_all(set).await;
    let secret = app.as_root().read("myapp/api-keys").await.unwrap();
    assert_eq!(secret.data().len(), 2 + services.len(), "{:?}", secret.data());
}

async fn the_first_api_key_of_all(corner: Corner) {
    let app = Application::new(&corner).await;
    let kv = app.as_root();
    // Never anything there, a deleted version there, nothing left of what was there.
    kv.delete_metadata("myapp/api-keys").await.unwrap();
    app.service().set_api_key("first", &"1".into()).await.unwrap();
    kv.delete("myapp/api-keys").await.unwrap();
    app.service().set_api_key("second", &"2".into()).await.unwrap();
    kv.destroy("myapp/api-keys", &[2]).await.unwrap();
    app.service().set_api_key("third", &"3".into()).await.unwrap();
    let secret = kv.read("myapp/api-keys").await.unwrap();
    assert_eq!((secret.data().expose_json(), secret.version().unwrap().version), (r#"{"third":"3"}"#, 3));
}

async fn a_user_is_replaced_before_its_end(corner: Corner) {
    let app = Application::new(&corner).await;
    let database = app.database(Duration::from_secs(4), Duration::from_secs(5)).await;
    let service = app.service();
    let users = Mutex::new(BTreeSet::new());
    eventually("there have been three users", || async {
        let asked = Instant::now();
        let url = service.get_database_connection_string().await.unwrap();
        match current_user(&url).await {
            Ok(user) => drop(users.lock().unwrap().insert(user)),
            // Nobody is told of a user in the last tenth of its time. Only if this test was held up for longer than
            // that may its time be over.
            Err(error) => assert!(asked.elapsed() > Duration::from_millis(400), "{error:?}"),
        }
        (users.lock().unwrap().len() == 3).then_some(())
    })
    .await;
    let users = users.into_inner().unwrap();
    service.close(OnClose::Revoke).await.unwrap();
    for user in users {
        database.postgres.no_user(&user).await;
    }
}

async fn a_static_password_is_followed(corner: Corner) {
    let app = Application::new(&corner).await;
    let database = app.database(MINUTE, HOUR).await;
    let user = database.static_role("app-static", json!({"rotation_period": "5s"})).await;
    let client = app.client();
    let first = client.get_static_database_credentials("app-static").await.unwrap();
    assert_eq!((first.username(), first.lease()), (user.as_str(), None));
    database.postgres.log_in(first.username(), first.password().expose()).await.unwrap();
    let second = eventually("there is another password", || async {
        let now = client.get_static_database_credentials("app-static").await.unwrap();
        (now.password() != first.password()).then_some(now)
    })
    .await;
    database.postgres.log_in(second.username(), second.password().expose()).await.unwrap();
}

async fn what_was_made_is_given_back(corner: Corner) {
    let app = Application::new(&corner).await;
    let database = app.database(10 * MINUTE, HOUR).await;
    let service = app.service();
    service.get_database_connection_string().await.unwrap();
    let user = service.vault().get_database_credentials("app").await.unwrap().username().to_owned();
    let token = service.vault().vault().token().unwrap();
    assert!(database.postgres.has_user(&user).await);
    service.close(OnClose::Revoke).await.unwrap();
    assert!(!database.postgres.has_user(&user).await, "no user is left");
    let error = corner.client(&token).tokens().lookup_self().await.unwrap_err();
    assert_eq!(error.kind(), gds_vault::ErrorKind::InvalidToken, "and no token");
    let error = service.get_api_key("stripe").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

async fn what_is_still_used_is_left(corner: Corner) {
    let app = Application::new(&corner).await;
    let database = app.database(10 * MINUTE, HOUR).await;
    let service: SecretsService = app.service();
    let url = service.get_database_connection_string().await.unwrap();
    let credentials = service.vault().get_database_credentials("app").await.unwrap();
    let login = Login::of(credentials.read());
    service.close(OnClose::Keep).await.unwrap();
    assert_eq!(current_user(&url).await.unwrap(), login.username);
    assert!(database.postgres.has_user(&login.username).await);
}
