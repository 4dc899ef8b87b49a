//! The login.

use super::{AppRole, secret_id};
use crate::core::{Call, Login, Refusal, Reply};

/// Vault does not say which of the two was wrong.
const INVALID: &str = "invalid role or secret ID";

pub(super) fn login(approle: &AppRole, call: &Call<'_>) -> Reply {
    let fields = call.fields(&["role_id", "secret_id"]);
    let role_id = fields.text("role_id")?;
    if role_id.is_empty() {
        return Err(Refusal::new(500, "failed to determine alias name from login request"));
    }
    if !call.operation().is_write() {
        return Err(Refusal::unsupported_operation());
    }
    let given = fields.text("secret_id")?;
    let login = {
        let mut roles = approle.roles.lock();
        let found = roles.iter_mut().find(|(_, role)| role.id == role_id);
        let (name, role) = found.ok_or_else(|| Refusal::bad_request(INVALID))?;
        let mut metadata = std::collections::BTreeMap::new();
        if role.bind_secret_id {
            if given.is_empty() {
                return Err(Refusal::bad_request("missing secret_id"));
            }
            metadata =
                secret_id::spend(role, &given, call.now()).ok_or_else(|| Refusal::bad_request(INVALID))?;
        }
        metadata.insert("role_name".to_owned(), name.clone());
        Login {
            display_name: call.mount.path.trim_end_matches('/').replace('/', "-"),
            metadata,
            entity_id: role.entity_id.clone(),
            ..role.params.login()
        }
    };
    call.core.log_in(call, login)
}
