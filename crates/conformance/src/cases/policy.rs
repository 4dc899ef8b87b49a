//! What policies allow, and how a refusal differs from a bad token.

use gds_vault::{Client, ErrorKind};
use serde_json::json;

use super::cases;
use crate::corner::{Corner, assert_error, call, envelope};
use crate::like::assert_like;

cases! {
    Nothing: [
        capabilities_tell_what_is_allowed,
        a_star_at_the_end_stands_for_any_end,
        a_plus_stands_for_one_segment,
        the_closest_path_counts,
        deny_wins,
        policies_add_up,
        create_and_update_are_two_things,
        list_is_a_thing_of_its_own,
        patch_is_a_thing_of_its_own,
        parameters_can_be_allowed_and_denied,
        wrapping_can_be_required,
        sudo_is_needed_where_it_is,
        a_refusal_says_permission_denied,
        a_bad_token_says_invalid_token,
        no_token_says_permission_denied,
    ],
}

/// Checks what `client` may do: pairs of a path and capabilities, sorted, with commas between.
pub(super) async fn assert_capabilities(client: &Client, expected: &[(String, &str)]) {
    let paths: Vec<_> = expected.iter().map(|(path, _)| path.as_str()).collect();
    let found = client.sys().capabilities_self(&paths).await.unwrap();
    for (path, capabilities) in expected {
        assert_eq!(found[path].join(","), *capabilities, "{path}");
    }
}

pub(super) fn at(mount: &str, expected: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    expected.iter().map(|(path, capabilities)| (format!("{mount}/{path}"), *capabilities)).collect()
}

async fn capabilities_tell_what_is_allowed(corner: Corner) {
    let rules = r#"
        path "secret/data/a" { capabilities = ["read", "list", "create", "update", "delete", "patch"] }
        path "secret/data/b" { capabilities = ["read"] }
        path "sys/seal" { capabilities = ["sudo", "update"] }
    "#;
    let client = corner.client_with(rules).await;
    let expected = [
        ("secret/data/a", "create,delete,list,patch,read,update"),
        ("secret/data/b", "read"),
        ("secret/data/c", "deny"),
        ("sys/seal", "sudo,update"),
        ("auth/token/lookup-self", "read"),
    ];
    assert_capabilities(&client, &expected.map(|(path, may)| (path.to_owned(), may))).await;
    assert_capabilities(&corner.root(), &[("anything".to_owned(), "root")]).await;

    let answer = call(&client, "POST", "sys/capabilities-self", json!({"paths": ["secret/data/b"]})).await;
    // One path is answered in the form of times when there could be only one, too; and everything twice.
    let mut expected = envelope("system", &json!({"secret/data/b": ["read"], "capabilities": ["read"]}));
    expected["secret/data/b"] = json!(["read"]);
    expected["capabilities"] = json!(["read"]);
    assert_like(&answer.body, &expected);
}

