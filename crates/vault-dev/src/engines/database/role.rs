//! `roles/…`: how credentials are made and unmade.

use std::time::Duration;

use super::Database;
use crate::core::{Answer, Call, MAX_ENTRIES, Operation, Refusal, Reply};
use crate::json::{Object, object};

#[derive(Clone, Default)]
pub(super) struct Role {
    pub(super) db_name: String,
    pub(super) creation: Vec<String>,
    pub(super) revocation: Vec<String>,
    pub(super) rollback: Vec<String>,
    pub(super) renewal: Vec<String>,
    /// Zero: the mount's.
    pub(super) default_ttl: Duration,
    /// Zero: the mount's.
    pub(super) max_ttl: Duration,
}

const KNOWN: &[&str] = &[
    "name",
    "db_name",
    "creation_statements",
    "revocation_statements",
    "rollback_statements",
    "renew_statements",
    "default_ttl",
    "max_ttl",
    "credential_type",
    "credential_config",
];

pub(super) fn handle(database: &Database, call: &Call<'_>, name: &str) -> Reply {
    match call.operation() {
        Operation::Read => {
            let store = database.store.lock();
            Ok(store.roles.get(name).map_or_else(Answer::nothing, |role| Answer::data(role.describe())))
        }
        Operation::Create | Operation::Update => write(database, call, name),
        Operation::Delete => {
            database.store.lock().roles.remove(name);
            Ok(Answer::nothing())
        }
        _ => Err(Refusal::unsupported_operation()),
    }
}

fn write(database: &Database, call: &Call<'_>, name: &str) -> Reply {
    let fields = call.fields(KNOWN);
    let mut store = database.store.lock();
    Refusal::unless_room(store.roles.len(), MAX_ENTRIES, "roles")?;
    if store.static_roles.contains_key(name) {
        return Err(Refusal::bad_request("Role and Static Role names must be unique"));
    }
    let mut role = store.roles.get(name).cloned().unwrap_or_default();
    role.db_name = fields.string("db_name")?.unwrap_or(role.db_name);
    if role.db_name.is_empty() {
        return Err(Refusal::bad_request("database name is required"));
    }
    let kind = fields.text("credential_type")?;
    match kind.as_str() {
        "" | "password" => {}
        "rsa_private_key" | "client_certificate" => {
            return Err(Refusal::bad_request("this server makes no credentials but passwords"));
        }
        _ => return Err(Refusal::bad_request(format!("invalid credential_type {kind:?}"))),
    }
    let statements = [
        ("creation_statements", &mut role.creation),
        ("revocation_statements", &mut role.revocation),
        ("rollback_statements", &mut role.rollback),
        ("renew_statements", &mut role.renewal),
    ];
    for (name, into) in statements {
        if let Some(given) = fields.statements(name)? {
            *into = given;
        }
    }
    role.default_ttl = fields.duration("default_ttl")?.unwrap_or(role.default_ttl);
    role.max_ttl = fields.duration("max_ttl")?.unwrap_or(role.max_ttl);
    store.roles.insert(name.to_owned(), role);
    Ok(Answer::nothing())
}

impl Role {
    fn describe(&self) -> Object {
        object! {
            "creation_statements" => self.creation.clone(),
            "credential_type" => "password",
            "db_name" => self.db_name.as_str(),
            "default_ttl" => self.default_ttl.as_secs(),
            "max_ttl" => self.max_ttl.as_secs(),
            "renew_statements" => self.renewal.clone(),
            "revocation_statements" => self.revocation.clone(),
            "rollback_statements" => self.rollback.clone(),
        }
    }
}
