//! May we do what the service does?

use std::collections::BTreeMap;

use secrets_service::gds_vault::{self, MountKind, SecretPath, TokenLookup};
use secrets_service::{ErrorKind, SecretsService};

use super::config::Settings;
use super::report::Report;
use crate::failure::{Exit, Failure};
use crate::notice;

/// What the token may do, by path; `None` if Vault would not tell.
type Capabilities = Option<BTreeMap<String, Vec<String>>>;

pub(super) async fn check(
    report: &mut Report,
    settings: &Settings,
    service: &SecretsService,
    make_credentials: bool,
) -> Result<(), Failure> {
    if let Err(error) = service.vault().log_in().await {
        report.error("login", &error)?;
        return Report::skipped("permissions", "there is no login to ask with");
    }
    let token = service.vault().vault().tokens().lookup_self().await;
    Report::ok("login", token.map_or_else(|_| "accepted".to_owned(), |token| describe(&token)))?;

    let config = &settings.service;
    let kv = [MountKind::Kv1, MountKind::Kv2];
    let mounts = Mounts { service, mount_point: settings.vault.mount_point.as_deref() };
    let config_path = mounts.find(report, &config.db_config_path, &kv, "KV").await?;
    let keys_path = mounts.find(report, &config.api_keys_path, &kv, "KV").await?;
    let credentials = format!("{}/creds/{}", settings.vault.database_mount, config.db_role);
    // What has no mount of its own would be looked for under the mount point, which is not what is meant here.
    let mounts = Mounts { service, mount_point: None };
    let credentials_path = mounts.find(report, &credentials, &[MountKind::Database], "database").await?;
    let paths = [&config_path, &keys_path, &credentials_path];
    let capabilities = capabilities(service, &paths.map(Option::as_deref)).await?;

    if let Some(path) = config_path
        && may(report, &capabilities, &path, "read")?
    {
        match service.check_database_config().await {
            Ok(()) => Report::ok(&config.db_config_path, "says where the database is")?,
            Err(error) => report.error(&config.db_config_path, &error)?,
        }
    }
    if let Some(path) = keys_path {
        api_keys(report, service, &capabilities, &path).await?;
    }
    if let Some(path) = credentials_path
        && may(report, &capabilities, &path, "read")?
    {
        if make_credentials {
            make_user(report, service).await?;
        } else {
            Report::ok(&path, "may be read; --credentials tries it")?;
        }
    }
    Ok(())
}

fn describe(token: &TokenLookup) -> String {
    let lifetime = if token.ttl.is_zero() {
        "never ends".to_owned()
    } else {
        let renewable = if token.renewable { "" } else { ", not renewable" };
        format!("ends in {}{renewable}", notice::spoken(token.ttl))
    };
    format!("as {}, policies {}; the token {lifetime}", token.display_name, token.policies.join(", "))
}

struct Mounts<'a> {
    service: &'a SecretsService,
    mount_point: Option<&'a str>,
}

impl Mounts<'_> {
    /// The path as policies have it, if it is in a mount of one of the kinds.
    async fn find(
        &self,
        report: &mut Report,
        path: &str,
        kinds: &[MountKind],
        engine: &str,
    ) -> Result<Option<String>, Failure> {
        match self.resolve(path).await {
            Ok(found) if kinds.contains(&found.kind) => Ok(Some(found.api_path())),
            Ok(found) => {
                let what = format!("the mount {}/ is not a {engine} engine", found.mount);
                report.problem(Exit::Other, path, what)?;
                Ok(None)
            }
            Err(error) => {
                let what = format!("is there such a mount, and may this login see it? {error}");
                report.problem(ErrorKind::of(error.kind()).into(), path, what)?;
                Ok(None)
            }
        }
    }

    async fn resolve<'p>(&self, path: &'p str) -> Result<SecretPath<'p>, gds_vault::Error> {
        self.service.vault().vault().mounts().resolve(path, self.mount_point).await
    }
}

async fn capabilities(service: &SecretsService, paths: &[Option<&str>]) -> Result<Capabilities, Failure> {
    let paths: Vec<_> = paths.iter().copied().flatten().collect();
    if paths.is_empty() {
        return Ok(None);
    }
    match service.vault().vault().sys().capabilities_self(&paths).await {
        Ok(capabilities) => Ok(Some(capabilities)),
        Err(error) => {
            Report::note("permissions", format!("Vault does not tell them, so they are tried: {error}"))?;
            Ok(None)
        }
    }
}

/// Whether the token may; if it is not known, yes, and the attempt will tell.
fn may(report: &mut Report, capabilities: &Capabilities, path: &str, what: &str) -> Result<bool, Failure> {
    let allowed = allows(capabilities, path, what);
    if !allowed {
        let problem = format!("the policies do not allow \"{what}\" on {path}; ask for one that does");
        report.problem(Exit::PermissionDenied, path, problem)?;
    }
    Ok(allowed)
}

fn allows(capabilities: &Capabilities, path: &str, what: &str) -> bool {
    let listed = capabilities.as_ref().and_then(|all| all.get(path));
    listed.is_none_or(|list| list.iter().any(|word| word == what || word == "root"))
}

async fn api_keys(
    report: &mut Report,
    service: &SecretsService,
    capabilities: &Capabilities,
    api_path: &str,
) -> Result<(), Failure> {
    let path = &service.config().api_keys_path;
    if may(report, capabilities, api_path, "read")? {
        match service.vault().get_secret(path).await {
            Ok(read) => {
                let names: Vec<_> = read.data().names().collect();
                let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                Report::ok(path, format!("API keys: {}", crate::output::shown(&names)))?;
            }
            Err(error) => report.error(path, &error)?,
        }
    }
    let missing: Vec<_> =
        ["create", "update"].into_iter().filter(|what| !allows(capabilities, api_path, what)).collect();
    if !missing.is_empty() {
        let missing = missing.join(" and ");
        Report::note(path, format!("the policies do not allow {missing}, so `api-key set` will not work"))?;
    }
    Ok(())
}

async fn make_user(report: &mut Report, service: &SecretsService) -> Result<(), Failure> {
    let role = &service.config().db_role;
    match service.vault().get_database_credentials(role).await {
        Ok(credentials) => {
            let life = notice::spoken(credentials.usable_for());
            Report::ok(role, format!("Vault made the database user {} for {life}", credentials.username()))
        }
        Err(error) => report.error(role, &error),
    }
}
