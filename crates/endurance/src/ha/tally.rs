//! What is counted.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use secrets_service::{Error, ErrorKind};
use tokio::time::Instant;

/// Messages kept of one sort of operation, for a test that fails.
const MOST_EXAMPLES: usize = 5;

/// Operations of one sort: how they went.
#[derive(Debug, Default)]
pub struct Tally {
    /// Those that succeeded.
    pub done: u64,
    /// How many of them got a stale value.
    pub stale: u64,
    /// The longest that a success took.
    pub slowest: Duration,
    /// The longest that a failure took.
    pub slowest_failure: Duration,
    /// How many failed, by what went wrong.
    pub failed: BTreeMap<&'static str, u64>,
    /// Some of the messages.
    pub examples: Vec<String>,
    /// How many failed otherwise than because Vault was unavailable.
    pub answered_no: u64,
    pub(super) last_failure: Option<Instant>,
    pub(super) last_stale: Option<Instant>,
}

impl Tally {
    /// How many failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    pub(super) fn succeeded(&mut self, started: Instant) {
        self.done += 1;
        self.slowest = self.slowest.max(started.elapsed());
    }

    pub(super) fn was_stale(&mut self) {
        self.stale += 1;
        self.last_stale = Some(Instant::now());
    }

    pub(super) fn failed(&mut self, started: Instant, error: &Error) {
        *self.failed.entry(word(error)).or_default() += 1;
        self.slowest_failure = self.slowest_failure.max(started.elapsed());
        self.last_failure = Some(Instant::now());
        self.answered_no += u64::from(error.kind() != ErrorKind::Unavailable);
        if self.examples.len() < MOST_EXAMPLES {
            self.examples.push(format!("after {}: {error}", seconds(started)));
        }
    }
}

/// What went wrong, in a word.
fn word(error: &Error) -> &'static str {
    match error.vault_error() {
        Some(vault) => vault.kind().as_str(),
        None if error.kind() != ErrorKind::Unavailable => error.kind().as_str(),
        None if error.to_string().contains("not asked now") => "not_asked",
        None => "no_answer",
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} failed", self.done, self.failures())?;
        if !self.failed.is_empty() {
            let each: Vec<_> = self.failed.iter().map(|(word, count)| format!("{word} {count}")).collect();
            write!(f, " [{}; slowest {}]", each.join(", "), as_seconds(self.slowest_failure))?;
        }
        if self.stale > 0 {
            write!(f, ", {} stale", self.stale)?;
        }
        write!(f, ", slowest {}", as_seconds(self.slowest))
    }
}

/// What is counted in a stretch of time.
#[derive(Debug, Default)]
pub struct Round {
    /// Reads of secrets that stay fresh for two seconds.
    pub cached: Tally,
    /// Reads past the cache.
    pub uncached: Tally,
    /// Writes with check-and-set.
    pub writes: Tally,
    /// Failed writes that turned out to have been carried out.
    pub carried_out: u64,
    gone: Option<Gone>,
}

/// The leader is gone.
#[derive(Debug)]
struct Gone {
    /// When it was told to go.
    killed: Instant,
    /// From then on it surely was.
    since: Instant,
    read_again: Option<Duration>,
    written_again: Option<Duration>,
}

impl Round {
    pub(super) fn leader_is_gone(&mut self, killed: Instant) {
        self.gone = Some(Gone { killed, since: Instant::now(), read_again: None, written_again: None });
    }

    pub(super) fn read(&mut self, started: Instant) {
        self.uncached.succeeded(started);
        if let Some(gone) = self.gone.as_mut().filter(|gone| started >= gone.since) {
            gone.read_again.get_or_insert_with(|| gone.killed.elapsed());
        }
    }

    pub(super) fn written(&mut self, started: Instant) {
        self.writes.succeeded(started);
        if let Some(gone) = self.gone.as_mut().filter(|gone| started >= gone.since) {
            gone.written_again.get_or_insert_with(|| gone.killed.elapsed());
        }
    }

    /// How long it took until reads and writes succeeded again, once they have.
    pub(super) fn recovered(&self) -> Option<(Duration, Duration)> {
        let gone = self.gone.as_ref()?;
        gone.read_again.zip(gone.written_again)
    }
}

/// How long it is since then.
pub(super) fn seconds(since: Instant) -> String {
    as_seconds(since.elapsed())
}

pub(super) fn as_seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
