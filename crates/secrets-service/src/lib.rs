//! Secrets from HashiCorp Vault (or OpenBao) that keep working when Vault does not.
//!
//! This crate is policy: what to keep, for how long, when to ask again, when to stop asking, what to fall back
//! on. The mechanism, how to talk to Vault, is [`gds_vault`].
//!
//! Start with [`SecretsService`] (database access and API keys, set up by environment variables) or
//! [`ResilientVaultClient`] (any secret). A read is answered
//!
//! 1. from the cache while **fresh**, without a lock held across anything and without an allocation;
//! 2. else by one request for all who want the same secret, retried within a budget, behind a breaker;
//! 3. else, Vault being **unavailable**, by a **stale** value, labelled with its age, up to `max_stale`;
//! 4. never by a value that Vault has since denied or deleted.
//!
//! No secret reaches a log, an error or `Debug`: values are [`SecretString`]s, and `expose()` is the way out.

pub mod breaker;
pub mod cache;
pub mod config;
mod connection_string;
pub mod disk;
mod error;
pub mod flight;
#[cfg(test)]
mod flight_tests;
mod key;
pub mod lease;
mod patch;
mod path;
pub mod pool;
mod renewal;
pub mod retry;
mod secret_read;
mod service;
mod session;
mod stats;
mod sync;
mod upstream;
mod vault_client;

pub use config::{AuthSettings, ConfigError, SecretIdSource, ServiceConfig, VaultConfig};
pub use connection_string::DatabaseTarget;
pub use disk::{DiskSettings, DiskStatus, KeySource};
pub use error::{Error, ErrorKind};
pub use gds_vault::{self, SecretString};
pub use lease::{LeaseChange, LeaseEvent, LeaseEvents, LeaseStatus, RotatingCredentials, Rotation};
pub use patch::Patch;
pub use secret_read::{Origin, SecretRead};
pub use service::SecretsService;
pub use stats::StatsSnapshot;
pub use vault_client::{
    CachedEntry, DatabaseCredentials, GetSecret, OnClose, ReadOptions, ResilientVaultClient, Status,
};
