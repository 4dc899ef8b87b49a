//! Rotation schedules: cron, in UTC as Vault reads them.

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The first time after `after` that a schedule names; both in seconds since 1970.
#[pyfunction]
pub(crate) fn cron_next(schedule: &str, after: f64) -> PyResult<f64> {
    let found = parse(schedule)?.find_next_occurrence(&time(after)?, false);
    found.map(|next| seconds(&next)).map_err(|_| PyValueError::new_err("the schedule never comes"))
}

/// The last time at or before `until` that a schedule names; both in seconds since 1970.
#[pyfunction]
pub(crate) fn cron_previous(schedule: &str, until: f64) -> PyResult<f64> {
    let found = parse(schedule)?.find_previous_occurrence(&time(until)?, true);
    found.map(|previous| seconds(&previous)).map_err(|_| PyValueError::new_err("the schedule never came"))
}

/// Five fields, as Vault takes them.
fn parse(schedule: &str) -> PyResult<Cron> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).build();
    parser.parse(schedule).map_err(|error| PyValueError::new_err(format!("not a cron schedule: {error}")))
}

#[allow(clippy::cast_possible_truncation, reason = "what does not fit is refused by chrono")]
fn time(epoch: f64) -> PyResult<DateTime<Utc>> {
    let time = DateTime::from_timestamp(epoch.floor() as i64, 0);
    time.ok_or_else(|| PyValueError::new_err("the time is out of range"))
}

#[allow(clippy::cast_precision_loss, reason = "exact for the next 285 million years")]
fn seconds(time: &DateTime<Utc>) -> f64 {
    time.timestamp() as f64
}
