//! The primitives under the single flight, apart so that a model checker can put its own in their place.

use std::future::Future;
pub(crate) use std::sync::Arc;

pub(crate) use parking_lot::Mutex;
use parking_lot::MutexGuard;
use tracing::Instrument as _;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

/// Detached: nobody holds the handle, so nobody can cancel the work by going away.
pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(work.in_current_span()));
}
