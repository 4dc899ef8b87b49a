use super::*;
use crate::json::object;

fn acl(policies: &[&str]) -> Acl {
    let mut acl = Acl::default();
    for text in policies {
        acl.add("", &Policy::parse(text).unwrap());
    }
    acl
}

fn may(acl: &Acl, operation: Operation, path: &str) -> bool {
    acl.allows(Attempt { operation, path, data: &Object::new(), wrap_ttl: None })
}

#[test]
fn exact_prefix_and_segments() {
    let acl = acl(&[r#"path "a" { capabilities = ["read"] }
           path "b/*" { capabilities = ["read", "list"] }
           path "c/+/d" { capabilities = ["update"] }
           path "e/+/f*" { capabilities = ["delete"] }"#]);
    assert!(may(&acl, Operation::Read, "a"));
    assert!(!may(&acl, Operation::Read, "a/b"));
    assert!(!may(&acl, Operation::Update, "a"));
    assert!(may(&acl, Operation::Read, "b/x/y"));
    assert!(may(&acl, Operation::List, "b/"));
    assert!(!may(&acl, Operation::Read, "b"));
    assert!(may(&acl, Operation::Update, "c/x/d"));
    assert!(!may(&acl, Operation::Update, "c/x/y/d"));
    assert!(may(&acl, Operation::Delete, "e/x/foo/bar"));
    assert!(!may(&acl, Operation::Delete, "e/x/goo"));
}

#[test]
fn list_ignores_a_trailing_slash() {
    let acl = acl(&[
        r#"path "a/b" { capabilities = ["list"] } path "c/*" { capabilities = ["deny"] } path "c/d" { capabilities = ["list"] }"#,
    ]);
    assert!(may(&acl, Operation::List, "a/b/"));
    assert!(may(&acl, Operation::List, "c/d/"));
    assert!(!may(&acl, Operation::List, "c/e/"));
}

#[test]
fn the_more_specific_rule_decides() {
    let deny_below =
        acl(&[r#"path "a/*" { capabilities = ["read"] } path "a/b/*" { capabilities = ["deny"] }"#]);
    assert!(may(&deny_below, Operation::Read, "a/c"));
    assert!(!may(&deny_below, Operation::Read, "a/b/c"));

    let segment_or_prefix =
        acl(&[r#"path "a/+/c" { capabilities = ["read"] } path "a/b*" { capabilities = ["deny"] }"#]);
    assert!(!may(&segment_or_prefix, Operation::Read, "a/b/c"), "the first wildcard of a/b* comes later");
    assert!(may(&segment_or_prefix, Operation::Read, "a/x/c"));

    let fewer_plus =
        acl(&[r#"path "a/+/+/x" { capabilities = ["deny"] } path "a/+/c/x" { capabilities = ["read"] }"#]);
    assert!(may(&fewer_plus, Operation::Read, "a/b/c/x"));
}

#[test]
fn policies_add_up_and_deny_wins() {
    let both = acl(&[r#"path "a" { capabilities = ["read"] }"#, r#"path "a" { capabilities = ["update"] }"#]);
    assert_eq!(both.capabilities("a").unwrap().names(), ["read", "update"]);
    let denied = acl(&[r#"path "a" { capabilities = ["read"] }"#, r#"path "a" { capabilities = ["deny"] }"#]);
    assert_eq!(denied.capabilities("a").unwrap().names(), ["deny"]);
    assert_eq!(both.capabilities("elsewhere").unwrap().names(), ["deny"]);
}

#[test]
fn access_to_a_mount() {
    let acl = acl(&[r#"path "secret/data/foo" { capabilities = ["read"] }
           path "team/+/zz" { capabilities = ["update"] }
           path "kv1/*" { capabilities = ["deny"] }"#]);
    assert!(acl.grants_something_under("secret/"));
    assert!(acl.grants_something_under("team/kv/"));
    assert!(!acl.grants_something_under("kv1/"));
    assert!(!acl.grants_something_under("other/"));
    assert!(!acl.grants_something_under("secrets/"));
    assert!(Acl::root().grants_something_under("any/"));
}

#[test]
fn parameters() {
    let acl = acl(&[r#"path "a" {
             capabilities = ["update"]
             required_parameters = ["name"]
             allowed_parameters = { "name" = ["x*"], "other" = [] }
             denied_parameters = { "bad" = [] }
           }"#]);
    let may = |data: Object| {
        acl.allows(Attempt { operation: Operation::Update, path: "a", data: &data, wrap_ttl: None })
    };
    assert!(may(object! { "name" => "xyz", "other" => "anything" }));
    assert!(!may(object! { "name" => "abc" }));
    assert!(!may(object! { "other" => "anything" }));
    assert!(!may(object! { "name" => "x", "bad" => "y" }));
    assert!(!may(object! { "name" => "x", "unheard" => "y" }));
}

#[test]
fn wrapping_can_be_demanded() {
    let acl =
        acl(&[r#"path "a" { capabilities = ["read"] min_wrapping_ttl = "1m" max_wrapping_ttl = "2m" }"#]);
    let may = |wrap_ttl| {
        acl.allows(Attempt { operation: Operation::Read, path: "a", data: &Object::new(), wrap_ttl })
    };
    assert!(!may(None));
    assert!(!may(Some(Duration::from_secs(30))));
    assert!(may(Some(Duration::from_secs(90))));
    assert!(!may(Some(Duration::from_secs(150))));
}

#[test]
fn namespaces_prefix_their_rules() {
    let mut acl = Acl::default();
    acl.add("team/", &Policy::parse(r#"path "secret/*" { capabilities = ["read"] }"#).unwrap());
    assert!(may(&acl, Operation::Read, "team/secret/x"));
    assert!(!may(&acl, Operation::Read, "secret/x"));
}
