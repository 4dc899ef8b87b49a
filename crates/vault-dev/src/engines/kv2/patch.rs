//! PATCH: JSON merge patch (RFC 7396).

use std::collections::BTreeMap;

use super::secret::Secret;
use super::{Store, data, metadata};
use crate::core::{Answer, Call, Form, Refusal, Reply};
use crate::json::{Json, Object};

pub(super) fn patch_data(store: &mut Store, path: &str, call: &Call<'_>) -> Reply {
    let fields = call.fields(&["data", "options", "path"]);
    let given = data::given_data(fields)?;
    let Some(secret) = store.secrets.get_mut(path).filter(|secret| secret.current > 0) else {
        return Ok(not_there());
    };
    let Some((number, version)) = secret.version(0) else { return Ok(not_there()) };
    let Some(old) = version.readable(call.now()) else {
        return Ok(Answer::with_status(404, Some(secret.describe(number, version))));
    };
    data::check_and_set(fields, &store.config, Some(secret))?;
    let mut new = Json::Object(old.clone());
    merge(&mut new, &Json::Object(given));
    if let Json::Object(new) = new {
        secret.add(new, &store.config, call);
    }
    Ok(data::latest(secret))
}

pub(super) fn patch_metadata(store: &mut Store, path: &str, call: &Call<'_>) -> Reply {
    let fields =
        call.fields(&["max_versions", "cas_required", "delete_version_after", "custom_metadata", "path"]);
    let custom = fields.object("custom_metadata")?;
    let Some(secret) = store.secrets.get_mut(path) else { return Ok(not_there()) };
    let patched = custom.map(|patch| patched_custom(secret, patch)).transpose()?;
    if let Some(patched) = &patched {
        metadata::check_custom(patched)?;
    }
    metadata::apply(secret, fields)?;
    if patched.is_some() {
        secret.custom_metadata = patched;
    }
    Ok(Answer::nothing())
}

/// Unlike a write, a patch makes no text of numbers and flags; Vault finds out late, hence the status.
fn patched_custom(secret: &Secret, patch: &Object) -> Result<BTreeMap<String, String>, Refusal> {
    metadata::check_flat(patch.values())?;
    let mut custom = secret.custom_metadata.clone().unwrap_or_default();
    for (name, value) in patch {
        match value {
            Json::Null => drop(custom.remove(name)),
            Json::String(text) => drop(custom.insert(name.clone(), text.clone())),
            other => {
                let kind = if matches!(other, Json::Bool(_)) { "bool" } else { "number" };
                return Err(Refusal::multi(
                    500,
                    &format!(
                        "json: cannot unmarshal {kind} into Go struct field KeyMetadata.custom_metadata of type string"
                    ),
                ));
            }
        }
    }
    Ok(custom)
}

/// Vault answers a patch of nothing with an empty 404.
fn not_there() -> Answer {
    Answer { form: Form::Empty(404), ..Answer::default() }
}

fn merge(target: &mut Json, patch: &Json) {
    let Json::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if target.as_object().is_none() {
        *target = Json::Object(Object::new());
    }
    let Json::Object(members) = target else { return };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(Json::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{encode, parse};

    #[test]
    fn rfc_7396() {
        for (target, patch, result) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            let mut merged = parse(target.as_bytes()).unwrap();
            merge(&mut merged, &parse(patch.as_bytes()).unwrap());
            assert_eq!(encode(&merged), result, "{target} + {patch}");
        }
    }
}
