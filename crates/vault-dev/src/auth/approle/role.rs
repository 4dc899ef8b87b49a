//! Roles and their ids.

use std::collections::BTreeMap;
use std::time::Duration;

use super::AppRole;
use super::secret_id::SecretId;
use crate::auth::token_params::{self, TokenParams};
use crate::core::{Answer, Call, MAX_ENTRIES, Operation, Refusal, Reply};
use crate::json::{Json, object};
use crate::random;

#[derive(Debug, Clone, Default)]
pub(super) struct Role {
    pub(super) id: String,
    pub(super) bind_secret_id: bool,
    /// 0: any number of times.
    pub(super) secret_id_num_uses: u64,
    /// Zero: for ever.
    pub(super) secret_id_ttl: Duration,
    pub(super) secret_id_bound_cidrs: Vec<String>,
    pub(super) params: TokenParams,
    /// The identity that Vault would make at the first login.
    pub(super) entity_id: String,
    /// By accessor.
    pub(super) secret_ids: BTreeMap<String, SecretId>,
}

const OWN_NAMES: &[&str] = &[
    "role_name",
    "role_id",
    "bind_secret_id",
    "secret_id_num_uses",
    "secret_id_ttl",
    "secret_id_bound_cidrs",
    "bound_cidr_list",
    "local_secret_ids",
];

/// The parameters that have an endpoint of their own, `role/NAME/token-ttl`.
const ENDPOINTS: &[(&str, &str)] = &[
    ("policies", "token_policies"),
    ("token-ttl", "token_ttl"),
    ("token-max-ttl", "token_max_ttl"),
    ("token-num-uses", "token_num_uses"),
    ("token-bound-cidrs", "token_bound_cidrs"),
    ("period", "token_period"),
    ("bind-secret-id", "bind_secret_id"),
    ("secret-id-ttl", "secret_id_ttl"),
    ("secret-id-num-uses", "secret_id_num_uses"),
    ("secret-id-bound-cidrs", "secret_id_bound_cidrs"),
];

/// The parameter behind an endpoint.
pub(super) fn parameter(endpoint: &str) -> Option<&'static str> {
    ENDPOINTS.iter().find(|(name, _)| *name == endpoint).map(|(_, parameter)| *parameter)
}

pub(super) fn one_parameter(approle: &AppRole, call: &Call<'_>, name: &str, endpoint: &str) -> Reply {
    match call.operation() {
        Operation::Read => {
            let roles = approle.roles.lock();
            let value = roles.get(name).and_then(|role| describe(role).data).zip(parameter(endpoint));
            let value = value.and_then(|(mut data, parameter)| Some((parameter, data.remove(parameter)?)));
            Ok(value.map_or_else(Answer::nothing, |(name, value)| Answer::data(object! { name => value })))
        }
        Operation::Create | Operation::Update if approle.roles.lock().contains_key(name) => {
            write(approle, call, name)
        }
        Operation::Create | Operation::Update => Err(Refusal::not_found()),
        _ => Err(Refusal::unsupported_operation()),
    }
}

pub(super) fn handle(approle: &AppRole, call: &Call<'_>, name: &str) -> Reply {
    match call.operation() {
        Operation::Read => {
            let roles = approle.roles.lock();
            Ok(roles.get(name).map_or_else(Answer::nothing, describe))
        }
        Operation::Create | Operation::Update => write(approle, call, name),
        Operation::Delete => {
            approle.roles.lock().remove(name);
            Ok(Answer::nothing())
        }
        _ => Err(Refusal::unsupported_operation()),
    }
}

fn describe(role: &Role) -> Answer {
    let cidrs = &role.secret_id_bound_cidrs;
    let mut data = role.params.describe();
    data.extend(object! {
        "bind_secret_id" => role.bind_secret_id,
        "local_secret_ids" => false,
        "secret_id_bound_cidrs" => if cidrs.is_empty() { Json::Null } else { cidrs.clone().into() },
        "secret_id_num_uses" => role.secret_id_num_uses,
        "secret_id_ttl" => role.secret_id_ttl.as_secs(),
    });
    Answer::data(data)
}

fn write(approle: &AppRole, call: &Call<'_>, name: &str) -> Reply {
    let known: Vec<&str> = token_params::NAMES.iter().chain(OWN_NAMES).copied().collect();
    let fields = call.fields(&known);
    let mut roles = approle.roles.lock();
    Refusal::unless_room(roles.len(), MAX_ENTRIES, "roles")?;
    let new =
        || Role { id: random::uuid(), bind_secret_id: true, entity_id: random::uuid(), ..Role::default() };
    let mut role = roles.get(name).cloned().unwrap_or_else(new);
    role.params.update(fields)?;
    if let Some(id) = fields.string("role_id")?.filter(|id| !id.is_empty()) {
        role.id = id;
    }
    role.bind_secret_id = fields.boolean("bind_secret_id")?.unwrap_or(role.bind_secret_id);
    if let Some(uses) = fields.integer("secret_id_num_uses")? {
        role.secret_id_num_uses =
            u64::try_from(uses).map_err(|_| Refusal::bad_request("secret_id_num_uses cannot be negative"))?;
    }
    role.secret_id_ttl = fields.duration("secret_id_ttl")?.unwrap_or(role.secret_id_ttl);
    if let Some(cidrs) = fields.list("secret_id_bound_cidrs")?.or(fields.list("bound_cidr_list")?) {
        role.secret_id_bound_cidrs = cidrs;
    }
    if !role.bind_secret_id && role.secret_id_bound_cidrs.is_empty() && role.params.bound_cidrs.is_empty() {
        return Err(Refusal::multi(500, "at least one constraint should be enabled on the role"));
    }
    if roles.iter().any(|(other, known)| other != name && known.id == role.id) {
        return Err(Refusal::multi(500, "role_id already in use"));
    }
    roles.insert(name.to_owned(), role);
    Ok(Answer::nothing())
}

pub(super) fn role_id(approle: &AppRole, call: &Call<'_>, name: &str) -> Reply {
    let mut roles = approle.roles.lock();
    match call.operation() {
        Operation::Read => Ok(roles
            .get(name)
            .map_or_else(Answer::nothing, |role| Answer::data(object! { "role_id" => role.id.as_str() }))),
        Operation::Create | Operation::Update => {
            let id = call.fields(&["role_name", "role_id"]).text("role_id")?;
            if roles.iter().any(|(other, role)| other != name && role.id == id) {
                return Err(Refusal::multi(500, "role_id already in use"));
            }
            let role = roles.get_mut(name).ok_or_else(Refusal::unsupported_path)?;
            if id.is_empty() {
                return Err(Refusal::bad_request("missing role_id"));
            }
            role.id = id;
            Ok(Answer::nothing())
        }
        _ => Err(Refusal::unsupported_operation()),
    }
}
