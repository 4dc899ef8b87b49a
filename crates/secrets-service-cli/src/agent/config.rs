//! The agent's settings: one TOML file, every option also from the environment, a few on the command line.
//!
//! Command line before environment before file before default. All problems are told at once, each with its place.

mod file;
pub(crate) mod listen_on;
mod options;
mod reference;
mod vault_names;
pub(crate) mod way;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use secrets_service::VaultConfig;

use self::file::FileValues;
pub(crate) use self::listen_on::{ListenOn, UnixSocket};
use self::options::Value;
pub(crate) use self::reference::reference;
use self::way::Way;
use super::connection::ConnectionLimits;
use super::forward::ForwardLimits;
use super::identity::TokenSettings;

/// What is wrong, and where: `agent.toml:12`, a variable, an option of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) place: String,
    pub(crate) what: String,
}

impl Problem {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }
}

/// All settings of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AgentConfig {
    pub(crate) listen: Vec<ListenOn>,
    /// `None`: no admin listener.
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) lend_own: bool,
    pub(crate) own_paths: Vec<String>,
    pub(crate) revoke_on_stop: bool,
    pub(crate) tokens: TokenSettings,
    /// Connections at once, over all listeners.
    pub(crate) connections: usize,
    /// Requests under way to Vault at once.
    pub(crate) requests: usize,
    pub(crate) connection: ConnectionLimits,
    pub(crate) forward: ForwardLimits,
    pub(crate) drain_time: Duration,
    pub(crate) threads: usize,
}

/// The settings of the agent and of its way to Vault.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) agent: AgentConfig,
    pub(crate) vault: VaultConfig,
}

/// Where settings come from.
pub(crate) struct Sources<'a> {
    pub(crate) file: Option<&'a Path>,
    pub(crate) variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// `--listen`, in place of what file and environment say.
    pub(crate) listen: &'a [String],
    /// `--admin`, likewise.
    pub(crate) admin: Option<&'a str>,
}

impl Settings {
    /// Reads them all. Makes no request and binds nothing.
    pub(crate) fn load(sources: &Sources<'_>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let file = FileValues::of(sources.file, &mut problems);
        let agent = AgentConfig::load(sources, &file, &mut problems);
        let vault = vault_config(sources, &file, agent.lend_own, &mut problems);
        match vault {
            Some(vault) if problems.is_empty() => Ok(Self { agent, vault }),
            _ => Err(problems),
        }
    }

    /// How many threads to run on; what is wrong with the settings is told by [`load`](Self::load). The way to Vault
    /// is left alone: a secret may come from where it can be read once only.
    pub(crate) fn threads(sources: &Sources<'_>) -> usize {
        let told_later = &mut Vec::new();
        let file = FileValues::of(sources.file, told_later);
        AgentConfig::load(sources, &file, told_later).threads
    }
}

impl AgentConfig {
    fn empty() -> Self {
        Self {
            listen: Vec::new(),
            admin: None,
            allowed_hosts: Vec::new(),
            lend_own: true,
            own_paths: Vec::new(),
            revoke_on_stop: false,
            tokens: TokenSettings {
                most: 0,
                capacity: 0,
                check_every: Duration::ZERO,
                idle_time: Duration::ZERO,
            },
            connections: 0,
            requests: 0,
            connection: ConnectionLimits {
                head_bytes: 0,
                head_time: Duration::ZERO,
                idle_time: Duration::ZERO,
                stall_time: Duration::ZERO,
            },
            forward: ForwardLimits { body_bytes: 0, answer_time: Duration::ZERO, body_pause: Duration::ZERO },
            drain_time: Duration::ZERO,
            threads: 1,
        }
    }

    fn load(sources: &Sources<'_>, file: &FileValues, problems: &mut Vec<Problem>) -> Self {
        let mut config = Self::empty();
        for option in options::ALL {
            let from_command_line = match option.key {
                "listen" if !sources.listen.is_empty() => {
                    Some(("--listen".to_owned(), Value::Texts(sources.listen.to_vec())))
                }
                "admin" => sources.admin.map(|admin| ("--admin".to_owned(), Value::Text(admin.to_owned()))),
                _ => None,
            };
            let (place, value) = from_command_line
                .or_else(|| option.in_environment(sources.variable, problems))
                .or_else(|| file.get(option.key))
                .unwrap_or_else(|| (option.key.to_owned(), option.default()));
            if let Err(what) = option.apply(&mut config, value) {
                problems.push(Problem::new(place, what));
            }
        }
        if config.connection.stall_time <= config.forward.answer_time && problems.is_empty() {
            let place = file.get("limits.stall_seconds").or_else(|| file.get("limits.answer_seconds"));
            let place = place.map_or_else(|| "limits.stall_seconds".to_owned(), |(place, _)| place);
            let what =
                "limits.stall_seconds must be more than limits.answer_seconds: else slow answers are cut off";
            problems.push(Problem::new(place, what));
        }
        for (key, place) in file.agent_keys() {
            if !options::ALL.iter().any(|option| option.key == key) {
                problems.push(Problem::new(place, options::unknown(key)));
            }
        }
        config
    }
}

/// The way to Vault: `VAULT_…` variables, and where those are not set the `[vault]` table of the file.
fn vault_config(
    sources: &Sources<'_>,
    file: &FileValues,
    lend_own: bool,
    problems: &mut Vec<Problem>,
) -> Option<VaultConfig> {
    let way = Way::new(file, sources.variable, problems);
    let nothing_to_log_in_with = ["VAULT_AUTH_METHOD", "VAULT_TOKEN", "VAULT_ROLE_ID"]
        .iter()
        .all(|name| way.get(name).is_none() && way.get(&format!("{name}_FILE")).is_none());
    let loaded = VaultConfig::from_variables(|name| match name {
        // Nobody uses the agent's own login: then it needs none. This is no token, and is never sent.
        "VAULT_TOKEN" if !lend_own && nothing_to_log_in_with => Some("none".into()),
        // A path means what Vault's API says it means; it is not completed.
        "VAULT_MOUNT_POINT" | "VAULT_DATABASE_MOUNT" => None,
        name => way.get(name),
    });
    let mut config = match loaded {
        Ok(config) => config,
        Err(error) => {
            problems.extend(way.placed(&error));
            return None;
        }
    };
    if let Err(error) = config.vault_client() {
        problems.extend(error.problems().iter().map(|p| Problem::new(p.variable.clone(), p.what.clone())));
    }
    config.mount_point = None;
    Some(config)
}

#[cfg(test)]
#[path = "config/tests.rs"]
mod tests;
