//! The server's time: tokio's clock (so that a paused test clock drives it) plus whatever a test has skipped.

use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

/// A point in the server's time. Only ever compared and formatted, never sent anywhere else.
pub(crate) type Timestamp = OffsetDateTime;

/// Further than anybody waits; keeps every addition below away from the calendar's end.
pub(crate) const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Wall time is read once, when the server starts; from there on it follows tokio's clock.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    wall_at_start: OffsetDateTime,
    skipped: Mutex<Duration>,
}

impl Clock {
    #[allow(clippy::disallowed_methods, reason = "the one place where wall time enters")]
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            wall_at_start: OffsetDateTime::from(SystemTime::now()),
            skipped: Mutex::new(Duration::ZERO),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        after(self.wall_at_start, self.started.elapsed().saturating_add(*self.skipped.lock()))
    }

    /// Lets the server believe that `by` has passed.
    pub(crate) fn skip(&self, by: Duration) {
        let mut skipped = self.skipped.lock();
        *skipped = skipped.saturating_add(by).min(FAR);
    }

    /// When a timer for `at` has to fire.
    pub(crate) fn instant_of(&self, at: Timestamp) -> Instant {
        Instant::now() + until(self.now(), at)
    }
}

/// `at + by`, kept inside the calendar.
pub(crate) fn after(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(time::Duration::try_from(by.min(FAR)).unwrap_or(time::Duration::MAX)).unwrap_or(at)
}

/// How long from `now` to `at`; zero when it has passed.
pub(crate) fn until(now: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(at - now).unwrap_or(Duration::ZERO)
}

/// Whole seconds from `now` to `at`, rounded to the nearest as Vault's answers are.
pub(crate) fn seconds_until(now: Timestamp, at: Timestamp) -> u64 {
    let left = until(now, at);
    left.as_secs() + u64::from(left.subsec_millis() >= 500)
}

/// RFC 3339 with as many fractional digits as needed, as Go prints it.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn follows_tokio_and_skips() {
        let clock = Clock::start();
        let start = clock.now();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(until(start, clock.now()), Duration::from_secs(5));
        clock.skip(Duration::from_secs(60));
        assert_eq!(until(start, clock.now()), Duration::from_secs(65));
    }

    #[test]
    fn never_leaves_the_calendar() {
        let now = OffsetDateTime::UNIX_EPOCH;
        assert!(after(now, Duration::MAX) > now);
        assert_eq!(until(after(now, Duration::from_secs(1)), now), Duration::ZERO);
        assert_eq!(rfc3339(now), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn seconds_are_rounded() {
        let now = OffsetDateTime::UNIX_EPOCH;
        assert_eq!(seconds_until(now, after(now, Duration::from_millis(3_599_999))), 3600);
        assert_eq!(seconds_until(now, after(now, Duration::from_millis(1_400))), 1);
    }
}
