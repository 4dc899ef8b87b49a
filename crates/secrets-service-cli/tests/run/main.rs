//! `run` and `render` on the real binary: templates, changes, signals, process 1.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

mod changes;
mod consul;
mod database;
mod documentation;
mod files;
mod import;
mod jinja;
mod leaks;
mod process_one;
mod program;
#[path = "../cli/support.rs"]
#[allow(dead_code, reason = "shared with the tests of the other commands")]
mod support;
mod terminal;
mod world;
