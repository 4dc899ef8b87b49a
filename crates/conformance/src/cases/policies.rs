//! Writing policies, and asking what they come to.

use gds_vault::ErrorKind;
use serde_json::json;

use super::cases;
use super::policy::{assert_capabilities, at};
use crate::corner::Corner;

cases! {
    Nothing: [
        policies_are_kept,
        a_policy_counts_from_the_moment_it_is_written,
        a_policy_that_cannot_be_read_is_refused,
        policies_in_json,
        the_default_policy,
        capabilities_need_paths,
    ],
}

async fn policies_are_kept(corner: Corner) {
    let rules = r#"path "a" { capabilities = ["read"] } # as it was written"#;
    // Names are kept in small letters.
    let (written, name) = (corner.name("MIXED"), corner.name("mixed"));
    corner.root().sys().put_policy(&written, rules).await.unwrap();
    let path = format!("sys/policies/acl/{name}");
    let answer = corner.call("GET", &path, None).await;
    assert_eq!((&answer.body["data"]["name"], &answer.body["data"]["policy"]), (&json!(name), &json!(rules)));
    let listed = corner.call("LIST", "sys/policies/acl", None).await;
    let keys = listed.body["data"]["keys"].as_array().unwrap().clone();
    assert!(keys.contains(&json!(name)) && keys.contains(&json!("default")) && keys.contains(&json!("root")));
    assert_eq!(corner.call("DELETE", &path, None).await.status, 204);
    corner.call("GET", &path, None).await.assert_refused(404, &[]);
    assert_eq!(corner.call("DELETE", &path, None).await.status, 204);
    let refused = corner.call("DELETE", "sys/policies/acl/root", None).await;
    refused.assert_refused(400, &["cannot delete \"root\" policy"]);
}

async fn a_policy_counts_from_the_moment_it_is_written(corner: Corner) {
    let mount = corner.kv2().await;
    corner.root().kv2(&*mount).put("a", &json!({"x": 1}), None).await.unwrap();
    let name = corner.name("late");
    let client = corner.client(&corner.token(json!({"policies": [name]})).await.client_token);
    let kv = client.kv2(&*mount);
    assert_eq!(kv.read("a").await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let rules = format!(r#"path "{mount}/data/a" {{ capabilities = ["read"] }}"#);
    corner.root().sys().put_policy(&name, &rules).await.unwrap();
    kv.read("a").await.unwrap();
    corner.call("DELETE", &format!("sys/policies/acl/{name}"), None).await;
    assert_eq!(kv.read("a").await.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

async fn a_policy_that_cannot_be_read_is_refused(corner: Corner) {
    let path = format!("sys/policies/acl/{}", corner.name("bad"));
    for (rules, said) in [
        (
            r#"path "x" { capabilities = ["bogus"] }"#,
            "failed to parse policy: path \"x\": invalid capability \"bogus\"",
        ),
        ("path {", "failed to parse policy: At 1:8: object expected closing RBRACE got: EOF"),
        (
            r#"bogus "x" {}"#,
            "failed to parse policy: 1 error occurred:\n\t* invalid key \"bogus\" on line 0\n\n",
        ),
        (
            r#"path "x" { bogus = 1 }"#,
            "failed to parse policy: 1 error occurred:\n\t* path \"x\": invalid key \"bogus\" on line 1\n\n",
        ),
        (
            r#"path "a/+*" { capabilities = ["read"] }"#,
            "failed to parse policy: path \"a/+*\": invalid use of wildcards ('+*' is forbidden)",
        ),
    ] {
        corner.call("POST", &path, json!({"policy": rules})).await.assert_refused(400, &[said]);
    }
    corner
        .call("POST", &path, json!({}))
        .await
        .assert_refused(400, &["'policy' parameter not supplied or empty"]);
    corner.call("GET", &path, None).await.assert_refused(404, &[]);
}

async fn policies_in_json(corner: Corner) {
    let rules = json!({"path": {"m/a": {"capabilities": ["read"]}, "m/b/*": {"policy": "write"}}});
    let client = corner.client_with(&rules.to_string()).await;
    let expected = [("a", "read"), ("b/c", "create,delete,list,read,update"), ("c", "deny")];
    assert_capabilities(&client, &at("m", &expected)).await;
}

async fn the_default_policy(corner: Corner) {
    let client = corner.client(&corner.token(json!({"policies": ["default"]})).await.client_token);
    let expected = [
        ("auth/token/lookup-self", "read"),
        ("auth/token/renew-self", "update"),
        ("auth/token/revoke-self", "update"),
        ("sys/capabilities-self", "update"),
        ("sys/internal/ui/resultant-acl", "read"),
        ("sys/renew", "update"),
        ("sys/leases/renew", "update"),
        ("sys/leases/lookup", "update"),
        ("cubbyhole/x", "create,delete,list,read,update"),
        ("sys/wrapping/wrap", "update"),
        ("sys/wrapping/lookup", "update"),
        ("sys/wrapping/unwrap", "update"),
        ("sys/tools/hash", "update"),
        ("sys/leases/revoke", "deny"),
        ("auth/token/create", "deny"),
        ("secret/data/a", "deny"),
    ];
    assert_capabilities(&client, &expected.map(|(path, may)| (path.to_owned(), may))).await;
}

async fn capabilities_need_paths(corner: Corner) {
    for body in [json!({}), json!({"paths": []})] {
        corner
            .call("POST", "sys/capabilities-self", body)
            .await
            .assert_refused(400, &["paths must be supplied"]);
    }
    let answer = corner.call("POST", "sys/capabilities-self", json!({"paths": "a"})).await;
    assert_eq!(
        answer.body["data"],
        json!({"a": ["root"], "capabilities": ["root"]}),
        "one path need not be in a list"
    );
    let of_another = corner.token(json!({"policies": ["default"]})).await.client_token;
    let body = json!({"token": of_another.expose(), "paths": ["auth/token/lookup-self"]});
    let answer = corner.call("POST", "sys/capabilities", body).await;
    assert_eq!(answer.body["data"]["auth/token/lookup-self"], json!(["read"]));
}
