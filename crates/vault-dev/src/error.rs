//! What can go wrong with the development server itself.

use std::io;
use std::net::SocketAddr;

/// Why something could not be started or set up. What a *client* does wrong is answered over HTTP instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is not a loopback address.
    #[error(
        "{0} is not a loopback address: this server is for development only, it has a well-known root token and no \
         TLS, and whoever reaches it owns it; use 127.0.0.1"
    )]
    NotLoopback(SocketAddr),
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// There is no PostgreSQL on this machine.
    #[error(
        "PostgreSQL is not installed: neither PATH nor /usr/lib/postgresql/*/bin has `initdb` and `postgres`; install \
         it, for example with `apt-get install postgresql`"
    )]
    NoPostgres,
    /// PostgreSQL did not do what it should. The message says what.
    #[error("{0}")]
    Postgres(String),
    /// The Vault that the example was to be set up in could not be reached, or refused.
    #[error("could not set up the example in Vault: {0}")]
    Example(String),
}
