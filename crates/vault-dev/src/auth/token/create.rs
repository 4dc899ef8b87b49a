//! `auth/token/create`: Vault's rules about who may make which token.

use std::time::Duration;

use crate::core::{Answer, Call, Caller, Fields, Limits, NewToken, Refusal, Reply};
use crate::go_duration;
use crate::policy;

const KNOWN: &[&str] = &[
    "id",
    "policies",
    "meta",
    "no_parent",
    "no_default_policy",
    "renewable",
    "ttl",
    "lease",
    "type",
    "explicit_max_ttl",
    "display_name",
    "num_uses",
    "period",
    "entity_alias",
    "role_name",
];

const WEAK_ID: &str = "Supplying a custom ID for the token uses the weaker SHA1 hashing instead of the more secure SHA2-256 HMAC for token obfuscation. SHA1 hashed tokens on the wire leads to less secure lookups.";

pub(super) fn create(call: &Call<'_>, caller: &Caller, orphan: bool) -> Reply {
    let parent = &caller.token;
    if parent.batch {
        return Err(Refusal::bad_request("batch tokens cannot create more tokens"));
    }
    if parent.uses_left > 0 {
        return Err(Refusal::bad_request("restricted use token cannot generate child tokens"));
    }
    let fields = call.fields(KNOWN);
    let is_sudo = caller.has_sudo_on(&call.request.namespace, "auth/token/create");
    let batch = is_batch(fields)?;
    let id = fields.string("id")?.filter(|id| !id.is_empty());
    if let Some(id) = &id {
        check_id(id, is_sudo)?;
    }
    let orphan = orphan || fields.boolean("no_parent")?.unwrap_or(false);
    if orphan && call.path != "create-orphan" && !is_sudo {
        return Err(Refusal::bad_request("root or sudo privileges required to create orphan token"));
    }
    let policies = policies(fields, caller, &call.request.namespace, is_sudo, batch)?;
    let lifetime = lifetime(call, caller, fields, &policies, is_sudo)?;
    let mut warnings = missing_policies(call, &policies);
    if id.is_some() {
        warnings.push(WEAK_ID.to_owned());
    }
    warnings.extend(lifetime.warnings);
    let new = NewToken {
        id,
        namespace: call.request.namespace.clone(),
        policies,
        path: call.request.path.clone(),
        display_name: display_name(&fields.text("display_name")?),
        meta: fields.string_map("meta")?,
        entity_id: if orphan { String::new() } else { parent.entity_id.clone() },
        ttl: lifetime.ttl,
        limits: lifetime.limits,
        num_uses: num_uses(fields)?,
        renewable: fields.boolean("renewable")?.unwrap_or(true),
        batch,
        parent: (!orphan).then(|| parent.id.clone()),
        wrapped: None,
    };
    let token = call.core.state.lock().tokens.create(new, call.now())?;
    call.core.wake.notify_one();
    let auth = token.auth(lifetime.ttl.unwrap_or_default());
    Ok(Answer { auth: Some(auth), warnings, ..Answer::default() })
}

fn is_batch(fields: Fields<'_>) -> Result<bool, Refusal> {
    match fields.text("type")?.as_str() {
        "" | "service" => return Ok(false),
        "batch" => {}
        _ => return Err(Refusal::bad_request("invalid 'token_type' value")),
    }
    let set = [
        ("explicit_max_ttl", !duration(fields, "explicit_max_ttl")?.is_zero()),
        ("num_uses", num_uses(fields)? != 0),
        ("period", !duration(fields, "period")?.is_zero()),
    ];
    match set.iter().find(|(_, is_set)| *is_set) {
        Some((name, _)) => Err(Refusal::bad_request(format!("batch tokens cannot have {name:?} set"))),
        None => Ok(true),
    }
}

fn num_uses(fields: Fields<'_>) -> Result<u64, Refusal> {
    let uses = fields.integer("num_uses")?.unwrap_or(0);
    u64::try_from(uses).map_err(|_| Refusal::bad_request("number of uses cannot be negative"))
}

fn check_id(id: &str, is_sudo: bool) -> Result<(), Refusal> {
    if !is_sudo {
        return Err(Refusal::bad_request("root or sudo privileges required to specify token id"));
    }
    if id.contains('.') {
        return Err(Refusal::bad_request("custom token ID cannot have a '.' in the value"));
    }
    Ok(())
}

