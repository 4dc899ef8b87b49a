//! Outages on demand.

mod admin;
mod guard;
mod raw;
mod registry;
mod rule;

pub use guard::FaultGuard;
pub use rule::{Fault, FaultRule};

pub(crate) use admin::{ADMIN, handle as handle_admin};
pub(crate) use raw::RawAct;
pub(crate) use registry::Faults;
