//! What Vault says when it says no: status, words, and what this makes of them.

use gds_vault::{ErrorKind, Method};
use serde_json::{Value, json};

use super::cases;
use crate::corner::{Corner, assert_error, call};

cases! {
    Nothing: [
        bad_requests,
        what_is_not_there,
        what_is_not_done_there,
        bodies_that_are_no_json,
        bodies_that_are_no_object,
        mounts_that_cannot_be_made,
        errors_name_what_was_asked,
        secrets_are_kept_out_of_errors,
        the_token_may_be_in_another_header,
    ],
}

/// Sends as root, and checks what is said.
async fn assert_said(corner: &Corner, requests: &[(&str, &str, Value, u16, &[&str])]) {
    for (method, path, body, status, said) in requests {
        let body = (!body.is_null()).then(|| body.clone());
        let answer = corner.call(method, path, body.clone()).await;
        let expected = (*status, json!({"errors": said}));
        assert_eq!((answer.status, answer.body), expected, "{method} {path} {body:?}");
    }
}

async fn bad_requests(corner: Corner) {
    let kv = corner.kv2().await;
    let data = format!("{kv}/data/a");
    let version = format!("{kv}/data/a?version=x");
    let cannot = "error converting input for field \"data\": '' expected a map, got 'string'";
    let number = "Field validation failed: error converting input for field \"version\": cannot parse '' as int: \
                  strconv.ParseInt: parsing \"x\": invalid syntax";
    assert_said(
        &corner,
        &[
            ("POST", &data, json!({"x": 1}), 400, &["no data provided"]),
            ("POST", &data, Value::Null, 400, &["no data provided"]),
            ("POST", &data, json!({"data": "text"}), 400, &[cannot]),
            ("GET", &version, Value::Null, 400, &[number]),
            ("POST", "sys/leases/lookup", json!({"lease_id": "no/such/lease"}), 400, &["invalid lease"]),
            ("POST", "sys/leases/renew", json!({"lease_id": "no/such/lease"}), 400, &["lease not found"]),
            ("POST", "auth/token/create", json!({"ttl": "soon"}), 400, &["time: invalid duration \"soon\""]),
        ],
    )
    .await;
    let revoked = corner.call("POST", "sys/leases/revoke", json!({"lease_id": "no/such/lease"})).await;
    assert_eq!((revoked.status, revoked.body), (204, Value::Null), "it is as if it had been revoked");
}

async fn what_is_not_there(corner: Corner) {
    let kv = corner.kv2().await;
    let (data, metadata) = (format!("{kv}/data/none"), format!("{kv}/metadata/none"));
    let route = "no handler for route \"no/such/mount\". route entry not found.";
    let login = "no handler for route \"auth/none/login\". route entry not found.";
    let unsupported = "1 error occurred:\n\t* unsupported path\n\n";
    assert_said(
        &corner,
        &[
            ("GET", &data, Value::Null, 404, &[]),
            ("GET", &metadata, Value::Null, 404, &[]),
            ("LIST", &metadata, Value::Null, 404, &[]),
            ("GET", "no/such/mount", Value::Null, 404, &[route]),
            ("POST", "no/such/mount", json!({"x": 1}), 404, &[route]),
            ("POST", "auth/none/login", json!({}), 404, &[login]),
            ("GET", "sys/nosuch", Value::Null, 404, &[unsupported]),
            ("GET", "sys/policies/acl/none", Value::Null, 404, &[]),
        ],
    )
    .await;
}

async fn what_is_not_done_there(corner: Corner) {
    let kv = corner.kv2().await;
    let unsupported = "1 error occurred:\n\t* unsupported operation\n\n";
    let undelete = format!("{kv}/undelete/a");
    assert_said(
        &corner,
        &[
            ("DELETE", "sys/health", Value::Null, 405, &[]),
            ("DELETE", "sys/capabilities-self", Value::Null, 405, &[unsupported]),
            ("GET", "auth/token/create", Value::Null, 405, &[unsupported]),
            ("GET", &undelete, Value::Null, 405, &[unsupported]),
        ],
    )
    .await;
    let error = corner.root().request(Method::GET, "auth/token/create").send().await.unwrap_err();
    assert_error(&error, ErrorKind::MethodNotAllowed, 405, &["1 error occurred: * unsupported operation"]);
}

