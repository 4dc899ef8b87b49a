//! `data/…`: reading and writing.

use super::secret::Secret;
use super::{Config, Store};
use crate::core::{Answer, Call, Fields, MAX_ENTRIES, Refusal, Reply};
use crate::json::{Json, Object, object};

pub(super) fn read(store: &Store, path: &str, call: &Call<'_>) -> Reply {
    let wanted = call.fields(&["version", "path"]).count("version")?.unwrap_or(0);
    let found = store.secrets.get(path).and_then(|secret| Some((secret, secret.version(wanted)?)));
    let Some((secret, (number, version))) = found else { return Ok(Answer::nothing()) };
    let metadata = secret.describe(number, version);
    Ok(match version.readable(call.now()) {
        Some(data) => Answer::data(object! { "data" => data.clone(), "metadata" => metadata }),
        None => Answer::with_status(404, Some(object! { "data" => Json::Null, "metadata" => metadata })),
    })
}

pub(super) fn write(store: &mut Store, path: &str, call: &Call<'_>) -> Reply {
    let fields = call.fields(&["data", "options", "version", "path"]);
    let data = given_data(fields)?;
    check_and_set(fields, &store.config, store.secrets.get(path))?;
    Refusal::unless_room(store.secrets.len(), MAX_ENTRIES, "secrets")?;
    let secret = store.secrets.entry(path.to_owned()).or_insert_with(|| Secret::new(call.now()));
    secret.add(data, &store.config, call);
    Ok(latest(secret))
}

/// The `data` of a write. Numbers become doubles, as Vault's storage makes them.
pub(super) fn given_data(fields: Fields<'_>) -> Result<Object, Refusal> {
    if !fields.mentions("data") {
        return Err(Refusal::bad_request("no data provided"));
    }
    // `null` is no data, but it is provided.
    let data = fields.object("data")?.cloned().unwrap_or_default();
    Ok(data.into_iter().map(|(name, value)| (name, value.with_doubles())).collect())
}

/// The answer to a write: what the new version is.
pub(super) fn latest(secret: &Secret) -> Answer {
    match secret.version(0) {
        Some((number, version)) => Answer::data(secret.describe(number, version)),
        None => Answer::nothing(),
    }
}

pub(super) fn check_and_set(
    fields: Fields<'_>,
    config: &Config,
    secret: Option<&Secret>,
) -> Result<(), Refusal> {
    let current = secret.map_or(0, |secret| secret.current);
    let options = fields.object("options")?;
    match options.and_then(|options| options.get("cas")) {
        Some(_) => {
            let cas = options.and_then(|options| Fields::of(options).integer("cas").ok());
            // `null` counts as 0.
            let cas = cas
                .ok_or_else(|| Refusal::bad_request("error parsing check-and-set parameter"))?
                .unwrap_or(0);
            if u64::try_from(cas) == Ok(current) {
                return Ok(());
            }
            Err(Refusal::bad_request("check-and-set parameter did not match the current version"))
        }
        None if config.cas_required || secret.is_some_and(|secret| secret.cas_required) => {
            Err(Refusal::bad_request("check-and-set parameter required for this call"))
        }
        None => Ok(()),
    }
}
