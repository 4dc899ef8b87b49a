//! Stops asking a Vault that does not answer, and finds out cheaply when it does again.
//!
//! closed → (5 failures in a row) → open → (its time is up: one probe) half-open → closed, or open for longer.
//! Beside it, the same gate holds back while Vault has told us to (429 with `Retry-After`): that is not a
//! failure, so it opens nothing, but no request may leave earlier.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::retry::Backoff;

/// When to open, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct BreakerSettings {
    /// Failures in a row that open the breaker. 5: more than one operation's attempts (3), so a single
    /// unlucky read never shuts out the others.
    pub failures_to_open: u32,
    /// How long it stays open: 1 s at first, doubling up to 5 s. The longest is short because it is also how
    /// long a recovered Vault may go unnoticed; one probe every 5 s is no load.
    pub open_for: Backoff,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures_to_open: 5, open_for: Backoff::new(Duration::from_secs(1), Duration::from_secs(5)) }
    }
}

/// What a caller is told when it may not ask now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The breaker is open: Vault has failed since `since`; the next probe may go in `retry_in`.
    Open {
        /// The first failure of this outage.
        since: Instant,
        /// Until the next probe may go; zero while a probe is under way.
        retry_in: Duration,
    },
    /// Vault asked for a pause (`Retry-After`), which ends in `retry_in`.
    Paused {
        /// What is left of the pause.
        retry_in: Duration,
    },
}

/// The breaker's state, for readiness and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Requests pass.
    Closed,
    /// Requests are refused at once.
    Open,
    /// One probe is under way; everything else is refused.
    HalfOpen,
}

/// A circuit breaker. Cheap to clone; clones share their state.
#[derive(Debug, Clone)]
pub struct Breaker {
    settings: BreakerSettings,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    failing_since: Option<Instant>,
    /// When the first request was made that has had no good answer: it failed, was turned away, or still waits.
    unserved_since: Option<Instant>,
    /// How often it has opened in this outage: what the open time doubles by.
    openings: u32,
    paused_until: Option<Instant>,
    /// Tells a probe's permit from those of earlier rounds.
    round: u64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen,
}

/// Leave to make one request. Say how it went; dropped without a word (a cancelled request), it counts for
/// nothing, and a probe's place becomes free again.
#[derive(Debug)]
#[must_use = "say how the request went"]
pub struct Permit {
    breaker: Breaker,
    given_at: Instant,
    probe_of: Option<u64>,
    told: bool,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: BreakerSettings) -> Self {
        let inner = Inner {
            state: State::Closed { failures: 0 },
            failing_since: None,
            unserved_since: None,
            openings: 0,
            paused_until: None,
            round: 0,
        };
        Self { settings, inner: Arc::new(Mutex::new(inner)) }
    }

    /// May a request go now? While open this is one lock and a comparison: callers can ask on every read.
    pub fn acquire(&self, now: Instant) -> Result<Permit, Refusal> {
        let mut inner = self.inner.lock();
        if let Some(until) = inner.paused_until {
            if now < until {
                return Err(Refusal::Paused { retry_in: until - now });
            }
            inner.paused_until = None;
        }
        let since = inner.failing_since.unwrap_or(now);
        let probe_of = match inner.state {
            State::Closed { .. } => None,
            State::Open { until } if now < until => {
                return Err(Refusal::Open { since, retry_in: until - now });
            }
            State::Open { .. } => {
                inner.state = State::HalfOpen;
                inner.round += 1;
                Some(inner.round)
            }
            State::HalfOpen => return Err(Refusal::Open { since, retry_in: Duration::ZERO }),
        };
        inner.unserved_since.get_or_insert(now);
        Ok(Permit { breaker: self.clone(), given_at: now, probe_of, told: false })
    }

    /// Lets nothing through for `wait`: Vault said `Retry-After`. A shorter pause never cuts a longer one.
    pub fn pause(&self, now: Instant, wait: Duration) {
        let mut inner = self.inner.lock();
        let until = now + wait;
        inner.paused_until = Some(inner.paused_until.map_or(until, |at| at.max(until)));
    }

    /// The state as it is now.
    pub fn state(&self) -> BreakerState {
        match self.inner.lock().state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen => BreakerState::HalfOpen,
        }
    }

    /// Since when Vault has failed without a break; `None` when the last answer was good.
    pub fn failing_since(&self) -> Option<Instant> {
        self.inner.lock().failing_since
    }

    /// Since when no request has had a good answer, counted from when the first of them was made, even if it still
    /// waits: a Vault that has just frozen is known by this long before anything has failed. `None` if the last
    /// request had one.
    pub fn unserved_since(&self) -> Option<Instant> {
        self.inner.lock().unserved_since
    }
}

impl Permit {
    /// Vault answered (a 404 is an answer): closes the breaker.
    pub fn success(self) {
        self.answered(None);
    }

    /// Vault answered that it will not serve us now (429, a standby): closes the breaker, as it is there.
    pub fn turned_away(self, now: Instant) {
        self.answered(Some(now));
    }

    fn answered(mut self, turned_away: Option<Instant>) {
        self.told = true;
        let mut inner = self.breaker.inner.lock();
        inner.state = match inner.state {
            // A straggler from before the outage says nothing about now: only the probe closes.
            State::Open { .. } | State::HalfOpen if self.probe_of != Some(inner.round) => return,
            _ => State::Closed { failures: 0 },
        };
        inner.failing_since = None;
        inner.openings = 0;
        // A good answer to another request may have come while this one waited.
        inner.unserved_since = turned_away.map(|now| inner.unserved_since.unwrap_or(now));
    }

    /// Vault was unavailable.
    pub fn failure(mut self, now: Instant) {
        self.told = true;
        let settings = self.breaker.settings;
        let mut inner = self.breaker.inner.lock();
        let opens = match inner.state {
            State::Closed { failures } if failures + 1 < settings.failures_to_open => {
                inner.state = State::Closed { failures: failures + 1 };
                false
            }
            State::Closed { .. } => true,
            State::HalfOpen => self.probe_of == Some(inner.round),
            State::Open { .. } => false,
        };
        inner.failing_since.get_or_insert(now);
        inner.unserved_since.get_or_insert(now);
        if opens {
            inner.state = State::Open { until: now + settings.open_for.delay(inner.openings) };
            inner.openings = inner.openings.saturating_add(1);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let mut inner = self.breaker.inner.lock();
        if inner.failing_since.is_none() && inner.unserved_since == Some(self.given_at) {
            inner.unserved_since = None;
        }
        let Some(round) = self.probe_of else { return };
        if matches!(inner.state, State::HalfOpen) && inner.round == round {
            // `until` in the past: the next caller may probe at once.
            let until = inner.failing_since.unwrap_or_else(Instant::now);
            inner.state = State::Open { until };
        }
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
