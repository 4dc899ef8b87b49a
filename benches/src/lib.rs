//! What the benchmarks share: a minimal Vault that answers at the speed of a socket, and the arithmetic of
//! comparing things on a machine whose speed drifts (paired rounds, medians of ratios).
#![allow(clippy::print_stdout, reason = "benchmarks print their results")]

pub mod agent;
pub mod fake_vault;
pub mod fleet;
pub mod measure;
pub mod real_vault;

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use gds_vault::{Address, Credential, SecretString};
use secrets_service::{AuthSettings, ResilientVaultClient, VaultConfig};

/// A client of the fake Vault, with the defaults but for the capacity.
pub fn client(address: &str, capacity: usize) -> anyhow::Result<ResilientVaultClient> {
    let token = Some(Credential::Value(SecretString::new("root")));
    let mut config = VaultConfig::new(Address::parse(address)?, AuthSettings::Token { token });
    config.cache_capacity = capacity;
    Ok(ResilientVaultClient::new(&config)?)
}

/// The path of the secret number `n`.
pub fn path(n: usize) -> String {
    format!("secret/app-{}/config-{n}", n % 97)
}

/// The command, built with optimisation (and stripped) by cargo so that it is the one of this tree.
pub fn release_binary() -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--quiet", "-p", "secrets-service-cli"])
        .status()
        .context("running cargo")?;
    anyhow::ensure!(built.success(), "the command does not build");
    let own = std::env::current_exe()?;
    let release = own.ancestors().find(|folder| folder.ends_with("release"));
    Ok(release.context("this runs from target/release")?.join("secrets-service"))
}
