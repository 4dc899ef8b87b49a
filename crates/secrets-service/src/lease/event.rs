//! What happens to leases, for logs, metrics and pools. Paths and lease ids, never a value.

use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::error::Error;

/// So many events wait for a listener that is slow; then it misses the oldest, and is told so.
pub(crate) const EVENTS_KEPT: usize = 256;

/// Something happened to a lease (or to a static role's password).
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct LeaseEvent {
    /// The path that it was read from, such as `database/creds/myapp`.
    pub path: String,
    /// What happened.
    pub change: LeaseChange,
}

/// What happened to a lease.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub enum LeaseChange {
    /// The same lease lives on.
    Renewed {
        /// Its id.
        lease: String,
        /// Until its new end.
        ends_in: Duration,
    },
    /// There is a new credential. The old one still works until its end (a static role's old password does not).
    Rotated {
        /// The lease that was; `None` for a static role.
        old: Option<String>,
        /// The lease that is.
        new: Option<String>,
        /// Until the old one ends.
        old_ends_in: Duration,
    },
    /// About to end, and neither renewed nor replaced so far.
    Expiring {
        /// Until its end.
        ends_in: Duration,
        /// Why the last attempt failed, if one was made.
        reason: Option<Error>,
    },
    /// Ended, revoked or denied, with nothing in its place.
    Lost {
        /// Why there is no other; `None` if nobody has asked for it in its last life.
        reason: Option<Error>,
    },
    /// After `Expiring` or `Lost`: there is a credential with a life before it again.
    Recovered {
        /// Since the first of those events.
        after: Duration,
    },
    /// The listener was too slow for this many events.
    Missed(u64),
}

impl LeaseChange {
    /// A stable word for logs and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Renewed { .. } => "renewed",
            Self::Rotated { .. } => "rotated",
            Self::Expiring { .. } => "expiring",
            Self::Lost { .. } => "lost",
            Self::Recovered { .. } => "recovered",
            Self::Missed(_) => "missed",
        }
    }
}

/// A lease that is kept alive, as it stands now. No value.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct LeaseStatus {
    /// The path that it was read from, such as `database/creds/myapp`.
    pub path: String,
    /// Its id; `None` for a static role that a handle waits on.
    pub lease: Option<String>,
    /// Whether Vault extends it on request.
    pub renewable: bool,
    /// Until its end (for a static role: until the password changes); zero if that has passed.
    pub ends_in: Duration,
    /// Attempts in a row to renew or replace it that failed.
    pub failures: u32,
    /// Why the last attempt failed, if none has succeeded since.
    pub last_error: Option<Error>,
    /// Whether someone holds a [`RotatingCredentials`](super::RotatingCredentials) of it.
    pub watched: bool,
}

/// A listener to what happens to a client's leases, from the moment it was made.
#[derive(Debug)]
pub struct LeaseEvents {
    receiver: broadcast::Receiver<LeaseEvent>,
}

impl LeaseEvents {
    pub(crate) fn new(receiver: broadcast::Receiver<LeaseEvent>) -> Self {
        Self { receiver }
    }

    /// The next event; `None` once the client is gone.
    pub async fn next(&mut self) -> Option<LeaseEvent> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => {
                Some(LeaseEvent { path: String::new(), change: LeaseChange::Missed(missed) })
            }
            Err(RecvError::Closed) => None,
        }
    }
}
