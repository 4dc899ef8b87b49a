//! Credentials that rotate under connection pools, at work.
//!
//! | | |
//! |---|---|
//! | [`Stage`] | a Vault (real or not), a real PostgreSQL, and roles with short lives |
//! | [`Pool`] | what is done through a pool, whichever it is: [`Sqlx`], [`Deadpool`] |
//! | [`DynamicRun`] | workers that query without pause while leases come and go |
//! | [`StaticRun`] | workers that log in without pause while a password changes |

mod dynamic_run;
mod load;
mod pools;
mod stage;
mod static_run;
mod witness;

pub use dynamic_run::{DynamicReport, DynamicRun};
pub use load::Work;
pub use pools::{Deadpool, Pool, Sqlx};
pub use stage::{Logins, STATIC_ROLE, Stage};
pub use static_run::{StaticReport, StaticRun};
pub use witness::Retired;
