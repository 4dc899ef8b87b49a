//! [`SecretsService`]: what an application asks for, in its own words.

use gds_vault::SecretString;

use crate::config::{ConfigError, ServiceConfig, VaultConfig};
use crate::connection_string::DatabaseTarget;
use crate::error::{Error, ErrorKind};
use crate::lease::RotatingCredentials;
use crate::patch::Patch;
use crate::vault_client::{OnClose, ResilientVaultClient};

/// The longest name of an API key: a field of a secret, so there is no reason for more.
const LONGEST_KEY_NAME: usize = 512;

/// Database access and API keys from Vault. Cheap to clone; clones share everything.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let secrets = secrets_service::SecretsService::from_environment()?;
/// let url = secrets.get_database_connection_string().await?;
/// let (client, connection) = tokio_postgres::connect(url.expose(), tokio_postgres::NoTls).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct SecretsService {
    vault: ResilientVaultClient,
    config: ServiceConfig,
}

impl SecretsService {
    /// A service set up by environment variables (`.env.example` lists them). The error tells every problem.
    /// Does not speak to Vault yet.
    pub fn from_environment() -> Result<Self, ConfigError> {
        match (VaultConfig::from_environment(), ServiceConfig::from_environment()) {
            (Ok(vault), Ok(service)) => Ok(Self::new(ResilientVaultClient::new(&vault)?, service)),
            (Err(vault), Err(service)) => Err(vault.and(service)),
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
        }
    }

    /// A service on a client of your own.
    pub fn new(vault: ResilientVaultClient, config: ServiceConfig) -> Self {
        Self { vault, config }
    }

    /// The client underneath.
    pub fn vault(&self) -> &ResilientVaultClient {
        &self.vault
    }

    /// Which secrets this service uses.
    pub fn config(&self) -> &ServiceConfig {
        &self.config
    }

    /// A PostgreSQL connection string for the configured role: host, port and database from the config secret,
    /// user and password from Vault's database engine. Everyone gets the same user until a little before its
    /// lease ends; then a new one. Ask again for each new connection instead of keeping the string.
    pub async fn get_database_connection_string(&self) -> Result<SecretString, Error> {
        self.get_database_connection_string_for(&self.config.db_role).await
    }

    /// The same for another role.
    pub async fn get_database_connection_string_for(&self, role: &str) -> Result<SecretString, Error> {
        let path = &self.config.db_config_path;
        // Both at once: from a cold start that is one wait instead of two.
        let (config, credentials) =
            tokio::join!(self.vault.get_secret(path), self.vault.get_database_credentials(role));
        let config = config?;
        let database = DatabaseTarget::from_secret(path, config.data())?;
        Ok(database.connection_string(&credentials?))
    }

    /// Whether the config secret says all that a connection string needs. Makes no credentials.
    pub async fn check_database_config(&self) -> Result<(), Error> {
        self.database().await.map(drop)
    }

    /// Where the database is, as the config secret says: what a connection pool needs beside
    /// [`rotating_credentials`](Self::rotating_credentials).
    pub async fn database(&self) -> Result<DatabaseTarget, Error> {
        let path = &self.config.db_config_path;
        let config = self.vault.get_secret(path).await?;
        DatabaseTarget::from_secret(path, config.data())
    }

    /// Credentials of the configured role that are renewed, and replaced before they end, as long as the handle
    /// lives: see [`pool`](crate::pool).
    pub async fn rotating_credentials(&self) -> Result<RotatingCredentials, Error> {
        self.vault.rotating_database_credentials(&self.config.db_role).await
    }

    /// The API key of an external service: the field of that name in the API keys' secret.
    pub async fn get_api_key(&self, name: &str) -> Result<SecretString, Error> {
        let path = &self.config.api_keys_path;
        check_name(path, name)?;
        let keys = self.vault.get_secret(path).await?;
        match keys.field(name) {
            Some(field) if !field.is_null() => Ok(field.text()),
            _ => {
                let mut known: Vec<_> = keys.data().names().collect();
                known.sort_unstable();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let what = format!("there is no API key named {name:?}; there are: {known}");
                Err(Error::new(ErrorKind::NotFound, path, what))
            }
        }
    }

    /// Stores an API key, keeping the others, whoever else writes at the same time.
    pub async fn set_api_key(&self, name: &str, key: &SecretString) -> Result<(), Error> {
        let path = &self.config.api_keys_path;
        check_name(path, name)?;
        if key.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                path,
                format!("the API key {name:?} is empty"),
            ));
        }
        self.vault.patch_secret(path, &Patch::new().set(name, key)).await.map(|_| ())
    }

    /// Ends the service: see [`ResilientVaultClient::close`].
    pub async fn close(&self, on_close: OnClose) -> Result<(), Error> {
        self.vault.close(on_close).await
    }
}

fn check_name(path: &str, name: &str) -> Result<(), Error> {
    let what = if name.trim().is_empty() {
        "the name of an API key is empty"
    } else if name.len() > LONGEST_KEY_NAME {
        "the name of an API key is too long"
    } else if name.chars().any(char::is_control) {
        "the name of an API key contains a control character"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::InvalidRequest, path, what))
}
