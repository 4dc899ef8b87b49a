//! `subkeys/…`: the shape of a secret without its values.

use super::Store;
use crate::core::{Answer, Call, Reply};
use crate::json::{Json, Object, object};

pub(super) fn read(store: &Store, path: &str, call: &Call<'_>) -> Reply {
    let fields = call.request.fields();
    let (wanted, depth) = (fields.count("version")?.unwrap_or(0), fields.count("depth")?.unwrap_or(0));
    let found = store.secrets.get(path).and_then(|secret| Some((secret, secret.version(wanted)?)));
    let Some((secret, (number, version))) = found else { return Ok(Answer::nothing()) };
    let metadata = secret.describe(number, version);
    let Some(data) = version.readable(call.now()) else {
        return Ok(Answer::with_status(
            404,
            Some(object! { "subkeys" => Json::Null, "metadata" => metadata }),
        ));
    };
    // Depth 0 is "all the way down".
    let subkeys = shape(data, if depth == 0 { u64::MAX } else { depth });
    Ok(Answer::data(object! { "subkeys" => subkeys, "metadata" => metadata }))
}

fn shape(members: &Object, depth: u64) -> Object {
    let below = |value: &Json| match value {
        Json::Object(inner) if depth > 1 && !inner.is_empty() => Json::Object(shape(inner, depth - 1)),
        _ => Json::Null,
    };
    members.iter().map(|(name, value)| (name.clone(), below(value))).collect()
}
