//! Forks, for what is asked too often to make a system call each time.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::logs;

static FORKS: AtomicU64 = AtomicU64::new(0);

/// Follows forks.
pub(crate) fn init(py: Python<'_>) -> PyResult<()> {
    let hooks = PyDict::new(py);
    hooks.set_item("before", wrap_pyfunction!(before, py)?)?;
    hooks.set_item("after_in_parent", wrap_pyfunction!(after_in_parent, py)?)?;
    hooks.set_item("after_in_child", wrap_pyfunction!(after_in_child, py)?)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&hooks)).map(drop)
}

/// A number that is another one in a forked child.
pub(crate) fn count() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

#[pyfunction]
fn before(py: Python<'_>) {
    logs::hold(py);
}

#[pyfunction]
fn after_in_parent() {
    logs::release();
}

#[pyfunction]
fn after_in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    logs::after_fork();
    // Siblings have inherited one state of the random numbers. Their delays must not be the same.
    fastrand::seed(u64::from(std::process::id()).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ fastrand::u64(..));
}
