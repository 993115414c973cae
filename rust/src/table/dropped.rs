//! What an operation threw out, kept until the lock is released.

use pyo3::Python;

use super::nodes::Gone;

/// Entries that are gone; dropped once the lock is released, because that may run any code.
#[derive(Default)]
pub struct Dropped {
    first: Option<Gone>,
    others: Vec<Gone>,
}

impl Dropped {
    /// Adds one; the first costs no allocation.
    #[inline]
    pub fn push(&mut self, gone: Gone) {
        match self.first {
            None => self.first = Some(gone),
            Some(_) => self.others.push(gone),
        }
    }

    /// Drops all; destructors may run.
    #[inline]
    pub fn release(self, py: Python<'_>) {
        if let Some(gone) = self.first {
            release(py, gone);
        }
        self.others.into_iter().for_each(|gone| release(py, gone));
    }
}

#[inline]
fn release(py: Python<'_>, gone: Gone) {
    drop(gone.value.into_bound(py));
    if let Some(tags) = gone.tags {
        drop(tags.into_bound(py));
    }
}
