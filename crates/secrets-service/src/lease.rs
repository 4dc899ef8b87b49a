//! Credentials that never run out: each lease and the login token are renewed in time, replaced before they end, and
//! given up only when nobody wants them.
//!
//! Three parts, apart so that each can be read and tested alone:
//!
//! - [`engine`]: *when* something is due. Pure state: no clock, no input or output.
//! - [`event`]: *what happened*, for those who want to know.
//! - [`rotating`]: a handle on credentials that change, for connection pools.
//!
//! `keeper.rs` is what this client knows of its leases; the task that acts on it is in `vault_client/keep.rs`.

pub mod engine;
pub mod event;
pub(crate) mod keeper;
pub mod rotating;

pub use event::{LeaseChange, LeaseEvent, LeaseEvents, LeaseStatus};
pub use rotating::{RotatingCredentials, Rotation};
