//! The agent as a real process, between its clients and a development Vault: named after what it proves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should panic"
)]

mod ask;
mod browser;
mod caching;
mod guards;
mod identities;
mod imported;
mod leases;
mod listeners;
mod openapi;
mod operations;
mod passing;
mod purging;
mod real_clients;
mod restarting;
mod status;
mod support;
#[cfg(feature = "otel")]
mod tracing;
mod ui;
