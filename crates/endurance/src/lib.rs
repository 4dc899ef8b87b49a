//! Long tests against a real Vault and a real PostgreSQL; short versions run with every `cargo test`.
//!
//! | | |
//! |---|---|
//! | [`Scale`] | short or long: `ENDURANCE=long` |
//! | [`RaftCluster`] | three nodes of a real Vault, whose leader can be killed |
//! | [`ha`] | a load on such a cluster, and what it sees while leaders are killed |
//! | [`rotation`] | a load on a database through pools whose credentials rotate |
//!
//! The tests are in `tests/`, and judge what is measured here. Figures are printed whether a test passes or not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "all of this crate is a test"
)]

mod cluster;
pub mod ha;
pub mod rotation;
mod scale;

pub use cluster::{RaftCluster, Timing};
pub use scale::{Scale, real_vault_or_skip, tell, unless_held_up};
