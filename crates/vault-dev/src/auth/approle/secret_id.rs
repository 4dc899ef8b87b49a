//! Secret ids: made, counted, looked up, destroyed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::role::Role;
use crate::clock::{Timestamp, after, rfc3339};
use crate::core::{Answer, Call, Refusal, Reply};
use crate::json::{Json, Object, object, parse};
use crate::random;

/// More secret ids per role than any test makes.
const MAX_SECRET_IDS: usize = 10_000;

/// `Debug` is left out on purpose: it would show the secret.
#[derive(Clone)]
pub(super) struct SecretId {
    value: String,
    /// 0: unlimited.
    uses_left: u64,
    ttl: Duration,
    created: Timestamp,
    updated: Timestamp,
    expires: Option<Timestamp>,
    metadata: BTreeMap<String, String>,
    cidrs: Vec<String>,
    token_cidrs: Vec<String>,
}

impl std::fmt::Debug for SecretId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretId").field("uses_left", &self.uses_left).finish_non_exhaustive()
    }
}

/// Vault answers a role that is not there in three ways, depending on the endpoint.
fn existing<'a>(role: Option<&'a mut Role>, name: &str, status: u16) -> Result<&'a mut Role, Refusal> {
    role.ok_or_else(|| {
        let complaint = format!("role {name:?} does not exist");
        if status == 500 { Refusal::multi(status, &complaint) } else { Refusal::new(status, complaint) }
    })
}

/// Drops what has expired.
pub(super) fn prune(role: &mut Role, now: Timestamp) {
    role.secret_ids.retain(|_, secret| secret.expires.is_none_or(|end| end > now));
}

pub(super) fn generate(role: Option<&mut Role>, name: &str, call: &Call<'_>, custom: bool) -> Reply {
    let fields = call.fields(&[
        "role_name",
        "secret_id",
        "metadata",
        "cidr_list",
        "token_bound_cidrs",
        "ttl",
        "num_uses",
    ]);
    let role = existing(role, name, 404)?;
    if !role.bind_secret_id {
        return Err(Refusal::bad_request("bind_secret_id is not set on the role"));
    }
    let now = call.now();
    prune(role, now);
    let secret_id = if custom { fields.text("secret_id")? } else { random::uuid() };
    if secret_id.is_empty() {
        return Err(Refusal::bad_request("missing secret_id"));
    }
    Refusal::unless_room(role.secret_ids.len(), MAX_SECRET_IDS, "secret ids")?;
    if role.secret_ids.values().any(|known| known.value == secret_id) {
        return Err(Refusal::multi(500, "failed to store secret_id: SecretID is already registered"));
    }
    let metadata = metadata(&fields.text("metadata")?)?;
    let uses_left = fields.count("num_uses")?.unwrap_or(role.secret_id_num_uses);
    if role.secret_id_num_uses != 0 && (uses_left == 0 || uses_left > role.secret_id_num_uses) {
        return Err(Refusal::bad_request("num_uses cannot be higher than the role's secret_id_num_uses"));
    }
    let ttl = fields.duration("ttl")?.unwrap_or(role.secret_id_ttl);
    if !role.secret_id_ttl.is_zero() && (ttl.is_zero() || ttl > role.secret_id_ttl) {
        return Err(Refusal::bad_request("ttl cannot be longer than the role's secret_id_ttl"));
    }
    let accessor = random::uuid();
    role.secret_ids.insert(
        accessor.clone(),
        SecretId {
            value: secret_id.clone(),
            uses_left,
            ttl,
            created: now,
            updated: now,
            expires: (!ttl.is_zero()).then(|| after(now, ttl)),
            metadata,
            cidrs: fields.list("cidr_list")?.unwrap_or_default(),
            token_cidrs: fields.list("token_bound_cidrs")?.unwrap_or_default(),
        },
    );
    Ok(Answer::data(object! {
        "secret_id" => secret_id,
        "secret_id_accessor" => accessor,
        "secret_id_num_uses" => uses_left,
        "secret_id_ttl" => ttl.as_secs(),
    }))
}

