//! The leases of dynamic secrets.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::deadlines::Deadlines;
use super::ttl::Limits;
use crate::clock::{Timestamp, after};
use crate::json::Json;

/// More leases than any test makes.
pub(crate) const MAX_LEASES: usize = 100_000;

/// After this many failures Vault calls a lease irrevocable and stops trying; so does this server, until shutdown.
const MAX_ATTEMPTS: u32 = 6;

#[derive(Clone)]
pub(crate) struct Lease {
    pub(crate) id: String,
    /// The path of its namespace.
    pub(crate) namespace: String,
    /// Where it was issued, below the namespace: `database/creds/app`.
    pub(crate) path: String,
    /// The token it ends with.
    pub(crate) token: String,
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) last_renewal: Option<Timestamp>,
    pub(crate) renewable: bool,
    pub(crate) limits: Limits,
    /// The engine's own notes.
    pub(crate) internal: Json,
    stage: Stage,
    attempts: u32,
}

/// Once its revocation has begun, a lease is over for everybody, whether or not the revocation succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Live,
    Revoking,
    /// The last attempt failed.
    Failed,
}

impl Lease {
    #[allow(clippy::too_many_arguments, reason = "one place makes leases")]
    pub(crate) fn new(
        id: String,
        namespace: &str,
        path: &str,
        token: &str,
        renewable: bool,
        limits: Limits,
        internal: Json,
        issued: Timestamp,
        ttl: Duration,
    ) -> Self {
        Self {
            id,
            namespace: namespace.to_owned(),
            path: path.to_owned(),
            token: token.to_owned(),
            issued,
            expires: after(issued, ttl),
            last_renewal: None,
            renewable,
            limits,
            internal,
            stage: Stage::Live,
            attempts: 0,
        }
    }
}

#[derive(Default)]
pub(crate) struct Leases {
    by_id: BTreeMap<String, Lease>,
    by_token: HashMap<String, BTreeSet<String>>,
    deadlines: Deadlines<String>,
}

impl Leases {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn insert(&mut self, lease: Lease) {
        self.deadlines.set(&lease.id, Some(lease.expires));
        self.by_token.entry(lease.token.clone()).or_default().insert(lease.id.clone());
        self.by_id.insert(lease.id.clone(), lease);
    }

    /// A lease that is known and not over.
    pub(crate) fn live(&self, id: &str, now: Timestamp) -> Option<&Lease> {
        self.by_id.get(id).filter(|lease| lease.stage == Stage::Live && lease.expires > now)
    }

    pub(crate) fn renewed(&mut self, id: &str, ttl: Duration, now: Timestamp) {
        if let Some(lease) = self.by_id.get_mut(id) {
            lease.expires = after(now, ttl);
            lease.last_renewal = Some(now);
            self.deadlines.set(&lease.id, Some(lease.expires));
        }
    }

    /// Marks the lease as over and hands it out for revocation. `None` if somebody is at it already.
    pub(crate) fn begin_revocation(&mut self, id: &str) -> Option<Lease> {
        let lease = self.by_id.get_mut(id).filter(|lease| lease.stage != Stage::Revoking)?;
        lease.stage = Stage::Revoking;
        self.deadlines.set(&lease.id, None);
        Some(lease.clone())
    }

    pub(crate) fn revoked(&mut self, id: &str) {
        self.deadlines.set(&id.to_owned(), None);
        let Some(lease) = self.by_id.remove(id) else { return };
        if let Some(ids) = self.by_token.get_mut(&lease.token) {
            ids.remove(id);
            if ids.is_empty() {
                self.by_token.remove(&lease.token);
            }
        }
    }

    /// As if revocation had never been tried: what happens when the one who asked for it waits for the outcome.
    pub(crate) fn restore(&mut self, id: &str) {
        if let Some(lease) = self.by_id.get_mut(id) {
            lease.stage = Stage::Live;
            self.deadlines.set(&lease.id, Some(lease.expires));
        }
    }

