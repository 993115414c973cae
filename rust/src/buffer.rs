//! Bytes of a Python object without a copy.
//!
//! The buffer protocol joined the limited API with CPython 3.11, but every CPython 3 exports it
//! with this layout, so that it is declared by hand here to be usable from 3.10 on.

use std::ffi::{c_char, c_int, c_void, CStr};
use std::marker::PhantomData;

use pyo3::ffi::{PyObject, Py_ssize_t};
use pyo3::prelude::*;

#[repr(C)]
struct PyBuffer {
    buf: *mut c_void,
    obj: *mut PyObject,
    len: Py_ssize_t,
    itemsize: Py_ssize_t,
    readonly: c_int,
    ndim: c_int,
    format: *mut c_char,
    shape: *mut Py_ssize_t,
    strides: *mut Py_ssize_t,
    suboffsets: *mut Py_ssize_t,
    internal: *mut c_void,
}

extern "C" {
    fn PyObject_GetBuffer(object: *mut PyObject, view: *mut PyBuffer, flags: c_int) -> c_int;
    fn PyBuffer_Release(view: *mut PyBuffer);
}

const C_CONTIGUOUS_WITH_FORMAT: c_int = 0x20 | 0x10 | 0x08 | 0x04;

/// The contiguous bytes of an object that offers them; released when dropped.
///
/// The memory stays where it is while this lives. Another thread may write to it meanwhile if
/// the owner is mutable, as with any other reader of the buffer protocol; what is read then is
/// unspecified.
pub struct Bytes<'py> {
    // Boxed: exporters such as PyBuffer_FillInfo point into the structure itself.
    view: Box<PyBuffer>,
    attached: PhantomData<Python<'py>>,
}

impl<'py> Bytes<'py> {
    /// Opens the buffer of `object`; BufferError or TypeError if it has no contiguous one.
    pub fn new(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        let mut view = Box::new(PyBuffer {
            buf: std::ptr::null_mut(),
            obj: std::ptr::null_mut(),
            len: 0,
            itemsize: 0,
            readonly: 1,
            ndim: 0,
            format: std::ptr::null_mut(),
            shape: std::ptr::null_mut(),
            strides: std::ptr::null_mut(),
            suboffsets: std::ptr::null_mut(),
            internal: std::ptr::null_mut(),
        });
        // SAFETY: `object` is alive and the structure has the layout that CPython fills.
        let status =
            unsafe { PyObject_GetBuffer(object.as_ptr(), &mut *view, C_CONTIGUOUS_WITH_FORMAT) };
        if status != 0 {
            return Err(PyErr::fetch(object.py()));
        }
        Ok(Self { view, attached: PhantomData })
    }

    /// All bytes, in C order.
    pub fn as_slice(&self) -> &[u8] {
        if self.view.len == 0 {
            return &[];
        }
        // SAFETY: the exporter keeps `len` contiguous bytes alive until the view is released.
        unsafe { std::slice::from_raw_parts(self.view.buf.cast(), self.view.len as usize) }
    }

    /// Size of one item in bytes.
    pub fn itemsize(&self) -> usize {
        self.view.itemsize as usize
    }

    /// The item's format in the notation of Python's `struct`; "B" if the exporter gives none.
    pub fn format(&self) -> &str {
        if self.view.format.is_null() {
            return "B";
        }
        // SAFETY: a format is a NUL-terminated string that lives as long as the view.
        unsafe { CStr::from_ptr(self.view.format) }.to_str().unwrap_or("?")
    }

    /// The items as 64-bit integers or floats; None unless the format is one of `formats`
    /// in native byte order and the memory is aligned.
    pub fn as_items<T: Item>(&self) -> Option<&[T]> {
        let format = self.format().trim_start_matches(['@', '=', '<']);
        let bytes = self.as_slice();
        if bytes.is_empty() {
            return T::FORMATS.contains(&format).then_some(&[]);
        }
        let aligned = bytes.as_ptr().cast::<T>().is_aligned();
        if !T::FORMATS.contains(&format) || self.itemsize() != size_of::<T>() || !aligned {
            return None;
        }
        let count = bytes.len() / size_of::<T>();
        // SAFETY: size, alignment and format were checked; every bit pattern is a valid item.
        Some(unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), count) })
    }
}

impl Drop for Bytes<'_> {
    fn drop(&mut self) {
        // SAFETY: filled by PyObject_GetBuffer, released once, with the interpreter attached.
        unsafe { PyBuffer_Release(&mut *self.view) }
    }
}

/// A type of 8 bytes that every bit pattern is valid for.
pub trait Item: Copy + Send + Sync {
    /// Formats of `struct` that mean this type.
    const FORMATS: &'static [&'static str];
}

impl Item for u64 {
    const FORMATS: &'static [&'static str] = &["Q", "L", "N"];
}

impl Item for f64 {
    const FORMATS: &'static [&'static str] = &["d"];
}
