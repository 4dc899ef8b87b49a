//! Which of a token's rules decides about a path, in Vault's order of priority.

use std::collections::BTreeMap;
use std::time::Duration;

use super::capabilities::Capabilities;
use super::rules::{Grants, Policy};
use crate::core::Operation;
use crate::json::{Json, Object};

/// The rules of one token. Paths in it start at the root namespace.
#[derive(Debug, Default)]
pub(crate) struct Acl {
    root: bool,
    /// Root of everything below this namespace.
    root_of: Option<String>,
    exact: BTreeMap<String, Grants>,
    /// `foo/*`, kept as `foo/`.
    prefixes: BTreeMap<String, Grants>,
    /// Paths with `+` segments; a trailing `*` is kept.
    wildcards: BTreeMap<String, Grants>,
}

/// What a request attempts, as far as rules are concerned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) operation: Operation,
    pub(crate) path: &'a str,
    pub(crate) data: &'a Object,
    pub(crate) wrap_ttl: Option<Duration>,
}

impl Acl {
    /// The token that may do anything.
    pub(crate) fn root() -> Self {
        Self { root: true, ..Self::default() }
    }

    /// The root token of a namespace.
    pub(crate) fn root_of(namespace: &str) -> Self {
        Self { root_of: Some(namespace.to_owned()), ..Self::default() }
    }

    /// Adds a policy of the namespace at `namespace` (`""` or `"team/"`).
    pub(crate) fn add(&mut self, namespace: &str, policy: &Policy) {
        for rule in &policy.rules {
            // Identity templates: there are no entities here, and Vault skips what it cannot fill in.
            if rule.path.contains("{{") {
                continue;
            }
            let path = format!("{namespace}{}", rule.path);
            let has_wildcard_segment = path.split('/').any(|segment| segment == "+");
            let (rules, path) = if has_wildcard_segment {
                (&mut self.wildcards, path)
            } else if let Some(prefix) = path.strip_suffix('*') {
                (&mut self.prefixes, prefix.to_owned())
            } else {
                (&mut self.exact, path)
            };
            merge(rules.entry(path).or_default(), &rule.grants);
        }
    }

    fn is_root_on(&self, path: &str) -> bool {
        self.root || self.root_of.as_deref().is_some_and(|namespace| path.starts_with(namespace))
    }

    pub(crate) fn allows(&self, attempt: Attempt<'_>) -> bool {
        if self.is_root_on(attempt.path) {
            return true;
        }
        self.deciding(attempt.operation == Operation::List, attempt.path).is_some_and(|grants| {
            grants.capabilities.allows(attempt.operation) && grants.conditions_hold(attempt)
        })
    }

    pub(crate) fn has_sudo(&self, operation: Operation, path: &str) -> bool {
        self.is_root_on(path)
            || self
                .deciding(operation == Operation::List, path)
                .is_some_and(|grants| grants.capabilities.has(Capabilities::SUDO))
    }

    /// `None` for root.
    pub(crate) fn capabilities(&self, path: &str) -> Option<Capabilities> {
        if self.is_root_on(path) {
            return None;
        }
        Some(self.deciding(true, path).map_or(Capabilities::NONE, |grants| grants.capabilities))
    }

    /// Is anything at all allowed at or under this mount (`secret/`)?
    pub(crate) fn grants_something_under(&self, mount: &str) -> bool {
        if self.capabilities(mount).is_none_or(|capabilities| !capabilities.is_denied()) {
            return true;
        }
        let below = |rules: &BTreeMap<String, Grants>| {
            rules
                .range(mount.to_owned()..)
                .take_while(|(path, _)| path.starts_with(mount))
                .any(|(_, grants)| !grants.capabilities.is_denied())
        };
        below(&self.exact)
            || below(&self.prefixes)
            || self.wildcards.iter().any(|(pattern, grants)| {
                !grants.capabilities.is_denied() && could_match_below(pattern, mount)
            })
    }

    fn deciding(&self, is_list: bool, path: &str) -> Option<&Grants> {
        let path = path.trim_start_matches('/');
        let bare = path.strip_suffix('/').filter(|_| is_list);
        self.exact
            .get(path)
            .or_else(|| self.exact.get(path.strip_suffix('/').filter(|_| is_list)?))
            .or_else(|| self.inexact(bare?))
            .or_else(|| self.inexact(path))
    }

    fn inexact(&self, path: &str) -> Option<&Grants> {
        let prefix = self
            .prefixes
            .iter()
            .filter(|(prefix, _)| path.starts_with(prefix.as_str()))
            .max_by_key(|(prefix, _)| prefix.len())
            .map(|(prefix, grants)| (Priority::of_prefix(prefix), grants));
        let matching = self.wildcards.iter().filter(|(pattern, _)| matches(pattern, path));
        matching
            .map(|(pattern, grants)| (Priority::of_pattern(pattern), grants))
            .chain(prefix)
            .max_by(|(one, _), (other, _)| one.cmp(other))
            .map(|(_, grants)| grants)
    }
}

