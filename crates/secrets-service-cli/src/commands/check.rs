//! `secrets-service check`: everything that would go wrong, before it does.
//!
//! One file per question: `config.rs` are the settings right, `servers.rs` is Vault there, `access.rs` may we do
//! what the service does, `report.rs` how it is told. `agent.rs` is about the agent's configuration instead.

mod access;
mod agent;
mod config;
mod report;
mod servers;
mod templates;
mod typos;

use clap::Args;
use secrets_service::{ResilientVaultClient, SecretsService};

use self::report::Report;
use crate::failure::{Exit, Failure};
use crate::notice;
use crate::service::{Done, close};
use crate::signals::Signals;

/// Find every problem of this configuration, and name them all.
///
/// Looks at the settings (and at variables that look like misspelt ones), at each address, logs in, and asks whether
/// the login may do what the service does: read the config secret, the API keys and database credentials. Writes
/// nothing, and makes no database user unless asked to. The login is revoked afterwards; it uses up one use of
/// a secret_id.
#[derive(Args)]
#[command(after_help = "\
Examples:
  secrets-service check --offline      in continuous integration: settings only, no request
  secrets-service check                before a start
  secrets-service check --credentials  makes a database user as well, and revokes it
  secrets-service check --config FILE  the agent's configuration, [run] and [[template]], without a request

One line per finding: ok, note (worth knowing, no failure), problem, or skipped (cannot be asked because of \
a problem above). The exit code is that of the problem to mend first: 2 settings, 5 Vault unavailable, 3 login \
refused, 6 permission denied, 4 not found, 1 anything else.")]
pub(crate) struct CheckArgs {
    /// Look at the settings only; make no request.
    #[arg(long)]
    offline: bool,
    /// Also make a database user, and revoke it.
    #[arg(long, conflicts_with = "offline")]
    credentials: bool,
    /// Look at this file instead, offline: the agent's configuration, what `run` and `render` are to do, and the
    /// templates. Problems are told with file and line.
    #[arg(long, value_name = "FILE", conflicts_with = "credentials")]
    config: Option<std::path::PathBuf>,
}

pub(crate) async fn run(args: &CheckArgs) -> Result<Exit, Failure> {
    let mut report = Report::default();
    if let Some(file) = &args.config {
        for (place, what) in crate::import::left_to_do(file) {
            Report::note(&place, what)?;
        }
        if templates::check(&mut report, file)? {
            agent::check(&mut report, file)?;
        }
        return report.finish();
    }
    let settings = config::check(&mut report).await?;
    match settings {
        Some(settings) if !args.offline => {
            let mut signals = Signals::ending()?;
            // The service that is being checked for may be running, and has the cache on disk to itself.
            let mut without_disk = settings.vault.clone();
            without_disk.disk = None;
            let vault = ResilientVaultClient::new(&without_disk)?;
            let service = SecretsService::new(vault, settings.service.clone());
            let work = Box::pin(async {
                if servers::check(&mut report, &settings.vault).await? {
                    access::check(&mut report, &settings, &service, args.credentials).await?;
                } else {
                    Report::skipped("login and permissions", "no server is ready")?;
                }
                Ok(Done::with(()))
            });
            let waiting_for = crate::service::waiting_for(&service);
            let result = signals.unless(notice::with_progress(&waiting_for, work)).await;
            close(&service, result).await?;
        }
        None if !args.offline => Report::skipped("Vault", "it is not known where it is, or how to log in")?,
        _ => {}
    }
    report.finish()
}
