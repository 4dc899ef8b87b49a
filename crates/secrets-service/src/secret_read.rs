//! What a read returns: the secret, and how far it may be trusted to be current.

use std::ops::Deref;
use std::time::Duration;

use gds_vault::Secret;
use tokio::time::Instant;

use crate::cache::Entry;
use crate::error::Error;

/// Where the value came from.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Asked of Vault for this read.
    Vault,
    /// From the cache, within its TTL.
    Cache,
    /// From the cache, past its TTL, because Vault is unavailable.
    Stale,
}

impl Origin {
    /// A stable word for logs, headers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vault => "vault",
            Self::Cache => "cache",
            Self::Stale => "stale",
        }
    }
}

/// A secret as read, with a label. Dereferences to [`Secret`]; cheap to clone.
#[derive(Debug, Clone)]
pub struct SecretRead {
    entry: Entry<CachedSecret>,
    origin: Origin,
    reason: Option<Error>,
}

/// What the cache keeps: the secret, and which login it depends on.
#[derive(Debug, Clone)]
pub(crate) struct CachedSecret {
    pub(crate) secret: Secret,
    /// The login whose end is also this secret's end (its lease hangs on the token); `None` for a static secret.
    pub(crate) bound_to: Option<u64>,
}

impl SecretRead {
    #[inline]
    pub(crate) fn new(entry: Entry<CachedSecret>, origin: Origin) -> Self {
        Self { entry, origin, reason: None }
    }

    pub(crate) fn stale(entry: Entry<CachedSecret>, reason: Error) -> Self {
        Self { entry, origin: Origin::Stale, reason: Some(reason) }
    }

    /// The secret itself.
    pub fn secret(&self) -> &Secret {
        &self.entry.value().secret
    }

    /// Where it came from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Past its TTL, and returned only because Vault is unavailable.
    pub fn is_stale(&self) -> bool {
        self.origin == Origin::Stale
    }

    /// Why a stale value was returned; `None` for any other.
    pub fn stale_reason(&self) -> Option<&Error> {
        self.reason.as_ref()
    }

    /// How long ago Vault gave it to us.
    pub fn age(&self) -> Duration {
        self.entry.age(Instant::now())
    }

    /// How long it stays fresh from now; zero for a stale one.
    pub fn fresh_for(&self) -> Duration {
        self.entry.lifetime().fresh_until.saturating_duration_since(Instant::now())
    }

    /// How long it may be returned at all from now, an outage included.
    pub fn usable_for(&self) -> Duration {
        self.entry.lifetime().stale_until.saturating_duration_since(Instant::now())
    }
}

impl Deref for SecretRead {
    type Target = Secret;

    fn deref(&self) -> &Secret {
        self.secret()
    }
}
