//! `creds/…`: a database user per lease.

use std::time::Duration;

use super::Database;
use super::statements::{Values, expiration, fill, username};
use crate::clock::{Timestamp, after};
use crate::core::{Answer, Call, NewLease, Refusal, Reply};
use crate::json::{Json, Object, object};
use crate::random;

const DEFAULT_RENEWAL: &str = "ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}';";

/// The database may end a user this much later than the lease, so that it never does so earlier.
const BUFFER: Duration = Duration::from_secs(5);

pub(super) async fn generate(database: &Database, call: &Call<'_>, name: &str) -> Reply {
    let role = database.store.lock().roles.get(name).cloned();
    let role = role.ok_or_else(|| Refusal::bad_request(format!("unknown role: {name}")))?;
    let failed = |complaint: String| Refusal::multi(500, &complaint);
    let config = database.config(&role.db_name).map_err(failed)?;
    if !config.allows(name) {
        return Err(failed(format!("{name:?} is not an allowed role")));
    }
    if role.creation.is_empty() {
        return Err(failed("empty creation statements".to_owned()));
    }
    let now = call.now();
    let limits =
        crate::core::Limits { role_ttl: role.default_ttl, role_max_ttl: role.max_ttl, ..call.mount.limits() };
    let (ttl, _) = limits.ttl(Duration::ZERO, now, now).map_err(failed)?;
    let display_name = call.caller.map(|caller| caller.token.display_name.clone()).unwrap_or_default();
    let username = username(&display_name, name, now);
    let password = random::password();
    let until = expiration(after(now, ttl + BUFFER));
    let values = Values { username: &username, password: &password, expiration: &until };
    config.execute(&fill(&role.creation, values)).await.map_err(failed)?;
    let internal = object! {
        "username" => username.as_str(),
        "role" => name,
        "db_name" => role.db_name,
        "revocation_statements" => role.revocation,
    };
    let lease = NewLease {
        renewable: true,
        ttl: role.default_ttl,
        max_ttl: role.max_ttl,
        internal: Json::Object(internal),
    };
    let data = object! { "username" => username, "password" => password };
    Ok(Answer { lease: Some(lease), ..Answer::data(data) })
}

pub(super) async fn renew(database: &Database, internal: &Json, expires: Timestamp) -> Result<(), String> {
    let notes = Notes::of(internal)?;
    let role = database.store.lock().roles.get(notes.role).cloned();
    let role =
        role.ok_or_else(|| format!("error during renew: could not find role with name {:?}", notes.role))?;
    let config = database.config(&role.db_name)?;
    let templates = if role.renewal.is_empty() { vec![DEFAULT_RENEWAL.to_owned()] } else { role.renewal };
    let until = expiration(after(expires, BUFFER));
    let values = Values { username: notes.username, expiration: &until, ..Values::default() };
    config.execute(&fill(&templates, values)).await
}

pub(super) async fn revoke(database: &Database, internal: &Json) -> Result<(), String> {
    let notes = Notes::of(internal)?;
    let role = database.store.lock().roles.get(notes.role).cloned();
    // The role may be gone or changed: what counts is what it says now, else what it said then.
    let (db_name, statements) = match role {
        Some(role) => (role.db_name, role.revocation),
        None => (notes.db_name.to_owned(), notes.revocation),
    };
    let config = database.config(&db_name)?;
    if statements.is_empty() {
        return config.drop_role(notes.username).await;
    }
    let values = Values { username: notes.username, ..Values::default() };
    let done = config.execute(&fill(&statements, values)).await;
    done.map_err(|complaint| complaint.trim_start_matches("failed to execute query: ").to_owned())
}

/// What the engine wrote down when it made the lease.
struct Notes<'a> {
    username: &'a str,
    role: &'a str,
    db_name: &'a str,
    revocation: Vec<String>,
}

impl<'a> Notes<'a> {
    fn of(internal: &'a Json) -> Result<Self, String> {
        let members: &Object = internal.as_object().ok_or("the lease has no notes")?;
        let text = |name: &str| members.get(name).and_then(Json::as_str).unwrap_or_default();
        let revocation = match members.get("revocation_statements") {
            Some(Json::Array(items)) => {
                items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
            }
            _ => Vec::new(),
        };
        Ok(Self { username: text("username"), role: text("role"), db_name: text("db_name"), revocation })
    }
}
