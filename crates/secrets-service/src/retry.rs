//! How long to wait between attempts, and how many retries the whole process may add to Vault's load.
//!
//! Two independent limits: [`Backoff`] spaces the attempts of *one* operation; [`RetryBudget`] bounds the
//! retries of *all* operations together, so that an outage multiplies the load on Vault by about 1.1
//! rather than by the number of attempts. (The budget follows the idea of "retry budgets" in the
//! Site Reliability Engineering book, chapter "Addressing Cascading Failures".)

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The jitter, as a fraction of the delay on each side.
///
/// A quarter: wide enough that two processes that fail together drift apart within a few attempts, narrow
/// enough that each delay is longer than the one before it (1.25 × d < 0.75 × 2d).
pub const JITTER: f64 = 0.25;

/// Exponential backoff with jitter: attempt *n* (from 0) waits `initial · 2^n` ± 25 %, never more than `cap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    initial: Duration,
    cap: Duration,
}

impl Backoff {
    /// `initial` is the middle of the first delay; no delay is longer than `cap`.
    pub const fn new(initial: Duration, cap: Duration) -> Self {
        Self { initial, cap }
    }

    /// The delay before the retry that follows attempt `attempt` (counted from 0), with random jitter.
    pub fn delay(&self, attempt: u32) -> Duration {
        self.delay_with(attempt, fastrand::f64())
    }

    /// [`delay`](Self::delay) with the random number given: `unit` in 0..1, where 0 is −25 % and 1 is +25 %.
    ///
    /// Once the uncapped delay passes the cap, the jitter goes only downwards from the cap: processes that
    /// have all reached it must still not march in step.
    pub fn delay_with(&self, attempt: u32, unit: f64) -> Duration {
        let unit = if unit.is_finite() { unit.clamp(0.0, 1.0) } else { 0.5 };
        let factor = 2f64.powi(i32::try_from(attempt.min(64)).unwrap_or(64));
        let middle = self.initial.as_secs_f64() * factor;
        let cap = self.cap.as_secs_f64();
        let highest = (middle * (1.0 + JITTER)).min(cap);
        let lowest = (middle * (1.0 - JITTER)).min(cap * (1.0 - JITTER));
        Duration::from_secs_f64(lowest + (highest - lowest) * unit).min(self.cap)
    }
}

impl Default for Backoff {
    /// 0.5 s, doubling, at most 10 s. Half a second is what a Vault leader election needs at the very least;
    /// ten seconds is the longest that a caller waits by default.
    fn default() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(10))
    }
}

/// A stale value is good enough for this share of its TTL after Vault's return. With refreshes between a half and nine
/// tenths of the TTL, a fleet whose every secret went stale in a long outage then comes back at less than twice its
/// usual rate, but for chance.
const MOST_PATIENCE: f64 = 0.6;

/// How long a static secret whose stale value is at hand is not asked for again, when Vault has been away for `away`.
///
/// As long as that, less up to a quarter by chance, at most 60 % of the secret's TTL: after an outage of two seconds it
/// is fresh again within two seconds, and after one of hours a fleet does not ask for everything at once.
pub fn patience(away: Duration, ttl: Duration) -> Duration {
    away.min(ttl.mul_f64(MOST_PATIENCE)).mul_f64(1.0 - JITTER * fastrand::f64())
}

/// The share of requests that may be retries.
const BUDGET_RATIO: f64 = 0.1;
/// Over how long requests and retries are counted.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);
/// The window is kept in slices of this length, so that it slides instead of starting afresh.
const BUDGET_SLICE: Duration = Duration::from_secs(1);
/// Retries that are always allowed in a window: one a second, so that a quiet process (a command line, a
/// service that reads a secret a minute) still retries.
const BUDGET_FLOOR: u32 = 10;

/// Bounds the retries of a whole process to 10 % of its requests over ten seconds, plus a floor of one a second.
#[derive(Debug, Default)]
pub struct RetryBudget {
    window: Mutex<VecDeque<Slice>>,
}

#[derive(Debug, Clone, Copy)]
struct Slice {
    start: Instant,
    requests: u32,
    retries: u32,
}

impl RetryBudget {
    /// An empty window: only the floor may be spent.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a first attempt.
    pub fn record_request(&self, now: Instant) {
        let mut window = self.window.lock();
        let slice = current_slice(&mut window, now);
        slice.requests = slice.requests.saturating_add(1);
    }

    /// Takes one retry out of the budget; `false` when it is spent.
    pub fn try_retry(&self, now: Instant) -> bool {
        let mut window = self.window.lock();
        current_slice(&mut window, now);
        let (requests, retries) = window
            .iter()
            .fold((0u32, 0u32), |(q, r), s| (q.saturating_add(s.requests), r.saturating_add(s.retries)));
        if f64::from(retries) >= f64::from(BUDGET_FLOOR) + BUDGET_RATIO * f64::from(requests) {
            return false;
        }
        let slice = current_slice(&mut window, now);
        slice.retries = slice.retries.saturating_add(1);
        true
    }
}

