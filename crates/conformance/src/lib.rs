//! One suite, run on two servers: `vault-dev` and a real Vault, each with a real PostgreSQL.
//!
//! It keeps the development server honest: what the suite says of Vault holds for both, to the letter of Vault's
//! messages. Where they differ, `vault-dev` is wrong.
//!
//! | | |
//! |---|---|
//! | [`run`] | the whole suite on one [`Target`]: what the two test targets call |
//! | `cases` | the tests, one file for each part of Vault or of the layers above it |
//! | `corner` | what a test is given: a server, and names on it that no other test uses |
//! | `server` | starting, freezing, sealing and killing either server |
//! | `postgres` | the database that both servers make users in |
//! | `like` | comparing JSON that has times and ids in it |
//! | `held_up` | telling a failure from a machine that was too busy |
//! | `runner` | arguments, concurrency, time limits, the report |
//!
//! Other tests against a real Vault start it by what is public here, too.
//!
//! To add a test, write an `async fn name(corner: Corner)` into a file of `cases` and its name into the list at the
//! file's top. It fails by panicking.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::missing_panics_doc,
    clippy::large_enum_variant,
    reason = "all of this crate is a test"
)]

mod cases;
mod command;
mod corner;
mod eventually;
mod held_up;
mod like;
mod postgres;
mod runner;
mod server;

pub use eventually::{eventually, eventually_within};
pub use held_up::unless_held_up;
pub use runner::run;
pub use server::{Keys, NoVault, RealVault, Target, real_vault};
