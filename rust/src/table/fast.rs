//! `get` and `put` without argument parsing: these two calls are all that a hot loop does, and
//! generic parsing would cost more than their work.

use std::ffi::{c_char, CStr};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::null_mut;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::items::{self, PutArguments};
use super::key::Key;
use super::nodes::{Item, Terms};
use super::Table;

const GET_DOC: &CStr = c"get($self, key, default=None, /)\n--\n\n\
Return the value if it is fresh, else the default.";
const PUT_DOC: &CStr = c"put($self, key, value, size=1, cost=0.0, version=0, created_at=0.0, \
expires_at=inf, stale_until=-inf, group=0, tags=())\n--\n\n\
Keep a value, evicting others if need be.";

/// Adds the two methods to the class.
pub fn add_methods(class: &Bound<'_, PyType>) -> PyResult<()> {
    let get = ffi::PyMethodDefPointer { PyCFunctionFast: get };
    add(class, c"get", get, ffi::METH_FASTCALL, GET_DOC)?;
    let put = ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: put };
    add(class, c"put", put, ffi::METH_FASTCALL | ffi::METH_KEYWORDS, PUT_DOC)
}

fn add(
    class: &Bound<'_, PyType>,
    name: &'static CStr,
    method: ffi::PyMethodDefPointer,
    flags: std::ffi::c_int,
    doc: &'static CStr,
) -> PyResult<()> {
    let (ml_name, ml_doc) = (name.as_ptr(), doc.as_ptr());
    let definition = ffi::PyMethodDef { ml_name, ml_meth: method, ml_flags: flags, ml_doc };
    // CPython keeps the pointer for as long as the class lives, which is for ever.
    let definition = Box::leak(Box::new(definition));
    // SAFETY: the class is a type, the definition lives for ever and its flags fit its function.
    let descriptor = unsafe {
        let made = ffi::PyDescr_NewMethod(class.as_ptr().cast(), definition);
        Bound::from_owned_ptr_or_err(class.py(), made)?
    };
    class.setattr(name.to_string_lossy().as_ref(), descriptor)
}

/// The table behind `self`.
///
/// # Safety
/// `slf` is an instance of `Table`: the method descriptor has checked it.
#[inline]
unsafe fn table<'a>(py: Python<'_>, slf: &'a *mut ffi::PyObject) -> &'a Table {
    let table = unsafe { Borrowed::from_ptr(py, *slf).cast_unchecked::<Table>() };
    std::ptr::from_ref(table.get()).as_ref().expect("never null")
}

unsafe extern "C" fn get(
    slf: *mut ffi::PyObject,
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls methods attached, with `count` arguments and a `Table`.
    unsafe {
        let py = Python::assume_attached();
        if !(1..=2).contains(&count) {
            return raise(py, wrong_count("get", count));
        }
        let default = if count == 2 { *arguments.add(1) } else { ffi::Py_None() };
        let key = match key_of(py, *arguments) {
            Ok(key) => key,
            Err(error) => return raise(py, error),
        };
        let table = table(py, &slf);
        if let Some(found) = table.get_at_once(py, key) {
            return match found {
                Some(value) => value.into_ptr(),
                None => new_reference(default),
            };
        }
        guarded(py, || {
            let found = table.get_slowly(py, key)?;
            Ok(found.map_or_else(|| new_reference(default), Py::into_ptr))
        })
    }
}

unsafe fn new_reference(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    unsafe { ffi::Py_INCREF(object) };
    object
}

/// The key, read without calls where it is exactly `bytes`.
#[inline]
unsafe fn key_of(py: Python<'_>, object: *mut ffi::PyObject) -> PyResult<Key> {
    unsafe {
        if ffi::PyBytes_CheckExact(object) == 0 || ffi::PyBytes_Size(object) != 16 {
            return any_key(py, object);
        }
        let bytes: *const [u8; 16] = ffi::PyBytes_AsString(object).cast();
        Ok(Key::from_number(u128::from_le_bytes(*bytes)))
    }
}

#[cold]
unsafe fn any_key(py: Python<'_>, object: *mut ffi::PyObject) -> PyResult<Key> {
    Key::extract(unsafe { Borrowed::from_ptr(py, object) })
}

#[cold]
fn wrong_count(method: &str, count: ffi::Py_ssize_t) -> PyErr {
    PyTypeError::new_err(format!("Table.{method}() does not take {count} positional arguments"))
}

#[cold]
fn raise(py: Python<'_>, error: PyErr) -> *mut ffi::PyObject {
    error.restore(py);
    null_mut()
}

