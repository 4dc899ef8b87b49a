//! KV version 1: one value per path.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::{folders, relative};
use crate::core::{Answer, BoxFuture, Call, Engine, Leased, MAX_ENTRIES, Operation, Refusal, Reply};
use crate::go_duration;
use crate::json::{Json, Object};

#[derive(Default)]
pub(crate) struct Kv1 {
    secrets: Mutex<BTreeMap<String, Object>>,
}

impl Engine for Kv1 {
    fn handle<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Reply> {
        Box::pin(std::future::ready(self.answer(call)))
    }

    fn check_name(&self, call: &Call<'_>) -> Result<(), Refusal> {
        relative::check_write(call.path)
    }

    fn exists(&self, call: &Call<'_>) -> Option<bool> {
        Some(self.secrets.lock().contains_key(call.path))
    }
}

impl Kv1 {
    fn answer(&self, call: &Call<'_>) -> Reply {
        relative::check(call)?;
        let mut secrets = self.secrets.lock();
        match call.operation() {
            Operation::Read => {
                Ok(secrets.get(call.path).map_or_else(Answer::nothing, |data| read(call, data)))
            }
            Operation::List => Ok(Answer::keys(folders::children(secrets.keys(), call.path))),
            Operation::Create | Operation::Update => {
                if call.path.is_empty() {
                    return Err(Refusal::bad_request("missing path"));
                }
                if call.request.data.is_empty() {
                    return Err(Refusal::bad_request("missing data fields"));
                }
                Refusal::unless_room(secrets.len(), MAX_ENTRIES, "secrets")?;
                secrets.insert(call.path.to_owned(), call.request.data.clone());
                Ok(Answer::nothing())
            }
            Operation::Delete => {
                secrets.remove(call.path);
                Ok(Answer::nothing())
            }
            _ => Err(Refusal::unsupported_operation()),
        }
    }
}

/// A secret may say itself how long it may be used; that becomes `lease_duration`, without a lease.
fn read(call: &Call<'_>, data: &Object) -> Answer {
    let own = ["ttl", "lease"].iter().find_map(|name| match data.get(*name)? {
        Json::String(text) | Json::Number(text) => go_duration::parse(text).ok(),
        _ => None,
    });
    let ttl = own.unwrap_or_else(|| call.mount.default_ttl());
    Answer { leased: Some(Leased { ttl, ..Leased::default() }), ..Answer::data(data.clone()) }
}
