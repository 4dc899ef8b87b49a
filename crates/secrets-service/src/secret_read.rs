//! What a read returns: the secret, and how far it may be trusted to be current.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// What the cache keeps: the secret, and what it hangs on.
#[derive(Debug, Clone)]
pub(crate) struct CachedSecret {
    pub(crate) secret: Secret,
    /// `None` for a secret without a lease.
    pub(crate) hold: Option<Hold>,
}

/// What a leased secret hangs on.
#[derive(Debug)]
pub(crate) struct Hold {
    /// The login whose end is also the lease's end.
    pub(crate) generation: u64,
    /// When Vault made or last renewed the lease.
    pub(crate) granted_at: Instant,
    /// Whether it was read when a good part of that grant had passed. Only ever set: a hit must not write to memory
    /// that other threads read.
    used: AtomicBool,
}

impl Hold {
    pub(crate) fn new(generation: u64, granted_at: Instant) -> Self {
        Self { generation, granted_at, used: AtomicBool::new(false) }
    }
}

impl Clone for Hold {
    fn clone(&self) -> Self {
        Self { used: AtomicBool::new(self.used.load(Ordering::Relaxed)), ..*self }
    }
}

impl CachedSecret {
    /// The login whose end is also this secret's end.
    pub(crate) fn bound_to(&self) -> Option<u64> {
        self.hold.as_ref().map(|hold| hold.generation)
    }

    /// Somebody reads this lease, so there should be another one when it ends. Says whether it is a lease.
    pub(crate) fn use_lease(&self) -> bool {
        if let Some(hold) = &self.hold
            && !hold.used.load(Ordering::Relaxed)
        {
            hold.used.store(true, Ordering::Relaxed);
        }
        self.hold.is_some()
    }

    pub(crate) fn was_used(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.used.load(Ordering::Relaxed))
    }
}

impl SecretRead {
    #[inline]
    pub(crate) fn new(entry: Entry<CachedSecret>, origin: Origin) -> Self {
        Self { entry, origin, reason: None }
    }

    pub(crate) fn entry(&self) -> &Entry<CachedSecret> {
        &self.entry
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
