//! The leases that this client made and has to give back.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::time::Instant;

/// More live leases than this are not remembered for revocation at close; they end by their TTL or with the
/// token. A process that makes more than this has other worries.
const MOST: usize = 10_000;

/// Lease ids and when each ends by itself.
#[derive(Debug, Default)]
pub(super) struct LiveLeases {
    ends: Mutex<HashMap<String, Instant>>,
}

impl LiveLeases {
    pub(super) fn add(&self, id: &str, end: Instant, now: Instant) {
        let mut ends = self.ends.lock();
        if ends.len() >= MOST {
            ends.retain(|_, end| now < *end);
        }
        if ends.len() < MOST || ends.contains_key(id) {
            ends.insert(id.to_owned(), end);
        }
    }

    pub(super) fn len(&self, now: Instant) -> usize {
        self.ends.lock().values().filter(|end| now < **end).count()
    }

    /// Those that have not ended by themselves.
    pub(super) fn drain(&self, now: Instant) -> Vec<String> {
        self.ends.lock().drain().filter(|(_, end)| now < *end).map(|(id, _)| id).collect()
    }
}
