//! `cubbyhole/`: secrets that only one token sees, and that end with it.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use super::{folders, relative};
use crate::core::{Answer, BoxFuture, Call, Engine, MAX_ENTRIES, Operation, Refusal, Reply};
use crate::json::Object;

#[derive(Default)]
pub(crate) struct Cubbyhole {
    by_token: Mutex<HashMap<String, BTreeMap<String, Object>>>,
}

impl Engine for Cubbyhole {
    fn handle<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Reply> {
        Box::pin(std::future::ready(self.answer(call)))
    }

    fn check_name(&self, call: &Call<'_>) -> Result<(), Refusal> {
        relative::check_write(call.path)
    }

    fn exists(&self, call: &Call<'_>) -> Option<bool> {
        let holes = self.by_token.lock();
        Some(holes.get(&call.caller?.token.id).is_some_and(|hole| hole.contains_key(call.path)))
    }

    fn token_ended(&self, token: &str) {
        self.by_token.lock().remove(token);
    }
}

impl Cubbyhole {
    fn answer(&self, call: &Call<'_>) -> Reply {
        let caller = call.caller.ok_or_else(Refusal::missing_token)?;
        if caller.token.batch {
            return Err(Refusal::bad_request(
                "cubbyhole operations are only supported by \"service\" type tokens",
            ));
        }
        if call.path.is_empty() && call.operation() != Operation::List {
            return Err(Refusal::multi(500, "missing path"));
        }
        relative::check(call)?;
        let mut holes = self.by_token.lock();
        let id = &caller.token.id;
        match call.operation() {
            Operation::Read => {
                let found = holes.get(id).and_then(|hole| hole.get(call.path));
                Ok(found.map_or_else(Answer::nothing, |data| Answer::data(data.clone())))
            }
            Operation::List => Ok(Answer::keys(
                holes.get(id).map(|hole| folders::children(hole.keys(), call.path)).unwrap_or_default(),
            )),
            Operation::Create | Operation::Update => {
                if call.request.data.is_empty() {
                    return Err(Refusal::multi(500, "missing data fields"));
                }
                let hole = holes.entry(id.clone()).or_default();
                Refusal::unless_room(hole.len(), MAX_ENTRIES, "secrets")?;
                hole.insert(call.path.to_owned(), call.request.data.clone());
                Ok(Answer::nothing())
            }
            Operation::Delete => {
                if let Some(hole) = holes.get_mut(id) {
                    hole.remove(call.path);
                }
                Ok(Answer::nothing())
            }
            _ => Err(Refusal::unsupported_operation()),
        }
    }
}
