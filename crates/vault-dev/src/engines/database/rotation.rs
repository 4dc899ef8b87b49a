//! When the password of a static role changes: every so often, or as a schedule says.

use std::time::Duration;

use super::schedule::Schedule;
use crate::clock::{Timestamp, after};
use crate::core::{Fields, Refusal};
use crate::json::{Object, object};

/// Vault's minimum.
const SHORTEST_PERIOD: Duration = Duration::from_secs(5);

/// Vault's minimum.
const SHORTEST_WINDOW: Duration = Duration::from_secs(3600);

#[derive(Clone)]
pub(super) enum Rotation {
    Every(Duration),
    Scheduled {
        schedule: Schedule,
        /// How long after its time a rotation that failed is still tried again. `None`: until it works.
        window: Option<Duration>,
    },
}

impl Rotation {
    /// What a write asks for; what it does not mention stays as it was.
    pub(super) fn of(fields: Fields<'_>, old: Option<&Self>) -> Result<Self, Refusal> {
        let window = fields.duration("rotation_window")?;
        match (fields.duration("rotation_period")?, fields.string("rotation_schedule")?, old) {
            (Some(_), Some(_), _) => Err(Refusal::bad_request(
                "mutually exclusive fields rotation_period and rotation_schedule were both specified; only one of them can be provided",
            )),
            (Some(_), None, _) if window.is_some() => {
                Err(Refusal::bad_request("rotation_window is invalid with use of rotation_period"))
            }
            (Some(period), None, _) if period < SHORTEST_PERIOD => {
                Err(Refusal::bad_request("rotation_period must be 5 seconds or more"))
            }
            (Some(period), None, _) => Ok(Self::Every(period)),
            (None, Some(schedule), _) => {
                let schedule = Schedule::parse(&schedule)
                    .map_err(|complaint| misprinted("could not parse rotation_schedule", &complaint))?;
                Ok(Self::Scheduled { schedule, window: window_of(window, old)? })
            }
            // A window alone changes nothing.
            (None, None, Some(old)) => Ok(old.clone()),
            (None, None, None) => Err(Refusal::bad_request(
                "one of rotation_schedule or rotation_period must be provided to create a static account",
            )),
        }
    }

    /// The rotation after one at `last`. `None`: never.
    pub(super) fn next(&self, last: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(period) => Some(after(last, *period)),
            Self::Scheduled { schedule, .. } => schedule.next(last),
        }
    }

    /// Until when a rotation planned for `planned` is tried. `None`: until it works.
    pub(super) fn deadline(&self, planned: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(_) => None,
            Self::Scheduled { window, .. } => window.map(|window| after(planned, window)),
        }
    }

    /// The members that describe it.
    pub(super) fn describe(&self) -> Object {
        match self {
            Self::Every(period) => object! { "rotation_period" => period.as_secs() },
            Self::Scheduled { schedule, window } => {
                let mut members = object! { "rotation_schedule" => schedule.text() };
                if let Some(window) = window {
                    members.insert("rotation_window".to_owned(), window.as_secs().into());
                }
                members
            }
        }
    }
}

fn window_of(given: Option<Duration>, old: Option<&Rotation>) -> Result<Option<Duration>, Refusal> {
    match (given, old) {
        (Some(window), _) if window < SHORTEST_WINDOW => {
            Err(misprinted("rotation_window is invalid", "rotation_window must be 3600 seconds or more"))
        }
        (Some(window), _) => Ok(Some(window)),
        (None, Some(Rotation::Scheduled { window, .. })) => Ok(*window),
        (None, _) => Ok(None),
    }
}

/// Vault gives these complaints to a format string that has no place for them, and this is what Go prints then.
fn misprinted(what: &str, complaint: &str) -> Refusal {
    Refusal::bad_request(format!("{what}%!(EXTRA string=error, *errors.errorString={complaint})"))
}
