//! The server as its clients see it: over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

mod approle;
mod cluster;
mod database;
mod example;
mod faults;
mod kv;
mod leases;
mod namespaces;
mod static_roles;
mod support;
mod sys;
mod tokens;
mod userpass;
mod wrapping;
