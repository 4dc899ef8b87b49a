//! One attempt to renew a lease. When it is made is the lease keeper's business.
//!
//! Source: Vault's documentation, "Lease, renew, and revoke".

use std::sync::Arc;
use std::time::Duration;

use gds_vault::ErrorKind as Vault;
use tokio::time::Instant;

use super::Shared;
use super::fetch::Place;
use crate::cache::{Entry, LONGEST, Lifetime};
use crate::error::Error;
use crate::key::Key;
use crate::lease::engine::margin;
use crate::renewal;
use crate::secret_read::{CachedSecret, Hold};
use crate::session::Login;
use crate::upstream::{Operation, Repeat};

/// What came of an attempt to renew.
pub(super) enum Renewal {
    /// The lease lives on.
    Renewed(Entry<CachedSecret>),
    /// It could not be tried, or got no answer.
    Failed(Error),
    /// Vault does not renew this one, whoever asks whenever; until its end it is as good as any.
    NotRenewable,
    /// It will soon reach its max_ttl: this is what is left of it.
    NearItsEnd(Entry<CachedSecret>),
    /// It has been revoked, or it hangs on an earlier login.
    Gone,
}

impl Shared {
    pub(super) async fn renew(
        self: &Arc<Self>,
        place: &Place,
        key: &Key,
        entry: &Entry<CachedSecret>,
    ) -> Renewal {
        let cached = entry.value();
        let Some(lease) = cached.secret.lease().filter(|lease| lease.renewable) else {
            return Renewal::NotRenewable;
        };
        if cached.bound_to() != self.session.current().map(|login| login.generation) {
            return Renewal::Gone;
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
        let (answer, login) = match renewed {
            Ok(renewed) => renewed,
            Err(error) => match error.vault_error().map(gds_vault::Error::kind) {
                Some(Vault::PermissionDenied) => return Renewal::NotRenewable,
                Some(Vault::BadRequest | Vault::NotFound) => return Renewal::Gone,
                _ => return Renewal::Failed(error),
            },
        };
        let granted = answer.lease().map_or(Duration::ZERO, |lease| lease.duration);
        let now = Instant::now();
        let lifetime = Lifetime { fetched_at: entry.lifetime().fetched_at, ..leased(granted, &login, now) };
        let hold = Some(Hold::new(login.generation, now));
        let entry = Entry::new(key.as_str(), CachedSecret { secret: cached.secret.clone(), hold }, lifetime);
        self.leases.add(id, lifetime.stale_until, now);
        if renewal::is_shortened(granted, lease.duration) {
            // A new credential is made while the old one still works for those who hold it.
            return Renewal::NearItsEnd(entry);
        }
        Renewal::Renewed(entry)
    }
}

/// The deadlines of a lease granted now. When the login's token ends, Vault revokes every lease made with it.
pub(super) fn leased(duration: Duration, login: &Login, now: Instant) -> Lifetime {
    let by_lease = now + duration.min(LONGEST);
    let end = login.expires_at().map_or(by_lease, |token_end| by_lease.min(token_end));
    let life = end.saturating_duration_since(now);
    // From a third of its life on, a read tells the keeper that the lease is in use.
    Lifetime { fresh_until: end - margin(life), refresh_from: now + life / 3, ..Lifetime::until(now, end) }
}
