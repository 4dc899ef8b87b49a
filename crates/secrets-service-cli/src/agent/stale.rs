//! What has been served past its time, and why: for those who look at the agent during an outage, or after it.

use std::time::Duration;

use parking_lot::Mutex;
use secrets_service::Error;
use secrets_service::gds_vault::SecretPath;
use tokio::time::Instant;

use super::identity::Identity;

/// So many secrets are remembered; the one that was served longest ago goes first.
const MOST: usize = 100;

/// A reason is told anew at most so often: making its text for each of thousands of reads would be a waste.
const REASON_EVERY: Duration = Duration::from_secs(1);

/// The secrets last served past their time.
#[derive(Debug, Default)]
pub(crate) struct StaleServed(Mutex<Vec<Served>>);

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    /// As people write it: `secret/myapp/config`.
    pub(crate) path: String,
    pub(crate) version: Option<u64>,
    pub(crate) namespace: Option<Box<str>>,
    /// Whether it was read with the agent's own login.
    pub(crate) own: bool,
    pub(crate) times: u64,
    /// When last.
    pub(crate) at: Instant,
    /// How old it was then.
    pub(crate) age: Duration,
    /// Why Vault was not asked, or did not answer.
    pub(crate) why: String,
    why_at: Instant,
}

impl StaleServed {
    /// Remembers that a secret was served `age` after Vault gave it, because of `reason`.
    pub(crate) fn note(
        &self,
        who: &Identity,
        what: &SecretPath<'_>,
        version: Option<u64>,
        age: Duration,
        reason: &Error,
    ) {
        let now = Instant::now();
        let path = format!("{}/{}", what.mount, what.rest);
        let mut all = self.0.lock();
        let known = all.iter_mut().find(|served| {
            (&served.path, served.version, served.own) == (&path, version, who.is_own())
                && served.namespace == who.namespace
        });
        if let Some(served) = known {
            (served.times, served.at, served.age) = (served.times + 1, now, age);
            if now.saturating_duration_since(served.why_at) >= REASON_EVERY {
                (served.why, served.why_at) = (reason.to_string(), now);
            }
            return;
        }
        if all.len() >= MOST {
            let oldest = all.iter().enumerate().min_by_key(|(_, served)| served.at).map(|(place, _)| place);
            oldest.map(|place| all.swap_remove(place));
        }
        all.push(Served {
            path,
            version,
            namespace: who.namespace.clone(),
            own: who.is_own(),
            times: 1,
            at: now,
            age,
            why: reason.to_string(),
            why_at: now,
        });
    }

    /// All, the last served first.
    pub(crate) fn all(&self) -> Vec<Served> {
        let mut all = self.0.lock().clone();
        all.sort_by_key(|served| std::cmp::Reverse(served.at));
        all
    }
}
