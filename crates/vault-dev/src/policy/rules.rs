//! A policy's text turned into rules, with Vault's complaints about bad ones.

use std::collections::BTreeMap;
use std::time::Duration;

use super::capabilities::Capabilities;
use super::hcl::{self, Item, Value};
use crate::go_duration;
use crate::json::Json;

/// One policy: its text as written, and what it means.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) text: String,
    pub(super) rules: Vec<Rule>,
}

/// One `path` block.
#[derive(Debug, Clone, Default)]
pub(super) struct Rule {
    /// Without a leading slash; as written otherwise.
    pub(super) path: String,
    pub(super) grants: Grants,
}

/// What a block grants, and under which conditions.
#[derive(Debug, Clone, Default)]
pub(super) struct Grants {
    pub(super) capabilities: Capabilities,
    pub(super) required: Vec<String>,
    pub(super) allowed: BTreeMap<String, Vec<Json>>,
    pub(super) denied: BTreeMap<String, Vec<Json>>,
    pub(super) min_wrapping_ttl: Option<Duration>,
    pub(super) max_wrapping_ttl: Option<Duration>,
}

const KEYS: &[&str] = &[
    "comment",
    "policy",
    "capabilities",
    "allowed_parameters",
    "denied_parameters",
    "required_parameters",
    "min_wrapping_ttl",
    "max_wrapping_ttl",
    "mfa_methods",
    "control_group",
    "subscribe_event_types",
];

impl Policy {
    /// Reads HCL or JSON. `Err` is the message of Vault's 400.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let rules = rules(text).map_err(|complaint| format!("failed to parse policy: {complaint}"))?;
        Ok(Self { text: text.to_owned(), rules })
    }
}

fn rules(text: &str) -> Result<Vec<Rule>, String> {
    let mut rules = Vec::new();
    for item in hcl::parse(text)? {
        match item.keys.first().map(String::as_str) {
            Some("name") => {}
            Some("path") => blocks(&item, &mut rules)?,
            key => {
                let key = key.unwrap_or_default();
                // Vault says "line 0" wherever it is.
                return Err(format!("1 error occurred:\n\t* invalid key {key:?} on line 0\n\n"));
            }
        }
    }
    Ok(rules)
}

/// `path "x" {…}`, `path = { "x" = {…} }`, and JSON's `"path": [{ "x": {…} }]`.
fn blocks(item: &Item, rules: &mut Vec<Rule>) -> Result<(), String> {
    match (item.keys.get(1), &item.value) {
        (Some(path), Value::Object(members)) => rules.push(rule(path, members)?),
        (None, Value::Object(paths)) => {
            for inner in paths {
                let keys = std::iter::once("path".to_owned()).chain(inner.keys.iter().cloned()).collect();
                blocks(&Item { keys, value: inner.value.clone(), line: inner.line }, rules)?;
            }
        }
        (_, Value::List(list)) => {
            for value in list {
                blocks(&Item { keys: item.keys.clone(), value: value.clone(), line: item.line }, rules)?;
            }
        }
        _ => return Err("path \"path\": cannot check HCL keys of type *ast.LiteralType".to_owned()),
    }
    Ok(())
}

fn rule(path: &str, members: &[Item]) -> Result<Rule, String> {
    let path = path.strip_prefix('/').unwrap_or(path).to_owned();
    if path.contains("+*") {
        return Err(format!("path {path:?}: invalid use of wildcards ('+*' is forbidden)"));
    }
    let mut grants = Grants::default();
    for Item { keys, value, line } in members {
        let key = keys.first().map_or("", String::as_str);
        if !KEYS.contains(&key) {
            return Err(format!(
                "1 error occurred:\n\t* path {path:?}: invalid key {key:?} on line {line}\n\n"
            ));
        }
        match key {
            "policy" => grants.capabilities.add_all(Capabilities::of_old_policy(&path, &texts(value))?),
            "capabilities" => {
                if !matches!(value, Value::List(_)) {
                    return Err(format!("path {path:?}: unknown slice type: *ast.LiteralType"));
                }
                for name in texts(value) {
                    grants.capabilities.add_all(
                        Capabilities::named(&name)
                            .ok_or_else(|| format!("path {path:?}: invalid capability {name:?}"))?,
                    );
                }
            }
            "required_parameters" => grants.required = texts(value),
            "allowed_parameters" => grants.allowed = parameters(value),
            "denied_parameters" => grants.denied = parameters(value),
            "min_wrapping_ttl" => grants.min_wrapping_ttl = Some(duration(key, value)?),
            "max_wrapping_ttl" => grants.max_wrapping_ttl = Some(duration(key, value)?),
            _ => {}
        }
    }
    if let (Some(min), Some(max)) = (grants.min_wrapping_ttl, grants.max_wrapping_ttl)
        && max < min
    {
        return Err("max_wrapping_ttl cannot be less than min_wrapping_ttl".to_owned());
    }
    Ok(Rule { path, grants })
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) | Value::Number(text) => vec![text.clone()],
        Value::Bool(flag) => vec![flag.to_string()],
        Value::List(values) => values.iter().flat_map(texts).collect(),
        Value::Object(_) => Vec::new(),
    }
}

fn parameters(value: &Value) -> BTreeMap<String, Vec<Json>> {
    let Value::Object(items) = value else { return BTreeMap::new() };
    let parameter = |item: &Item| {
        let values = if let Value::List(values) = &item.value {
            values.iter().map(to_json).collect()
        } else {
            Vec::new()
        };
        (item.keys.first().map(|key| key.to_lowercase()).unwrap_or_default(), values)
    };
    items.iter().map(parameter).collect()
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::String(text) => Json::from(text.as_str()),
        Value::Number(digits) => Json::Number(digits.clone()),
        Value::Bool(flag) => Json::Bool(*flag),
        Value::List(values) => Json::Array(values.iter().map(to_json).collect()),
        Value::Object(_) => Json::Null,
    }
}

fn duration(key: &str, value: &Value) -> Result<Duration, String> {
    let text = texts(value).concat();
    go_duration::parse(&text).map_err(|complaint| format!("error parsing {key}: {complaint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        Policy::parse(text).unwrap_err()
    }

    #[test]
    fn vaults_complaints() {
        assert_eq!(
            complaint("path \"x\" { capabilities = [\"fly\"] }"),
            "failed to parse policy: path \"x\": invalid capability \"fly\""
        );
        assert_eq!(
            complaint("path \"x\" { caps = [\"read\"] }"),
            "failed to parse policy: 1 error occurred:\n\t* path \"x\": invalid key \"caps\" on line 1\n\n"
        );
        assert_eq!(
            complaint("path \"x/+*\" { capabilities = [\"read\"] }"),
            "failed to parse policy: path \"x/+*\": invalid use of wildcards ('+*' is forbidden)"
        );
        assert!(complaint("pth \"x\" {}").contains("invalid key \"pth\""));
    }

    #[test]
    fn all_spellings_of_a_path() {
        for text in [
            "path \"/x\" { capabilities = [\"read\"] }",
            "path = { \"x\" = { capabilities = [\"read\"] } }",
            r#"{"path":{"x":{"capabilities":["read"]}}}"#,
            r#"{"path":[{"x":{"capabilities":["read"]}}]}"#,
            "name = \"n\" path \"x\" { policy = \"read\" }",
        ] {
            let policy = Policy::parse(text).unwrap();
            assert_eq!(policy.rules[0].path, "x", "{text}");
            assert!(policy.rules[0].grants.capabilities.has(Capabilities::READ), "{text}");
        }
    }
}
