//! Answers that can be opened once.

use std::time::Duration;

use gds_vault::{ErrorKind, Method, SecretString};
use serde_json::{Value, json};

use super::{MINUTE, cases};
use crate::corner::{Corner, assert_error, call, envelope};
use crate::eventually::eventually;
use crate::like::assert_like;

cases! {
    Nothing: [
        a_wrapped_answer_runs_out,
        what_is_wrapped_is_unwrapped,
        it_opens_once,
        any_answer_can_be_wrapped,
        a_wrapped_login_tells_the_accessor,
        looking_does_not_open,
        it_is_handed_on_in_a_new_wrapping,
        it_can_be_opened_with_another_token,
        a_wrapping_token_is_good_for_nothing_else,
        what_is_no_wrapping_token,
        wrapping_takes_a_time,
        an_error_is_not_wrapped,
    ],
}

const NOT_VALID: &str = "wrapping token is not valid or does not exist";

async fn what_is_wrapped_is_unwrapped(corner: Corner) {
    let info = corner.root().wrapping().wrap(&json!({"a": "b", "n": 1}), MINUTE).await.unwrap();
    assert_eq!((info.ttl, &*info.creation_path, info.wrapped_accessor), (MINUTE, "sys/wrapping/wrap", None));
    let secret = corner.anonymous().wrapping().unwrap(&info.token).await.unwrap();
    assert_eq!(secret.data().expose_json(), r#"{"a":"b","n":1}"#);
    assert!(secret.wrap_info().is_none());
}

async fn it_opens_once(corner: Corner) {
    let wrapping = corner.anonymous().wrapping();
    let token = corner.root().wrapping().wrap(&json!({"a": 1}), MINUTE).await.unwrap().token;
    wrapping.unwrap(&token).await.unwrap();
    assert_error(&wrapping.unwrap(&token).await.unwrap_err(), ErrorKind::BadRequest, 400, &[NOT_VALID]);
    assert_error(&wrapping.lookup(&token).await.unwrap_err(), ErrorKind::BadRequest, 400, &[NOT_VALID]);
}

async fn any_answer_can_be_wrapped(corner: Corner) {
    let mount = corner.kv2().await;
    corner.root().kv2(&*mount).put("a", &json!({"x": 1}), None).await.unwrap();
    let path = format!("{mount}/data/a");
    let request = corner.root().request(Method::GET, path.as_str()).wrap_ttl(MINUTE);
    let answer = request.send().await.unwrap();
    let mut expected = envelope("", &Value::Null);
    expected["request_id"] = "".into();
    expected["wrap_info"] = json!({
        "token": "<text>",
        "accessor": "<text>",
        "ttl": 60,
        "creation_time": "<time>",
        "creation_path": path,
    });
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_like(&body, &expected);
    let token = body["wrap_info"]["token"].as_str().unwrap().into();
    let secret = corner.anonymous().wrapping().unwrap(&token).await.unwrap();
    assert_eq!(secret.version().unwrap().version, 1, "it is the answer as it would have been");
    assert_eq!(secret.data().expose_json(), r#"{"x":1}"#);
}

async fn a_wrapped_login_tells_the_accessor(corner: Corner) {
    let request =
        corner.root().request(Method::POST, "auth/token/create").json(&json!({"policies": ["default"]}));
    let info = request.wrap_ttl(MINUTE).read().await.unwrap().wrap_info().unwrap().clone();
    let secret = corner.anonymous().wrapping().unwrap(&info.token).await.unwrap();
    let auth = secret.auth().unwrap();
    assert_eq!(
        (info.wrapped_accessor.as_deref(), &*info.creation_path),
        (Some(&*auth.accessor), "auth/token/create")
    );
    corner.client(&auth.client_token).tokens().lookup_self().await.unwrap();
}

async fn looking_does_not_open(corner: Corner) {
    let token = corner.root().wrapping().wrap(&json!({"a": 1}), MINUTE).await.unwrap().token;
    for _ in 0..3 {
        let found = corner.anonymous().wrapping().lookup(&token).await.unwrap();
        assert_eq!((&*found.creation_path, found.creation_ttl), ("sys/wrapping/wrap", MINUTE));
    }
    let answer =
        call(&corner.anonymous(), "POST", "sys/wrapping/lookup", json!({"token": token.expose()})).await;
    let data = json!({"creation_path": "sys/wrapping/wrap", "creation_time": "<time>", "creation_ttl": 60});
    assert_like(&answer.body, &envelope("", &data));
    corner.anonymous().wrapping().unwrap(&token).await.unwrap();
}

async fn it_is_handed_on_in_a_new_wrapping(corner: Corner) {
    let old = corner.root().wrapping().wrap(&json!({"a": 1}), MINUTE).await.unwrap().token;
    let answer = corner.call("POST", "sys/wrapping/rewrap", json!({"token": old.expose()})).await;
    let info = &answer.body["wrap_info"];
    assert_eq!((&info["ttl"], &info["creation_path"]), (&json!(60), &json!("sys/wrapping/wrap")));
    let new = SecretString::from(info["token"].as_str().unwrap());
    let wrapping = corner.anonymous().wrapping();
    assert_error(&wrapping.unwrap(&old).await.unwrap_err(), ErrorKind::BadRequest, 400, &[NOT_VALID]);
    assert_eq!(wrapping.unwrap(&new).await.unwrap().data().expose_json(), r#"{"a":1}"#);
}

async fn it_can_be_opened_with_another_token(corner: Corner) {
    let token = corner.root().wrapping().wrap(&json!({"a": 1}), MINUTE).await.unwrap().token;
    let holder = corner.client(&corner.token(json!({"policies": ["default"]})).await.client_token);
    let answer = call(&holder, "POST", "sys/wrapping/unwrap", json!({"token": token.expose()})).await;
    assert_like(&answer.body, &envelope("system", &json!({"a": 1})));
}

async fn a_wrapping_token_is_good_for_nothing_else(corner: Corner) {
    let token = corner.root().wrapping().wrap(&json!({"a": 1}), MINUTE).await.unwrap().token;
    let error = corner.client(&token).kv2("secret").read("a").await.unwrap_err();
    assert_error(&error, ErrorKind::PermissionDenied, 403, &["1 error occurred: * permission denied"]);
}

async fn what_is_no_wrapping_token(corner: Corner) {
    let usual = corner.token(json!({"policies": ["default"]})).await.client_token;
    let wrapping = corner.anonymous().wrapping();
    for token in [SecretString::from("hvs.wrong"), "wrong".into(), usual.clone()] {
        assert_error(&wrapping.unwrap(&token).await.unwrap_err(), ErrorKind::BadRequest, 400, &[NOT_VALID]);
        assert_error(&wrapping.lookup(&token).await.unwrap_err(), ErrorKind::BadRequest, 400, &[NOT_VALID]);
    }
    corner.client(&usual).tokens().lookup_self().await.unwrap();
}

async fn a_wrapped_answer_runs_out(corner: Corner) {
    let wrapping = corner.anonymous().wrapping();
    let token = corner.root().wrapping().wrap(&json!({"a": 1}), Duration::from_secs(1)).await.unwrap().token;
    let error = eventually("it is over", || async { wrapping.lookup(&token).await.err() }).await;
    assert_error(&error, ErrorKind::BadRequest, 400, &[NOT_VALID]);
    assert_error(&wrapping.unwrap(&token).await.unwrap_err(), ErrorKind::BadRequest, 400, &[NOT_VALID]);
}

async fn wrapping_takes_a_time(corner: Corner) {
    let answer = corner.call("POST", "sys/wrapping/wrap", json!({"a": 1})).await;
    answer.assert_refused(400, &["endpoint requires response wrapping to be used"]);
    for (header, seconds) in [("90", 90), ("2m", 120), ("1h", 3_600)] {
        let request = corner.root().request(Method::POST, "sys/wrapping/wrap").json(&json!({"a": 1}));
        let secret = request.header("X-Vault-Wrap-TTL", header).read().await.unwrap();
        assert_eq!(secret.wrap_info().unwrap().ttl.as_secs(), seconds);
    }
}

async fn an_error_is_not_wrapped(corner: Corner) {
    let mount = corner.kv2().await;
    let request = corner.root().request(Method::GET, format!("{mount}/data/none")).wrap_ttl(MINUTE);
    assert_error(&request.send().await.unwrap_err(), ErrorKind::NotFound, 404, &[]);
}
