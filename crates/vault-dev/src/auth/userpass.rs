//! `userpass`: a name and a password.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::token_params::{self, TokenParams};
use crate::core::{Answer, BoxFuture, Call, Engine, Login, MAX_ENTRIES, Operation, Refusal, Reply};
use crate::random;

/// The users of one mount.
#[derive(Default)]
pub(crate) struct Userpass {
    users: Mutex<BTreeMap<String, User>>,
}

#[derive(Default)]
struct User {
    password: String,
    entity_id: String,
    params: TokenParams,
}

const WRONG: &str = "invalid username or password";

impl Engine for Userpass {
    fn handle<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Reply> {
        Box::pin(std::future::ready(self.answer(call)))
    }

    fn is_login(&self, path: &str) -> bool {
        path.starts_with("login/")
    }

    fn exists(&self, call: &Call<'_>) -> Option<bool> {
        let name = call.path.strip_prefix("users/").filter(|name| !name.contains('/'))?;
        Some(self.users.lock().contains_key(&name.to_lowercase()))
    }
}

impl Userpass {
    fn answer(&self, call: &Call<'_>) -> Reply {
        match (call.segments().as_slice(), call.operation()) {
            (["login", name], Operation::Create | Operation::Update) => {
                self.login(call, &name.to_lowercase())
            }
            (["users"], Operation::List) => Ok(Answer::keys(self.users.lock().keys().cloned().collect())),
            (["users", name], Operation::Read) => Ok(self.read(&name.to_lowercase())),
            (["users", name], Operation::Create | Operation::Update) => {
                self.write(call, &name.to_lowercase())
            }
            (["users", name], Operation::Delete) => {
                self.users.lock().remove(&name.to_lowercase());
                Ok(Answer::nothing())
            }
            (["users", name, "password"], Operation::Create | Operation::Update) => {
                self.set_password(call, &name.to_lowercase())
            }
            (["login" | "users", _] | ["users"] | ["users", _, "password"], _) => {
                Err(Refusal::unsupported_operation())
            }
            _ => Err(Refusal::unsupported_path()),
        }
    }

    fn login(&self, call: &Call<'_>, name: &str) -> Reply {
        let password = call.fields(&["username", "password"]).text("password")?;
        if password.is_empty() {
            return Err(Refusal::bad_request("invalid credentials"));
        }
        let login = {
            let users = self.users.lock();
            let user = users.get(name).filter(|user| user.password == password);
            let user = user.ok_or_else(|| Refusal::bad_request(WRONG))?;
            Login {
                display_name: format!("{}-{name}", call.mount.path.trim_end_matches('/').replace('/', "-")),
                metadata: BTreeMap::from([("username".to_owned(), name.to_owned())]),
                entity_id: user.entity_id.clone(),
                ..user.params.login()
            }
        };
        call.core.log_in(call, login)
    }

    fn read(&self, name: &str) -> Answer {
        self.users.lock().get(name).map_or_else(Answer::nothing, |user| Answer::data(user.params.describe()))
    }

    fn write(&self, call: &Call<'_>, name: &str) -> Reply {
        let known: Vec<&str> = token_params::NAMES.iter().copied().chain(["username", "password"]).collect();
        let fields = call.fields(&known);
        let password = fields.text("password")?;
        let mut users = self.users.lock();
        Refusal::unless_room(users.len(), MAX_ENTRIES, "users")?;
        if password.is_empty() && !users.contains_key(name) {
            return Err(Refusal::bad_request("\"password\" or \"password_hash\" must be supplied"));
        }
        let mut params = users.get(name).map(|user| user.params.clone()).unwrap_or_default();
        params.update(fields)?;
        let user = users
            .entry(name.to_owned())
            .or_insert_with(|| User { entity_id: random::uuid(), ..User::default() });
        user.params = params;
        if !password.is_empty() {
            user.password = password;
        }
        Ok(Answer::nothing())
    }

    fn set_password(&self, call: &Call<'_>, name: &str) -> Reply {
        let password = call.fields(&["username", "password"]).text("password")?;
        let mut users = self.users.lock();
        let user = users.get_mut(name).ok_or_else(|| Refusal::multi(500, "username does not exist"))?;
        if password.is_empty() {
            return Err(Refusal::bad_request("\"password\" or \"password_hash\" must be supplied"));
        }
        user.password = password;
        Ok(Answer::nothing())
    }
}
