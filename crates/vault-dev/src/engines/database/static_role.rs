//! `static-roles/…`, `static-creds/…`: one database user whose password changes on schedule.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::Database;
use super::config::{self, DEFAULT_ROTATION};
use super::rotation::Rotation;
use super::statements::{Values, fill};
use crate::clock::{FAR, Timestamp, after, rfc3339, seconds_until};
use crate::core::{Answer, Call, Operation, Refusal, Reply};
use crate::json::object;
use crate::random;

/// After a failed rotation, as in Vault.
const RETRY: Duration = Duration::from_secs(10);

/// The timer looks at all of them.
const MAX_STATIC_ROLES: usize = 1000;

pub(super) struct StaticRole {
    username: String,
    db_name: String,
    rotation: Rotation,
    statements: Vec<String>,
    /// One rotation at a time; readers wait for it, so that nobody is handed a password that is just being replaced.
    rotating: tokio::sync::Mutex<()>,
    current: Mutex<Current>,
}

#[derive(Clone)]
struct Current {
    password: String,
    rotated: Timestamp,
    /// The next rotation. `None`: never.
    planned: Option<Timestamp>,
    /// When it is tried: as planned, or again after it has failed.
    due: Timestamp,
}

impl Current {
    fn plan(&mut self, planned: Option<Timestamp>) {
        self.planned = planned;
        self.due = planned.unwrap_or_else(|| after(self.rotated, FAR));
    }

    /// What to do after a failure at `now`.
    fn postpone(&mut self, rotation: &Rotation, now: Timestamp) {
        self.due = self.due.max(after(now, RETRY));
        let deadline = self.planned.and_then(|planned| rotation.deadline(planned));
        if deadline.is_some_and(|deadline| self.due > deadline) {
            self.plan(rotation.next(now));
        }
    }
}

impl StaticRole {
    pub(super) fn due(&self) -> Timestamp {
        self.current.lock().due
    }

    /// Sets a new password in the database, then here.
    async fn rotate(&self, database: &Database, now: Timestamp) -> Result<(), String> {
        let _one_at_a_time = self.rotating.lock().await;
        let config = database.config(&self.db_name)?;
        let password = random::password();
        let templates = if self.statements.is_empty() {
            vec![DEFAULT_ROTATION.to_owned()]
        } else {
            self.statements.clone()
        };
        let values = Values { username: &self.username, password: &password, ..Values::default() };
        match config.execute(&fill(&templates, values)).await {
            Ok(()) => {
                let mut current = self.current.lock();
                (current.password, current.rotated) = (password, now);
                current.plan(self.rotation.next(now));
                Ok(())
            }
            Err(complaint) => {
                let complaint = config::password_complaint(&complaint);
                self.current.lock().postpone(&self.rotation, now);
                Err(complaint)
            }
        }
    }
}

pub(super) async fn handle(database: &Database, call: &Call<'_>, name: &str) -> Reply {
    match call.operation() {
        Operation::Read => Ok(read(database, name)),
        Operation::Create | Operation::Update => write(database, call, name).await,
        Operation::Delete => {
            database.store.lock().static_roles.remove(name);
            Ok(Answer::nothing())
        }
        _ => Err(Refusal::unsupported_operation()),
    }
}

fn find(database: &Database, name: &str) -> Option<Arc<StaticRole>> {
    database.store.lock().static_roles.get(name).cloned()
}

fn read(database: &Database, name: &str) -> Answer {
    find(database, name).map_or_else(Answer::nothing, |role| {
        let mut data = role.rotation.describe();
        data.extend(object! {
            "credential_type" => "password",
            "db_name" => role.db_name.as_str(),
            "last_vault_rotation" => rfc3339(role.current.lock().rotated),
            "rotation_statements" => role.statements.clone(),
            "skip_import_rotation" => false,
            "username" => role.username.as_str(),
        });
        Answer::data(data)
    })
}

