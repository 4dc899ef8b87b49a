//! Settings, from environment variables (12-factor; Vault's own names first) or built in code.
//!
//! [`VaultConfig::from_environment`] reports every problem at once, by the variable's name, never its value.

mod auth;
mod environment;
mod problem;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gds_vault::{Address, AuthMethod, Client, SecretString, TlsConfig};

#[cfg(feature = "disk")]
pub(crate) use self::auth::home_token;
pub use self::auth::{AuthSettings, SecretIdSource};
use self::environment::Environment;
pub use self::problem::{ConfigError, Problem};
use crate::disk::{DiskSettings, KeySource};
use crate::retry::Backoff;

/// How to reach Vault, log in, cache and retry.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct VaultConfig {
    /// `VAULT_ADDR`: where Vault listens; several, in order, are tried in turn.
    pub addresses: Vec<Address>,
    /// `VAULT_NAMESPACE`: the namespace of every request; none by default.
    pub namespace: Option<String>,
    /// `VAULT_AUTH_METHOD` and the variables of that method.
    pub auth: AuthSettings,
    /// `VAULT_SECRET_ID_ROTATE`: whether the secret_id in `VAULT_SECRET_ID_FILE` is replaced by a new one when two
    /// thirds of its life have passed; false, as it takes a policy that allows `update` on the role's `secret-id`,
    /// `secret-id/lookup` and `secret-id/destroy`, and a file that may be written.
    pub rotate_secret_id: bool,
    /// `VAULT_MOUNT_POINT`: where a path that names no mount is looked for; `secret`, as in a dev server.
    pub mount_point: Option<String>,
    /// `VAULT_DATABASE_MOUNT`: where the database engine is; `database`, Vault's own default.
    pub database_mount: String,
    /// `VAULT_CACHE_TTL_SECONDS`: how long a static secret is fresh; 300 s: a rotated key is picked up within
    /// five minutes, and a service that reads it on each request asks twelve times an hour.
    pub cache_ttl: Duration,
    /// `VAULT_CACHE_MAX_STALE_SECONDS`: how long after its fetch a static secret may be returned while Vault is
    /// unavailable; 86,400 s: a night and a morning to bring Vault back. 0: never.
    pub cache_max_stale: Duration,
    /// `VAULT_CACHE_CAPACITY`: how many secrets are kept; 10,000, some tens of megabytes at most.
    pub cache_capacity: usize,
    /// `SECRETS_CACHE_FILE` and `SECRETS_CACHE_KEY` or `SECRETS_CACHE_KEY_FILE`: an encrypted copy of the cache on disk,
    /// for a start while Vault is away; none, as not every service may leave secrets on its disk. Takes a build with
    /// the feature `disk`.
    pub disk: Option<DiskSettings>,
    /// `VAULT_RETRY_MAX_ATTEMPTS`: requests for one operation at most, the first included; 3: outlasts a leader
    /// election, and the retry budget keeps an outage from tripling the load.
    pub retry_max_attempts: u32,
    /// The wait between them: 0.5 s, doubling, ± 25 %.
    pub retry_backoff: Backoff,
    /// `VAULT_CLIENT_TIMEOUT`: how long one request may take; 10 s, as no caller waits longer by default. (Vault's
    /// own command has 60 s: it is for people, who wait longer.)
    pub request_timeout: Duration,
    /// The longest that a read takes when there is nothing to fall back on: 10 s.
    pub read_deadline: Duration,
    /// The longest that a read takes when there is a stale value at hand: 2 s, so that a frozen Vault does not
    /// freeze the service. It counts from when Vault fell silent; whoever comes after its end gives Vault 50 ms.
    pub stale_deadline: Duration,
    /// `VAULT_CACERT`, `VAULT_CAPATH`, `VAULT_CLIENT_CERT`, `VAULT_CLIENT_KEY`, `VAULT_TLS_SERVER_NAME`,
    /// `VAULT_SKIP_VERIFY`.
    pub tls: TlsConfig,
}

