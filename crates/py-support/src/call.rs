//! [`Call`]: one operation, for Python to wait for or to await.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::exit::Inside;
use crate::future::awaitable;
use crate::wait::wait_for;

/// What is left to do once a future is done, with the GIL held.
type Outcome = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// An operation that has not begun: `call.wait()` in threads, `await call` in event loops. Once only.
///
/// Bindings return it so that each operation is written once for both worlds.
#[pyclass(frozen, generic)]
pub struct Call {
    work: Mutex<Option<Pin<Box<dyn Future<Output = Outcome> + Send>>>>,
}

impl Call {
    /// An operation, and what becomes of its outcome.
    pub fn new<T: Send + 'static>(
        future: impl Future<Output = T> + Send + 'static,
        convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> Self {
        let work = async move {
            let outcome = future.await;
            Box::new(move |py: Python<'_>| convert(py, outcome)) as Outcome
        };
        Self { work: Mutex::new(Some(Box::pin(work))) }
    }

    fn take(&self) -> PyResult<Pin<Box<dyn Future<Output = Outcome> + Send>>> {
        let taken = self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.ok_or_else(|| PyRuntimeError::new_err("this call was already waited for"))
    }
}

#[pymethods]
impl Call {
    /// Does it, waiting with the GIL released.
    pub fn wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        // Also what becomes of the outcome runs Python.
        let _inside = Inside::enter(py);
        wait_for(py, self.take()?)?(py)
    }

    /// Does it without blocking the event loop.
    fn __await__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.take()?, |py, outcome| outcome(py))?.call_method0("__await__")
    }
}
