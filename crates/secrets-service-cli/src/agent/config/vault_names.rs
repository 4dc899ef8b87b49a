//! What the variables of the way to Vault are called in the file.

use secrets_service::config::{SECRET_VARIABLES, VARIABLES};

use super::options::alike;

/// The settings of the way to Vault, as the file names them: `VAULT_CACHE_TTL_SECONDS` is `cache_ttl_seconds`.
pub(super) struct VaultNames {
    names: Vec<(String, String)>,
}

/// `VAULT_CACERT` is `cacert` there, and `SECRETS_CACHE_FILE`, which is about the same cache as
/// `VAULT_CACHE_TTL_SECONDS`, is `cache_file`.
fn short(variable: &str) -> Option<&str> {
    let of_the_cache = |name: &&str| name.starts_with("CACHE_");
    variable.strip_prefix("VAULT_").or_else(|| variable.strip_prefix("SECRETS_").filter(of_the_cache))
}

/// What the agent has no use for.
const NOT_HERE: [&str; 2] = ["VAULT_MOUNT_POINT", "VAULT_DATABASE_MOUNT"];

impl VaultNames {
    pub(super) fn new() -> Self {
        let plain = VARIABLES.iter().map(|(name, _)| (*name).to_owned());
        let plain = plain.filter(|name| !SECRET_VARIABLES.contains(&name.as_str()));
        let files = SECRET_VARIABLES.iter().map(|name| format!("{name}_FILE"));
        let all = plain.chain(files).filter(|name| !NOT_HERE.contains(&name.as_str()));
        let named = all.filter_map(|name| Some((short(&name)?.to_ascii_lowercase(), name.clone())));
        Self { names: named.collect() }
    }

    /// The key of a variable, if it may stand in the file.
    pub(super) fn key(&self, variable: &str) -> Option<String> {
        let found = self.names.iter().find(|(_, name)| name == variable);
        found.map(|(key, _)| key.clone())
    }

    /// All, as key and variable.
    pub(super) fn all(&self) -> &[(String, String)] {
        &self.names
    }

    pub(super) fn check(&self, key: &str) -> Result<(), String> {
        if self.names.iter().any(|(known, _)| known == key) {
            return Ok(());
        }
        let secret = format!("VAULT_{}", key.to_ascii_uppercase());
        if SECRET_VARIABLES.contains(&secret.as_str()) {
            return Err(format!(
                "a secret does not belong in this file; name a file with it: vault.{key}_file"
            ));
        }
        Err(match self.names.iter().find(|(known, _)| alike(known, key)) {
            Some((meant, _)) => format!("there is no option vault.{key}; is vault.{meant} meant?"),
            None => format!("there is no option vault.{key}"),
        })
    }
}
