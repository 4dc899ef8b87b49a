//! [`ClientBuilder`].

use std::sync::Arc;
use std::time::Duration;

use super::{Client, Handle, TokenHeader};
use crate::address::Address;
use crate::error::Error;
use crate::secret_string::SecretString;
use crate::transport::{Limits, TlsConfig, Transport};

/// Sets up a [`Client`]. Only an address must be given.
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct ClientBuilder {
    addresses: Vec<Address>,
    namespace: Option<String>,
    token: Option<SecretString>,
    limits: Limits,
    tls: TlsConfig,
}

impl ClientBuilder {
    /// Adds a server.
    pub fn address(mut self, address: Address) -> Self {
        self.addresses.push(address);
        self
    }

    /// Adds servers of one cluster, the preferred one first. At most 32.
    ///
    /// A server that cannot be reached is passed over within the same request; one that answered as unavailable is
    /// asked last for the next 5 s.
    pub fn addresses(mut self, addresses: impl IntoIterator<Item = Address>) -> Self {
        self.addresses.extend(addresses);
        self
    }

    /// The namespace of all requests (Vault Enterprise, `OpenBao`). Default: the root namespace.
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// The token to begin with. Default: none.
    pub fn token(mut self, token: SecretString) -> Self {
        self.token = Some(token);
        self
    }

    /// Time for a connection, TLS included, to one server. Default 3 s: a first packet that was lost is sent again
    /// after 1 s; a host that is silent for three times that is dead. With several servers, a share of the
    /// request's time if that is less, so that a dead server leaves time for the others.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.limits.connect_timeout = timeout;
        self
    }

    /// Time for the whole of a request: connecting, redirects, the last byte of the answer. Default 10 s: longer
    /// than a slow database takes to create a user, shorter than most callers' own patience.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = timeout;
        self
    }

    /// Largest answer accepted, in bytes. Default 32 MiB: Vault's own limit for a request
    /// (`max_request_size`), so nothing that could be written is refused when read.
    pub fn max_response_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_response_bytes = bytes;
        self
    }

    /// Certificates and the like, for `https` addresses. Default: the system's certificate authorities.
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = tls;
        self
    }

    /// How long an unused connection is kept. Default 30 s: less than the 60 s after which common load balancers
    /// drop one without a word.
    pub fn pool_idle_timeout(mut self, timeout: Duration) -> Self {
        self.limits.pool_idle_timeout = timeout;
        self
    }

    /// Checks everything, reads the certificate files, and makes the client. Nothing is sent yet.
    ///
    /// Reads files, if there are any, with blocking calls: meant for the start of a program.
    pub fn build(self) -> Result<Client, Error> {
        let handle = Handle::new(self.namespace.as_deref(), self.token.map(TokenHeader::new));
        if let Some(namespace) = &handle.namespace {
            namespace.header()?;
        }
        let transport = Transport::new(self.addresses, &self.tls, self.limits)?;
        Ok(Client { transport: Arc::new(transport), handle: Arc::new(handle) })
    }
}
