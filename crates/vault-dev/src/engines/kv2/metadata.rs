//! `metadata/…`: what is known about a secret besides its data.

use std::collections::BTreeMap;

use super::Store;
use super::secret::{DeleteAfter, Secret};
use crate::core::{Answer, Call, Fields, MAX_ENTRIES, Refusal, Reply};
use crate::engines::folders;
use crate::json::{Json, Object};

pub(super) fn list(store: &Store, folder: &str) -> Answer {
    Answer::keys(folders::children(store.secrets.keys(), folder))
}

pub(super) fn read(store: &Store, path: &str) -> Answer {
    store.secrets.get(path).map_or_else(Answer::nothing, |secret| Answer::data(secret.describe_all()))
}

pub(super) fn write(store: &mut Store, path: &str, call: &Call<'_>) -> Reply {
    let fields =
        call.fields(&["max_versions", "cas_required", "delete_version_after", "custom_metadata", "path"]);
    let names = ["max_versions", "cas_required", "delete_version_after", "custom_metadata"];
    if names.iter().all(|name| fields.get(name).is_none()) {
        return Ok(Answer::nothing());
    }
    let custom = fields.object("custom_metadata")?.map(custom).transpose()?;
    if let Some(custom) = &custom {
        check_custom(custom)?;
    }
    let ignored = store.config.cas_required && fields.boolean("cas_required")? == Some(false);
    Refusal::unless_room(store.secrets.len(), MAX_ENTRIES, "secrets")?;
    let mut new = Secret::new(call.now());
    apply(store.secrets.get_mut(path).unwrap_or(&mut new), fields)?;
    let secret = store.secrets.entry(path.to_owned()).or_insert(new);
    if custom.is_some() {
        secret.custom_metadata = custom;
    }
    Ok(if ignored {
        Answer::warning(
            "\"cas_required\" set to false, but is mandated by backend config. This value will be ignored.",
        )
    } else {
        Answer::nothing()
    })
}

pub(super) fn apply(secret: &mut Secret, fields: Fields<'_>) -> Result<(), Refusal> {
    let max_versions = fields.count("max_versions")?.unwrap_or(secret.max_versions);
    let cas_required = fields.boolean("cas_required")?.unwrap_or(secret.cas_required);
    let delete_after = fields.duration("delete_version_after")?.map(DeleteAfter::after);
    secret.delete_after = delete_after.unwrap_or(secret.delete_after);
    (secret.max_versions, secret.cas_required) = (max_versions, cas_required);
    Ok(())
}

/// Custom metadata is text: what is a single value becomes one, in Go's way.
fn custom(members: &Object) -> Result<BTreeMap<String, String>, Refusal> {
    check_flat(members.values())?;
    let fields = Fields::of(members);
    members.keys().map(|name| Ok((name.clone(), fields.text(name)?))).collect()
}

/// Lists and objects cannot become text.
pub(super) fn check_flat<'a>(mut values: impl Iterator<Item = &'a Json>) -> Result<(), Refusal> {
    let nested = values.find(|value| matches!(value, Json::Array(_) | Json::Object(_)));
    nested.map_or(Ok(()), |value| {
        Err(Refusal::bad_request(format!(
            "custom_metadata validation failed: '' expected type 'string', got unconvertible type '{}', value: '{}'",
            value.go_type(),
            value.go_text()
        )))
    })
}

/// Vault's limits on custom metadata.
pub(super) fn check_custom(custom: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let failed =
        |what: String| Err(Refusal::multi(400, &format!("custom_metadata validation failed: {what}")));
    if custom.len() > 64 {
        return failed(format!("payload must contain at most 64 keys, provided {}", custom.len()));
    }
    for (name, value) in custom {
        if name.is_empty() || name.len() > 128 {
            return failed(format!(
                "length of key {name:?} is {} but must be 0 < len(key) <= 128",
                name.len()
            ));
        }
        if value.is_empty() || value.len() > 512 {
            return failed(format!(
                "length of value for key {name:?} is {} but must be 0 < len(value) <= 512",
                value.len()
            ));
        }
    }
    Ok(())
}