/// Every variable that this crate reads, with its default (empty: none). `.env.example` is tested against it.
pub const VARIABLES: &[(&str, &str)] = &[
    ("VAULT_ADDR", ""),
    ("VAULT_AUTH_METHOD", ""),
    ("VAULT_AUTH_MOUNT", ""),
    ("VAULT_TOKEN", ""),
    ("VAULT_ROLE_ID", ""),
    ("VAULT_SECRET_ID", ""),
    ("VAULT_WRAPPED_SECRET_ID", ""),
    ("VAULT_SECRET_ID_ROTATE", "false"),
    ("VAULT_USERNAME", ""),
    ("VAULT_PASSWORD", ""),
    ("VAULT_AUTH_ROLE", ""),
    ("VAULT_JWT", ""),
    ("VAULT_NAMESPACE", ""),
    ("VAULT_MOUNT_POINT", "secret"),
    ("VAULT_DATABASE_MOUNT", "database"),
    ("VAULT_CACHE_TTL_SECONDS", "300"),
    ("VAULT_CACHE_MAX_STALE_SECONDS", "86400"),
    ("VAULT_CACHE_CAPACITY", "10000"),
    ("SECRETS_CACHE_FILE", ""),
    ("SECRETS_CACHE_KEY", ""),
    ("SECRETS_CACHE_KEY_FILE", ""),
    ("VAULT_RETRY_MAX_ATTEMPTS", "3"),
    ("VAULT_CLIENT_TIMEOUT", "10"),
    ("VAULT_CACERT", ""),
    ("VAULT_CAPATH", ""),
    ("VAULT_CLIENT_CERT", ""),
    ("VAULT_CLIENT_KEY", ""),
    ("VAULT_TLS_SERVER_NAME", ""),
    ("VAULT_SKIP_VERIFY", "false"),
    ("SECRETS_DB_ROLE", "myapp"),
    ("SECRETS_DB_CONFIG_PATH", "secret/myapp/config"),
    ("SECRETS_API_KEYS_PATH", "secret/myapp/api-keys"),
];

/// The variables of [`VARIABLES`] that hold a secret, each of which may also be given as `NAME_FILE`.
pub const SECRET_VARIABLES: &[&str] = &[
    "VAULT_TOKEN",
    "VAULT_ROLE_ID",
    "VAULT_SECRET_ID",
    "VAULT_WRAPPED_SECRET_ID",
    "VAULT_PASSWORD",
    "VAULT_JWT",
];

impl VaultConfig {
    /// The defaults, for one address and one way to log in.
    pub fn new(address: Address, auth: AuthSettings) -> Self {
        Self {
            addresses: vec![address],
            namespace: None,
            auth,
            rotate_secret_id: false,
            mount_point: Some("secret".to_owned()),
            database_mount: "database".to_owned(),
            cache_ttl: Duration::from_secs(300),
            cache_max_stale: Duration::from_secs(86_400),
            cache_capacity: 10_000,
            disk: None,
            retry_max_attempts: 3,
            retry_backoff: Backoff::default(),
            request_timeout: Duration::from_secs(10),
            read_deadline: Duration::from_secs(10),
            stale_deadline: Duration::from_secs(2),
            tls: TlsConfig::default(),
        }
    }

    /// The settings from this process's environment.
    pub fn from_environment() -> Result<Self, ConfigError> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// The settings from variables got elsewhere: tests, or another process's environment.
    pub fn from_variables(get: impl Fn(&str) -> Option<std::ffi::OsString>) -> Result<Self, ConfigError> {
        let mut env = Environment::new(&get);
        let config = Self::read(&mut env);
        env.finish()?;
        // `finish` has returned every problem, and without one there is a configuration.
        config.ok_or_else(|| ConfigError::one("VAULT_ADDR", "is not set"))
    }

    fn read(env: &mut Environment<'_>) -> Option<Self> {
        let addresses = env.addresses("VAULT_ADDR");
        let auth = auth::read(env);
        let tls = TlsConfig {
            ca_cert: env.readable_file("VAULT_CACERT"),
            ca_path: env.readable_folder("VAULT_CAPATH"),
            client_cert: env.readable_file("VAULT_CLIENT_CERT"),
            client_key: env.readable_file("VAULT_CLIENT_KEY"),
            server_name: env.text("VAULT_TLS_SERVER_NAME"),
            skip_verify: env.flag("VAULT_SKIP_VERIFY").unwrap_or(false),
        };
        env.together(
            "VAULT_CLIENT_CERT",
            tls.client_cert.is_some(),
            "VAULT_CLIENT_KEY",
            tls.client_key.is_some(),
        );
        let namespace = env.text("VAULT_NAMESPACE").map(|name| name.trim_matches('/').to_owned());
        let rotate_secret_id = env.flag("VAULT_SECRET_ID_ROTATE").unwrap_or(false);
        if rotate_secret_id && !env.is_set("VAULT_SECRET_ID_FILE") {
            env.problem(
                "VAULT_SECRET_ID_ROTATE",
                "needs VAULT_SECRET_ID_FILE, where the new secret_id is put",
            );
        }
        let mount_point = env.mount("VAULT_MOUNT_POINT");
        let database_mount = env.mount("VAULT_DATABASE_MOUNT");
        let cache_ttl = env.seconds("VAULT_CACHE_TTL_SECONDS");
        let cache_max_stale = env.seconds("VAULT_CACHE_MAX_STALE_SECONDS");
        let cache_capacity = env.number("VAULT_CACHE_CAPACITY", 1..=10_000_000);
        let disk = disk_settings(env, auth.as_ref());
        let retry_max_attempts = env.number("VAULT_RETRY_MAX_ATTEMPTS", 1..=100);
        let request_timeout = env.duration("VAULT_CLIENT_TIMEOUT");

        let (addresses, auth) = (addresses?, auth?);
        let defaults = Self::new(addresses.first()?.clone(), auth);
        Some(Self {
            addresses,
            rotate_secret_id,
            namespace: namespace.filter(|name| !name.is_empty()),
            mount_point: mount_point.or(defaults.mount_point),
            database_mount: database_mount.unwrap_or(defaults.database_mount),
            cache_ttl: cache_ttl.unwrap_or(defaults.cache_ttl),
            cache_max_stale: cache_max_stale.unwrap_or(defaults.cache_max_stale),
            cache_capacity: cache_capacity
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(defaults.cache_capacity),
            disk,
            retry_max_attempts: retry_max_attempts
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(defaults.retry_max_attempts),
            request_timeout: request_timeout.unwrap_or(defaults.request_timeout),
            tls,
            ..defaults
        })
    }

