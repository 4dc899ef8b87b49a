//! The client against servers that misbehave on demand, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what went wrong by panicking; clippy only knows functions marked as tests"
)]

mod auth;
mod bodies;
mod classification;
mod connections;
mod credentials;
mod engines;
mod failover;
mod kv;
mod logs;
mod mounts;
mod redirects;
mod requests;
mod secrecy;
mod support;
mod sys;
mod tls;