async fn write(database: &Database, call: &Call<'_>, name: &str) -> Reply {
    let fields = call.fields(&[
        "name",
        "username",
        "db_name",
        "rotation_period",
        "rotation_schedule",
        "rotation_window",
        "rotation_statements",
        "credential_type",
        "credential_config",
    ]);
    let old = find(database, name);
    let old = old.as_deref();
    let db_name = fields.string("db_name")?.or(old.map(|old| old.db_name.clone())).unwrap_or_default();
    if db_name.is_empty() {
        return Err(Refusal::bad_request("database name is a required field"));
    }
    let username = fields.text("username")?;
    if old.is_some_and(|old| !username.is_empty() && old.username != username) {
        return Err(Refusal::bad_request("cannot update static account username"));
    }
    let username = old.map_or(username, |old| old.username.clone());
    if username.is_empty() {
        return Err(Refusal::bad_request("username is a required field to create a static account"));
    }
    let rotation = Rotation::of(fields, old.map(|old| &old.rotation))?;
    let statements = fields
        .statements("rotation_statements")?
        .or(old.map(|old| old.statements.clone()))
        .unwrap_or_default();
    let failed = |complaint: String| Refusal::multi(500, &complaint);
    let config = database.config(&db_name).map_err(failed)?;
    if !config.allows(name) {
        return Err(failed(format!("{name:?} is not an allowed role")));
    }
    if database.store.lock().roles.contains_key(name) {
        return Err(Refusal::bad_request("Role and Static Role names must be unique"));
    }
    let now = call.now();
    let current = match old.map(|old| old.current.lock().clone()) {
        Some(mut current) => {
            // A period counts from the last rotation; a schedule does not look back.
            let last = if matches!(rotation, Rotation::Every(_)) { current.rotated } else { now };
            current.plan(rotation.next(last));
            current
        }
        None => Current { password: String::new(), rotated: now, planned: Some(now), due: now },
    };
    let is_new = current.password.is_empty();
    let role = Arc::new(StaticRole {
        username,
        db_name,
        rotation,
        statements,
        rotating: tokio::sync::Mutex::new(()),
        current: Mutex::new(current),
    });
    if is_new {
        role.rotate(database, now)
            .await
            .map_err(|complaint| failed(format!("error setting credentials: {complaint}")))?;
    }
    let mut store = database.store.lock();
    Refusal::unless_room(store.static_roles.len(), MAX_STATIC_ROLES, "static roles")?;
    store.static_roles.insert(name.to_owned(), role);
    drop(store);
    call.core.wake.notify_one();
    Ok(Answer::nothing())
}

pub(super) async fn credentials(database: &Database, call: &Call<'_>, name: &str) -> Reply {
    let role = find(database, name).ok_or_else(|| Refusal::bad_request(format!("unknown role: {name}")))?;
    let current = {
        let _not_while_rotating = role.rotating.lock().await;
        role.current.lock().clone()
    };
    let mut data = role.rotation.describe();
    data.extend(object! {
        "last_vault_rotation" => rfc3339(current.rotated),
        "password" => current.password,
        "ttl" => current.planned.map_or(0, |planned| seconds_until(call.now(), planned)),
        "username" => role.username.as_str(),
    });
    Ok(Answer::data(data))
}

pub(super) async fn rotate_now(database: &Database, call: &Call<'_>, name: &str) -> Reply {
    let role =
        find(database, name).ok_or_else(|| Refusal::bad_request("no static role found for role name"))?;
    role.rotate(database, call.now()).await.map_err(|complaint| {
        Refusal::multi(500, &format!("unable to finish rotating credentials; retries will continue in the background but it is also safe to retry manually: error setting credentials: {complaint}"))
    })?;
    call.core.wake.notify_one();
    Ok(Answer::nothing())
}

/// The timer's part.
pub(super) async fn rotate_due(database: &Database, now: Timestamp) {
    let due: Vec<(String, Arc<StaticRole>)> = {
        let store = database.store.lock();
        let due = store.static_roles.iter().filter(|(_, role)| role.due() <= now);
        due.map(|(name, role)| (name.clone(), Arc::clone(role))).collect()
    };
    for (name, role) in due {
        if let Err(complaint) = role.rotate(database, now).await {
            tracing::warn!(role = name, complaint, "could not rotate a static role; will retry");
        }
    }
}
