//! KV version 2: versions, soft deletion, check-and-set, metadata.

mod data;
mod metadata;
mod patch;
mod secret;
mod subkeys;
mod versions;

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::core::{Answer, BoxFuture, Call, Engine, Operation, Refusal, Reply};
use secret::{DeleteAfter, Secret};

/// The secrets of one mount and its `config`.
#[derive(Default)]
pub(crate) struct Kv2 {
    store: Mutex<Store>,
}

#[derive(Default)]
struct Store {
    config: Config,
    secrets: BTreeMap<String, Secret>,
}

#[derive(Default)]
struct Config {
    max_versions: u64,
    cas_required: bool,
    delete_after: DeleteAfter,
}

impl Engine for Kv2 {
    fn handle<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Reply> {
        Box::pin(std::future::ready(self.answer(call)))
    }

    fn exists(&self, call: &Call<'_>) -> Option<bool> {
        let (endpoint, path) = call.path.split_once('/')?;
        let store = self.store.lock();
        match endpoint {
            "data" | "metadata" => Some(store.secrets.contains_key(path)),
            _ => None,
        }
    }
}

impl Kv2 {
    fn answer(&self, call: &Call<'_>) -> Reply {
        let mut store = self.store.lock();
        let store = &mut *store;
        let (endpoint, path) = call.path.split_once('/').unwrap_or((call.path, ""));
        if endpoint == "metadata" && call.operation() == Operation::List {
            return Ok(metadata::list(store, path));
        }
        if call.path == "config" && call.operation() != Operation::List {
            return config(store, call);
        }
        if call.path == "metadata/" && call.operation() == Operation::Read {
            return Ok(Answer::nothing());
        }
        if call.operation() == Operation::List
            && matches!(endpoint, "delete" | "undelete" | "destroy" | "subkeys")
        {
            return Err(Refusal::unsupported_operation());
        }
        if path.is_empty() || path.ends_with('/') {
            return Ok(invalid_path(call));
        }
        let is_write = call.operation().is_write();
        match (endpoint, call.operation()) {
            ("data", Operation::Read) => data::read(store, path, call),
            ("data", Operation::Create | Operation::Update) => data::write(store, path, call),
            ("data", Operation::Patch) => patch::patch_data(store, path, call),
            ("data", Operation::Delete) => Ok(versions::delete_latest(store, path, call)),
            ("metadata", Operation::Read) => Ok(metadata::read(store, path)),
            ("metadata", Operation::Create | Operation::Update) => metadata::write(store, path, call),
            ("metadata", Operation::Patch) => patch::patch_metadata(store, path, call),
            ("metadata", Operation::Delete) => {
                store.secrets.remove(path);
                Ok(Answer::nothing())
            }
            ("delete", _) if is_write => versions::delete(store, path, call),
            ("undelete", _) if is_write => versions::undelete(store, path, call),
            ("destroy", _) if is_write || call.operation() == Operation::Patch => {
                versions::destroy(store, path, call)
            }
            ("subkeys", Operation::Read) => subkeys::read(store, path, call),
            ("data", Operation::List) => Ok(invalid_path(call)),
            ("data" | "metadata" | "delete" | "undelete" | "destroy" | "subkeys", _) => {
                Err(Refusal::unsupported_operation())
            }
            _ => Ok(invalid_path(call)),
        }
    }
}

/// 404 with a hint: the caller has probably forgotten `data/`.
fn invalid_path(call: &Call<'_>) -> Answer {
    if matches!(call.path, "metadata" | "data" | "delete" | "undelete" | "destroy")
        && call.operation() != Operation::List
    {
        return Answer::with_status(404, None)
            .warn("Non-listing operations on the root of a K/V v2 mount are not supported.");
    }
    let command = match call.operation() {
        Operation::Create | Operation::Update => "put",
        Operation::Patch => "patch",
        Operation::List => "list",
        Operation::Delete => "delete",
        Operation::Read | Operation::Other => "get",
    };
    Answer::with_status(404, None).warn(format!(
        "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. If using the Vault CLI, use 'vault kv {command}' for this operation."
    ))
}

fn config(store: &mut Store, call: &Call<'_>) -> Reply {
    let config = &mut store.config;
    match call.operation() {
        Operation::Read => Ok(Answer::data(crate::json::object! {
            "cas_required" => config.cas_required,
            "delete_version_after" => config.delete_after.to_string(),
            "max_versions" => config.max_versions,
        })),
        Operation::Create | Operation::Update => {
            let fields = call.fields(&["max_versions", "cas_required", "delete_version_after"]);
            let max_versions = fields.count("max_versions")?.unwrap_or(config.max_versions);
            let cas_required = fields.boolean("cas_required")?.unwrap_or(config.cas_required);
            config.delete_after =
                DeleteAfter::of(fields, "delete_version_after")?.unwrap_or(config.delete_after);
            (config.max_versions, config.cas_required) = (max_versions, cas_required);
            Ok(Answer::nothing())
        }
        _ => Err(Refusal::unsupported_operation()),
    }
}