async fn a_star_at_the_end_stands_for_any_end(corner: Corner) {
    let client = corner.client_with(r#"path "m/data/app*" { capabilities = ["read"] }"#).await;
    let expected = [
        ("data/app", "read"),
        ("data/app/a/b", "read"),
        ("data/apple", "read"),
        ("data/ap", "deny"),
        ("data", "deny"),
    ];
    assert_capabilities(&client, &at("m", &expected)).await;
    let middle = corner.policy("middle", r#"path "m/*/x" { capabilities = ["read"] }"#).await;
    let client = corner.client(&corner.token(json!({"policies": [middle]})).await.client_token);
    assert_capabilities(&client, &at("m", &[("a/x", "deny"), ("*/x", "read")])).await;
}

async fn a_plus_stands_for_one_segment(corner: Corner) {
    let rules = r#"
        path "m/+/config" { capabilities = ["read"] }
        path "m/data/+/keys/*" { capabilities = ["list"] }
    "#;
    let client = corner.client_with(rules).await;
    let expected = [
        ("a/config", "read"),
        ("a/b/config", "deny"),
        ("config", "deny"),
        ("data/a/keys/b/c", "list"),
        ("data/a/keys", "deny"),
        ("data/keys/a", "deny"),
    ];
    assert_capabilities(&client, &at("m", &expected)).await;
}

async fn the_closest_path_counts(corner: Corner) {
    let rules = r#"
        path "m/*" { capabilities = ["read"] }
        path "m/data/*" { capabilities = ["list"] }
        path "m/data/app" { capabilities = ["update"] }
        path "m/+/app/x" { capabilities = ["create"] }
        path "m/data/+/x" { capabilities = ["delete"] }
        path "m/data/app/*" { capabilities = ["patch"] }
    "#;
    let client = corner.client_with(rules).await;
    let expected = [
        ("other", "read"),
        ("data/other", "list"),
        ("data/app", "update"),
        ("data/app/y", "patch"),
        ("data/app/x", "patch"),
        ("data/b/x", "delete"),
        ("metadata/app/x", "create"),
    ];
    assert_capabilities(&client, &at("m", &expected)).await;
}

async fn deny_wins(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    for path in ["app/open", "app/closed"] {
        kv.put(path, &json!({"x": 1}), None).await.unwrap();
    }
    let rules = format!(
        r#"
        path "{mount}/data/app/*" {{ capabilities = ["read"] }}
        path "{mount}/data/app/closed" {{ capabilities = ["read", "deny"] }}
        "#
    );
    let client = corner.client_with(&rules).await;
    client.kv2(&*mount).read("app/open").await.unwrap();
    let error = client.kv2(&*mount).read("app/closed").await.unwrap_err();
    assert_error(&error, ErrorKind::PermissionDenied, 403, &["1 error occurred: * permission denied"]);
    assert_capabilities(&client, &[(format!("{mount}/data/app/closed"), "deny")]).await;
}

async fn policies_add_up(corner: Corner) {
    let one = corner
        .policy("one", r#"path "m/a" { capabilities = ["read"] } path "m/b" { capabilities = ["read"] }"#);
    let two = corner
        .policy("two", r#"path "m/a" { capabilities = ["list"] } path "m/b" { capabilities = ["deny"] }"#);
    let policies = [one.await, two.await];
    let client = corner.client(&corner.token(json!({"policies": policies})).await.client_token);
    assert_capabilities(&client, &at("m", &[("a", "list,read"), ("b", "deny")])).await;
}

async fn create_and_update_are_two_things(corner: Corner) {
    let mount = corner.kv1().await;
    let rules = format!(
        r#"
        path "{mount}/new/*" {{ capabilities = ["create"] }}
        path "{mount}/old/*" {{ capabilities = ["update"] }}
        "#
    );
    let kv = corner.client_with(&rules).await.kv1(&*mount);
    let denied = "1 error occurred: * permission denied";
    kv.put("new/a", &json!({"x": 1})).await.unwrap();
    let error = kv.put("new/a", &json!({"x": 2})).await.unwrap_err();
    assert_error(&error, ErrorKind::PermissionDenied, 403, &[denied]);
    let error = kv.put("old/a", &json!({"x": 1})).await.unwrap_err();
    assert_error(&error, ErrorKind::PermissionDenied, 403, &[denied]);
    corner.root().kv1(&*mount).put("old/a", &json!({"x": 1})).await.unwrap();
    kv.put("old/a", &json!({"x": 2})).await.unwrap();
}

async fn list_is_a_thing_of_its_own(corner: Corner) {
    let mount = corner.kv2().await;
    corner.root().kv2(&*mount).put("app/config", &json!({"x": 1}), None).await.unwrap();
    let rules = format!(
        r#"
        path "{mount}/data/app/*" {{ capabilities = ["read"] }}
        path "{mount}/metadata/app/" {{ capabilities = ["list"] }}
        "#
    );
    let kv = corner.client_with(&rules).await.kv2(&*mount);
    assert_eq!(kv.list("app").await.unwrap(), ["config"], "a list asks for the path with a slash at its end");
    assert_eq!(kv.list("").await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(kv.metadata("app/config").await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    kv.read("app/config").await.unwrap();
}

async fn patch_is_a_thing_of_its_own(corner: Corner) {
    let mount = corner.kv2().await;
    corner.root().kv2(&*mount).put("a", &json!({"x": 1}), None).await.unwrap();
    let rules = format!(r#"path "{mount}/data/a" {{ capabilities = ["create", "update"] }}"#);
    let kv = corner.client_with(&rules).await.kv2(&*mount);
    kv.put("a", &json!({"x": 2}), None).await.unwrap();
    let error = kv.patch("a", &json!({"x": 3}), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

async fn parameters_can_be_allowed_and_denied(corner: Corner) {
    let mount = corner.kv1().await;
    let rules = format!(
        r#"
        path "{mount}/allowed" {{
            capabilities = ["create", "update"]
            allowed_parameters = {{ "colour" = ["red", "gr*"] "size" = [] }}
        }}
        path "{mount}/denied" {{
            capabilities = ["create", "update"]
            denied_parameters = {{ "colour" = ["red"] }}
        }}
        path "{mount}/required" {{
            capabilities = ["create", "update"]
            required_parameters = ["owner"]
        }}
        "#
    );
    let kv = corner.client_with(&rules).await.kv1(&*mount);
    for (path, fields, is_allowed) in [
        ("allowed", json!({"colour": "red", "size": 7}), true),
        ("allowed", json!({"colour": "green"}), true),
        ("allowed", json!({"colour": "blue"}), false),
        ("allowed", json!({"shape": "round"}), false),
        ("denied", json!({"colour": "red"}), false),
        ("denied", json!({"colour": "blue", "shape": "round"}), true),
        ("required", json!({"owner": "me"}), true),
        ("required", json!({"other": "me"}), false),
    ] {
        let result = kv.put(path, &fields).await;
        assert_eq!(result.is_ok(), is_allowed, "{path} {fields}: {result:?}");
        if let Err(error) = result {
            assert_error(
                &error,
                ErrorKind::PermissionDenied,
                403,
                &["1 error occurred: * permission denied"],
            );
        }
    }
}

async fn wrapping_can_be_required(corner: Corner) {
    let mount = corner.kv2().await;
    corner.root().kv2(&*mount).put("a", &json!({"x": 1}), None).await.unwrap();
    let rules = format!(
        r#"path "{mount}/data/a" {{
            capabilities = ["read"]
            min_wrapping_ttl = "10s"
            max_wrapping_ttl = "90s"
        }}"#
    );
    let client = corner.client_with(&rules).await;
    assert_eq!(client.kv2(&*mount).read("a").await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    for (seconds, is_allowed) in [(5, false), (60, true), (120, false)] {
        let request = client.request(gds_vault::Method::GET, format!("{mount}/data/a"));
        let result = request.wrap_ttl(std::time::Duration::from_secs(seconds)).read().await;
        assert_eq!(result.is_ok(), is_allowed, "{seconds} s: {result:?}");
    }
}

async fn sudo_is_needed_where_it_is(corner: Corner) {
    let rules = r#"
        path "sys/leases/lookup/*" { capabilities = ["list"] }
        path "sys/leases/revoke-prefix/*" { capabilities = ["update"] }
        path "auth/token/accessors" { capabilities = ["list"] }
        path "auth/token/accessors/" { capabilities = ["list"] }
    "#;
    let client = corner.client_with(rules).await;
    for (method, path) in [
        ("LIST", "sys/leases/lookup/auth/token/create"),
        ("PUT", "sys/leases/revoke-prefix/no/such/lease"),
        ("LIST", "auth/token/accessors"),
    ] {
        let answer = call(&client, method, path, None).await;
        answer.assert_refused(403, &["1 error occurred:\n\t* permission denied\n\n"]);
    }
}

async fn a_refusal_says_permission_denied(corner: Corner) {
    let client = corner.client_with(r#"path "elsewhere" { capabilities = ["read"] }"#).await;
    for (method, path) in [
        ("GET", "secret/data/a"),
        ("PUT", "sys/seal"),
        ("GET", "sys/policies/acl"),
        ("GET", "sys/mounts"),
        ("GET", "no/such/mount"),
        ("LIST", "auth/token/accessors"),
    ] {
        let answer = call(&client, method, path, None).await;
        answer.assert_refused(403, &["1 error occurred:\n\t* permission denied\n\n"]);
    }
}

async fn a_bad_token_says_invalid_token(corner: Corner) {
    for token in ["hvs.wrong", "wrong", "s.123456789012345678901234", "hvb.AAAA"] {
        let client = corner.client(&token.into());
        for (method, path) in
            [("GET", "secret/data/a"), ("GET", "auth/token/lookup-self"), ("GET", "no/such/mount")]
        {
            let answer = call(&client, method, path, None).await;
            answer.assert_refused(403, &["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]);
        }
    }
}

async fn no_token_says_permission_denied(corner: Corner) {
    for path in ["secret/data/a", "auth/token/lookup-self", "no/such/mount", "sys/mounts"] {
        call(&corner.anonymous(), "GET", path, None).await.assert_refused(403, &["permission denied"]);
    }
}