/// Bodies as no client of ours sends them.
async fn assert_body_refused(corner: &Corner, path: &str, body: &'static [u8], status: u16, said: &str) {
    let request = corner.root().request(Method::POST, path).body(body.into());
    let answer = request.send_any().await.unwrap();
    let found: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, found), (status, json!({"errors": [said]})), "{}", body.escape_ascii());
}

async fn bodies_that_are_no_json(corner: Corner) {
    let kv = corner.kv2().await;
    let path = format!("{kv}/data/a");
    assert_body_refused(&corner, &path, br#"{"data":"#, 500, "malformed JSON, unclosed containers").await;
    let said = "error parsing JSON: failed to parse JSON input: invalid character 'o' in literal null (expecting 'u')";
    assert_body_refused(&corner, &path, b"not json", 400, said).await;
}

async fn bodies_that_are_no_object(corner: Corner) {
    let kv = corner.kv2().await;
    let path = format!("{kv}/data/a");
    let array = "error parsing JSON: failed to parse JSON input: json: cannot unmarshal array into Go value of type \
                 map[string]interface {}";
    assert_body_refused(&corner, &path, b"[1]", 400, array).await;
    let text = "error parsing JSON: failed to parse JSON input: json: cannot unmarshal string into Go value of type \
                map[string]interface {}";
    assert_body_refused(&corner, &path, b"\"text\"", 400, text).await;
}

async fn mounts_that_cannot_be_made(corner: Corner) {
    let kv = corner.kv2().await;
    let (taken, new) = (format!("sys/mounts/{kv}"), format!("sys/mounts/{}", corner.name("new")));
    let new_auth = format!("sys/auth/{}", corner.name("new"));
    let in_use = format!("path is already in use at {kv}/");
    assert_said(
        &corner,
        &[
            ("POST", &taken, json!({"type": "kv"}), 400, &[&in_use]),
            ("POST", &new, json!({"type": "bogus"}), 400, &["plugin not found in the catalog: bogus"]),
            ("POST", &new, json!({}), 400, &["backend type must be specified as a string"]),
            ("POST", &new_auth, json!({"type": "bogus"}), 400, &["plugin not found in the catalog: bogus"]),
            ("POST", "sys/auth/token", json!({"type": "token"}), 400, &["path is already in use at token/"]),
            ("DELETE", "sys/mounts/sys", Value::Null, 400, &["cannot unmount \"sys/\""]),
        ],
    )
    .await;
}

async fn errors_name_what_was_asked(corner: Corner) {
    let mount = corner.kv2().await;
    let client = corner.client_with(r#"path "elsewhere" { capabilities = ["read"] }"#).await;
    let error = client.kv2(&*mount).read("app/config").await.unwrap_err();
    let expected = format!(
        "GET {mount}/data/app/config at {}: permission denied (403): 1 error occurred: * permission denied",
        corner.server().address()
    );
    assert_eq!(error.to_string(), expected);
}

async fn secrets_are_kept_out_of_errors(corner: Corner) {
    // Vault repeats what it could not read, here and there.
    let request = corner.root().request(Method::POST, "auth/token/create");
    let error = request.json(&json!({"ttl": "canary-4711"})).send().await.unwrap_err();
    assert_error(&error, ErrorKind::BadRequest, 400, &["time: invalid duration \"[redacted]\""]);
    let said = corner.call("POST", "auth/token/create", json!({"ttl": "canary-4711"})).await;
    said.assert_refused(400, &["time: invalid duration \"canary-4711\""]);
}

async fn the_token_may_be_in_another_header(corner: Corner) {
    // The token may be in the header that other services use, too.
    let client = corner.anonymous();
    let request =
        client.request(Method::GET, "auth/token/lookup-self").header("Authorization", "Bearer root");
    assert!(request.send().await.is_ok());
    let request = client.request(Method::GET, "auth/token/lookup-self").header("Authorization", "Basic root");
    assert_error(
        &request.send().await.unwrap_err(),
        ErrorKind::PermissionDenied,
        403,
        &["permission denied"],
    );
    assert_eq!(call(&client, "GET", "auth/token/lookup-self", None).await.status, 403);
}
