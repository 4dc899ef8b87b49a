//! Secrets engines. To add one, implement `Engine` and name it in `sys::mounts`.

mod cubbyhole;
mod database;
mod folders;
mod kv1;
mod kv2;
mod relative;

pub(crate) use cubbyhole::Cubbyhole;
pub(crate) use database::{Database, complaint};
pub(crate) use kv1::Kv1;
pub(crate) use kv2::Kv2;
