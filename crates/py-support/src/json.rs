//! JSON from and to Python, without a value in any error.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::exit::Inside;

/// JSON text as Python objects: Python's own reader, which keeps integers of any size exact.
///
/// The text is known to be well-formed. Should Python refuse it all the same (it limits integers to 4,300 digits,
/// and nesting), its error is replaced: that one carries the text.
pub fn load<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let _inside = Inside::enter(py);
    let loaded = LOADS.import(py, "json", "loads")?.call1((text,));
    loaded.map_err(|_| PyValueError::new_err("the answer is JSON that Python cannot hold"))
}

/// The body of an answer as Python objects; `None` if it is empty.
pub fn load_body<'py>(py: Python<'py>, body: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    if body.is_empty() {
        return Ok(py.None().into_bound(py));
    }
    match serde_json::from_slice::<&RawValue>(body) {
        Ok(raw) => load(py, raw.get()),
        Err(_) => Err(PyValueError::new_err("the answer is not JSON")),
    }
}

/// Python objects as JSON text, wiped when it is dropped.
pub fn dump(value: &Bound<'_, PyAny>) -> PyResult<Zeroizing<String>> {
    static DUMPS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = value.py();
    let _inside = Inside::enter(py);
    let options = PyDict::new(py);
    // JSON has no NaN: Vault would not understand it.
    options.set_item("allow_nan", false)?;
    let dumped = DUMPS.import(py, "json", "dumps")?.call((value,), Some(&options));
    // Python's error names types, but may also quote a key.
    let text = dumped.map_err(|_| PyTypeError::new_err("a value cannot be written as JSON"))?;
    let text = text.cast_into::<PyString>()?;
    Ok(Zeroizing::new(text.to_cow()?.into_owned()))
}
