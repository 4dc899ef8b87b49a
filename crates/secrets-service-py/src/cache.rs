//! `SecretCache`: values of any kind, each with a time to live.

use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use tokio::time::Instant;

/// Longer times to live mean nothing for a process's cache.
const LONGEST_SECONDS: f64 = 10.0 * 365.0 * 24.0 * 3600.0;

/// Thread-safe secret cache with TTL expiration.
///
/// Values may be anything and come back as the very object that was stored. A key set again gets a new time to live.
/// A TTL of zero or less means "expired at once": nothing is kept, and what was kept under the key is removed; with
/// such a default, only keys with a TTL of their own are kept. At most `max_entries` are kept; when one too many comes,
/// the expired ones go, and then the one stored first.
///
/// `clock` is for tests: a function that returns seconds, in place of the monotonic clock.
#[pyclass(module = "secrets_service.cache", frozen, subclass, weakref)]
pub(crate) struct SecretCache {
    /// Key to [`Kept`]. All access is by single operations of a `dict` with `str` keys, which the GIL makes atomic.
    entries: Py<PyDict>,
    default_ttl: f64,
    max_entries: usize,
    clock: Clock,
}

/// A value and the moment from which it is no longer there.
#[pyclass(frozen)]
struct Kept {
    value: Py<PyAny>,
    until: Duration,
}

enum Clock {
    /// Time since the cache was made.
    Monotonic(Instant),
    OfCaller(Py<PyAny>),
}

#[pymethods]
impl SecretCache {
    #[new]
    #[pyo3(signature = (default_ttl_seconds = 300.0, *, max_entries = 10_000, clock = None))]
    fn new(
        py: Python<'_>,
        default_ttl_seconds: f64,
        max_entries: usize,
        clock: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        if max_entries == 0 {
            return Err(PyValueError::new_err("max_entries must be at least 1"));
        }
        Ok(Self {
            entries: PyDict::new(py).unbind(),
            default_ttl: checked_ttl(default_ttl_seconds)?,
            max_entries,
            clock: clock.map_or_else(|| Clock::Monotonic(Instant::now()), Clock::OfCaller),
        })
    }

    /// Get a cached value if not expired, else None.
    fn get<'py>(&self, py: Python<'py>, key: &Bound<'py, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        let Some(kept) = self.find(py, key)? else { return Ok(None) };
        if self.now(py)? < kept.get().until {
            return Ok(Some(kept.get().value.clone_ref(py)));
        }
        self.remove_expired(py, key, &kept)?;
        Ok(None)
    }

    /// Store a value with TTL: its own, or the default one.
    #[pyo3(signature = (key, value, ttl_seconds = None))]
    fn set(&self, key: &Bound<'_, PyString>, value: Py<PyAny>, ttl_seconds: Option<f64>) -> PyResult<()> {
        let py = key.py();
        let ttl = ttl_seconds.map_or(Ok(self.default_ttl), checked_ttl)?;
        if ttl <= 0.0 {
            self.delete(key)?;
            return Ok(());
        }
        let until = self.now(py)?.saturating_add(Duration::from_secs_f64(ttl));
        let entries = self.entries.bind(py);
        if entries.len() >= self.max_entries && !entries.contains(key)? {
            self.make_room(py)?;
        }
        // A key that is set again counts as new: it is not the first to go. The old value is dropped last, for that
        // may run code of its own, and let other threads in.
        let old = entries.get_item(key)?;
        if old.is_some() {
            entries.del_item(key)?;
        }
        entries.set_item(key, Py::new(py, Kept { value, until })?)
    }

    /// Remove a cached value. It is no error if there is none.
    fn delete(&self, key: &Bound<'_, PyString>) -> PyResult<()> {
        self.entries.bind(key.py()).call_method1("pop", (key, key.py().None())).map(drop)
    }

    /// Remove everything.
    fn clear(&self, py: Python<'_>) {
        self.entries.bind(py).clear();
    }

    /// The number of values that have not expired.
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.prune(py)?;
        Ok(self.entries.bind(py).len())
    }

    /// Whether there is a value under this key that has not expired.
    fn __contains__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Some(kept) = self.find(py, key)? else { return Ok(false) };
        Ok(self.now(py)? < kept.get().until)
    }

    /// True: a cache is a thing, not a list, even when it is empty.
    #[allow(clippy::unused_self, reason = "a method to Python")]
    fn __bool__(&self) -> bool {
        true
    }

    /// How much there is, never what.
    fn __repr__(&self, py: Python<'_>) -> String {
        format!(
            "<SecretCache: {} entries, default_ttl_seconds={}>",
            self.entries.bind(py).len(),
            self.default_ttl
        )
    }

    /// How long a value is kept unless told otherwise, in seconds.
    #[getter]
    fn default_ttl_seconds(&self) -> f64 {
        self.default_ttl
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.entries)?;
        match &self.clock {
            Clock::OfCaller(clock) => visit.call(clock),
            Clock::Monotonic(_) => Ok(()),
        }
    }
}

#[pymethods]
impl Kept {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.value)
    }
}

impl SecretCache {
    #[inline]
    fn find<'py>(&self, py: Python<'py>, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, Kept>>> {
        if !key.is_instance_of::<PyString>() {
            return Err(PyTypeError::new_err("the key must be a str"));
        }
        let Some(kept) = self.entries.bind(py).get_item(key)? else { return Ok(None) };
        Ok(Some(kept.cast_into::<Kept>()?))
    }

    #[inline]
    fn now(&self, py: Python<'_>) -> PyResult<Duration> {
        match &self.clock {
            Clock::Monotonic(start) => Ok(start.elapsed()),
            Clock::OfCaller(clock) => {
                let seconds: f64 = clock.call0(py)?.extract(py)?;
                Ok(Duration::try_from_secs_f64(seconds).unwrap_or_default())
            }
        }
    }

    /// Removes the entry, unless another thread has stored a new one meanwhile.
    #[cold]
    fn remove_expired(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        expired: &Bound<'_, Kept>,
    ) -> PyResult<()> {
        let entries = self.entries.bind(py);
        match entries.get_item(key)? {
            Some(now) if now.is(expired) => entries.del_item(key),
            _ => Ok(()),
        }
    }

    fn prune(&self, py: Python<'_>) -> PyResult<()> {
        let now = self.now(py)?;
        for (key, kept) in self.entries.bind(py).copy()?.iter() {
            let kept = kept.cast_into::<Kept>()?;
            if kept.get().until <= now {
                self.remove_expired(py, &key, &kept)?;
            }
        }
        Ok(())
    }

    fn make_room(&self, py: Python<'_>) -> PyResult<()> {
        self.prune(py)?;
        let entries = self.entries.bind(py);
        while entries.len() >= self.max_entries {
            let Some(first) = entries.try_iter()?.next() else { return Ok(()) };
            entries.del_item(first?)?;
        }
        Ok(())
    }
}

fn checked_ttl(seconds: f64) -> PyResult<f64> {
    if seconds.is_nan() {
        return Err(PyValueError::new_err("a TTL is a number of seconds, and NaN is none"));
    }
    Ok(seconds.min(LONGEST_SECONDS))
}