/// Metadata comes as JSON in a string, or as `key=value` pairs with commas.
fn metadata(text: &str) -> Result<BTreeMap<String, String>, Refusal> {
    if text.is_empty() {
        return Ok(BTreeMap::new());
    }
    if let Ok(Json::Object(members)) = parse(text.as_bytes()) {
        let texts = members.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())));
        return Ok(texts.collect());
    }
    let pairs = text.split(',').map(|pair| {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            Refusal::bad_request(
                "failed to parse metadata: failed to parse the input: invalid <key,value> format",
            )
        })?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    });
    pairs.collect()
}

pub(super) fn list(role: Option<&mut Role>, name: &str, now: Timestamp) -> Reply {
    let role = existing(role, name, 400)?;
    prune(role, now);
    Ok(Answer::keys(role.secret_ids.keys().cloned().collect()))
}

pub(super) fn lookup(role: Option<&mut Role>, name: &str, call: &Call<'_>) -> Reply {
    let secret_id = call.fields(&["role_name", "secret_id"]).text("secret_id")?;
    if secret_id.is_empty() {
        return Err(Refusal::bad_request("missing secret_id"));
    }
    let role = existing(role, name, 500)?;
    prune(role, call.now());
    let found = role.secret_ids.iter().find(|(_, known)| known.value == secret_id);
    Ok(found.map_or_else(Answer::nothing, |(accessor, secret)| Answer::data(describe(accessor, secret))))
}

fn describe(accessor: &str, secret: &SecretId) -> Object {
    let metadata: Object =
        secret.metadata.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    object! {
        "cidr_list" => secret.cidrs.clone(),
        "creation_time" => rfc3339(secret.created),
        "expiration_time" => secret.expires.map_or("0001-01-01T00:00:00Z".to_owned(), rfc3339),
        "last_updated_time" => rfc3339(secret.updated),
        "metadata" => metadata,
        "secret_id_accessor" => accessor,
        "secret_id_num_uses" => secret.uses_left,
        "secret_id_ttl" => secret.ttl.as_secs(),
        "token_bound_cidrs" => secret.token_cidrs.clone(),
    }
}

pub(super) fn lookup_accessor(role: Option<&mut Role>, name: &str, call: &Call<'_>) -> Reply {
    let accessor = accessor(call)?;
    let role = existing(role, name, 500)?;
    prune(role, call.now());
    match role.secret_ids.get(&accessor) {
        Some(secret) => Ok(Answer::data(describe(&accessor, secret))),
        None => Ok(Answer::with_status(404, Some(object! { "error" => unknown_accessor(&accessor) }))),
    }
}

fn accessor(call: &Call<'_>) -> Result<String, Refusal> {
    let accessor = call.fields(&["role_name", "secret_id_accessor"]).text("secret_id_accessor")?;
    if accessor.is_empty() { Err(Refusal::bad_request("missing secret_id_accessor")) } else { Ok(accessor) }
}

fn unknown_accessor(accessor: &str) -> String {
    format!("failed to find accessor entry for secret_id_accessor: {accessor:?}")
}

pub(super) fn destroy(role: Option<&mut Role>, name: &str, call: &Call<'_>) -> Reply {
    let secret_id = call.fields(&["role_name", "secret_id"]).text("secret_id")?;
    if secret_id.is_empty() {
        return Err(Refusal::bad_request("missing secret_id"));
    }
    existing(role, name, 500)?.secret_ids.retain(|_, known| known.value != secret_id);
    Ok(Answer::nothing())
}

pub(super) fn destroy_accessor(role: Option<&mut Role>, name: &str, call: &Call<'_>) -> Reply {
    let accessor = accessor(call)?;
    match existing(role, name, 500)?.secret_ids.remove(&accessor) {
        Some(_) => Ok(Answer::nothing()),
        None => Err(Refusal::multi(500, &unknown_accessor(&accessor))),
    }
}

/// Uses the secret id once. `None`: it is not (or no longer) good.
pub(super) fn spend(role: &mut Role, secret_id: &str, now: Timestamp) -> Option<BTreeMap<String, String>> {
    prune(role, now);
    let (accessor, secret) = role.secret_ids.iter_mut().find(|(_, known)| known.value == secret_id)?;
    let metadata = secret.metadata.clone();
    match secret.uses_left {
        0 => {}
        1 => {
            let accessor = accessor.clone();
            role.secret_ids.remove(&accessor);
        }
        _ => {
            secret.uses_left -= 1;
            secret.updated = now;
        }
    }
    Some(metadata)
}
