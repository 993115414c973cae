//! The table's lock.
//!
//! Under the interpreter lock, threads cannot meet inside the table: no Python code runs and
//! nothing is allocated that could start the garbage collector between `enter` and the guard's
//! drop, so that the interpreter never switches threads there. A relaxed flag is then enough,
//! and costs nothing. Two cases need more: without an interpreter lock the flag is taken by an
//! atomic exchange; and a policy written in Python runs inside the lock, so that other threads
//! may find it taken: they wait with the interpreter lock released, and the policy itself is
//! refused.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// A value that one thread uses at a time.
pub struct Gate<T> {
    taken: AtomicBool,
    waiting: AtomicU32,
    owner: Mutex<Option<ThreadId>>,
    left: Condvar,
    /// Whether Python code runs inside, so that the owner must be known.
    runs_python: bool,
    inner: UnsafeCell<T>,
}

// SAFETY: `inner` is reached only through a guard, and `try_enter` hands out one at a time.
unsafe impl<T: Send> Sync for Gate<T> {}

impl<T> Gate<T> {
    /// Wraps a value.
    pub fn new(inner: T, runs_python: bool) -> Self {
        Self {
            taken: AtomicBool::new(false),
            waiting: AtomicU32::new(0),
            owner: Mutex::new(None),
            left: Condvar::new(),
            runs_python,
            inner: UnsafeCell::new(inner),
        }
    }

    /// Whether Python code may run inside.
    #[inline]
    pub fn runs_python(&self) -> bool {
        self.runs_python
    }

    /// Waits until nobody is inside; RuntimeError if that would be for ever.
    #[inline]
    pub fn enter(&self, py: Python<'_>) -> PyResult<Inside<'_, T>> {
        if !self.take() {
            self.wait(py)?;
        }
        if self.runs_python {
            *self.owner.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(std::thread::current().id());
        }
        Ok(Inside(self))
    }

    /// Goes in if nobody is inside.
    pub fn try_enter(&self) -> Option<Inside<'_, T>> {
        // Made only if it was taken: dropping one opens the gate.
        self.take().then(|| Inside(self))
    }

    #[cfg(not(Py_GIL_DISABLED))]
    #[inline]
    fn take(&self) -> bool {
        if self.taken.load(Ordering::Relaxed) {
            return false;
        }
        self.taken.store(true, Ordering::Relaxed);
        true
    }

    #[cfg(Py_GIL_DISABLED)]
    #[inline]
    fn take(&self) -> bool {
        !self.taken.swap(true, Ordering::Acquire)
    }

    #[cold]
    fn wait(&self, py: Python<'_>) -> PyResult<()> {
        let me = Some(std::thread::current().id());
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let mut outcome = Ok(());
        loop {
            if self.runs_python && *self.owner.lock().unwrap_or_else(PoisonError::into_inner) == me
            {
                outcome = Err(PyRuntimeError::new_err(
                    "a policy called the table that called it; a policy only decides",
                ));
                break;
            }
            let (owner, left) = (&self.owner, &self.left);
            py.detach(|| {
                let owner = owner.lock().unwrap_or_else(PoisonError::into_inner);
                // The time limit makes a wake-up that was missed cheap instead of fatal.
                drop(left.wait_timeout(owner, Duration::from_millis(1)));
            });
            if let Err(error) = py.check_signals() {
                outcome = Err(error);
                break;
            }
            if self.take() {
                break;
            }
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        outcome
    }
}

/// Being inside a gate; dropping it leaves.
pub struct Inside<'a, T>(&'a Gate<T>);

impl<T> Deref for Inside<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: only one guard exists at a time.
        unsafe { &*self.0.inner.get() }
    }
}

impl<T> DerefMut for Inside<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: only one guard exists at a time.
        unsafe { &mut *self.0.inner.get() }
    }
}

impl<T> Drop for Inside<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.0.runs_python {
            *self.0.owner.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        self.0.taken.store(false, Ordering::Release);
        if self.0.waiting.load(Ordering::Relaxed) != 0 {
            self.0.left.notify_one();
        }
    }
}
