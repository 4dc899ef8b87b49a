//! The primitives under the single flight, apart so that a model checker can put its own in their place.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
pub(crate) use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

pub(crate) use parking_lot::Mutex;
use parking_lot::MutexGuard;
use tokio::runtime::Handle;
use tokio::time::Sleep;
use tracing::{Instrument as _, Span};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

/// Where work was begun, and where it goes on when its caller no longer does it: in the runtime that its connections
/// belong to, under the span that it is logged in.
pub(crate) struct Home {
    runtime: Handle,
    span: Span,
}

impl Home {
    pub(crate) fn here() -> Self {
        Self { runtime: Handle::current(), span: Span::current() }
    }

    /// Detached: nobody holds the handle, so nobody can cancel the work by going away.
    pub(crate) fn spawn(self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(work.instrument(self.span)));
    }
}

/// The result, or `None` if there was a panic (which the panic hook has reported). What `f` had in its hands must not
/// be used again in that case.
pub(crate) fn uncaught<R>(f: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(f)).ok()
}

/// A call that is made unless this is dropped first.
#[derive(Debug)]
pub(crate) struct Alarm {
    _sleep: Pin<Box<Sleep>>,
}

/// Calls `then` after a while, from wherever the runtime's clock is driven: no task has to be there for it.
pub(crate) fn alarm(after: Duration, then: impl Fn() + Send + Sync + 'static) -> Alarm {
    struct Call<F>(F);
    impl<F: Fn() + Send + Sync> Wake for Call<F> {
        fn wake(self: Arc<Self>) {
            (self.0)();
        }
    }
    let call = Waker::from(Arc::new(Call(then)));
    let mut sleep = Box::pin(tokio::time::sleep(after));
    if sleep.as_mut().poll(&mut Context::from_waker(&call)).is_ready() {
        call.wake();
    }
    Alarm { _sleep: sleep }
}