    /// The transport that these settings describe. Reads certificate files; makes no request.
    pub fn vault_client(&self) -> Result<Client, ConfigError> {
        let mut builder = Client::builder()
            .addresses(self.addresses.clone())
            .timeout(self.request_timeout)
            .tls(self.tls.clone());
        if let Some(namespace) = &self.namespace {
            builder = builder.namespace(namespace);
        }
        builder
            .build()
            .map_err(|error| ConfigError::one("VAULT_ADDR and the TLS settings", error.to_string()))
    }

    /// The way to log in that these settings describe. Makes no request.
    pub fn auth_method(&self) -> Arc<dyn AuthMethod> {
        self.auth.method()
    }
}

/// Which secrets the service needs.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceConfig {
    /// `SECRETS_DB_ROLE`: the database role whose credentials go into the connection string; `myapp`.
    pub db_role: String,
    /// `SECRETS_DB_CONFIG_PATH`: the secret with `db_host`, `db_name`…; `secret/myapp/config`.
    pub db_config_path: String,
    /// `SECRETS_API_KEYS_PATH`: the secret whose fields are API keys; `secret/myapp/api-keys`.
    pub api_keys_path: String,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            db_role: "myapp".to_owned(),
            db_config_path: "secret/myapp/config".to_owned(),
            api_keys_path: "secret/myapp/api-keys".to_owned(),
        }
    }
}

impl ServiceConfig {
    /// The settings from this process's environment.
    pub fn from_environment() -> Result<Self, ConfigError> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// The settings from variables got elsewhere.
    pub fn from_variables(get: impl Fn(&str) -> Option<std::ffi::OsString>) -> Result<Self, ConfigError> {
        let mut env = Environment::new(&get);
        let defaults = Self::default();
        let config = Self {
            db_role: env.name("SECRETS_DB_ROLE").unwrap_or(defaults.db_role),
            db_config_path: env.secret_path("SECRETS_DB_CONFIG_PATH").unwrap_or(defaults.db_config_path),
            api_keys_path: env.secret_path("SECRETS_API_KEYS_PATH").unwrap_or(defaults.api_keys_path),
        };
        env.finish()?;
        Ok(config)
    }
}

fn disk_settings(env: &mut Environment<'_>, auth: Option<&AuthSettings>) -> Option<DiskSettings> {
    const KEY: &str = "SECRETS_CACHE_KEY";
    let file = env.text("SECRETS_CACHE_FILE").map(PathBuf::from);
    let key_file = env.readable_file("SECRETS_CACHE_KEY_FILE");
    let key = env.text(KEY).map(|text| KeySource::parse(text.trim()));
    let key = match (key, key_file) {
        (None, None) if env.is_set(KEY) => return None, // its problem has been told
        (None, None) => None,
        (None, Some(file)) => Some(KeySource::File(file)),
        (Some(Some(key)), None) => Some(key),
        (Some(None), _) => {
            env.problem(KEY, "must be systemd, systemd:NAME, keyring, keyring:NAME or secret_id");
            return None;
        }
        (Some(Some(_)), Some(_)) => {
            env.problem(KEY, "and SECRETS_CACHE_KEY_FILE are both set; which one is meant?");
            return None;
        }
    };
    env.together("SECRETS_CACHE_FILE", file.is_some(), KEY, key.is_some());
    let plain_secret_id = |auth: &AuthSettings| {
        matches!(auth, AuthSettings::AppRole { secret_id: SecretIdSource::Plain(_), .. })
    };
    if key == Some(KeySource::SecretId) && auth.is_some_and(|auth| !plain_secret_id(auth)) {
        env.problem(KEY, "says secret_id, and there is none: set VAULT_SECRET_ID, or take another key");
    }
    if file.is_some() && cfg!(not(feature = "disk")) {
        env.problem("SECRETS_CACHE_FILE", "is set, and this program was built without a cache on disk");
    }
    Some(DiskSettings::new(file?, key?))
}

/// Where a secret value comes from before it is known to be readable.
fn value_or_file(value: Option<SecretString>, file: Option<PathBuf>) -> Option<gds_vault::Credential> {
    value.map(gds_vault::Credential::Value).or_else(|| file.map(gds_vault::Credential::File))
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
