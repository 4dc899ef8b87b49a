//! A throw-away PostgreSQL: a real one, for tests and demonstrations.

mod cluster;
mod install;
mod server;

pub use cluster::Cluster;
