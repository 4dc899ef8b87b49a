//! `sys/mounts/…/tune`: a mount's TTLs, description and options.

use super::mounts::{table, table_mut};
use crate::core::{Answer, Call, Fields, Mount, Operation, Refusal, Reply};
use crate::json::object;

pub(super) fn handle(call: &Call<'_>, is_auth: bool, path: &str) -> Reply {
    match call.operation() {
        Operation::Read => read(call, is_auth, path),
        Operation::Create | Operation::Update => write(call, is_auth, path),
        _ => Err(Refusal::unsupported_operation()),
    }
}

fn find(call: &Call<'_>, is_auth: bool, path: &str) -> Result<Mount, Refusal> {
    let state = call.core.state.lock();
    let namespace = state.namespaces.get(&call.request.namespace);
    let mount = namespace.and_then(|namespace| table(namespace, is_auth).get(path));
    let mount = mount.map(|mount| Mount::clone(mount));
    mount.ok_or_else(|| {
        Refusal::bad_request(if call.operation() == Operation::Read {
            let table = if is_auth { "auth/" } else { "" };
            format!("cannot fetch sysview for path \"{table}{path}\"")
        } else {
            format!("tune of path {path:?} failed: no mount entry found")
        })
    })
}

fn read(call: &Call<'_>, is_auth: bool, path: &str) -> Reply {
    let mount = find(call, is_auth, path)?;
    let mut data = object! {
        "default_lease_ttl" => mount.default_ttl().as_secs(),
        "max_lease_ttl" => mount.max_ttl().as_secs(),
        "force_no_cache" => false,
        "description" => mount.description.as_str(),
    };
    if is_auth {
        data.insert("token_type".to_owned(), "default-service".into());
    }
    if mount.options.as_ref().is_some_and(|options| !options.is_empty()) {
        data.insert("options".to_owned(), mount.options_json());
    }
    Ok(Answer::data(data))
}

fn write(call: &Call<'_>, is_auth: bool, path: &str) -> Reply {
    let mut mount = find(call, is_auth, path)?;
    let fields = call.request.fields();
    ttls(&mut mount, fields)?;
    check(&mount)?;
    for (name, value) in fields.string_map("options")?.unwrap_or_default() {
        let options = mount.options.get_or_insert_default();
        if name == "version" && options.get("version").map_or("1", String::as_str) != value {
            return Err(Refusal::bad_request(
                "this server does not change the version of a KV mount: make a new one",
            ));
        }
        options.insert(name, value);
    }
    if let Some(description) = fields.string("description")? {
        mount.description = description;
    }
    let mut state = call.core.state.lock();
    if let Some(namespace) = state.namespaces.get_mut(&call.request.namespace) {
        table_mut(namespace, is_auth).insert(mount);
    }
    Ok(Answer::nothing())
}

/// The TTLs out of a tune request.
fn ttls(mount: &mut Mount, fields: Fields<'_>) -> Result<(), Refusal> {
    let system = |name| Ok(fields.string(name)?.as_deref() == Some("system"));
    for (name, into) in [("max_lease_ttl", &mut mount.max_ttl), ("default_lease_ttl", &mut mount.default_ttl)]
    {
        let ttl = if system(name)? { Some(std::time::Duration::ZERO) } else { fields.duration(name)? };
        *into = ttl.unwrap_or(*into);
    }
    Ok(())
}

fn check(mount: &Mount) -> Result<(), Refusal> {
    let (default_ttl, max_ttl) = (mount.default_ttl, mount.max_ttl());
    if default_ttl <= max_ttl {
        return Ok(());
    }
    Err(Refusal::bad_request(format!(
        "backend max lease TTL of {} would be less than backend default lease TTL of {}",
        max_ttl.as_secs(),
        default_ttl.as_secs()
    )))
}
