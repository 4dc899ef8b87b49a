//! `sys/mounts` and `sys/auth`: enabling, listing and disabling engines and auth methods.

use std::sync::Arc;
use std::time::Duration;

use super::tune;
use crate::auth::{AppRole, Userpass};
use crate::core::{
    Answer, Call, Engine, Fields, Mount, MountTable, Namespace, OnFailure, Operation, Refusal, Reply,
    SYSTEM_TTL,
};
use crate::engines::{Database, Kv1, Kv2};
use crate::go_duration;
use crate::json::{Json, Object};

/// The engine for a type, and Vault's name for the type. `None`: there is no such plugin.
fn catalog(kind: &str, version: Option<&str>, is_auth: bool) -> Option<(&'static str, Arc<dyn Engine>)> {
    Some(match (is_auth, kind) {
        (false, "kv-v2") => ("kv", Arc::new(Kv2::default())),
        (false, "kv") if version == Some("2") => ("kv", Arc::new(Kv2::default())),
        (false, "kv" | "kv-v1" | "generic") => ("kv", Arc::new(Kv1::default())),
        (false, "database") => ("database", Arc::new(Database::default())),
        (true, "approle") => ("approle", Arc::new(AppRole::default())),
        (true, "userpass") => ("userpass", Arc::new(Userpass::default())),
        _ => return None,
    })
}

/// A request looks at all of them to find its own.
const MAX_MOUNTS: usize = 1000;

pub(super) async fn handle(call: &Call<'_>, is_auth: bool, rest: &str) -> Reply {
    let rest = rest.trim_end_matches('/');
    if let Some(path) = rest.strip_suffix("/tune") {
        return tune::handle(call, is_auth, &format!("{path}/"));
    }
    let path = format!("{rest}/");
    match (rest, call.operation()) {
        ("", Operation::Read) => Ok(list(call, is_auth)),
        ("", Operation::List) => Err(Refusal::unsupported_path()),
        ("", _) => Err(Refusal::unsupported_operation()),
        (_, Operation::Read) => read(call, is_auth, &path),
        (_, Operation::Create | Operation::Update) => enable(call, is_auth, &path),
        (_, Operation::Delete) => disable(call, is_auth, &path).await,
        _ => Err(Refusal::unsupported_operation()),
    }
}

pub(super) fn table(namespace: &Namespace, is_auth: bool) -> &MountTable {
    if is_auth { &namespace.auth } else { &namespace.secrets }
}

pub(super) fn table_mut(namespace: &mut Namespace, is_auth: bool) -> &mut MountTable {
    if is_auth { &mut namespace.auth } else { &mut namespace.secrets }
}

fn list(call: &Call<'_>, is_auth: bool) -> Answer {
    let state = call.core.state.lock();
    let Some(namespace) = state.namespaces.get(&call.request.namespace) else { return Answer::nothing() };
    let mounts = table(namespace, is_auth).iter();
    Answer::data(
        mounts.map(|mount| (mount.path.clone(), Json::Object(mount.describe(false)))).collect::<Object>(),
    )
}

fn read(call: &Call<'_>, is_auth: bool, path: &str) -> Reply {
    let state = call.core.state.lock();
    let namespace = state.namespaces.get(&call.request.namespace);
    let mount = namespace.and_then(|namespace| table(namespace, is_auth).get(path));
    let what = if is_auth { "auth engine" } else { "secret engine mount" };
    let mount = mount.ok_or_else(|| Refusal::bad_request(format!("No {what} at {path}")))?;
    Ok(Answer::data(mount.describe(false)))
}

fn enable(call: &Call<'_>, is_auth: bool, path: &str) -> Reply {
    let fields = call.fields(&[
        "path",
        "type",
        "description",
        "config",
        "options",
        "local",
        "seal_wrap",
        "external_entropy_access",
        "plugin_name",
        "plugin_version",
    ]);
    let kind = fields.text("type")?;
    if kind.is_empty() {
        return Err(Refusal::bad_request("backend type must be specified as a string"));
    }
    let (default_ttl, max_ttl) =
        fields.object("config")?.map(|config| ttls(Fields::of(config))).transpose()?.unwrap_or_default();
    let options = fields.string_map("options")?.unwrap_or_default();
    let version = options.get("version").map(String::as_str);
    if is_auth && version.is_some() {
        return Err(Refusal::bad_request(format!("auth method {kind:?} does not allow setting a version")));
    }
    if !is_auth {
        check_mountable(path, &kind)?;
    }
    let mut state = call.core.state.lock();
    let Some(namespace) = state.namespaces.get_mut(&call.request.namespace) else {
        return Err(Refusal::not_found());
    };
    let table = table_mut(namespace, is_auth);
    Refusal::unless_room(table.iter().count(), MAX_MOUNTS, "mounts")?;
    if let Some(other) = table.in_the_way_of(path) {
        return Err(Refusal::bad_request(format!("path is already in use at {}", other.path)));
    }
    let (name, engine) = instantiate(&kind, version, is_auth)?;
    let mut mount = Mount::new(path, name, is_auth, engine);
    mount.description = fields.text("description")?;
    mount.options = Some(options);
    if kind == "kv-v2" {
        mount.options.get_or_insert_default().insert("version".to_owned(), "2".to_owned());
    }
    (mount.default_ttl, mount.max_ttl) = (default_ttl, max_ttl);
    table.insert(mount);
    Ok(Answer::nothing())
}

