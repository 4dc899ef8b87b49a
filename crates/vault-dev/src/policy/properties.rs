use proptest::prelude::*;

use super::{Acl, Policy};
use crate::core::Operation;
use crate::json::Object;

fn allows_reading(acl: &Acl, path: &str) -> bool {
    acl.allows(super::Attempt { operation: Operation::Read, path, data: &Object::new(), wrap_ttl: None })
}

fn policy(path: &str, capability: &str) -> Policy {
    Policy::parse(&format!("path {path:?} {{ capabilities = [{capability:?}] }}")).unwrap()
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = Policy::parse(&text);
    }

    #[test]
    fn nothing_like_a_policy_makes_the_parser_panic(text in r#"(path|"[a-z/+*]{0,6}"|\{|\}|\[|\]|=|,|capabilities|"read"|<<E\n|E\n|#|/\*|\*/|\\| |\n){0,30}"#) {
        let _ = Policy::parse(&text);
    }

    /// Whatever else a token may do: a rule for exactly this path decides.
    #[test]
    fn an_exact_rule_decides(
        path in "[a-c](/[a-c]){0,3}",
        others in prop::collection::vec("([a-c+]/){0,3}[a-c+]?\\*?", 0..6),
        allowed in any::<bool>(),
    ) {
        let mut acl = Acl::default();
        for other in others.iter().filter(|other| **other != path && !other.contains("+*")) {
            acl.add("", &policy(other, if allowed { "deny" } else { "read" }));
        }
        acl.add("", &policy(&path, if allowed { "read" } else { "deny" }));
        prop_assert_eq!(allows_reading(&acl, &path), allowed);
    }

    /// Who may read something below a mount, may know of the mount.
    #[test]
    fn access_below_is_access_to_the_mount(rule in "([a-c+]/){1,3}[a-c+]?\\*?", path in "[a-c]/[a-c](/[a-c]){0,2}") {
        prop_assume!(!rule.contains("+*"));
        let mut acl = Acl::default();
        acl.add("", &policy(&rule, "read"));
        let mount = format!("{}/", path.split('/').next().unwrap());
        prop_assert!(!allows_reading(&acl, &path) || acl.grants_something_under(&mount), "{} {}", rule, path);
    }
}
