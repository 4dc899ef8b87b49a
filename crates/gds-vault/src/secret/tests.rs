use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::secret_string::SecretString;

fn parse(body: &Value) -> Secret {
    Secret::parse(body.to_string()).unwrap()
}

fn malformed(body: &str) -> String {
    let error = Secret::parse(body.to_owned()).unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("canary"), "{shown}");
    shown
}

#[test]
fn reads_a_dynamic_secret() {
    let body = json!({
        "request_id": "r-1", "lease_id": "database/creds/app/x", "lease_duration": 3600, "renewable": true,
        "data": {"username": "v-app", "password": "p\"w"}, "warnings": ["TTL capped"], "auth": null,
        "wrap_info": null, "mount_type": "database"
    });
    let secret = parse(&body);
    assert_eq!(secret.request_id(), "r-1");
    let lease = Lease::new("database/creds/app/x", std::time::Duration::from_hours(1), true);
    assert_eq!(secret.lease(), Some(&lease));
    assert_eq!(secret.warnings(), ["TTL capped"]);
    assert_eq!(secret.mount_type(), Some("database"));
    assert_eq!(secret.field("password").unwrap().text().expose(), "p\"w");
    assert_eq!(secret.data().names().collect::<Vec<_>>(), ["password", "username"]);
    assert!(secret.version().is_none() && secret.auth().is_none() && secret.wrap_info().is_none());
    assert_eq!(secret.raw_body(), body.to_string().as_bytes());
}

