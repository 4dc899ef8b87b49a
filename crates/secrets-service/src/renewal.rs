//! Whether a renewal is worth another: leases and tokens follow one rule.

use std::time::Duration;

/// A renewal granted less than this share of the first grant means that max_ttl is near.
const WORTH_RENEWING: f64 = 2.0 / 3.0;

/// Whether a renewal granted so much less than `first` that max_ttl must be near, and a replacement is due.
pub(crate) fn is_shortened(granted: Duration, first: Duration) -> bool {
    granted < first.mul_f64(WORTH_RENEWING)
}
