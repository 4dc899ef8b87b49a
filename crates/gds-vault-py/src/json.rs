//! JSON from and to Python, without a value in any error.

use bytes::Bytes;
use py_support::Inside;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// JSON text as Python objects: Python's own reader, which keeps integers of any size exact.
///
/// The text is known to be well-formed. Should Python refuse it all the same (it limits integers to 4,300 digits,
/// and nesting), its error is replaced: that one carries the text.
pub(crate) fn load(py: Python<'_>, text: &str) -> PyResult<Py<PyAny>> {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let _inside = Inside::enter(py);
    let loaded = LOADS.import(py, "json", "loads")?.call1((text,));
    match loaded {
        Ok(value) => Ok(value.unbind()),
        Err(_) => Err(PyValueError::new_err("the answer is JSON that Python cannot hold")),
    }
}

/// The body of an answer as Python objects; `None` if it is empty.
pub(crate) fn load_body(py: Python<'_>, body: &Bytes) -> PyResult<Py<PyAny>> {
    if body.is_empty() {
        return Ok(py.None());
    }
    match serde_json::from_slice::<&RawValue>(body) {
        Ok(raw) => load(py, raw.get()),
        Err(_) => Err(PyValueError::new_err("the answer is not JSON")),
    }
}

/// Python objects as JSON, wiped when it was sent.
pub(crate) fn dump(value: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    static DUMPS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let _inside = Inside::enter(value.py());
    let dumped = DUMPS.import(value.py(), "json", "dumps")?.call1((value,));
    // Python's error names types, but may also quote a key.
    let text = dumped.map_err(|_| PyTypeError::new_err("the body cannot be written as JSON"))?;
    let text = text.cast_into::<PyString>()?;
    Ok(Bytes::from_owner(Zeroizing::new(text.to_cow()?.as_bytes().to_vec())))
}
