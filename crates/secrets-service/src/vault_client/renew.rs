//! Leases that are still being read are renewed at two thirds of their time.
//!
//! Source: Vault's documentation, "Lease, renew, and revoke".

use std::time::Duration;

use gds_vault::ErrorKind as Vault;
use tokio::time::Instant;

use super::fetch::Place;
use super::{FetchResult, Shared};
use crate::cache::{Entry, LONGEST, Lifetime};
use crate::key::Key;
use crate::renewal;
use crate::secret_read::CachedSecret;
use crate::session::Login;
use crate::upstream::{Operation, Repeat};

/// What came of an attempt to renew.
pub(super) enum Renewal {
    /// It has no lease, or one that cannot be renewed, or one of an earlier login.
    NoLease,
    /// Vault will not renew it, or not for long.
    AtItsEnd,
    /// Renewed; or it could not be tried.
    Done(FetchResult),
}

impl Shared {
    pub(super) async fn renew(&self, place: &Place, key: &Key, entry: &Entry<CachedSecret>) -> Renewal {
        let cached = entry.value();
        let Some(lease) = cached.secret.lease().filter(|lease| lease.renewable) else {
            return Renewal::NoLease;
        };
        if cached.bound_to != self.session.current().map(|login| login.generation) {
            return Renewal::NoLease;
        }
        let operation = Operation {
            name: "renew",
            path: key.path(),
            mount: &place.mount,
            repeat: Repeat::Safe,
            deadline: Instant::now() + self.read_deadline,
        };
        let (id, wanted) = (lease.id.as_str(), Some(lease.duration));
        let renewed =
            self.with_login(operation, || async move { self.client.leases().renew(id, wanted).await }).await;
        match renewed {
            Ok((answer, login)) => {
                let granted = answer.lease().map_or(Duration::ZERO, |lease| lease.duration);
                if renewal::is_shortened(granted, lease.duration) {
                    // A new credential is made while the old one still works for those who hold it.
                    return Renewal::AtItsEnd;
                }
                let now = Instant::now();
                let lifetime =
                    Lifetime { fetched_at: entry.lifetime().fetched_at, ..leased(granted, &login, now) };
                self.leases.add(id, lifetime.stale_until, now);
                Renewal::Done(Ok(Entry::new(key.as_str(), cached.clone(), lifetime)))
            }
            // 400 and 403: the lease is gone, or may not be renewed. A new one may still be had.
            Err(error) => match error.vault_error().map(gds_vault::Error::kind) {
                Some(Vault::BadRequest | Vault::PermissionDenied | Vault::NotFound) => Renewal::AtItsEnd,
                _ => Renewal::Done(Err(error)),
            },
        }
    }
}

/// The deadlines of a lease granted now. When the login's token ends, Vault revokes every lease made with it.
pub(super) fn leased(duration: Duration, login: &Login, now: Instant) -> Lifetime {
    let by_lease = now + duration.min(LONGEST);
    let end = login.expires_at().map_or(by_lease, |token_end| by_lease.min(token_end));
    let life = end.saturating_duration_since(now);
    Lifetime {
        fresh_until: end - margin(life),
        refresh_from: now + renewal::due_after(life),
        ..Lifetime::until(now, end)
    }
}

/// How long before a lease's end its credential is no longer handed out: a tenth of its life, at most a minute, so
/// that whoever gets it has time to open a connection with it.
fn margin(life: Duration) -> Duration {
    (life / 10).min(Duration::from_secs(60))
}
