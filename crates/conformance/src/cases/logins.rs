//! How an application logs in, and how often.

use gds_vault::Credential;
use secrets_service::{AuthSettings, ErrorKind, OnClose, ResilientVaultClient, SecretIdSource, VaultConfig};
use serde_json::json;

use super::{MINUTE, cases};
use crate::corner::{Application, Corner, PAST_THE_CACHE, Settings};
use crate::eventually::eventually;

cases! {
    Nothing: [
        an_ended_login_is_made_anew,
        a_revoked_token_costs_one_login,
        a_refusal_costs_no_login,
        a_used_up_secret_id_is_told,
        a_wrapped_secret_id_is_enough,
        a_user_name_and_a_password_are_enough,
        a_given_token_is_enough_and_stays,
    ],
}

async fn an_ended_login_is_made_anew(corner: Corner) {
    let app =
        Application::with(&corner, Settings { approle: json!({"token_ttl": "2s", "token_max_ttl": "3s"}) })
            .await;
    let (client, path) = (app.client(), app.path("config"));
    eventually("there have been three logins", || async {
        // Every single read must succeed: a token is replaced before its end.
        client.get_secret_with(&path, PAST_THE_CACHE).await.unwrap();
        (client.stats().logins == 3).then_some(())
    })
    .await;
    assert_eq!(client.stats().login_failures, 0);
}

async fn a_revoked_token_costs_one_login(corner: Corner) {
    let app = Application::new(&corner).await;
    let client = app.client();
    client.get_secret(&app.path("config")).await.unwrap();
    for n in 0..30 {
        app.as_root().put(&format!("myapp/s{n}"), &json!({"x": n}), None).await.unwrap();
    }
    let token = client.vault().token().unwrap();
    let body = json!({"token": token.expose()});
    assert_eq!(corner.call("POST", "auth/token/revoke", body).await.status, 204);
    let reads = (0..30).map(|n| {
        let (client, path) = (client.clone(), app.path(&format!("s{n}")));
        tokio::spawn(async move { client.get_secret(&path).await })
    });
    for read in futures::future::join_all(reads).await {
        read.unwrap().unwrap();
    }
    assert_eq!(client.stats().logins, 2, "the first, and one more for all");
    assert!(app.logins().is_none_or(|count| count == 2));
    assert_ne!(client.vault().token().unwrap(), token);
}

async fn a_refusal_costs_no_login(corner: Corner) {
    let app = Application::new(&corner).await;
    let client = app.client();
    client.get_secret(&app.path("config")).await.unwrap();
    for n in 0..30 {
        let error = client.get_secret(&format!("{}/other/{n}", app.kv)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    }
    assert_eq!(client.stats().logins, 1);
    assert!(app.logins().is_none_or(|count| count == 1));
}

async fn a_used_up_secret_id_is_told(corner: Corner) {
    let app = Application::new(&corner).await;
    let once = app.approle.secret_id(json!({"num_uses": 1})).await;
    let config = app.config_with(SecretIdSource::Plain(Credential::Value(once)));
    let first = ResilientVaultClient::new(&config).unwrap();
    first.log_in().await.unwrap();
    let second = ResilientVaultClient::new(&config).unwrap();
    let error = second.get_secret(&app.path("config")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(error.to_string().contains("invalid role or secret ID"), "{error}");
    let status = second.status();
    assert!(!status.logged_in && status.login_error.is_some());
}

async fn a_wrapped_secret_id_is_enough(corner: Corner) {
    let app = Application::new(&corner).await;
    let token = app.approle.wrapped_secret_id(MINUTE).await.token;
    let config = app.config_with(SecretIdSource::Wrapped(Credential::Value(token)));
    let service = app.service_with(&config);
    assert_eq!(service.get_api_key("stripe").await.unwrap().expose(), "sk_test_xxx");
}

async fn a_user_name_and_a_password_are_enough(corner: Corner) {
    let app = Application::new(&corner).await;
    let mount = corner.name("userpass");
    corner.root().sys().enable_auth(&mount, "userpass").await.unwrap();
    let alice = json!({"password": "pw", "token_policies": [corner.name("app")]});
    assert_eq!(corner.call("POST", &format!("auth/{mount}/users/alice"), alice).await.status, 204);
    let auth = AuthSettings::Userpass {
        username: "alice".to_owned(),
        password: Credential::Value("pw".into()),
        mount: Some(mount),
    };
    let config = VaultConfig::new(corner.server().address().clone(), auth);
    assert_eq!(app.service_with(&config).get_api_key("stripe").await.unwrap().expose(), "sk_test_xxx");
}

async fn a_given_token_is_enough_and_stays(corner: Corner) {
    let app = Application::new(&corner).await;
    let token = corner.token(json!({"policies": [corner.name("app")], "ttl": "10m"})).await.client_token;
    let auth = AuthSettings::Token { token: Some(Credential::Value(token.clone())) };
    let config = VaultConfig::new(corner.server().address().clone(), auth);
    let service = app.service_with(&config);
    assert_eq!(service.get_api_key("stripe").await.unwrap().expose(), "sk_test_xxx");
    service.close(OnClose::Revoke).await.unwrap();
    corner.client(&token).tokens().lookup_self().await.expect("it was not ours to revoke");
}
