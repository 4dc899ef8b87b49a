//! A Vault-compatible development server with outages on demand.
//!
//! It speaks Vault's HTTP API (answers are compared with Vault 1.21's, request by request), keeps everything in
//! memory, and hands out real database credentials on a real PostgreSQL. Run it inside a test:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), vault_dev::Error> {
//! use vault_dev::{Fault, VaultDev};
//!
//! let vault = VaultDev::builder().start().await?;
//! // … point a client at vault.url() with vault.root_token() …
//! let outage = vault.fault(Fault::Refused).await;
//! // … nobody listens, as if Vault had crashed …
//! drop(outage);
//! # Ok(())
//! # }
//! ```
//!
//! Over HTTP the same is at `/vault-dev/v1/` (`faults`, `requests`, `clock`), outside of Vault's own paths.
//!
//! **For development only**: it binds to loopback addresses and to nothing else, has no TLS, and its root token is
//! no secret.

mod auth;
mod clock;
mod core;
mod engines;
mod error;
pub mod example;
mod faults;
mod go_duration;
mod json;
mod policy;
pub mod postgres;
mod random;
mod requests;
mod server;
mod sys;
mod vault_dev;

pub use error::Error;
pub use faults::{Fault, FaultGuard, FaultRule};
pub use requests::RequestRecord;
pub use vault_dev::{Builder, ShutdownReport, VaultDev};
