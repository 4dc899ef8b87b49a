//! Policies: their language, their rules, and which rule decides about a path.

mod acl;
mod capabilities;
mod hcl;
mod rules;

pub(crate) use acl::{Acl, Attempt};
pub(crate) use capabilities::Capabilities;
pub(crate) use rules::Policy;

/// The policy every token has unless it asks not to: a token may look after itself. It grants what Vault's grants,
/// minus its own entity: who asks for a feature that this server does not have is told so, not that it may not.
pub(crate) const DEFAULT: &str = include_str!("default.hcl");

/// What a wrapping token may do.
pub(crate) const RESPONSE_WRAPPING: &str = r#"
path "cubbyhole/response" {
    capabilities = ["create", "read"]
}

path "sys/wrapping/unwrap" {
    capabilities = ["update"]
}
"#;

#[cfg(test)]
mod properties;

/// Lower-case, sorted, without doubles: how Vault keeps a token's policies.
pub(crate) fn sanitize(names: &[String], add_default: bool) -> Vec<String> {
    let mut names: Vec<String> =
        names.iter().map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty()).collect();
    if names.iter().any(|name| name == "root") {
        return vec!["root".to_owned()];
    }
    if add_default {
        names.push("default".to_owned());
    }
    names.sort();
    names.dedup();
    names
}
