//! What has been asked: for tests that count requests.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;
use tokio::time::Instant;

/// How many requests [`requests`](crate::VaultDev::requests) remembers. Counters go on counting.
const REMEMBERED: usize = 10_000;

/// Distinct (method, path) pairs that are counted one by one; the rest share one counter per method.
const COUNTED_PATHS: usize = 10_000;

/// One request that reached the server, whether or not it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestRecord {
    /// The HTTP method; `LIST` also for `GET …?list=true`.
    pub method: String,
    /// The path without `/v1/` and without the query: `secret/data/myapp/config`.
    pub path: String,
    /// The status of the answer. `None`: not answered (yet), or by something that is not an HTTP answer.
    pub status: Option<u16>,
    /// When it arrived, on tokio's clock.
    pub at: Instant,
}

/// Names one record, so that its status can be filled in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket(u64);

#[derive(Debug, Default)]
pub(crate) struct RequestLog(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    records: VecDeque<RequestRecord>,
    /// The number of the first record still remembered.
    first: u64,
    counts: BTreeMap<(String, String), u64>,
    connections: u64,
}

impl RequestLog {
    pub(crate) fn arrived(&self, method: &str, path: &str) -> Ticket {
        let mut log = self.0.lock();
        let mut key = (method.to_owned(), path.to_owned());
        if log.counts.len() >= COUNTED_PATHS && !log.counts.contains_key(&key) {
            key.1.clear();
        }
        *log.counts.entry(key).or_default() += 1;
        if log.records.len() >= REMEMBERED {
            log.records.pop_front();
            log.first += 1;
        }
        log.records.push_back(RequestRecord {
            method: method.to_owned(),
            path: path.to_owned(),
            status: None,
            at: Instant::now(),
        });
        Ticket(log.first + log.records.len() as u64 - 1)
    }

    pub(crate) fn answered(&self, ticket: Ticket, status: u16) {
        let mut log = self.0.lock();
        let index = ticket.0.checked_sub(log.first).and_then(|index| usize::try_from(index).ok());
        if let Some(record) = index.and_then(|index| log.records.get_mut(index)) {
            record.status = Some(status);
        }
    }

    pub(crate) fn connected(&self) {
        self.0.lock().connections += 1;
    }

    pub(crate) fn connections(&self) -> u64 {
        self.0.lock().connections
    }

    pub(crate) fn all(&self) -> Vec<RequestRecord> {
        self.0.lock().records.iter().cloned().collect()
    }

    pub(crate) fn count(&self, method: &str, prefix: &str) -> u64 {
        let log = self.0.lock();
        let matching = log
            .counts
            .iter()
            .filter(|((counted, path), _)| (method == "*" || counted == method) && path.starts_with(prefix));
        matching.map(|(_, count)| count).sum()
    }

    pub(crate) fn reset(&self) {
        let mut log = self.0.lock();
        // Tickets of requests under way must not hit later records.
        log.first += log.records.len() as u64;
        log.records.clear();
        log.counts.clear();
        log.connections = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_statuses() {
        let log = RequestLog::default();
        let first = log.arrived("GET", "secret/data/a");
        log.arrived("GET", "secret/data/b");
        log.arrived("POST", "auth/approle/login");
        log.answered(first, 200);
        assert_eq!(log.count("GET", "secret/"), 2);
        assert_eq!(log.count("*", ""), 3);
        assert_eq!(log.all()[0].status, Some(200));
        assert_eq!(log.all()[1].status, None);
        log.reset();
        log.answered(first, 500);
        assert_eq!(log.count("*", ""), 0);
        assert!(log.all().is_empty());
        log.arrived("GET", "x");
        assert_eq!(log.all()[0].status, None);
    }

    #[test]
    fn remembers_so_many_and_counts_all() {
        let log = RequestLog::default();
        for number in 0..REMEMBERED + 5 {
            log.arrived("GET", &number.to_string());
        }
        let last = log.arrived("GET", "last");
        log.answered(last, 204);
        let all = log.all();
        assert_eq!(all.len(), REMEMBERED);
        assert_eq!((all[REMEMBERED - 1].path.as_str(), all[REMEMBERED - 1].status), ("last", Some(204)));
        assert_eq!(log.count("GET", ""), REMEMBERED as u64 + 6);
    }
}
