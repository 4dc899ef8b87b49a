//! `approle`: a role id, and a secret id that proves it.

mod login;
mod role;
mod secret_id;

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::core::{Answer, BoxFuture, Call, Engine, Operation, Refusal, Reply};
use role::Role;

/// The roles of one mount, by lower-case name.
#[derive(Default)]
pub(crate) struct AppRole {
    roles: Mutex<BTreeMap<String, Role>>,
}

impl Engine for AppRole {
    fn handle<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Reply> {
        Box::pin(std::future::ready(self.answer(call)))
    }

    fn is_login(&self, path: &str) -> bool {
        path == "login"
    }

    fn exists(&self, call: &Call<'_>) -> Option<bool> {
        let name = call.path.strip_prefix("role/").filter(|name| !name.contains('/'))?;
        Some(self.roles.lock().contains_key(&name.to_lowercase()))
    }
}

impl AppRole {
    /// Drops the secret ids that have expired. Vault does it in the background, and takes an expired one until then;
    /// this server takes none, so that a test need not wait for the broom.
    fn tidy(&self, call: &Call<'_>) -> Answer {
        for role in self.roles.lock().values_mut() {
            secret_id::prune(role, call.now());
        }
        Answer::with_status(202, None).warn(
            "Tidy operation successfully started. Any information from the operation will be printed to Vault's server logs.",
        )
    }

    fn answer(&self, call: &Call<'_>) -> Reply {
        let segments = call.segments();
        let is_write = call.operation().is_write();
        let list = call.operation() == Operation::List;
        match segments.as_slice() {
            ["login"] => login::login(self, call),
            ["tidy", "secret-id"] if is_write => Ok(self.tidy(call)),
            ["tidy", "secret-id"] if !list => Err(Refusal::unsupported_operation()),
            ["role"] if list => Ok(Answer::keys(self.roles.lock().keys().cloned().collect())),
            ["role", name] => role::handle(self, call, &name.to_lowercase()),
            ["role", name, "role-id"] => role::role_id(self, call, &name.to_lowercase()),
            ["role", name, field] if role::parameter(field).is_some() => {
                role::one_parameter(self, call, &name.to_lowercase(), field)
            }
            ["role", name, below @ ..] => {
                let name = name.to_lowercase();
                let mut roles = self.roles.lock();
                let role = roles.get_mut(&name);
                match below {
                    ["secret-id"] if list => secret_id::list(role, &name, call.now()),
                    ["secret-id"] if is_write => secret_id::generate(role, &name, call, false),
                    ["custom-secret-id"] if is_write => secret_id::generate(role, &name, call, true),
                    ["secret-id", "lookup"] if is_write => secret_id::lookup(role, &name, call),
                    ["secret-id", "destroy"] if is_write || call.operation() == Operation::Delete => {
                        secret_id::destroy(role, &name, call)
                    }
                    ["secret-id-accessor", "lookup"] if is_write => {
                        secret_id::lookup_accessor(role, &name, call)
                    }
                    ["secret-id-accessor", "destroy"]
                        if is_write || call.operation() == Operation::Delete =>
                    {
                        secret_id::destroy_accessor(role, &name, call)
                    }
                    ["secret-id" | "custom-secret-id"]
                    | ["secret-id" | "secret-id-accessor", "lookup" | "destroy"] => {
                        Err(Refusal::unsupported_operation())
                    }
                    _ => Err(Refusal::unsupported_path()),
                }
            }
            ["role"] => Err(Refusal::unsupported_operation()),
            _ => Err(Refusal::unsupported_path()),
        }
    }
}
