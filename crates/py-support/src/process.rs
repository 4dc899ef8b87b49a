//! One runtime per process, whatever forks.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::exit;

/// Threads that drive connections: all they do is move bytes and parse JSON, so one would nearly always be enough;
/// the second keeps the others' answers flowing while one is busy with a very large one.
const WORKERS: usize = 2;

/// Threads for what blocks: looking up host names, reading credential files, handing results to Python.
const MAX_BLOCKING_THREADS: usize = 16;

/// How long the end of the interpreter waits for results that are just being handed over.
const SHUTDOWN: Duration = Duration::from_secs(1);

static GENERATION: AtomicU64 = AtomicU64::new(1);
/// The process that `GENERATION` was last seen in; 0 = none yet.
static PROCESS: AtomicU32 = AtomicU32::new(0);
static RUNTIME: Mutex<Option<Owned<Runtime>>> = Mutex::new(None);

/// Follows forks and the end of the interpreter. To be called by each module when it is imported; calling it again
/// is harmless.
pub fn init(py: Python<'_>) -> PyResult<()> {
    let os = py.import("os")?;
    // Not on Windows, which does not fork.
    if os.hasattr("register_at_fork")? {
        let hooks = PyDict::new(py);
        hooks.set_item("after_in_child", wrap_pyfunction!(after_fork, py)?)?;
        os.call_method("register_at_fork", (), Some(&hooks))?;
    }
    py.import("atexit")?.call_method1("register", (wrap_pyfunction!(shut_down, py)?,))?;
    Ok(())
}

/// A number that changes with each fork.
///
/// Forks are told by Python; one that happened behind its back (in C) is noticed by the process id.
pub fn generation(_attached: Python<'_>) -> u64 {
    let process = std::process::id();
    match PROCESS.swap(process, Ordering::Relaxed) {
        known if known == process || known == 0 => GENERATION.load(Ordering::Relaxed),
        _ => GENERATION.fetch_add(1, Ordering::Relaxed) + 1,
    }
}

/// The runtime of this process, started when it is first needed.
pub fn runtime(py: Python<'_>) -> PyResult<Handle> {
    let generation = generation(py);
    let mut slot = lock(&RUNTIME);
    if let Some(owned) = &*slot
        && owned.generation == generation
    {
        return Ok(owned.value.handle().clone());
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .thread_name("vault-io")
        .enable_all()
        .build()
        .map_err(|error| PyRuntimeError::new_err(format!("no thread for Vault's connections: {error}")))?;
    let handle = runtime.handle().clone();
    // Its threads, if it had any, are in the parent: it cannot be dropped.
    std::mem::forget(slot.replace(Owned { generation, value: runtime }));
    Ok(handle)
}

/// A value made anew in each process: connections, and all that leads to them.
pub struct PerProcess<T> {
    slot: Mutex<Option<Owned<Arc<T>>>>,
}

struct Owned<T> {
    generation: u64,
    value: T,
}

impl<T> PerProcess<T> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { slot: Mutex::new(None) }
    }

    /// The value of this process, made if there is none. `make` must not run any Python, which could release the GIL.
    pub fn get<E>(&self, py: Python<'_>, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let generation = generation(py);
        let mut slot = lock(&self.slot);
        if let Some(owned) = &*slot
            && owned.generation == generation
        {
            return Ok(Arc::clone(&owned.value));
        }
        let value = Arc::new(make()?);
        std::mem::forget(slot.replace(Owned { generation, value: Arc::clone(&value) }));
        Ok(value)
    }

    /// Drops the value, if it is of this process.
    pub fn clear(&self, py: Python<'_>) {
        let taken = lock(&self.slot).take();
        if let Some(owned) = taken
            && owned.generation != generation(py)
        {
            std::mem::forget(owned);
        }
    }
}

impl<T> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let taken = lock(&self.slot).take();
        // Objects of Python are dropped with the GIL held, or not at all.
        if let Some(owned) = taken
            && Python::try_attach(|py| generation(py) == owned.generation) != Some(true)
        {
            std::mem::forget(owned);
        }
    }
}

#[pyfunction]
fn after_fork() {
    exit::after_fork();
    PROCESS.store(std::process::id(), Ordering::Relaxed);
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// Stops the threads before the interpreter goes, so that none comes back to it afterwards.
#[pyfunction]
fn shut_down(py: Python<'_>) {
    exit::begin(py);
    let taken = lock(&RUNTIME).take();
    match taken {
        Some(owned) if owned.generation == generation(py) => {
            py.detach(|| owned.value.shutdown_timeout(SHUTDOWN));
        }
        stale => std::mem::forget(stale),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
