//! A [`SecretsService`] for the length of one command.

use std::path::Path;

use secrets_service::{OnClose, ResilientVaultClient, SecretsService, ServiceConfig};

use crate::agent::config::way;
use crate::failure::Failure;
use crate::notice;
use crate::signals::Signals;

/// What a command leaves behind when it is done.
pub(crate) struct Done<T> {
    pub(crate) value: T,
    /// [`OnClose::Keep`] if what was handed out hangs on a lease or on our login.
    pub(crate) on_close: OnClose,
}

impl<T> Done<T> {
    /// Nothing of Vault's is needed any more.
    pub(crate) fn with(value: T) -> Self {
        Self { value, on_close: OnClose::Revoke }
    }
}

/// With the settings of the environment, and where that says nothing about the way to Vault, of the file's `[vault]`.
pub(crate) fn open(file: Option<&Path>) -> Result<SecretsService, Failure> {
    let Some(file) = file else { return Ok(SecretsService::from_environment()?) };
    let vault = way::vault_config(file).map_err(|problems| {
        let lines = problems.iter().map(|problem| format!("{}: {}", problem.place, problem.what));
        Failure::usage(lines.collect::<Vec<_>>().join("\nerror: "))
    })?;
    Ok(SecretsService::new(ResilientVaultClient::new(&vault)?, ServiceConfig::from_environment()?))
}

/// Does `work`; then leases and the login that were made for it are revoked, however it ended, unless they were
/// handed out. A signal ends it early.
pub(crate) async fn for_one_command<T>(
    work: impl AsyncFnOnce(&SecretsService) -> Result<Done<T>, Failure>,
) -> Result<T, Failure> {
    let service = SecretsService::from_environment()?;
    let mut signals = Signals::ending()?;
    let waiting_for = waiting_for(&service);
    let work = notice::with_progress(&waiting_for, Box::pin(work(&service)));
    let result = signals.unless(work).await;
    close(&service, result).await
}

/// Ends the service in the way that the result asks for.
pub(crate) async fn close<T>(
    service: &SecretsService,
    result: Result<Done<T>, Failure>,
) -> Result<T, Failure> {
    let (result, on_close) = match result {
        Ok(done) => (Ok(done.value), done.on_close),
        Err(failure) => (Err(failure), OnClose::Revoke),
    };
    // What was asked for is done, or has failed for a reason of its own: this does not change how it ends.
    if let Err(error) = service.close(on_close).await {
        tracing::warn!(%error, "could not tidy up in Vault");
    }
    result
}

/// "Vault (http://127.0.0.1:8200)"
pub(crate) fn waiting_for(service: &SecretsService) -> String {
    let addresses: Vec<_> = service.vault().vault().addresses().iter().map(ToString::to_string).collect();
    format!("Vault ({})", addresses.join(", "))
}