fn policies(
    fields: Fields<'_>,
    caller: &Caller,
    namespace: &str,
    is_sudo: bool,
    batch: bool,
) -> Result<Vec<String>, Refusal> {
    let parent = &caller.token;
    let asked = fields.list("policies")?.unwrap_or_default();
    let wants_default = !fields.boolean("no_default_policy")?.unwrap_or(false);
    let mut names = if parent.namespace != namespace {
        policy::sanitize(&asked, wants_default)
    } else if asked.is_empty() {
        parent.policies.clone()
    } else if is_sudo {
        policy::sanitize(&asked, wants_default)
    } else {
        let asked = policy::sanitize(&asked, false);
        if !asked.iter().all(|name| parent.policies.contains(name)) {
            return Err(Refusal::bad_request("child policies must be subset of parent"));
        }
        policy::sanitize(&asked, wants_default && parent.policies.iter().any(|name| name == "default"))
    };
    if !wants_default {
        names.retain(|name| name != "default");
    }
    if names.iter().any(|name| name == "response-wrapping") {
        return Err(Refusal::bad_request("cannot assign policy \"response-wrapping\""));
    }
    if names.iter().any(|name| name == "root") {
        if !parent.is_root() {
            return Err(Refusal::bad_request(
                "root tokens may not be created without parent token being root",
            ));
        }
        if batch {
            return Err(Refusal::bad_request("batch tokens cannot be root tokens"));
        }
    }
    Ok(names)
}

struct Lifetime {
    /// `None`: for ever.
    ttl: Option<Duration>,
    limits: Limits,
    warnings: Vec<String>,
}

fn lifetime(
    call: &Call<'_>,
    caller: &Caller,
    fields: Fields<'_>,
    policies: &[String],
    is_sudo: bool,
) -> Result<Lifetime, Refusal> {
    let ttl = match duration(fields, "ttl")? {
        Duration::ZERO => duration(fields, "lease")?,
        ttl => ttl,
    };
    let limits = Limits {
        role_ttl: ttl,
        period: duration(fields, "period")?,
        explicit_max_ttl: duration(fields, "explicit_max_ttl")?,
        ..call.mount.limits()
    };
    if !limits.period.is_zero() && !is_sudo {
        return Err(Refusal::bad_request("root or sudo privileges required to create periodic token"));
    }
    let is_root = policies.iter().any(|name| name == "root");
    if is_root && ttl.is_zero() && limits.period.is_zero() && limits.explicit_max_ttl.is_zero() {
        if caller.token.expires.is_some() {
            return Err(Refusal::bad_request("expiring root tokens cannot create non-expiring root tokens"));
        }
        return Ok(Lifetime { ttl: None, limits, warnings: Vec::new() });
    }
    if is_root && ttl.is_zero() && limits.period.is_zero() {
        // Nothing longer was asked for, so there is nothing to warn of.
        return Ok(Lifetime { ttl: Some(limits.explicit_max_ttl), limits, warnings: Vec::new() });
    }
    let now = call.now();
    let (ttl, warnings) = limits.ttl(Duration::ZERO, now, now).map_err(Refusal::bad_request)?;
    Ok(Lifetime { ttl: Some(ttl), limits, warnings })
}

/// These fields are strings to Vault, so its complaints come without the field's name.
fn duration(fields: Fields<'_>, name: &str) -> Result<Duration, Refusal> {
    let text = fields.text(name)?;
    if text.starts_with('-') {
        return Err(Refusal::bad_request(format!("{name} must be positive")));
    }
    go_duration::parse(&text).map_err(Refusal::bad_request)
}

fn missing_policies(call: &Call<'_>, names: &[String]) -> Vec<String> {
    let state = call.core.state.lock();
    let Some(namespace) = state.namespaces.get(&call.request.namespace) else { return Vec::new() };
    let missing = names.iter().filter(|name| *name != "root" && !namespace.policies.contains_key(*name));
    missing.map(|name| format!("Policy {name:?} does not exist")).collect()
}

fn display_name(wish: &str) -> String {
    if wish.is_empty() {
        return "token".to_owned();
    }
    let clean: String =
        wish.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).collect();
    format!("token-{}", clean.trim_end_matches('-'))
}
