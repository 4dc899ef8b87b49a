//! Is Vault there? Each address on its own: a cluster works with one of them, and that is how a dead one goes
//! unnoticed.

use secrets_service::VaultConfig;
use secrets_service::gds_vault::{self, Address, Health};
use tokio::task::JoinSet;

use super::report::Report;
use crate::failure::{Exit, Failure};

/// Tells how each server is; whether at least one can be worked with.
pub(super) async fn check(report: &mut Report, config: &VaultConfig) -> Result<bool, Failure> {
    let mut under_way = JoinSet::new();
    for (place, address) in config.addresses.iter().enumerate() {
        let mut config = config.clone();
        config.addresses = vec![address.clone()];
        let client = config.vault_client()?;
        let address = address.clone();
        under_way.spawn(async move { (place, address, client.sys().health().await) });
    }
    let mut answers = under_way.join_all().await;
    answers.sort_by_key(|(place, ..)| *place);
    let mut any = false;
    for (_, address, health) in answers {
        any |= tell(report, &address, health)?;
    }
    Ok(any)
}

fn tell(
    report: &mut Report,
    address: &Address,
    health: Result<Health, gds_vault::Error>,
) -> Result<bool, Failure> {
    let subject = address.to_string();
    let problem = match health {
        Err(error) => format!("{error}; check that Vault runs there and can be reached from here"),
        Ok(health) if !health.initialized => {
            "Vault is not initialised; `vault operator init` does it".to_owned()
        }
        Ok(health) if health.sealed => "Vault is sealed; someone with the keys must unseal it".to_owned(),
        Ok(health) => {
            let standby = if health.standby { ", a standby" } else { "" };
            Report::ok(&subject, format!("Vault {}{standby}", health.version))?;
            return Ok(true);
        }
    };
    report.problem(Exit::Unavailable, &subject, problem)?;
    Ok(false)
}