/// Vault's order among several matching patterns: the greatest decides.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Priority {
    first_wildcard: usize,
    is_exact_at_the_end: bool,
    fewer_wildcards: std::cmp::Reverse<usize>,
    length: usize,
    text: String,
}

impl Priority {
    fn of_prefix(prefix: &str) -> Self {
        Self {
            first_wildcard: prefix.len(),
            is_exact_at_the_end: false,
            fewer_wildcards: std::cmp::Reverse(0),
            length: prefix.len(),
            text: prefix.to_owned(),
        }
    }

    fn of_pattern(pattern: &str) -> Self {
        let text = pattern.strip_suffix('*').unwrap_or(pattern);
        Self {
            first_wildcard: pattern.find('+').unwrap_or(pattern.len()),
            is_exact_at_the_end: !pattern.ends_with('*'),
            fewer_wildcards: std::cmp::Reverse(text.split('/').filter(|segment| *segment == "+").count()),
            length: text.len(),
            text: text.to_owned(),
        }
    }
}

fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, is_prefix) = pattern.strip_suffix('*').map_or((pattern, false), |prefix| (prefix, true));
    let wanted: Vec<&str> = pattern.split('/').collect();
    let given: Vec<&str> = path.split('/').collect();
    if given.len() < wanted.len() || (!is_prefix && given.len() != wanted.len()) {
        return false;
    }
    let last = wanted.len() - 1;
    wanted.iter().zip(&given).enumerate().all(|(index, (wanted, given))| {
        *wanted == "+" || wanted == given || (is_prefix && index == last && given.starts_with(wanted))
    })
}

/// Could a path below `mount` match the pattern?
fn could_match_below(pattern: &str, mount: &str) -> bool {
    let (pattern, is_prefix) = pattern.strip_suffix('*').map_or((pattern, false), |prefix| (prefix, true));
    let wanted: Vec<&str> = pattern.split('/').collect();
    let mount: Vec<&str> = mount.trim_end_matches('/').split('/').collect();
    for (index, segment) in mount.iter().enumerate() {
        match wanted.get(index) {
            None => return is_prefix,
            Some(&"+") => {}
            Some(part) if part == segment => {}
            Some(part) => return is_prefix && index == wanted.len() - 1 && segment.starts_with(part),
        }
    }
    wanted.len() > mount.len() || is_prefix
}

fn merge(existing: &mut Grants, new: &Grants) {
    existing.capabilities.add_all(new.capabilities);
    existing.required.extend(new.required.iter().cloned());
    for (into, from) in [(&mut existing.allowed, &new.allowed), (&mut existing.denied, &new.denied)] {
        for (name, values) in from {
            match into.get_mut(name) {
                // "Any value" wins over a list of values.
                Some(known) if known.is_empty() || values.is_empty() => known.clear(),
                Some(known) => known.extend(values.iter().cloned()),
                None => drop(into.insert(name.clone(), values.clone())),
            }
        }
    }
    existing.min_wrapping_ttl = existing.min_wrapping_ttl.max(new.min_wrapping_ttl);
    existing.max_wrapping_ttl = match (existing.max_wrapping_ttl, new.max_wrapping_ttl) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
}

impl Grants {
    fn conditions_hold(&self, attempt: Attempt<'_>) -> bool {
        let wrapping = attempt.wrap_ttl.filter(|ttl| !ttl.is_zero());
        if self.max_wrapping_ttl.is_some_and(|max| wrapping.is_none_or(|ttl| ttl > max))
            || self.min_wrapping_ttl.is_some_and(|min| wrapping.is_none_or(|ttl| ttl < min))
        {
            return false;
        }
        if matches!(attempt.operation, Operation::List | Operation::Delete | Operation::Other) {
            return true;
        }
        let data = attempt.data;
        if !self.required.iter().all(|name| data.contains_key(&name.to_lowercase())) {
            return false;
        }
        if data.is_empty() {
            return true;
        }
        let listed =
            |values: &Vec<Json>, value: &Json| values.is_empty() || values.iter().any(|one| fits(one, value));
        if self.denied.contains_key("*") {
            return false;
        }
        let is_denied = |(name, value): (&String, &Json)| {
            self.denied.get(&name.to_lowercase()).is_some_and(|values| listed(values, value))
        };
        if data.iter().any(is_denied) {
            return false;
        }
        let allows_others = self.allowed.contains_key("*");
        self.allowed.is_empty()
            || data.iter().all(|(name, value)| {
                self.allowed.get(&name.to_lowercase()).map_or(allows_others, |values| listed(values, value))
            })
    }
}

/// A value of a rule may begin or end with `*`.
fn fits(rule: &Json, value: &Json) -> bool {
    match (rule, value) {
        (Json::String(pattern), Json::String(text)) => {
            match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
                (Some(""), _) => true,
                (Some(_), Some(_)) => text.contains(pattern.trim_matches('*')),
                (Some(end), None) => text.ends_with(end),
                (None, Some(start)) => text.starts_with(start),
                (None, None) => pattern == text,
            }
        }
        _ => rule == value,
    }
}

#[cfg(test)]
#[path = "acl_tests.rs"]
mod tests;
