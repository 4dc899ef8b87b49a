//! Futures of `asyncio`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::task::AbortHandle;

use crate::process::runtime;

/// Starts a future and returns an `asyncio` future of the running event loop, which gets what `convert` makes of the
/// outcome. Cancelling the one cancels the other.
///
/// Threads of the runtime never wait for the GIL: the outcome is converted and handed over on a thread for blocking
/// work. At most one such hand-over exists per future that is being awaited.
pub fn awaitable<T: Send + 'static>(
    py: Python<'_>,
    future: impl Future<Output = T> + Send + 'static,
    convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
) -> PyResult<Bound<'_, PyAny>> {
    static GET_RUNNING_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let event_loop = GET_RUNNING_LOOP.import(py, "asyncio", "get_running_loop")?.call0()?;
    let promise = event_loop.call_method0("create_future")?;
    let (to_loop, to_promise) = (event_loop.unbind(), promise.clone().unbind());
    let task = runtime(py)?.spawn(async move {
        let outcome = future.await;
        tokio::task::spawn_blocking(move || {
            Python::try_attach(|py| hand_over(py, &to_loop, to_promise, convert(py, outcome)));
        });
    });
    promise.call_method1("add_done_callback", (Canceller(task.abort_handle()),))?;
    Ok(promise)
}

/// A loop that was closed meanwhile has nobody to tell.
fn hand_over(py: Python<'_>, event_loop: &Py<PyAny>, promise: Py<PyAny>, outcome: PyResult<Py<PyAny>>) {
    let settle = match wrap_pyfunction!(settle, py) {
        Ok(settle) => settle,
        Err(error) => return error.write_unraisable(py, None),
    };
    let (value, failure) = match outcome {
        Ok(value) => (value, py.None()),
        Err(error) => (py.None(), error.into_value(py).into_any()),
    };
    let _ = event_loop.call_method1(py, "call_soon_threadsafe", (settle, promise, value, failure));
}

/// Runs in the loop's own thread, where nothing can come in between the question and the setting.
#[pyfunction]
fn settle(promise: &Bound<'_, PyAny>, value: Py<PyAny>, failure: Option<Py<PyAny>>) -> PyResult<()> {
    if !promise.call_method0("done")?.is_truthy()? {
        match failure {
            None => promise.call_method1("set_result", (value,))?,
            Some(failure) => promise.call_method1("set_exception", (failure,))?,
        };
    }
    Ok(())
}

#[pyclass(frozen)]
struct Canceller(AbortHandle);

#[pymethods]
impl Canceller {
    fn __call__(&self, promise: &Bound<'_, PyAny>) -> PyResult<()> {
        if promise.call_method0("cancelled")?.is_truthy()? {
            self.0.abort();
        }
        Ok(())
    }
}
