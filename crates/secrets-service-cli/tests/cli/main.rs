//! The real binary against a development Vault in this process: every command, every exit code, every format.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

mod api_key;
mod check;
mod database;
mod dev;
mod exit_codes;
mod get;
mod leaks;
mod put;
mod run;
mod support;
mod terminal;
mod usage;
