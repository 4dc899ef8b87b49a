//! `sys/namespaces` (in Vault an Enterprise feature, in OpenBao a free one).

use crate::core::{Answer, Call, Operation, Refusal, Reply};
use crate::json::{Json, Object, object};

/// Each has mounts and policies of its own.
const MAX_NAMESPACES: usize = 1000;

pub(super) fn handle(call: &Call<'_>, name: &str) -> Reply {
    let name = name.trim_end_matches('/');
    match (name, call.operation()) {
        ("", Operation::List) => Ok(list(call)),
        ("", _) => Err(Refusal::unsupported_operation()),
        (_, Operation::Create | Operation::Update) => create(call, name),
        (_, Operation::Read) => Ok(read(call, name)),
        (_, Operation::Delete) => delete(call, name),
        _ => Err(Refusal::unsupported_operation()),
    }
}

fn list(call: &Call<'_>) -> Answer {
    let state = call.core.state.lock();
    let mut keys = Vec::new();
    let mut info = Object::new();
    for (name, namespace) in state.namespaces.children(&call.request.namespace) {
        keys.push(name.to_owned());
        info.insert(name.to_owned(), Json::Object(describe(&full(call, name), namespace)));
    }
    Answer::data(object! { "keys" => keys, "key_info" => info })
}

fn create(call: &Call<'_>, name: &str) -> Reply {
    let fields = call.fields(&["custom_metadata", "path"]);
    let metadata = fields.string_map("custom_metadata")?.unwrap_or_default();
    if name.contains('/') {
        return Err(Refusal::bad_request(
            "requested namespace path contains intermediate namespaces that do not exist",
        ));
    }
    if matches!(name, "sys" | "audit" | "auth" | "cubbyhole" | "identity" | "root" | "." | "..") {
        return Err(Refusal::bad_request(format!(
            "{name:?} is a reserved path and cannot be used as a namespace"
        )));
    }
    let path = full(call, &format!("{name}/"));
    let mut state = call.core.state.lock();
    Refusal::unless_room(state.namespaces.iter().count(), MAX_NAMESPACES, "namespaces")?;
    let namespace = state.namespaces.create(&path);
    namespace.custom_metadata = metadata;
    Ok(Answer::data(describe(&path, namespace)))
}

fn read(call: &Call<'_>, name: &str) -> Answer {
    let path = full(call, &format!("{name}/"));
    let state = call.core.state.lock();
    state
        .namespaces
        .get(&path)
        .map_or_else(Answer::nothing, |namespace| Answer::data(describe(&path, namespace)))
}

fn delete(call: &Call<'_>, name: &str) -> Reply {
    let path = full(call, &format!("{name}/"));
    let mut state = call.core.state.lock();
    if state.namespaces.children(&path).next().is_some() {
        return Err(Refusal::bad_request(format!(
            "cannot delete namespace {path:?}: it has child namespaces"
        )));
    }
    state.namespaces.remove(&path);
    Ok(Answer::nothing())
}

fn full(call: &Call<'_>, name: &str) -> String {
    format!("{}{name}", call.request.namespace)
}

fn describe(path: &str, namespace: &crate::core::Namespace) -> Object {
    let metadata: Object =
        namespace.custom_metadata.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    object! { "id" => namespace.id.as_str(), "path" => path, "custom_metadata" => metadata }
}
