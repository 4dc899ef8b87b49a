//! `sys/internal/ui/mounts`: how clients find out which engine a path belongs to.

use crate::core::{Answer, Call, Caller, Mount, Operation, Refusal, Reply};
use crate::json::{Json, Object, object};

pub(super) fn handle(call: &Call<'_>, rest: &str) -> Reply {
    let Some(path) = rest.strip_prefix("ui/mounts") else { return Err(Refusal::unsupported_path()) };
    if call.operation() != Operation::Read {
        return Err(Refusal::unsupported_operation());
    }
    match path.trim_matches('/') {
        "" => Ok(all(call)),
        path => one(call, path),
    }
}

fn one(call: &Call<'_>, path: &str) -> Reply {
    let caller = call.core.peek_caller(call.request)?;
    let path = format!("{path}/");
    let denied = || {
        Refusal::new(
            403,
            format!(
                "preflight capability check returned 403, please ensure client's policies grant access to path {path:?}"
            ),
        )
    };
    let state = call.core.state.lock();
    // The namespace may be part of the path asked about.
    let (namespace, path_there) =
        state.namespaces.resolve(&call.request.namespace, &path).ok_or_else(denied)?;
    let mounts = state.namespaces.get(&namespace).ok_or_else(denied)?;
    let found = match path_there.strip_prefix("auth/") {
        Some(below) => mounts.auth.matching(below),
        None => mounts.secrets.matching(&path_there),
    };
    let mount = found.ok_or_else(denied)?;
    if !may_see(&caller, &namespace, mount) {
        return Err(denied());
    }
    let mut data = mount.describe(true);
    let below = namespace.strip_prefix(call.request.namespace.as_str()).unwrap_or_default();
    data.insert("path".to_owned(), format!("{below}{}", mount.path).into());
    Ok(Answer::data(data))
}

/// Everything under the mount counts: who may read one secret in it may know that it is there.
fn may_see(caller: &Caller, namespace: &str, mount: &Mount) -> bool {
    namespace.starts_with(caller.token.namespace.as_str())
        && caller.acl.grants_something_under(&format!("{namespace}{}", mount.route()))
}

fn all(call: &Call<'_>) -> Answer {
    let caller = call.core.peek_caller(call.request).ok();
    let state = call.core.state.lock();
    let namespace = call.request.namespace.as_str();
    let visible = |mounts: &crate::core::MountTable| -> Object {
        let Some(caller) = caller.as_ref() else { return Object::new() };
        let seen = mounts.iter().filter(|mount| may_see(caller, namespace, mount));
        seen.map(|mount| (mount.path.clone(), Json::Object(mount.describe(true)))).collect()
    };
    let Some(mounts) = state.namespaces.get(namespace) else { return Answer::nothing() };
    Answer::data(object! { "auth" => visible(&mounts.auth), "secret" => visible(&mounts.secrets) })
}