    /// Schedules another attempt. `false`: it has been tried often enough, the lease is irrevocable.
    pub(crate) fn revocation_failed(&mut self, id: &str, now: Timestamp) -> bool {
        let Some(lease) = self.by_id.get_mut(id) else { return true };
        lease.attempts += 1;
        lease.stage = Stage::Failed;
        if lease.attempts >= MAX_ATTEMPTS {
            return false;
        }
        let wait = Duration::from_secs(1 << lease.attempts.min(6));
        self.deadlines.set(&lease.id, Some(after(now, wait)));
        true
    }

    pub(crate) fn all_ids(&self) -> Vec<String> {
        self.by_id.keys().cloned().collect()
    }

    /// Ids in `namespace` whose lease id starts with `prefix`.
    pub(crate) fn ids_under(&self, namespace: &str, prefix: &str) -> Vec<String> {
        self.by_id
            .range(prefix.to_owned()..)
            .take_while(|(id, _)| id.starts_with(prefix))
            .filter(|(_, lease)| lease.namespace == namespace)
            .map(|(id, _)| id.clone())
            .collect()
    }

    pub(crate) fn ids_of_tokens(&self, tokens: &[String]) -> Vec<String> {
        tokens.iter().filter_map(|token| self.by_token.get(token)).flatten().cloned().collect()
    }

    /// Takes revocations over whose makers are gone: at shutdown.
    pub(crate) fn take_over(&mut self) {
        for lease in self.by_id.values_mut() {
            lease.stage = Stage::Failed;
        }
    }

    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    pub(crate) fn due(&self, now: Timestamp) -> Vec<String> {
        self.deadlines.due(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ttl::SYSTEM_TTL;

    #[test]
    fn a_revocation_is_retried_and_then_given_up() {
        let mut now = Timestamp::UNIX_EPOCH;
        let mut leases = Leases::default();
        let limits = Limits::of_mount(SYSTEM_TTL, SYSTEM_TTL);
        leases.insert(Lease::new(
            "db/creds/a/1".to_owned(),
            "",
            "db/creds/a",
            "token",
            true,
            limits,
            Json::Null,
            now,
            Duration::from_secs(60),
        ));
        assert!(leases.live("db/creds/a/1", now).is_some());
        assert!(leases.begin_revocation("db/creds/a/1").is_some());
        assert!(leases.begin_revocation("db/creds/a/1").is_none(), "one at a time");
        assert!(leases.live("db/creds/a/1", now).is_none(), "over as soon as revocation begins");
        let mut attempts = 1;
        while leases.revocation_failed("db/creds/a/1", now) {
            now = leases.next_due().unwrap();
            assert_eq!(leases.due(now), ["db/creds/a/1"]);
            assert!(leases.begin_revocation("db/creds/a/1").is_some());
            attempts += 1;
        }
        assert_eq!(attempts, MAX_ATTEMPTS);
        assert_eq!(leases.next_due(), None);
        assert_eq!(leases.all_ids(), ["db/creds/a/1"], "still there for a last attempt at shutdown");
    }

    #[test]
    fn prefixes_stay_inside_a_namespace() {
        let now = Timestamp::UNIX_EPOCH;
        let mut leases = Leases::default();
        let limits = Limits::of_mount(SYSTEM_TTL, SYSTEM_TTL);
        for (id, namespace) in [("db/creds/a/1", ""), ("db/creds/a/2.xyz", "team/"), ("db/creds/b/3", "")] {
            let ttl = Duration::from_secs(60);
            leases.insert(Lease::new(id.to_owned(), namespace, "", "t", true, limits, Json::Null, now, ttl));
        }
        assert_eq!(leases.ids_under("", "db/creds/a"), ["db/creds/a/1"]);
        assert_eq!(leases.ids_under("", "db/"), ["db/creds/a/1", "db/creds/b/3"]);
        assert_eq!(leases.ids_under("team/", "db/"), ["db/creds/a/2.xyz"]);
    }
}
