//! Opens what the settings name, and tells in one line what came of it.

use gds_vault::{Credential, SecretString};

use super::file::{CacheFile, Opened};
use super::image::Contents;
use super::journal::Journal;
use super::{DiskSettings, KeySource, key, place};
use crate::config::{AuthSettings, VaultConfig, home_token};

/// What a start begins with.
pub(crate) struct Start {
    pub(crate) journal: Journal,
    pub(crate) contents: Contents,
}

/// The copy on disk, if there is to be one and it can be had. Reads the whole file: some milliseconds for each
/// thousand secrets.
pub(crate) fn open(config: &VaultConfig) -> Option<Start> {
    let settings = config.disk.as_ref()?;
    match try_open(settings, config) {
        Ok(start) => Some(start),
        Err(problem) => {
            let file = settings.file.display();
            tracing::error!(%file, %problem, "no cache on disk: it is neither read nor written");
            None
        }
    }
}

fn try_open(settings: &DiskSettings, config: &VaultConfig) -> Result<Start, String> {
    let material = key::read(&settings.key, &config.auth)?;
    let owner = owner(config)?;
    let opened = CacheFile::open(&settings.file, material, owner).map_err(|error| error.to_string())?;
    let Opened { file, contents, flaw } = opened;
    if let Some(flaw) = flaw {
        let (path, kept_as) = (file.path().display(), place::aside(file.path()));
        tracing::warn!(
            file = %path, reason = %flaw, kept_as = %kept_as.display(),
            "the cache on disk cannot be used; beginning with an empty one"
        );
    }
    let keys = contents.secrets.keys().cloned();
    let by_secret_id = settings.key == KeySource::SecretId;
    let journal = Journal::new(file, keys, config.cache_capacity, by_secret_id);
    Ok(Start { journal, contents })
}

/// Whose cache it is: who logs in, where, in which namespace. A file of anyone else is not read. Only its check value
/// is written anywhere.
fn owner(config: &VaultConfig) -> Result<Vec<u8>, String> {
    let mut addresses: Vec<String> = config.addresses.iter().map(ToString::to_string).collect();
    addresses.sort_unstable();
    let mut owner = Vec::new();
    let mut add = |part: &str| {
        owner.extend_from_slice(&(part.len() as u64).to_le_bytes());
        owner.extend_from_slice(part.as_bytes());
    };
    add(&addresses.join(","));
    add(config.namespace.as_deref().unwrap_or_default());
    add(config.auth.name());
    match &config.auth {
        // The token is all that is known of who that is.
        AuthSettings::Token { token } => add(read(&token.clone().unwrap_or_else(home_token))?.expose()),
        AuthSettings::AppRole { role_id, mount, .. } => {
            add(mount.as_deref().unwrap_or_default());
            add(read(role_id)?.expose());
        }
        AuthSettings::Userpass { username, mount, .. } => {
            add(mount.as_deref().unwrap_or_default());
            add(username);
        }
        AuthSettings::Kubernetes { role, mount, .. } | AuthSettings::Jwt { role, mount, .. } => {
            add(mount.as_deref().unwrap_or_default());
            add(role);
        }
        AuthSettings::Cert { role, mount } => {
            add(mount.as_deref().unwrap_or_default());
            add(role.as_deref().unwrap_or_default());
            let certificate = config.tls.client_cert.as_deref().map(|path| path.display().to_string());
            add(&certificate.unwrap_or_default());
        }
    }
    Ok(owner)
}

fn read(credential: &Credential) -> Result<SecretString, String> {
    match credential {
        Credential::Value(value) => Ok(value.expose().trim().into()),
        Credential::File(path) => match std::fs::read_to_string(path) {
            Ok(content) => Ok(SecretString::from(content.trim())),
            Err(error) => Err(format!("{}: {error}", path.display())),
        },
        _ => Err("the credentials come from where they cannot be read".to_owned()),
    }
}
