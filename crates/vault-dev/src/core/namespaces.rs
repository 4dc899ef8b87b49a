//! Namespaces: each has its own mounts, auth methods and policies. The root's path is `""`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::mounts::{Mount, MountTable};
use crate::auth;
use crate::engines;
use crate::policy::{self, Policy};
use crate::random;
use crate::sys;

pub(crate) struct Namespace {
    /// `root`, or five characters as in Vault.
    pub(crate) id: String,
    pub(crate) secrets: MountTable,
    pub(crate) auth: MountTable,
    pub(crate) policies: BTreeMap<String, Policy>,
    pub(crate) custom_metadata: BTreeMap<String, String>,
}

impl Namespace {
    pub(crate) fn new(id: &str) -> Self {
        let mut namespace = Self {
            id: id.to_owned(),
            secrets: MountTable::default(),
            auth: MountTable::default(),
            policies: BTreeMap::new(),
            custom_metadata: BTreeMap::new(),
        };
        let mut mount = |path, kind, engine, description| {
            namespace.secrets.insert(Mount::new(path, kind, false, engine).built_in(description));
        };
        mount(
            "sys/",
            "system",
            Arc::new(sys::Sys),
            "system endpoints used for control, policy and debugging",
        );
        mount(
            "cubbyhole/",
            "cubbyhole",
            Arc::new(engines::Cubbyhole::default()),
            "per-token private secret storage",
        );
        let token = Mount::new("token/", "token", true, Arc::new(auth::TokenAuth));
        namespace.auth.insert(token.built_in("token based credentials"));
        for (name, text) in [("default", policy::DEFAULT), ("response-wrapping", policy::RESPONSE_WRAPPING)] {
            if let Ok(policy) = Policy::parse(text) {
                namespace.policies.insert(name.to_owned(), policy);
            }
        }
        namespace
    }
}

/// All namespaces, by full path: `""`, `"team/"`, `"team/sub/"`.
pub(crate) struct Namespaces(BTreeMap<String, Namespace>);

impl Namespaces {
    pub(crate) fn new() -> Self {
        let mut root = Namespace::new("root");
        let mut secret = Mount::new("secret/", "kv", false, Arc::new(engines::Kv2::default()))
            .built_in("key/value secret storage");
        secret.options = Some(BTreeMap::from([("version".to_owned(), "2".to_owned())]));
        // Unlike the others it is an ordinary mount: -dev only enables it by itself.
        secret.built_in = false;
        root.secrets.insert(secret);
        Self(BTreeMap::from([(String::new(), root)]))
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Namespace> {
        self.0.get(path)
    }

    pub(crate) fn get_mut(&mut self, path: &str) -> Option<&mut Namespace> {
        self.0.get_mut(path)
    }

    /// Creates the namespace unless it exists.
    pub(crate) fn create(&mut self, path: &str) -> &mut Namespace {
        self.0.entry(path.to_owned()).or_insert_with(|| Namespace::new(&random::base62(5)))
    }

    /// Removes it; the caller has made sure that nothing is below it.
    pub(crate) fn remove(&mut self, path: &str) -> Option<Namespace> {
        if path.is_empty() { None } else { self.0.remove(path) }
    }

    /// The namespaces directly below `path`, as (`name/`, namespace).
    pub(crate) fn children<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, &'a Namespace)> {
        self.0.iter().filter_map(move |(other, namespace)| {
            let name = other.strip_prefix(path)?;
            (name.matches('/').count() == 1).then_some((name, namespace))
        })
    }

    /// Where a request to `path` in `namespace` really goes: namespaces may also be part of the path.
    /// `None`: there is no such namespace.
    pub(crate) fn resolve(&self, namespace: &str, path: &str) -> Option<(String, String)> {
        self.0.get(namespace)?;
        let (mut namespace, mut path) = (namespace.to_owned(), path);
        while let Some((first, rest)) = path.split_once('/') {
            let deeper = format!("{namespace}{first}/");
            if !self.0.contains_key(&deeper) {
                break;
            }
            (namespace, path) = (deeper, rest);
        }
        Some((namespace, path.to_owned()))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Namespace)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_headers() {
        let mut namespaces = Namespaces::new();
        namespaces.create("team/");
        namespaces.create("team/sub/");
        let resolve = |namespace: &str, path: &str| namespaces.resolve(namespace, path);
        let to = |namespace: &str, path: &str| Some((namespace.to_owned(), path.to_owned()));
        assert_eq!(resolve("", "secret/data/x"), to("", "secret/data/x"));
        assert_eq!(resolve("", "team/secret/data/x"), to("team/", "secret/data/x"));
        assert_eq!(resolve("team/", "sub/sys/mounts"), to("team/sub/", "sys/mounts"));
        assert_eq!(resolve("nope/", "sys/mounts"), None);
        let names: Vec<&str> = namespaces.children("").map(|(name, _)| name).collect();
        assert_eq!(names, ["team/"]);
    }
}
