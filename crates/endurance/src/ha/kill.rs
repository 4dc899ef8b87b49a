//! [`Kill`]: the figures of one killed leader, and how they are told.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::tally::{Round, Tally, as_seconds};
use crate::cluster::{NODES, Timing};

/// How the application fared while one leader was killed.
#[derive(Debug)]
pub struct Kill {
    pub(super) number: u32,
    /// The place of the killed node among the client's addresses, from 1.
    pub(super) place: usize,
    pub(super) killed: Instant,
    /// From the kill until another node leads.
    pub election: Duration,
    /// From the kill until the first read past the cache, begun after it, succeeds.
    pub read_again: Duration,
    /// From the kill until the first write, begun after it, succeeds.
    pub written_again: Duration,
    /// What was counted from a little before the kill until all nodes were back.
    pub round: Round,
    /// What was counted after that.
    pub afterwards: Round,
    /// Requests to Vault in the round, retries included.
    pub requests: u64,
    /// How many of them were retries.
    pub retries: u64,
}

impl Kill {
    pub(super) const HEADER: &str = "kill | address | new leader | read again | write again | last stale | last failure | cached reads | reads past the cache | writes | requests";

    /// All kills in a line.
    pub(super) fn summary(timing: Timing, all: &[Self]) -> String {
        let total = |of: fn(&Round) -> &Tally| {
            let both = all.iter().flat_map(|kill| [of(&kill.round), of(&kill.afterwards)]);
            let (done, failed) =
                both.fold((0, 0), |(done, failed), tally| (done + tally.done, failed + tally.failures()));
            format!("{done} done, {failed} failed")
        };
        let longest = |of: fn(&Self) -> Duration| as_seconds(all.iter().map(of).max().unwrap_or_default());
        format!(
            "endurance: ha: {timing:?} timing: leaders killed: {}; cached reads: {}; reads past the cache: {}; writes: {}; \
             at most until a new leader {}, until a read {}, until a write {}",
            all.len(),
            total(|round| &round.cached),
            total(|round| &round.uncached),
            total(|round| &round.writes),
            longest(|kill| kill.election),
            longest(|kill| kill.read_again),
            longest(|kill| kill.written_again),
        )
    }
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Round { cached, uncached, writes, carried_out, .. } = &self.round;
        let since_kill = |at: Option<Instant>| {
            at.map_or_else(|| "none".to_owned(), |at| as_seconds(at.saturating_duration_since(self.killed)))
        };
        let last_failure =
            [cached, uncached, writes].into_iter().filter_map(|tally| tally.last_failure).max();
        write!(f, "{:4} | {} of {NODES} | {}", self.number, self.place, as_seconds(self.election))?;
        write!(f, " | {} | {}", as_seconds(self.read_again), as_seconds(self.written_again))?;
        write!(f, " | {} | {}", since_kill(cached.last_stale), since_kill(last_failure))?;
        write!(f, " | {cached} | {uncached} | {writes}")?;
        if *carried_out > 0 {
            write!(f, " ({carried_out} of the failed ones carried out all the same)")?;
        }
        write!(f, " | {}, {} of them retries", self.requests, self.retries)
    }
}
