//! What is due when: one deadline per key, the earliest first.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use crate::clock::Timestamp;

#[derive(Debug)]
pub(crate) struct Deadlines<K> {
    by_time: BTreeSet<(Timestamp, K)>,
    by_key: HashMap<K, Timestamp>,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Self { by_time: BTreeSet::new(), by_key: HashMap::new() }
    }
}

impl<K: Clone + Eq + Hash + Ord> Deadlines<K> {
    /// Replaces the key's deadline. `None` means it has none.
    pub(crate) fn set(&mut self, key: &K, at: Option<Timestamp>) {
        if let Some(old) = self.by_key.remove(key) {
            self.by_time.remove(&(old, key.clone()));
        }
        if let Some(at) = at {
            self.by_key.insert(key.clone(), at);
            self.by_time.insert((at, key.clone()));
        }
    }

    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// The keys whose time has come. They stay until they are set anew.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<K> {
        self.by_time.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| key.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::after;

    #[test]
    fn one_deadline_per_key() {
        let start = Timestamp::UNIX_EPOCH;
        let at = |seconds| after(start, Duration::from_secs(seconds));
        let mut deadlines = Deadlines::default();
        deadlines.set(&"a", Some(at(10)));
        deadlines.set(&"b", Some(at(5)));
        deadlines.set(&"a", Some(at(3)));
        assert_eq!(deadlines.next(), Some(at(3)));
        assert_eq!(deadlines.due(at(4)), ["a"]);
        assert_eq!(deadlines.due(at(10)), ["a", "b"]);
        deadlines.set(&"a", None);
        deadlines.set(&"b", None);
        assert_eq!(deadlines.next(), None);
    }
}
