//! Deadlines on the wall clock, which outlives the process, and back.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

use super::record::{StoredGrant, StoredSecret, WallTime};
use crate::cache::{LONGEST, Lifetime};
use crate::lease::engine::{Grant, Sort};

/// A clock may be set back by so much, to correct it, without anything being suspected.
const CORRECTION: u64 = 5_000;

/// If the clock was set back by more, nobody can tell how long the process was away. A static secret may then be
/// fallen back on for so long, or until its time by the earlier clock would have been up: long enough to mend the
/// clock or to bring Vault back.
const IF_UNKNOWN: u64 = 3_600_000;

/// The same moment on both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    wall: WallTime,
    instant: Instant,
}

impl Moment {
    /// For writing deadlines down.
    pub(crate) fn now() -> Self {
        let wall = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        // Before 1970 a clock has not been set at all.
        Self { wall: u64::try_from(wall).unwrap_or(0), instant: Instant::now() }
    }

    /// For reading them: rounded the other way, so that what has been there and back never ends later.
    pub(crate) fn for_reading() -> Self {
        let now = Self::now();
        Self { wall: now.wall.saturating_add(1), ..now }
    }

    #[cfg(test)]
    pub(crate) fn new(wall: WallTime, instant: Instant) -> Self {
        Self { wall, instant }
    }

    pub(crate) fn wall(&self) -> WallTime {
        self.wall
    }

    pub(crate) fn wall_at(&self, instant: Instant) -> WallTime {
        if instant >= self.instant {
            self.wall.saturating_add(millis(instant - self.instant))
        } else {
            self.wall.saturating_sub(millis(self.instant - instant))
        }
    }

    fn instant_at(&self, wall: WallTime) -> Instant {
        if wall >= self.wall {
            self.instant + Duration::from_millis(wall - self.wall).min(LONGEST)
        } else {
            let ago = Duration::from_millis(self.wall - wall).min(LONGEST);
            self.instant.checked_sub(ago).unwrap_or(self.instant)
        }
    }
}

/// What has become of deadlines since they were written down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reckoning {
    now: Moment,
    written_at: WallTime,
    /// The clock shows an earlier time than when the last thing was written.
    set_back: bool,
}

impl Reckoning {
    pub(crate) fn new(now: Moment, written_at: WallTime) -> Self {
        let set_back = now.wall.saturating_add(CORRECTION) < written_at;
        // No time can have passed backwards.
        let now = if set_back { now } else { Moment { wall: now.wall.max(written_at), ..now } };
        Self { now, written_at, set_back }
    }

    pub(crate) fn clock_was_set_back(&self) -> bool {
        self.set_back
    }

    /// The deadlines of a secret, if it may still be returned at all.
    pub(crate) fn lifetime(&self, stored: &StoredSecret, max_stale: Duration) -> Option<Lifetime> {
        let leased = stored.hold.is_some();
        // `max_stale` may have been made shorter since.
        let longest = stored.fetched_at.saturating_add(millis(max_stale)).max(stored.fresh_until);
        let stale_until = if leased { stored.stale_until } else { stored.stale_until.min(longest) };
        let wall = self.now.wall;
        if self.set_back || stored.fetched_at > wall {
            return (!leased).then(|| self.of_unknown_age(stored, stale_until)).flatten();
        }
        (wall < stale_until).then(|| Lifetime {
            refresh_from: self.now.instant_at(stored.refresh_from.min(stale_until)),
            fetched_at: self.now.instant_at(stored.fetched_at),
            fresh_until: self.now.instant_at(stored.fresh_until.min(stale_until)),
            stale_until: self.now.instant_at(stale_until),
        })
    }

    /// Never fresh, and stale for a while only.
    fn of_unknown_age(&self, stored: &StoredSecret, stale_until: WallTime) -> Option<Lifetime> {
        let left = stale_until.saturating_sub(self.written_at).min(IF_UNKNOWN);
        let age = Duration::from_millis(self.written_at.saturating_sub(stored.fetched_at)).min(LONGEST);
        let now = self.now.instant;
        (left > 0).then(|| Lifetime {
            refresh_from: now,
            fetched_at: now.checked_sub(age).unwrap_or(now),
            fresh_until: now,
            stale_until: now + Duration::from_millis(left),
        })
    }

    /// When something was granted that is still held.
    pub(crate) fn granted_at(&self, at: WallTime) -> Instant {
        self.now.instant_at(at.min(self.now.wall))
    }

