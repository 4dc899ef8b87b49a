//! `config/…`: which database, and as whom.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Database;
use super::connection::{Connection, Login};
use super::statements::{Values, fill};
use crate::core::{Answer, Call, Operation, Refusal, Reply};
use crate::json::{Object, object};
use crate::random;

const PLUGIN: &str = "postgresql-database-plugin";

/// How Vault changes a password unless it is told otherwise.
pub(super) const DEFAULT_ROTATION: &str = "ALTER ROLE \"{{username}}\" WITH PASSWORD '{{password}}';";

/// Each may hold a connection open.
const MAX_CONFIGS: usize = 100;

pub(super) struct Config {
    url: String,
    username: String,
    password: Mutex<String>,
    allowed_roles: Vec<String>,
    verify_connection: bool,
    root_rotation_statements: Vec<String>,
    /// What the plugin was told besides: it is shown again.
    details: Object,
    connection: Connection,
}

impl Config {
    /// `*` at either end of a name stands for anything.
    pub(super) fn allows(&self, role: &str) -> bool {
        self.allowed_roles.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(prefix) => role.starts_with(prefix),
            None => allowed.strip_prefix('*').map_or(allowed == role, |suffix| role.ends_with(suffix)),
        })
    }

    pub(super) async fn execute(&self, statements: &[String]) -> Result<(), String> {
        self.connection.execute(&self.login(), statements).await
    }

    pub(super) async fn drop_role(&self, username: &str) -> Result<(), String> {
        self.connection.drop_role(&self.login(), username).await
    }

    fn login(&self) -> Login {
        Login {
            url: self.url.clone(),
            username: self.username.clone(),
            password: self.password.lock().clone(),
        }
    }

    fn describe(&self) -> Object {
        let mut details = self.details.clone();
        details.insert("connection_url".to_owned(), self.url.as_str().into());
        if !self.username.is_empty() {
            details.insert("username".to_owned(), self.username.as_str().into());
        }
        object! {
            "allowed_roles" => self.allowed_roles.clone(),
            "connection_details" => details,
            "disable_automated_rotation" => false,
            "password_policy" => "",
            "plugin_name" => PLUGIN,
            "plugin_version" => "",
            "root_credentials_rotate_statements" => self.root_rotation_statements.clone(),
            "rotation_period" => 0_u64,
            "rotation_schedule" => "",
            "rotation_window" => 0_u64,
            "skip_static_role_import_rotation" => false,
            "verify_connection" => self.verify_connection,
        }
    }
}

pub(super) async fn handle(database: &Database, call: &Call<'_>, name: &str) -> Reply {
    match call.operation() {
        Operation::Read => {
            let store = database.store.lock();
            Ok(store.configs.get(name).map_or_else(Answer::nothing, |config| Answer::data(config.describe())))
        }
        Operation::Create | Operation::Update => write(database, call, name).await,
        Operation::Delete => {
            database.store.lock().configs.remove(name);
            Ok(Answer::nothing())
        }
        _ => Err(Refusal::unsupported_operation()),
    }
}

async fn write(database: &Database, call: &Call<'_>, name: &str) -> Reply {
    // Everything unknown belongs to the plugin, so nothing is ever ignored here.
    let fields = call.request.fields();
    let old = database.store.lock().configs.get(name).cloned();
    let plugin = fields.text("plugin_name")?;
    if plugin.is_empty() && old.is_none() {
        return Err(Refusal::bad_request("empty plugin name"));
    }
    if !plugin.is_empty() && plugin != PLUGIN {
        return Err(Refusal::bad_request(format!(
            "error creating database object: invalid database version: 2 errors occurred:\n\t* plugin not found in the catalog: {plugin}\n\t* plugin not found in the catalog: {plugin}\n\n"
        )));
    }
    let old = old.as_deref();
    let kept = |given: Option<String>, old: Option<String>| given.or(old).unwrap_or_default();
    let config = Config {
        url: kept(fields.string("connection_url")?, old.map(|old| old.url.clone())),
        username: kept(fields.string("username")?, old.map(|old| old.username.clone())),
        password: Mutex::new(kept(fields.string("password")?, old.map(|old| old.password.lock().clone()))),
        allowed_roles: fields
            .list("allowed_roles")?
            .or(old.map(|old| old.allowed_roles.clone()))
            .unwrap_or_default(),
        verify_connection: fields.boolean("verify_connection")?.unwrap_or(true),
        root_rotation_statements: fields.statements("root_rotation_statements")?.unwrap_or_default(),
        details: other_details(&call.request.data),
        connection: Connection::default(),
    };
    if config.url.is_empty() {
        return Err(Refusal::bad_request("error creating database object: connection_url cannot be empty"));
    }
    if config.verify_connection {
        config.connection.ping(&config.login()).await.map_err(|complaint| {
            Refusal::bad_request(format!(
                "error creating database object: error verifying connection: {complaint}"
            ))
        })?;
    }
    let mut store = database.store.lock();
    Refusal::unless_room(store.configs.len(), MAX_CONFIGS, "connections")?;
    store.configs.insert(name.to_owned(), Arc::new(config));
    Ok(Answer::nothing())
}

/// What is not for Vault is for the plugin. Passwords and keys are not shown to anybody.
fn other_details(data: &Object) -> Object {
    const KNOWN: &[&str] = &[
        "plugin_name",
        "plugin_version",
        "connection_url",
        "username",
        "password",
        "allowed_roles",
        "verify_connection",
        "root_rotation_statements",
        "password_policy",
        "private_key",
        "tls_certificate",
        "service_account_json",
    ];
    let other = data.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str()));
    other.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Gives the connection's own user a new password that nobody else knows.
pub(super) async fn rotate_root(database: &Database, name: &str) -> Reply {
    let config = database.config(name).map_err(|complaint| Refusal::multi(500, &complaint))?;
    if config.username.is_empty() {
        return Err(Refusal::bad_request("unable to rotate root credentials: no username in configuration"));
    }
    let password = random::password();
    let templates = match config.root_rotation_statements.as_slice() {
        [] => vec![DEFAULT_ROTATION.to_owned()],
        own => own.to_vec(),
    };
    let values = Values { username: &config.username, password: &password, ..Values::default() };
    let done = config.execute(&fill(&templates, values)).await;
    done.map_err(|complaint| {
        Refusal::multi(500, &format!("failed to update user: {}", password_complaint(&complaint)))
    })?;
    *config.password.lock() = password;
    config.connection.reset();
    Ok(Answer::nothing())
}

/// Vault looks whether the user exists before it changes a password; so that is where an outage shows.
pub(super) fn password_complaint(complaint: &str) -> String {
    let complaint = complaint.replace("unable to start transaction: ", "user does not appear to exist: ");
    format!("1 error occurred:\n\t* {complaint}\n\n")
}

pub(super) fn reset(database: &Database, name: &str) -> Reply {
    let config = database.config(name).map_err(|complaint| Refusal::multi(500, &complaint))?;
    config.connection.reset();
    Ok(Answer::nothing())
}