/// Drops the slices that have left the window and returns the one that `now` belongs to.
fn current_slice(window: &mut VecDeque<Slice>, now: Instant) -> &mut Slice {
    while window.front().is_some_and(|s| now.saturating_duration_since(s.start) >= BUDGET_WINDOW) {
        window.pop_front();
    }
    let needs_new = window.back().is_none_or(|s| now.saturating_duration_since(s.start) >= BUDGET_SLICE);
    if needs_new {
        window.push_back(Slice { start: now, requests: 0, retries: 0 });
    }
    let last = window.len() - 1;
    &mut window[last]
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "small counts")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn delays_grow_strictly_stay_within_a_quarter_and_under_the_cap(
            initial_ms in 1u64..5_000, cap_ms in 1u64..600_000, attempt in 0u32..80, a in 0f64..1.0, b in 0f64..1.0,
        ) {
            let backoff = Backoff::new(Duration::from_millis(initial_ms), Duration::from_millis(cap_ms));
            let this = backoff.delay_with(attempt, a);
            let next = backoff.delay_with(attempt + 1, b);
            let cap = Duration::from_millis(cap_ms);
            prop_assert!(this <= cap && next <= cap);

            let middle = initial_ms as f64 / 1e3 * 2f64.powi(attempt.min(64).cast_signed());
            let secs = this.as_secs_f64();
            prop_assert!(secs <= middle * 1.25 + 1e-9);
            prop_assert!(secs >= (middle * 0.75).min(cap.as_secs_f64() * 0.75) - 1e-9);
            // Strict growth holds until the cap cuts the later delay.
            if middle * 2.0 * 1.25 <= cap.as_secs_f64() {
                prop_assert!(next > this, "{next:?} after {this:?}");
            }
        }

        #[test]
        fn the_budget_never_allows_more_than_its_share(
            steps in proptest::collection::vec((0u64..400, 0u8..3), 1..600),
        ) {
            let budget = RetryBudget::new();
            let start = Instant::now();
            let mut now = start;
            let mut log: Vec<(Duration, bool)> = Vec::new();
            for (ms, kind) in steps {
                now += Duration::from_millis(ms);
                if kind == 0 {
                    budget.record_request(now);
                    log.push((now - start, false));
                } else if budget.try_retry(now) {
                    log.push((now - start, true));
                    // No stretch of one window, however it is laid, holds more than the share of the
                    // requests in a window (plus one slice, as the window slides by slices).
                    let from = (now - start).saturating_sub(BUDGET_WINDOW.checked_sub(BUDGET_SLICE).unwrap());
                    let retries = log.iter().filter(|(t, r)| *r && *t > from).count() as f64;
                    let wide = (now - start).saturating_sub(BUDGET_WINDOW + BUDGET_SLICE);
                    let requests = log.iter().filter(|(t, r)| !*r && *t >= wide).count() as f64;
                    prop_assert!(retries <= f64::from(BUDGET_FLOOR) + BUDGET_RATIO * requests + 1.0);
                }
            }
        }
    }

    #[test]
    fn at_the_cap_two_processes_still_drift_apart() {
        let backoff = Backoff::default();
        assert_eq!(backoff.delay_with(60, 0.0), Duration::from_millis(7_500));
        assert_eq!(backoff.delay_with(60, 1.0), Duration::from_secs(10));
    }

    #[test]
    fn nonsense_randomness_is_not_a_panic() {
        for unit in [f64::NAN, f64::INFINITY, -3.0, 7.0] {
            assert!(Backoff::default().delay_with(u32::MAX, unit) <= Duration::from_secs(10));
        }
    }

    #[test]
    fn patience_is_never_longer_than_the_outage_nor_most_of_the_ttl() {
        let ttl = Duration::from_secs(300);
        for (away, longest) in [(0, 0), (2, 2), (100, 100), (180, 180), (200, 180), (86_400, 180)] {
            let longest = Duration::from_secs(longest);
            let drawn: Vec<Duration> = (0..1_000).map(|_| patience(Duration::from_secs(away), ttl)).collect();
            assert!(
                drawn.iter().all(|p| (longest.mul_f64(0.749)..=longest).contains(p)),
                "{away} s: {drawn:?}"
            );
            assert!(
                away == 0 || drawn.iter().min() < drawn.iter().max(),
                "by chance, so that a fleet drifts apart"
            );
        }
    }

    #[test]
    fn a_quiet_process_may_retry_and_a_spent_budget_refills() {
        let budget = RetryBudget::new();
        let now = Instant::now();
        let allowed = (0..100).filter(|_| budget.try_retry(now)).count();
        assert_eq!(allowed, BUDGET_FLOOR as usize);
        assert!(budget.try_retry(now + BUDGET_WINDOW));
    }

    #[test]
    fn a_busy_process_may_add_a_tenth() {
        let budget = RetryBudget::new();
        let now = Instant::now();
        (0..1_000).for_each(|_| budget.record_request(now));
        let allowed = (0..1_000).filter(|_| budget.try_retry(now)).count();
        assert_eq!(allowed, 100 + BUDGET_FLOOR as usize);
    }
}
