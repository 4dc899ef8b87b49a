//! No type prints a secret.

use std::time::Duration;

use gds_vault::{
    AppRoleAuth, AuthInfo, Client, Credential, JwtAuth, Method, Secret, SecretId, SecretString, TokenAuth,
    UserpassAuth,
};
use serde_json::json;

use crate::support::{CANARY, Reply, Server, assert_no_canary, builder, client};

fn canary() -> SecretString {
    SecretString::from(CANARY)
}

#[tokio::test]
async fn everything_that_holds_a_secret_prints_without_it() {
    let body = json!({
        "data": {"password": CANARY}, "lease_id": "l", "lease_duration": 1,
        "auth": {"client_token": CANARY}, "wrap_info": {"token": CANARY}
    });
    let server = Server::always(Reply::json(200, &body)).await;
    let client: Client = builder().address(server.address()).token(canary()).build().unwrap();
    let request = || {
        let request = client.request(Method::POST, "a").token(&canary()).header("authorization", CANARY);
        request.json(&json!({"x": CANARY})).secrets([canary()]).query("q", CANARY)
    };
    let response = request().send().await.unwrap();
    let secret = response.secret().unwrap();
    let field = secret.field("password").unwrap();
    let things: Vec<Box<dyn std::fmt::Debug>> = vec![
        Box::new(canary()),
        Box::new(builder().token(canary())),
        Box::new(client.clone()),
        Box::new(client.mounts()),
        Box::new(client.kv1("a")),
        Box::new(client.kv2("a")),
        Box::new(client.database("a")),
        Box::new(client.leases()),
        Box::new(client.tokens()),
        Box::new(client.wrapping()),
        Box::new(client.sys()),
        Box::new(request()),
        Box::new(response.clone()),
        Box::new(secret.clone()),
        Box::new(secret.auth().cloned()),
        Box::new(secret.wrap_info().cloned()),
        Box::new(secret.lease().cloned()),
        Box::new(AuthInfo::new(canary())),
        Box::new(Credential::Value(canary())),
        Box::new(SecretId::Plain(canary().into())),
        Box::new(AppRoleAuth::new(canary(), SecretId::Wrapped(canary().into()))),
        Box::new(TokenAuth::new(canary())),
        Box::new(UserpassAuth::new("u", canary())),
        Box::new(JwtAuth::new("r", canary())),
    ];
    for thing in things {
        assert_no_canary(&format!("{thing:?} {thing:#?}"));
    }
    assert_no_canary(&format!("{:?} {field:?} {}", secret.data(), canary()));
    assert_eq!(field.text().expose(), CANARY);
}

#[tokio::test]
async fn errors_of_every_origin_print_without_it() {
    let body = json!({"data": {"password": CANARY}, "lease_duration": CANARY}).to_string();
    let cut = format!("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\nx: {CANARY}\r\n\r\n{body}").into_bytes();
    for reply in [
        Reply::text(200, &[], &body),
        Reply::text(200, &[], CANARY),
        Reply::text(500, &[], CANARY),
        Reply::text(500, &[], &json!({"data": {"error": CANARY}}).to_string()),
        Reply::errors(400, &[CANARY]),
        Reply::redirect(302, &format!("http://127.0.0.1/login?token={CANARY}")),
        Reply::redirect(307, &format!("https://127.0.0.1/{CANARY}")),
        Reply::ThenClose(cut.clone()),
        Reply::ThenReset(cut.clone()),
        Reply::ThenFreeze(cut),
        Reply::ThenClose(format!("HTTP/1.1 {CANARY}\r\n\r\n").into_bytes()),
        Reply::ThenClose(format!("{CANARY}\r\n\r\n").into_bytes()),
        Reply::ThenClose(
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{CANARY}\r\n").into_bytes(),
        ),
    ] {
        let server = Server::always(reply.clone()).await;
        let request = client(&server).request(Method::POST, "a").token(&canary()).query("q", CANARY);
        let request = request.json(&json!({"x": CANARY})).timeout(Duration::from_millis(300));
        let error = request.read().await.unwrap_err();
        assert_no_canary(&format!("{error} {error:?} {error:#?} {:?}", error.messages()));
    }
}

#[test]
fn what_is_parsed_wrong_is_not_repeated() {
    for body in [
        CANARY.to_owned(),
        json!({"data": CANARY}).to_string(),
        json!({"lease_duration": CANARY}).to_string(),
    ] {
        let malformed = Secret::parse(body).unwrap_err();
        assert_no_canary(&format!("{malformed} {malformed:?}"));
    }
}
