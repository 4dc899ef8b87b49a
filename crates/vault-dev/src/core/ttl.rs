//! How long a token or lease lives: Vault's arithmetic (`framework.CalculateTTL`), warnings included.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::go_duration::brief;

/// Vault's system default and maximum, 32 days, unless a mount is tuned.
pub(crate) const SYSTEM_TTL: Duration = Duration::from_secs(768 * 3600);

/// What bounds one lifetime. Zero means "not set" throughout.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The mount's.
    pub(crate) default_ttl: Duration,
    /// The mount's.
    pub(crate) max_ttl: Duration,
    /// The role's.
    pub(crate) role_ttl: Duration,
    /// The role's.
    pub(crate) role_max_ttl: Duration,
    pub(crate) period: Duration,
    pub(crate) explicit_max_ttl: Duration,
}

impl Limits {
    pub(crate) fn of_mount(default_ttl: Duration, max_ttl: Duration) -> Self {
        Self {
            default_ttl,
            max_ttl,
            role_ttl: Duration::ZERO,
            role_max_ttl: Duration::ZERO,
            period: Duration::ZERO,
            explicit_max_ttl: Duration::ZERO,
        }
    }

    /// The TTL from `now` on, for something issued at `issued`, when `increment` is asked for (zero: nothing
    /// special). `Err` is Vault's complaint when the end has been reached.
    pub(crate) fn ttl(
        &self,
        increment: Duration,
        issued: Timestamp,
        now: Timestamp,
    ) -> Result<(Duration, Vec<String>), String> {
        let mut warnings = Vec::new();
        let mut max_ttl = self.max_ttl;
        for bound in [self.role_max_ttl, self.explicit_max_ttl] {
            if !bound.is_zero() {
                max_ttl = max_ttl.min(bound);
            }
        }
        let mut ttl = first_set(&[increment, self.role_ttl, self.default_ttl]);
        let mut ends_after = Some(max_ttl);
        if !self.period.is_zero() {
            ttl = self.period;
            if ttl > max_ttl {
                warnings.push(format!(
                    "period of {:?} exceeded the effective max_ttl of {:?}; period value is capped accordingly",
                    brief(ttl),
                    brief(max_ttl)
                ));
                ttl = max_ttl;
            }
            ends_after = Some(self.explicit_max_ttl).filter(|explicit| !explicit.is_zero());
        }
        if let Some(ends_after) = ends_after {
            // Whole seconds, as Vault counts, so that a renewal in the first second still gets the whole maximum.
            let age = u64::try_from(now.unix_timestamp() - issued.unix_timestamp()).unwrap_or(0);
            let left = ends_after.saturating_sub(Duration::from_secs(age));
            if left.is_zero() {
                return Err("past the max TTL, cannot renew".to_owned());
            }
            if left < ttl {
                warnings.push(format!(
                    "TTL of {:?} exceeded the effective max_ttl of {:?}; TTL value is capped accordingly",
                    brief(ttl),
                    brief(left)
                ));
                ttl = left;
            }
        }
        Ok((ttl, warnings))
    }
}

fn first_set(choices: &[Duration]) -> Duration {
    choices.iter().copied().find(|choice| !choice.is_zero()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::after;

    const HOUR: Duration = Duration::from_secs(3600);

    fn role(ttl: Duration, max_ttl: Duration) -> Limits {
        Limits { role_ttl: ttl, role_max_ttl: max_ttl, ..Limits::of_mount(SYSTEM_TTL, SYSTEM_TTL) }
    }

    #[test]
    fn renewals_are_cut_at_the_maximum() {
        let start = Timestamp::UNIX_EPOCH;
        let limits = role(HOUR, HOUR * 2);
        assert_eq!(limits.ttl(Duration::ZERO, start, start), Ok((HOUR, vec![])));
        let (ttl, warnings) = limits.ttl(HOUR * 3, start, after(start, HOUR)).unwrap();
        assert_eq!(ttl, HOUR);
        assert_eq!(
            warnings,
            ["TTL of \"3h\" exceeded the effective max_ttl of \"1h\"; TTL value is capped accordingly"]
        );
        assert!(limits.ttl(HOUR, start, after(start, HOUR * 2)).is_err());
    }

    #[test]
    fn a_period_goes_on_for_ever() {
        let start = Timestamp::UNIX_EPOCH;
        let limits = Limits { period: HOUR, ..role(Duration::ZERO, Duration::ZERO) };
        assert_eq!(limits.ttl(HOUR * 9, start, after(start, SYSTEM_TTL * 2)), Ok((HOUR, vec![])));
        let bounded = Limits { explicit_max_ttl: HOUR * 2, ..limits };
        assert_eq!(bounded.ttl(Duration::ZERO, start, after(start, HOUR + HOUR / 2)).unwrap().0, HOUR / 2);
    }
}