/// The TTLs of a mount to be, default and longest. Zero: the system's.
fn ttls(config: Fields<'_>) -> Result<(Duration, Duration), Refusal> {
    let default_ttl = ttl(config, "default_lease_ttl", "default")?;
    let max_ttl = ttl(config, "max_lease_ttl", "max")?;
    if !max_ttl.is_zero() && default_ttl > max_ttl {
        return Err(Refusal::bad_request("given default lease TTL greater than given max lease TTL"));
    }
    if max_ttl.is_zero() && default_ttl > SYSTEM_TTL {
        let max = SYSTEM_TTL.as_secs();
        return Err(Refusal::bad_request(format!(
            "given default lease TTL greater than system max lease TTL of {max}"
        )));
    }
    Ok((default_ttl, max_ttl))
}

fn ttl(config: Fields<'_>, name: &str, what: &str) -> Result<Duration, Refusal> {
    match config.text(name)?.as_str() {
        "" | "system" => Ok(Duration::ZERO),
        given => go_duration::parse(given).map_err(|complaint| {
            Refusal::bad_request(format!("unable to parse {what} TTL of {given}: {complaint}"))
        }),
    }
}

/// The secrets engines that the server brings with it are there once, where they are.
fn check_mountable(path: &str, kind: &str) -> Result<(), Refusal> {
    if ["auth/", "sys/", "cubbyhole/", "identity/"].iter().any(|reserved| path.starts_with(reserved)) {
        return Err(Refusal::bad_request(format!("cannot mount {path:?}")));
    }
    if matches!(kind, "token" | "system" | "cubbyhole" | "identity") {
        return Err(Refusal::bad_request(format!("mount type of {kind:?} is not mountable")));
    }
    Ok(())
}

fn instantiate(
    kind: &str,
    version: Option<&str>,
    is_auth: bool,
) -> Result<(&'static str, Arc<dyn Engine>), Refusal> {
    if is_auth && kind == "token" {
        return Err(Refusal::bad_request("token credential backend cannot be instantiated"));
    }
    if kind == "kv" && version.is_some_and(|version| !matches!(version, "1" | "2")) {
        return Err(Refusal::bad_request("nil backend of type \"kv\" returned from factory"));
    }
    catalog(kind, version, is_auth)
        .ok_or_else(|| Refusal::bad_request(format!("plugin not found in the catalog: {kind}")))
}

/// What the mount made ends with it: its leases are revoked, and the tokens that it issued.
async fn disable(call: &Call<'_>, is_auth: bool, path: &str) -> Reply {
    let namespace_path = &call.request.namespace;
    let (leases, tokens) = {
        let state = call.core.state.lock();
        let Some(namespace) = state.namespaces.get(namespace_path) else { return Err(Refusal::not_found()) };
        let Some(mount) = table(namespace, is_auth).get(path) else { return Ok(Answer::nothing()) };
        if mount.built_in {
            return Err(Refusal::bad_request(if is_auth {
                format!("{} credential backend cannot be disabled", mount.kind)
            } else {
                format!("cannot unmount {path:?}")
            }));
        }
        let route = mount.route();
        let issued = state
            .tokens
            .all()
            .filter(|token| is_auth && token.namespace == *namespace_path && token.path.starts_with(&route));
        let tokens: Vec<String> = issued.map(|token| token.id.clone()).collect();
        (state.leases.ids_under(namespace_path, &route), tokens)
    };
    for token in tokens {
        call.core.revoke_token(&token, false).await;
    }
    if let Some((_, complaint)) = call.core.revoke_leases(leases, OnFailure::Restore).await.first() {
        return Err(Refusal::bad_request(format!("failed to revoke leases of {path:?}: {complaint}")));
    }
    let mut state = call.core.state.lock();
    if let Some(namespace) = state.namespaces.get_mut(namespace_path) {
        table_mut(namespace, is_auth).remove(path);
    }
    Ok(Answer::nothing())
}