#[test]
fn reads_a_kv2_secret_through_to_its_own_fields() {
    let body = json!({
        "lease_id": "", "lease_duration": 0, "mount_type": "kv",
        "data": {
            "data": {"data": "inner", "metadata": 7},
            "metadata": {
                "created_time": "2026-01-01T00:00:00Z", "custom_metadata": {"owner": "me"}, "deletion_time": "",
                "destroyed": false, "version": 3
            }
        }
    });
    let secret = parse(&body);
    let version = secret.version().unwrap();
    assert_eq!((version.version, version.destroyed), (3, false));
    assert_eq!(version.created_time, "2026-01-01T00:00:00Z");
    assert_eq!(version.deletion_time, None);
    assert_eq!(version.custom_metadata.as_deref(), Some(r#"{"owner":"me"}"#));
    assert_eq!(secret.data().expose_json(), r#"{"data":"inner","metadata":7}"#);
    assert_eq!(secret.field("metadata").unwrap().as_u64(), Some(7));
}

#[test]
fn a_deleted_kv2_version_has_metadata_and_no_fields() {
    let secret = parse(&json!({"mount_type": "", "data": {"data": null, "metadata": {
        "created_time": "a", "deletion_time": "b", "destroyed": true, "version": 1
    }}}));
    assert!(secret.data().is_empty());
    assert_eq!(secret.version().unwrap().deletion_time.as_deref(), Some("b"));
    assert_eq!(secret.version().unwrap().custom_metadata, None);
}

#[test]
fn nothing_else_is_taken_for_a_kv2_secret() {
    let metadata = json!({"created_time": "a", "deletion_time": "", "destroyed": false, "version": 1});
    let versioned = json!({"data": {"k": "v"}, "metadata": metadata});
    for body in [
        // KV v1 always has a duration.
        json!({"lease_duration": 2_764_800, "mount_type": "kv", "data": versioned}),
        json!({"lease_id": "x", "data": versioned}),
        json!({"mount_type": "cubbyhole", "data": versioned}),
        json!({"data": {"data": {"k": "v"}, "metadata": metadata, "more": 1}}),
        json!({"data": {"data": {"k": "v"}, "metadata": {"version": 1}}}),
        json!({"data": {"data": "text", "metadata": metadata}}),
        json!({"data": {"metadata": metadata}, "mount_type": "pki"}),
    ] {
        let secret = parse(&body);
        assert!(secret.version().is_none(), "{body}");
        assert!(secret.field("metadata").is_some(), "{body}");
    }
}

#[test]
fn reads_a_login() {
    let secret = parse(&json!({"auth": {
        "client_token": "hvs.canary", "accessor": "acc", "policies": ["default", "app"], "token_policies": null,
        "metadata": {"role_name": "app"}, "lease_duration": 1200, "renewable": true, "entity_id": "e",
        "token_type": "service", "orphan": true, "num_uses": 0, "mfa_requirement": null
    }}));
    let auth = secret.auth().unwrap();
    assert_eq!(auth.client_token.expose(), "hvs.canary");
    assert_eq!(auth.policies, ["default", "app"]);
    assert!(auth.token_policies.is_empty() && auth.renewable && auth.orphan);
    assert_eq!((auth.token_type, auth.lease_duration.as_secs()), (TokenType::Service, 1200));
    assert_eq!(auth.metadata, BTreeMap::from([("role_name".to_owned(), "app".to_owned())]));
    let sparse = parse(&json!({"auth": {"client_token": "t", "metadata": null, "token_type": "new-kind"}}));
    assert_eq!(sparse.auth().unwrap().token_type, TokenType::Other);
    assert!(!format!("{secret:?}{auth:?}").contains("canary"));
}

#[test]
fn reads_a_wrapped_answer() {
    let secret = parse(&json!({"data": null, "wrap_info": {
        "token": "hvs.canary", "accessor": "acc", "ttl": 60, "creation_time": "now",
        "creation_path": "auth/approle/role/app/secret-id", "wrapped_accessor": "wa"
    }}));
    let info = secret.wrap_info().unwrap();
    assert_eq!((info.token.expose(), info.ttl.as_secs()), ("hvs.canary", 60));
    assert_eq!(info.creation_path, "auth/approle/role/app/secret-id");
    assert_eq!(info.wrapped_accessor.as_deref(), Some("wa"));
    assert!(secret.data().is_empty());
    assert!(!format!("{info:?}").contains("canary"));
    assert!(parse(&json!({"wrap_info": {"token": null}})).wrap_info().is_none());
}

#[test]
fn all_of_the_frame_may_be_missing_or_null() {
    for body in
        ["{}", r#" { "data" : null , "warnings":null, "lease_id":null, "renewable":null, "mount_type":""}"#]
    {
        let secret = Secret::parse(body).unwrap();
        assert!(secret.data().is_empty() && secret.lease().is_none() && secret.warnings().is_empty());
        assert_eq!(secret.data().len(), 0);
        assert_eq!(secret.data().expose_json(), "{}");
        assert_eq!(secret.mount_type(), None);
    }
}

#[test]
fn wrong_shapes_are_malformed_and_not_repeated() {
    for body in [
        "",
        "canary",
        "<html>canary",
        "[1]",
        "null",
        r#"["id", "lease", 0, false, {"canary": 1}]"#,
        r#"{"data": {"password": "canary"}"#,
        r#"{"data": "canary"}"#,
        r#"{"data": ["canary"]}"#,
        r#"{"lease_id": {"canary": 1}}"#,
        r#"{"lease_duration": "canary"}"#,
        r#"{"renewable": "canary"}"#,
        r#"{"auth": {"client_token": 1, "x": "canary"}}"#,
        r#"{"auth": "canary"}"#,
        "{} canary",
    ] {
        malformed(body);
    }
    assert!(Secret::parse(&b"{\"a\": \"\xff\"}"[..]).unwrap_err().to_string().contains("UTF-8"));
    assert!(malformed(r#"{"data": "#).contains("ends too early"));
    let error: Error = Secret::parse("x").unwrap_err().into();
    assert_eq!(error.kind(), ErrorKind::MalformedAnswer);
}

#[test]
fn of_repeated_names_the_last_counts() {
    let secret = Secret::parse(r#"{"data": {"b": 0, "a": 1, "\u0061": 2, "c": 9, "a": 3}}"#).unwrap();
    assert_eq!(secret.field("a").unwrap().as_u64(), Some(3));
    assert_eq!(secret.data().names().collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[test]
fn fields_tell_their_kinds_apart() {
    let secret =
        Secret::parse(r#"{"data": {"s": "5", "n": 1.50, "big": 18446744073709551615, "t": true, "f": false, "z": null, "o": {"x": [1]}}}"#)
            .unwrap();
    let field = |name| secret.field(name).unwrap();
    assert_eq!(field("s").as_string().unwrap().expose(), "5");
    assert_eq!(
        (field("s").as_u64(), field("n").as_u64(), field("big").as_u64()),
        (None, None, Some(u64::MAX))
    );
    assert_eq!(field("n").text().expose(), "1.50", "numbers keep their digits");
    assert!(field("n").as_string().is_none());
    assert_eq!(
        (field("t").as_bool(), field("f").as_bool(), field("s").as_bool()),
        (Some(true), Some(false), None)
    );
    assert!(field("z").is_null() && !field("s").is_null());
    assert_eq!(field("o").text().expose(), r#"{"x": [1]}"#);
    assert_eq!(field("s").expose_json(), "\"5\"");
}

#[test]
fn decodes_into_types_and_hides_what_does_not_fit() {
    #[derive(Debug, serde::Deserialize)]
    struct Config {
        user: String,
        port: u16,
    }
    let config: Config = parse(&json!({"data": {"user": "u", "port": 5432}})).decode().unwrap();
    assert_eq!((config.user.as_str(), config.port), ("u", 5432));
    let error = parse(&json!({"data": {"user": "u", "port": "canary"}})).decode::<Config>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MalformedAnswer);
    let shown = format!("{error}{error:?}");
    assert!(!shown.contains("canary"), "{shown}");
    let error = parse(&json!({})).decode::<Config>().unwrap_err();
    assert!(error.to_string().contains("lack `user`"), "{error}");
}

#[test]
fn nothing_prints_a_value() {
    let secret = parse(&json!({"data": {"name": "canary"}}));
    let field = secret.field("name").unwrap();
    let shown = format!("{secret:?} {secret:#?} {:?} {field:?}", secret.data());
    assert!(!shown.contains("canary") && shown.contains("name"), "{shown}");
    let version = parse(&json!({"data": {"data": {}, "metadata": {
        "created_time": "a", "deletion_time": "", "destroyed": false, "version": 1, "custom_metadata": {"x": "canary"}
    }}}));
    assert!(!format!("{version:?} {:?}", version.version()).contains("canary"));
}

#[test]
fn a_clone_shares_the_body() {
    let secret = parse(&json!({"data": {"a": 1}}));
    assert_eq!(secret.clone().raw_body().as_ptr(), secret.raw_body().as_ptr());
}

/// Any JSON value, a few levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..5)
                .prop_map(|map| Value::from(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Secret::parse(body);
    }

    #[test]
    fn nearly_json_never_panics(body in r#"\{"(data|auth|wrap_info|lease_id)": ?[\[\]{}":,a-z0-9\\u ]{0,40}\}"#) {
        if let Ok(secret) = Secret::parse(body) {
            for (_, field) in secret.data().iter() {
                field.text();
            }
        }
    }

    #[test]
    fn fields_are_what_serde_json_reads(
        data in prop::collection::hash_map(any::<String>(), any_json(), 0..8),
        pretty in any::<bool>(),
    ) {
        let data: Map<String, Value> = data.into_iter().collect();
        let body = json!({"data": data});
        let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.unwrap();
        let secret = Secret::parse(text.clone()).unwrap();
        let whole: Value = serde_json::from_str(&text).unwrap();
        let expected = whole["data"].as_object().unwrap();
        prop_assert_eq!(secret.data().len(), expected.len());
        for (name, field) in secret.data().iter() {
            let value = &expected[name];
            let found: Value = serde_json::from_str(field.expose_json()).unwrap();
            prop_assert_eq!(&found, value);
            let text = field.as_string();
            prop_assert_eq!(text.as_ref().map(SecretString::expose), value.as_str());
            prop_assert_eq!(field.as_bool(), value.as_bool());
            prop_assert_eq!(field.is_null(), value.is_null());
        }
        for name in expected.keys() {
            prop_assert!(secret.field(name).is_some());
        }
    }
}
