//! Whether a value is what msgpack carries as it is: most are, and need not be walked in Python.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};

/// Larger `bytes` are laid behind the tree, as in `infercache.codecs.tree`.
const LARGE_BYTES: usize = 64 * 1024;
/// Deeper nesting is left to the walk in Python, which refuses it in words.
const DEEPEST: u32 = 100;

#[inline]
fn is_atom(value: &Bound<'_, PyAny>) -> bool {
    if let Ok(bytes) = value.cast_exact::<PyBytes>() {
        return bytes.as_bytes().len() < LARGE_BYTES;
    }
    value.is_exact_instance_of::<PyString>()
        || value.is_exact_instance_of::<PyInt>()
        || value.is_exact_instance_of::<PyFloat>()
        || value.is_exact_instance_of::<PyBool>()
        || value.is_none()
}

fn walk(value: &Bound<'_, PyAny>, depth: u32) -> bool {
    if is_atom(value) {
        return true;
    }
    if depth > DEEPEST {
        return false;
    }
    if let Ok(list) = value.cast_exact::<PyList>() {
        return list.iter().all(|item| walk(&item, depth + 1));
    }
    match value.cast_exact::<PyDict>() {
        Ok(dict) => walk_dict(dict, depth),
        Err(_) => false,
    }
}

/// PyO3's iterator would raise where another thread changes the dict, and panics; this stops.
fn walk_dict(dict: &Bound<'_, PyDict>, depth: u32) -> bool {
    let py = dict.py();
    let (mut at, mut key, mut item) = (0, std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: attached, so that the borrowed references live until the next Python code runs,
    // and none runs here: only exact types are looked at.
    unsafe {
        while ffi::PyDict_Next(dict.as_ptr(), &mut at, &mut key, &mut item) != 0 {
            let (key, item) = (Borrowed::from_ptr(py, key), Borrowed::from_ptr(py, item));
            if !is_atom(&key) || !walk(&item, depth + 1) {
                return false;
            }
        }
    }
    true
}

/// Whether a value consists of exact None, bool, int, float, str, small bytes, list and dict
/// with atoms as keys. Integers of more than 64 bits and lone surrogates count as plain.
#[pyfunction]
#[pyo3(signature = (value, /))]
pub fn is_plain(value: &Bound<'_, PyAny>) -> bool {
    walk(value, 0)
}
