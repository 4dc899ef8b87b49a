//! `database`: credentials made on demand on a real PostgreSQL.

mod config;
mod connection;
mod creds;
mod role;
mod rotation;
mod schedule;
mod statements;
mod static_role;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::clock::Timestamp;
use crate::core::{BoxFuture, Call, Engine, Operation, Refusal, Reply};
use crate::json::Json;
use config::Config;
use role::Role;
use static_role::StaticRole;

pub(crate) use connection::complaint;

/// Connections, roles and static roles of one mount.
#[derive(Default)]
pub(crate) struct Database {
    store: Mutex<Store>,
}

#[derive(Default)]
struct Store {
    configs: BTreeMap<String, Arc<Config>>,
    roles: BTreeMap<String, Role>,
    static_roles: BTreeMap<String, Arc<StaticRole>>,
}

impl Engine for Database {
    fn handle<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Reply> {
        Box::pin(self.answer(call))
    }

    fn exists(&self, call: &Call<'_>) -> Option<bool> {
        let store = self.store.lock();
        match call.path.split_once('/')? {
            ("config", name) => Some(store.configs.contains_key(name)),
            ("roles", name) => Some(store.roles.contains_key(name)),
            ("static-roles", name) => Some(store.static_roles.contains_key(name)),
            _ => None,
        }
    }

    fn renew<'a>(&'a self, internal: &'a Json, expires: Timestamp) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(creds::renew(self, internal, expires))
    }

    fn revoke<'a>(&'a self, internal: &'a Json) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(creds::revoke(self, internal))
    }

    fn next_due(&self) -> Option<Timestamp> {
        let store = self.store.lock();
        store.static_roles.values().map(|role| role.due()).min()
    }

    fn work(&self, now: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(static_role::rotate_due(self, now))
    }
}

impl Database {
    async fn answer(&self, call: &Call<'_>) -> Reply {
        let (endpoint, name) = call.path.split_once('/').unwrap_or((call.path, ""));
        let operation = call.operation();
        match (endpoint, name, operation) {
            ("config" | "roles" | "static-roles", "", Operation::List) => Ok(self.names(endpoint)),
            ("config" | "roles" | "static-roles", "", _) => Err(Refusal::unsupported_operation()),
            (_, name, _) if name.is_empty() || name.contains('/') => Err(Refusal::unsupported_path()),
            ("config", ..) => config::handle(self, call, name).await,
            ("roles", ..) => role::handle(self, call, name),
            ("creds", _, Operation::Read) => creds::generate(self, call, name).await,
            ("static-roles", ..) => static_role::handle(self, call, name).await,
            ("static-creds", _, Operation::Read) => static_role::credentials(self, call, name).await,
            ("rotate-role", _, _) if operation.is_write() => static_role::rotate_now(self, call, name).await,
            ("rotate-root", _, _) if operation.is_write() => config::rotate_root(self, name).await,
            ("reset", _, _) if operation.is_write() => config::reset(self, name),
            ("creds" | "static-creds", _, Operation::List) => Err(Refusal::unsupported_path()),
            ("creds" | "static-creds" | "rotate-role" | "rotate-root" | "reset", ..) => {
                Err(Refusal::unsupported_operation())
            }
            _ => Err(Refusal::unsupported_path()),
        }
    }

    fn names(&self, endpoint: &str) -> crate::core::Answer {
        let store = self.store.lock();
        crate::core::Answer::keys(match endpoint {
            "config" => store.configs.keys().cloned().collect(),
            "roles" => store.roles.keys().cloned().collect(),
            _ => store.static_roles.keys().cloned().collect(),
        })
    }

    /// The connection of this name. `Err` is Vault's complaint.
    fn config(&self, name: &str) -> Result<Arc<Config>, String> {
        let config = self.store.lock().configs.get(name).cloned();
        config.ok_or_else(|| format!("failed to find entry for connection with name: {name:?}"))
    }
}
