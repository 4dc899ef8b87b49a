//! `sys/remount`: an engine moves to another path. What it has issued does not survive the move.

use super::mounts::{table, table_mut};
use crate::core::{Answer, Call, Mount, Namespace, OnFailure, Operation, Refusal, Reply};
use crate::json::object;
use crate::random;

pub(super) async fn handle(call: &Call<'_>, rest: &str) -> Reply {
    match (rest.split_once('/'), call.operation()) {
        (None, Operation::Create | Operation::Update) if rest.is_empty() => remount(call).await,
        // Here the move is over when its id is handed out.
        (Some(("status", id)), Operation::Read) => Ok(Answer::data(object! {
            "migration_id" => id,
            "migration_info" => object! { "status" => "success" },
        })),
        (None, _) if rest.is_empty() => Err(Refusal::unsupported_operation()),
        _ => Err(Refusal::unsupported_path()),
    }
}

async fn remount(call: &Call<'_>) -> Reply {
    let fields = call.fields(&["from", "to"]);
    let (from, to) = (fields.text("from")?, fields.text("to")?);
    if from.is_empty() || to.is_empty() {
        return Err(Refusal::bad_request("both 'from' and 'to' path must be specified as a string"));
    }
    let (is_auth, from) = split(&from);
    let (to_auth, to) = split(&to);
    if is_auth != to_auth {
        return Err(Refusal::bad_request(format!(
            "cannot remount to destination {}{to}",
            if to_auth { "auth/" } else { "" }
        )));
    }
    let namespace = &call.request.namespace;
    let leases = {
        let state = call.core.state.lock();
        let found = state.namespaces.get(namespace).ok_or_else(Refusal::not_found)?;
        let mount = movable(found, is_auth, &from, &to)?;
        state.leases.ids_under(namespace, &mount.route())
    };
    if let Some((id, complaint)) = call.core.revoke_leases(leases, OnFailure::Restore).await.first() {
        return Err(Refusal::bad_request(format!("failed to revoke {id:?}: {complaint}")));
    }
    let mut state = call.core.state.lock();
    let found = state.namespaces.get_mut(namespace).ok_or_else(Refusal::not_found)?;
    let moved = Mount { path: to.clone(), ..movable(found, is_auth, &from, &to)? };
    let mounts = table_mut(found, is_auth);
    mounts.remove(&from);
    mounts.insert(moved);
    let id = random::uuid();
    Ok(Answer::data(object! { "migration_id" => id }).warn(QUEUED))
}

const QUEUED: &str = "Mount move has been queued. Progress will be reported in Vault's server log, tagged with the returned migration_id";

/// `auth/approle` is the auth method at `approle/`.
fn split(path: &str) -> (bool, String) {
    let path = path.trim_matches('/');
    match path.strip_prefix("auth/") {
        Some(below) => (true, format!("{below}/")),
        None => (false, format!("{path}/")),
    }
}

fn movable(namespace: &Namespace, is_auth: bool, from: &str, to: &str) -> Result<Mount, Refusal> {
    let mounts = table(namespace, is_auth);
    let mount =
        mounts.get(from).ok_or_else(|| Refusal::bad_request(format!("no matching mount at {from:?}")))?;
    if mount.built_in {
        return Err(Refusal::bad_request(format!("cannot remount {from:?}")));
    }
    match mounts.in_the_way_of(to) {
        Some(other) => Err(Refusal::bad_request(format!("path already in use at {:?}", other.path))),
        None => Ok(Mount::clone(mount)),
    }
}
