//! The delays of `retry_with_backoff`. The loop around them is Python, as is the function that it calls.

use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use secrets_service::retry::Backoff;

/// The pause in seconds before repeat number `attempt`, counted from 0.
#[pyfunction]
pub(crate) fn backoff_delay(initial_delay: f64, max_delay: f64, attempt: u32) -> PyResult<f64> {
    let backoff = Backoff::new(seconds("initial_delay", initial_delay)?, seconds("max_delay", max_delay)?);
    Ok(backoff.delay(attempt).as_secs_f64())
}

fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| PyValueError::new_err(format!("{name} must be a number of seconds, zero or more")))
}