/// Runs code that may raise, or panic.
#[inline]
fn guarded(
    py: Python<'_>,
    call: impl FnOnce() -> PyResult<*mut ffi::PyObject>,
) -> *mut ffi::PyObject {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(object)) => object,
        Ok(Err(error)) => raise(py, error),
        Err(_) => raise(py, PyRuntimeError::new_err("the native table panicked")),
    }
}

const PUT_NAMES: [&CStr; 10] = [
    c"key",
    c"value",
    c"size",
    c"cost",
    c"version",
    c"created_at",
    c"expires_at",
    c"stale_until",
    c"group",
    c"tags",
];

unsafe extern "C" fn put(
    slf: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls methods attached, with these arguments and a `Table`.
    unsafe {
        let py = Python::assume_attached();
        guarded(py, || {
            let table = table(py, &slf);
            let kept = if count == 2 && names.is_null() {
                let key = key_of(py, *arguments)?;
                let value = Borrowed::from_ptr(py, *arguments.add(1)).to_owned().unbind();
                table.put_one(py, key, value, &mut Terms::plain())?
            } else {
                put_with_terms(py, table, arguments, count, names)?
            };
            Ok(new_reference(if kept { ffi::Py_True() } else { ffi::Py_False() }))
        })
    }
}

unsafe fn put_with_terms(
    py: Python<'_>,
    table: &Table,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> PyResult<bool> {
    let mut given = [null_mut(); 10];
    let PutArguments { key, item: Item { value, mut terms } } = unsafe {
        place(py, arguments, count, names, &mut given)?;
        put_arguments(py, &given)?
    };
    table.put_one(py, key, value, &mut terms)
}

/// Puts positional and named arguments in their places.
#[inline]
unsafe fn place(
    py: Python<'_>,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
    given: &mut [*mut ffi::PyObject; 10],
) -> PyResult<()> {
    if count as usize > given.len() {
        return Err(wrong_count("put", count));
    }
    let positional = unsafe { std::slice::from_raw_parts(arguments, count as usize) };
    given[..positional.len()].copy_from_slice(positional);
    if !names.is_null() {
        unsafe { place_named(py, arguments.add(positional.len()), names, given)? };
    }
    if given[0].is_null() || given[1].is_null() {
        return Err(PyTypeError::new_err("Table.put() needs a key and a value"));
    }
    Ok(())
}

unsafe fn place_named(
    py: Python<'_>,
    arguments: *const *mut ffi::PyObject,
    names: *mut ffi::PyObject,
    given: &mut [*mut ffi::PyObject; 10],
) -> PyResult<()> {
    let names = unsafe { Borrowed::from_ptr(py, names).cast_unchecked::<pyo3::types::PyTuple>() };
    for (number, name) in names.iter().enumerate() {
        let same = |known: &CStr| unsafe {
            ffi::PyUnicode_CompareWithASCIIString(name.as_ptr(), known.as_ptr().cast::<c_char>())
                == 0
        };
        let place = PUT_NAMES.iter().position(|known| same(known));
        match place.filter(|place| given[*place].is_null()) {
            Some(place) => given[place] = unsafe { *arguments.add(number) },
            None => {
                return Err(PyTypeError::new_err(format!(
                    "Table.put() got the argument {name} twice, or does not know it"
                )))
            }
        }
    }
    Ok(())
}

unsafe fn put_arguments(
    py: Python<'_>,
    given: &[*mut ffi::PyObject; 10],
) -> PyResult<PutArguments> {
    unsafe {
        let key = key_of(py, given[0])?;
        let size = whole(py, given[2], 1)?;
        let cost = number(py, given[3], 0.0)?;
        let version = whole(py, given[4], 0)?;
        let times = [
            number(py, given[5], 0.0)?,
            number(py, given[6], f64::INFINITY)?,
            number(py, given[7], f64::NEG_INFINITY)?,
        ];
        let group = u32::try_from(whole(py, given[8], 0)?)?;
        let tags = match given[9].is_null() {
            true => None,
            false => items::tags_of(&Borrowed::from_ptr(py, given[9]))?,
        };
        let value = Borrowed::from_ptr(py, given[1]).to_owned().unbind();
        Ok(PutArguments { key, item: items::item(value, size, cost, version, times, group, tags)? })
    }
}

#[inline]
unsafe fn whole(py: Python<'_>, object: *mut ffi::PyObject, missing: u64) -> PyResult<u64> {
    match object.is_null() {
        true => Ok(missing),
        false => unsafe { Borrowed::from_ptr(py, object).extract() },
    }
}

#[inline]
unsafe fn number(py: Python<'_>, object: *mut ffi::PyObject, missing: f64) -> PyResult<f64> {
    match object.is_null() {
        true => Ok(missing),
        false => unsafe { Borrowed::from_ptr(py, object).extract() },
    }
}
