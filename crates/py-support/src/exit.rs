//! The end of the interpreter, when daemon threads are still in the middle of something.
//!
//! A thread that asks for the GIL while the interpreter is being torn down is ended on the spot (before Python 3.14),
//! and that cannot pass through Rust: the process would abort. So when the end begins, threads of Python that are
//! inside a native call finish it or stop for good, and no other thread gets in any more.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;

/// How long the end waits for threads to come out: they notice within the time between two looks for signals.
const PATIENCE_MS: u32 = 1_000;

static EXITING: AtomicBool = AtomicBool::new(false);
/// Threads that are inside and have not stopped.
static INSIDE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// The thread that runs the end, and what users have registered for it, goes on.
    static ENDS_IT: Cell<bool> = const { Cell::new(false) };
}

/// Held for as long as a call may release the GIL, itself or in Python that it calls.
#[derive(Debug)]
#[must_use = "the call is protected as long as this lives"]
pub struct Inside(());

impl Inside {
    /// Does not return if the interpreter is about to end, but for the thread that ends it.
    pub fn enter(py: Python<'_>) -> Self {
        if must_stop() {
            py.detach(stop);
        }
        if DEPTH.replace(DEPTH.get() + 1) == 0 {
            INSIDE.fetch_add(1, Ordering::SeqCst);
        }
        Self(())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if DEPTH.replace(DEPTH.get() - 1) == 1 {
            INSIDE.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Whether the end has begun.
pub fn is_exiting() -> bool {
    EXITING.load(Ordering::SeqCst)
}

/// For a waiting thread, before it asks for the GIL again.
pub(crate) fn stop_if_exiting() {
    if must_stop() {
        stop();
    }
}

/// Waits until nobody is inside.
pub(crate) fn begin(py: Python<'_>) {
    ENDS_IT.set(true);
    EXITING.store(true, Ordering::SeqCst);
    let ours = usize::from(DEPTH.get() > 0);
    py.detach(|| {
        let mut left = PATIENCE_MS;
        while INSIDE.load(Ordering::SeqCst) > ours && left > 0 {
            thread::park_timeout(Duration::from_millis(1));
            left -= 1;
        }
    });
}

/// A forked child has this thread only.
pub(crate) fn after_fork() {
    EXITING.store(false, Ordering::SeqCst);
    INSIDE.store(usize::from(DEPTH.get() > 0), Ordering::SeqCst);
}

fn must_stop() -> bool {
    is_exiting() && !ENDS_IT.get()
}

/// Without the GIL. The process ends around it.
fn stop() {
    if DEPTH.get() > 0 {
        INSIDE.fetch_sub(1, Ordering::SeqCst);
    }
    loop {
        thread::park();
    }
}
