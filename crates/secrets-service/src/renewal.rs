//! When a lease or a token is renewed: the two follow one rule.

use std::time::Duration;

/// Two thirds of its time: early enough for several more tries before the end, late enough to be no load.
const RENEW_AT: f64 = 2.0 / 3.0;

/// Up to this much of its time earlier, so that a fleet that started together does not renew together.
const JITTER: f64 = 0.1;

/// How long after the grant of `life` it is renewed.
pub(crate) fn due_after(life: Duration) -> Duration {
    life.mul_f64(RENEW_AT - fastrand::f64() * JITTER)
}

/// Whether a renewal granted so much less than `first` that max_ttl must be near, and a replacement is due.
pub(crate) fn is_shortened(granted: Duration, first: Duration) -> bool {
    granted < first.mul_f64(RENEW_AT)
}
