//! Waiting as Python code expects it.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::exit::{Inside, stop_if_exiting};
use crate::process::runtime;

/// How often a waiting thread looks for signals: soon enough for whoever presses Ctrl-C, too seldom to be measured.
const SIGNAL_CHECK: Duration = Duration::from_millis(50);

/// Waits for a future with the GIL released. A signal whose handler raises (Ctrl-C) cancels the future.
///
/// The future runs on the runtime's threads, where its connections are.
pub fn wait_for<T: Send + 'static>(
    py: Python<'_>,
    future: impl Future<Output = T> + Send + 'static,
) -> PyResult<T> {
    let _inside = Inside::enter(py);
    let (sender, mut receiver) = sync_channel(1);
    let task = runtime(py)?.spawn(async move {
        // Whoever waited may have given up.
        let _ = sender.send(future.await);
    });
    loop {
        let outcome;
        (outcome, receiver) = py.detach(move || {
            let outcome = receiver.recv_timeout(SIGNAL_CHECK);
            stop_if_exiting();
            (outcome, receiver)
        });
        match outcome {
            Ok(value) => return Ok(value),
            Err(RecvTimeoutError::Timeout) => py.check_signals().inspect_err(|_| task.abort())?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(PyRuntimeError::new_err(
                    "the request was cut off: the interpreter is shutting down",
                ));
            }
        }
    }
}
