//! Are the settings right? Makes no request.

use secrets_service::config::{SECRET_VARIABLES, VARIABLES};
use secrets_service::gds_vault::{Address, Credential};
use secrets_service::{AuthSettings, ConfigError, SecretIdSource, ServiceConfig, VaultConfig};

use super::report::Report;
use super::typos;
use crate::failure::{Exit, Failure};

/// Settings without a problem.
pub(super) struct Settings {
    pub(super) vault: VaultConfig,
    pub(super) service: ServiceConfig,
}

/// Tells all that is wrong; `None` if Vault cannot be asked with these settings.
pub(super) async fn check(report: &mut Report) -> Result<Option<Settings>, Failure> {
    typos(report)?;
    let vault = told(report, VaultConfig::from_environment())?;
    let service = told(report, ServiceConfig::from_environment())?;
    let Some(vault) = vault else { return Ok(None) };
    let transport = told(report, vault.vault_client().map(drop))?;
    let readable = credentials(report, &vault.auth).await?;
    remarks(&vault)?;
    let Some((service, ())) = service.zip(transport).filter(|_| readable) else { return Ok(None) };
    let addresses: Vec<_> = vault.addresses.iter().map(ToString::to_string).collect();
    Report::ok("settings", format!("Vault at {}, login by {}", addresses.join(", "), vault.auth.name()))?;
    Ok(Some(Settings { vault, service }))
}

fn told<T>(report: &mut Report, result: Result<T, ConfigError>) -> Result<Option<T>, Failure> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            for problem in error.problems() {
                report.problem(Exit::Usage, &problem.variable, &problem.what)?;
            }
            Ok(None)
        }
    }
}

fn typos(report: &mut Report) -> Result<(), Failure> {
    let mut known: Vec<String> = VARIABLES.iter().map(|(name, _)| (*name).to_owned()).collect();
    known.extend(SECRET_VARIABLES.iter().map(|name| format!("{name}_FILE")));
    let set = std::env::vars_os().filter(|(_, value)| !value.is_empty());
    let mut set: Vec<String> = set.filter_map(|(name, _)| name.into_string().ok()).collect();
    set.sort_unstable();
    for name in set {
        if let Some(meant) = typos::meant(&name, &known) {
            report.problem(Exit::Usage, &name, format!("is not a setting; is {meant} meant?"))?;
        }
    }
    Ok(())
}

/// Files are there, as the settings were found right; but can they be read, and do they hold anything?
async fn credentials(report: &mut Report, auth: &AuthSettings) -> Result<bool, Failure> {
    let mut all_readable = true;
    for (variable, credential) in named_credentials(auth) {
        if let Err(error) = credential.read().await {
            all_readable = false;
            report.problem(Exit::Usage, variable, error.to_string())?;
        }
    }
    Ok(all_readable)
}

fn named_credentials(auth: &AuthSettings) -> Vec<(&'static str, &Credential)> {
    match auth {
        AuthSettings::Token { token } => token.iter().map(|token| ("VAULT_TOKEN", token)).collect(),
        AuthSettings::AppRole { role_id, secret_id, .. } => {
            let secret_id = match secret_id {
                SecretIdSource::None => None,
                SecretIdSource::Plain(credential) => Some(("VAULT_SECRET_ID", credential)),
                SecretIdSource::Wrapped(credential) => Some(("VAULT_WRAPPED_SECRET_ID", credential)),
            };
            [Some(("VAULT_ROLE_ID", role_id)), secret_id].into_iter().flatten().collect()
        }
        AuthSettings::Userpass { password, .. } => vec![("VAULT_PASSWORD", password)],
        AuthSettings::Jwt { jwt, .. } => vec![("VAULT_JWT", jwt)],
        _ => Vec::new(),
    }
}

fn remarks(vault: &VaultConfig) -> Result<(), Failure> {
    if vault.tls.skip_verify {
        Report::note(
            "VAULT_SKIP_VERIFY",
            "certificates are not verified: anyone in between can read every secret",
        )?;
    }
    for address in vault.addresses.iter().filter(|address| !address.is_https() && !is_loopback(address)) {
        Report::note(
            "VAULT_ADDR",
            format!("{address} is not https: anyone in between can read every secret"),
        )?;
    }
    Ok(())
}

fn is_loopback(address: &Address) -> bool {
    let host = address.host().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