    /// What is left of a token's grant; `None`: nothing, or nobody can tell.
    pub(crate) fn grant(&self, stored: StoredGrant) -> Option<Grant> {
        let alive = !self.set_back && stored.at <= self.now.wall && self.now.wall < stored.ends;
        alive.then(|| Grant {
            at: self.now.instant_at(stored.at),
            ends: self.now.instant_at(stored.ends),
            sort: if stored.renewable { Sort::Renewable } else { Sort::Fixed },
        })
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::record::StoredHold;
    use zeroize::Zeroizing;

    const HOUR: u64 = 3_600_000;
    const T: WallTime = 1_000 * HOUR;

    fn stored(leased: bool) -> StoredSecret {
        StoredSecret {
            key: "secret/a".to_owned(),
            fetched_at: T,
            refresh_from: T + HOUR / 2,
            fresh_until: T + HOUR,
            stale_until: if leased { T + HOUR } else { T + 24 * HOUR },
            hold: leased.then_some(StoredHold { login: 1, granted_at: T }),
            body: Zeroizing::default(),
        }
    }

    fn left(wall: WallTime, written_at: WallTime, leased: bool, max_stale: u64) -> Option<(u64, u64, u64)> {
        let now = Instant::now();
        let reckoning = Reckoning::new(Moment::new(wall, now), written_at);
        let lifetime = reckoning.lifetime(&stored(leased), Duration::from_millis(max_stale))?;
        let until = |moment: Instant| millis(moment.saturating_duration_since(now));
        let age = millis(now - lifetime.fetched_at);
        Some((age, until(lifetime.fresh_until), until(lifetime.stale_until)))
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_the_process_was_away_counts() {
        let day = 24 * HOUR;
        assert_eq!(left(T + HOUR / 2, T, false, day), Some((HOUR / 2, HOUR / 2, day - HOUR / 2)));
        assert_eq!(left(T + 2 * HOUR, T, false, day), Some((2 * HOUR, 0, 22 * HOUR)));
        assert_eq!(left(T + day, T, false, day), None);
        assert_eq!(left(T + HOUR / 2, T, true, day), Some((HOUR / 2, HOUR / 2, HOUR / 2)));
        assert_eq!(left(T + HOUR, T, true, day), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_max_stale_made_shorter_counts_at_once() {
        assert_eq!(left(T + 2 * HOUR, T, false, 3 * HOUR), Some((2 * HOUR, 0, HOUR)));
        assert_eq!(left(T + 2 * HOUR, T, false, 2 * HOUR), None);
        assert_eq!(
            left(T + HOUR / 2, T, false, 0),
            Some((HOUR / 2, HOUR / 2, HOUR / 2)),
            "fresh it still is"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_set_back_makes_nothing_younger() {
        let day = 24 * HOUR;
        // Written five hours after the fetch; the clock says one hour after, or long before.
        for wall in [T + HOUR, T - 500 * HOUR] {
            assert_eq!(left(wall, T + 5 * HOUR, false, day), Some((5 * HOUR, 0, HOUR)));
            assert_eq!(left(wall, T + day - HOUR / 2, false, day).unwrap().2, HOUR / 2);
            assert_eq!(left(wall, T + day, false, day), None);
            assert_eq!(left(wall, T + 5 * HOUR, true, day), None, "a lease may have ended");
        }
        // Corrected by a second: as if no time had passed.
        assert_eq!(left(T + HOUR - 1_000, T + HOUR, false, day).unwrap().0, HOUR);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_lives_as_long_as_its_grant() {
        let grant = StoredGrant { at: T, ends: T + HOUR, renewable: true };
        let of =
            |wall, written_at| Reckoning::new(Moment::new(wall, Instant::now()), written_at).grant(grant);
        assert_eq!(
            of(T + HOUR / 2, T).map(|grant| grant.ends - Instant::now()),
            Some(Duration::from_secs(1_800))
        );
        assert!(of(T + HOUR, T).is_none());
        assert!(of(T + HOUR / 4, T + HOUR / 2).is_none(), "the clock was set back");
    }

    #[tokio::test(start_paused = true)]
    async fn both_ways_is_the_same_moment() {
        let moment = Moment::now();
        for wall in [moment.wall - 12_345, moment.wall, moment.wall + 12_345] {
            assert_eq!(moment.wall_at(moment.instant_at(wall)), wall);
        }
    }
}
