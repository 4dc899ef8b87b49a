//! The mount tables: which engine answers for which path.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;
use super::ttl::{Limits, SYSTEM_TTL};
use crate::json::{Json, Object, object};
use crate::random;

/// One mounted engine.
#[derive(Clone)]
pub(crate) struct Mount {
    /// With the slash: `secret/`; for auth methods without `auth/`.
    pub(crate) path: String,
    /// Vault's name for it: `kv`, `database`, `approle`.
    pub(crate) kind: &'static str,
    pub(crate) accessor: String,
    pub(crate) uuid: String,
    pub(crate) description: String,
    pub(crate) options: Option<BTreeMap<String, String>>,
    /// Zero: the system's.
    pub(crate) default_ttl: Duration,
    /// Zero: the system's.
    pub(crate) max_ttl: Duration,
    /// Belongs to the server; cannot be unmounted.
    pub(crate) built_in: bool,
    pub(crate) is_auth: bool,
    pub(crate) engine: Arc<dyn Engine>,
}

impl Mount {
    pub(crate) fn new(path: &str, kind: &'static str, is_auth: bool, engine: Arc<dyn Engine>) -> Self {
        let of = if is_auth { "auth_" } else { "" };
        Self {
            path: path.to_owned(),
            kind,
            accessor: format!("{of}{kind}_{}", random::hex8()),
            uuid: random::uuid(),
            description: String::new(),
            options: None,
            default_ttl: Duration::ZERO,
            max_ttl: Duration::ZERO,
            built_in: false,
            is_auth,
            engine,
        }
    }

    pub(crate) fn built_in(mut self, description: &str) -> Self {
        description.clone_into(&mut self.description);
        self.built_in = true;
        self
    }

    /// The path that requests start with: `auth/approle/`.
    pub(crate) fn route(&self) -> String {
        if self.is_auth { format!("auth/{}", self.path) } else { self.path.clone() }
    }

    pub(crate) fn default_ttl(&self) -> Duration {
        if self.default_ttl.is_zero() { SYSTEM_TTL.min(self.max_ttl()) } else { self.default_ttl }
    }

    pub(crate) fn max_ttl(&self) -> Duration {
        if self.max_ttl.is_zero() { SYSTEM_TTL } else { self.max_ttl }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits::of_mount(self.default_ttl(), self.max_ttl())
    }

    /// As `sys/mounts` shows it; with `effective`, TTLs are what they come to, as `sys/internal/ui/mounts` shows it.
    pub(crate) fn describe(&self, effective: bool) -> Object {
        let (default_ttl, max_ttl) =
            if effective { (self.default_ttl(), self.max_ttl()) } else { (self.default_ttl, self.max_ttl) };
        let mut config = object! {
            "default_lease_ttl" => default_ttl.as_secs(),
            "max_lease_ttl" => max_ttl.as_secs(),
            "force_no_cache" => false,
        };
        if self.is_auth {
            config.insert("token_type".to_owned(), "default-service".into());
        }
        let mut description = object! {
            "type" => self.kind,
            "accessor" => self.accessor.as_str(),
            "uuid" => self.uuid.as_str(),
            "description" => self.description.as_str(),
            "config" => config,
            "options" => self.options_json(),
            "local" => self.kind == "cubbyhole",
            "seal_wrap" => self.kind == "system",
            "external_entropy_access" => false,
            "plugin_version" => "",
            "running_plugin_version" => format!("v{}+builtin.vault", super::VERSION),
            "running_sha256" => "",
        };
        if !self.built_in || self.kind == "kv" {
            description.insert("deprecation_status".to_owned(), "supported".into());
        }
        description
    }

    pub(crate) fn options_json(&self) -> Json {
        self.options.as_ref().map_or(Json::Null, |options| {
            Json::Object(options.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect())
        })
    }
}

/// Secrets engines or auth methods of one namespace, by path.
#[derive(Default)]
pub(crate) struct MountTable(BTreeMap<String, Arc<Mount>>);

impl MountTable {
    /// The mount that answers for `path` (`kv` finds `kv/`).
    pub(crate) fn matching(&self, path: &str) -> Option<&Arc<Mount>> {
        self.0
            .values()
            .filter(|mount| {
                path.starts_with(mount.path.as_str()) || mount.path.strip_suffix('/') == Some(path)
            })
            .max_by_key(|mount| mount.path.len())
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Arc<Mount>> {
        self.0.get(path)
    }

    /// A mount that `path` would be inside of or that would be inside of `path`.
    pub(crate) fn in_the_way_of(&self, path: &str) -> Option<&Arc<Mount>> {
        self.0.values().find(|mount| path.starts_with(mount.path.as_str()) || mount.path.starts_with(path))
    }

    pub(crate) fn insert(&mut self, mount: Mount) {
        self.0.insert(mount.path.clone(), Arc::new(mount));
    }

    pub(crate) fn remove(&mut self, path: &str) -> Option<Arc<Mount>> {
        self.0.remove(path)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Mount>> {
        self.0.values()
    }
}
