//! Deleting, undeleting and destroying versions.

use super::Store;
use super::secret::{Attribution, Secret, Version};
use crate::core::{Answer, Call, Refusal, Reply};

/// `DELETE data/…`: the latest version only.
pub(super) fn delete_latest(store: &mut Store, path: &str, call: &Call<'_>) -> Answer {
    if let Some(secret) = store.secrets.get_mut(path) {
        let latest = secret.current;
        delete_one(secret, latest, call);
    }
    Answer::nothing()
}

pub(super) fn delete(store: &mut Store, path: &str, call: &Call<'_>) -> Reply {
    each(store, path, call, "No version number provided", |secret, number| delete_one(secret, number, call))
}

fn delete_one(secret: &mut Secret, number: u64, call: &Call<'_>) {
    let now = call.now();
    let Some(version) = secret.versions.get_mut(&number) else { return };
    if version.destroyed || version.is_deleted(now) {
        return;
    }
    version.deletion = Some(now);
    version.deleted_by = Attribution::of(call);
    secret.updated_by = Attribution::of(call);
}

pub(super) fn undelete(store: &mut Store, path: &str, call: &Call<'_>) -> Reply {
    each(store, path, call, "No version number provided", |secret, number| {
        change(secret, number, call, |version| {
            version.deletion = None;
            version.deleted_by = None;
        });
    })
}

pub(super) fn destroy(store: &mut Store, path: &str, call: &Call<'_>) -> Reply {
    each(store, path, call, "no version number provided", |secret, number| {
        change(secret, number, call, |version| {
            version.destroyed = true;
            version.data = None;
        });
    })
}

fn change(secret: &mut Secret, number: u64, call: &Call<'_>, how: impl Fn(&mut Version)) {
    if let Some(version) = secret.versions.get_mut(&number).filter(|version| !version.destroyed) {
        how(version);
        secret.updated_by = Attribution::of(call);
    }
}

fn each(
    store: &mut Store,
    path: &str,
    call: &Call<'_>,
    missing: &str,
    act: impl Fn(&mut Secret, u64),
) -> Reply {
    let texts = call.fields(&["versions", "path"]).list("versions")?.unwrap_or_default();
    if texts.is_empty() {
        return Err(Refusal::bad_request(missing));
    }
    let number = |(index, text): (usize, &String)| {
        text.parse::<u64>().map_err(|_| {
            Refusal::bad_request(format!(
                "Field validation failed: error converting input for field \"versions\": 1 error(s) decoding:\n\n* cannot parse '[{index}]' as int: strconv.ParseInt: parsing {text:?}: invalid syntax"
            ))
        })
    };
    let numbers = texts.iter().enumerate().map(number).collect::<Result<Vec<u64>, Refusal>>()?;
    if let Some(secret) = store.secrets.get_mut(path) {
        for number in numbers {
            act(secret, number);
        }
    }
    Ok(Answer::nothing())
}
