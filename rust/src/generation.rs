//! A counter that the processes of one machine share, read without a system call.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use pyo3::prelude::*;

const COUNTER_BYTES: u64 = 8;

/// An 8-byte little-endian counter in a memory-mapped file.
///
/// Deleting or replacing the file leaves open counters on the old one. It must not be truncated:
/// reading a mapping beyond the end of its file kills the process, on every Unix.
#[pyclass(module = "infercache._core", frozen)]
pub struct Generation {
    path: PathBuf,
    map: MmapRaw,
    writable: bool,
    seen: AtomicU64,
}

impl Generation {
    fn counter(&self) -> &AtomicU64 {
        // SAFETY: the mapping is at least 8 bytes, page-aligned, lives as long as `self`, and
        // every process touches it through atomics only.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().cast()) }
    }

    /// The counter now.
    pub fn read(&self) -> u64 {
        u64::from_le(self.counter().load(Ordering::Acquire))
    }

    /// Whether the counter still is what the owner has seen.
    pub fn unchanged(&self) -> bool {
        self.read() == self.seen.load(Ordering::Acquire)
    }
}

#[pymethods]
impl Generation {
    #[new]
    fn new(path: PathBuf) -> PyResult<Self> {
        let (file, writable) = open(&path)?;
        let mut options = MmapOptions::new();
        options.len(COUNTER_BYTES as usize);
        let map = match writable {
            true => options.map_raw(&file)?,
            false => options.map_raw_read_only(&file)?,
        };
        let generation = Self { path, map, writable, seen: AtomicU64::new(0) };
        generation.seen.store(generation.read(), Ordering::Release);
        Ok(generation)
    }

    /// Return the counter. Some ns, no system call.
    fn load(&self) -> u64 {
        self.read()
    }

    /// Add one, atomically over all processes, and return the new value.
    fn bump(&self, py: Python<'_>) -> PyResult<u64> {
        if !self.writable {
            let kind = py.import("infercache.errors")?.getattr("ReadOnlyError")?;
            let reason = format!(
                "{} is read-only here: the counter can be read but not moved on",
                self.path.display()
            );
            return Err(PyErr::from_value(kind.call1((reason,))?));
        }
        let update = |raw: u64| Some(u64::from_le(raw).wrapping_add(1).to_le());
        let before = self.counter().fetch_update(Ordering::AcqRel, Ordering::Acquire, update);
        Ok(u64::from_le(before.unwrap_or_else(|raw| raw)).wrapping_add(1))
    }

    /// Whether the counter still is what the owner has seen. Some ns, no system call.
    fn is_current(&self) -> bool {
        self.unchanged()
    }

    /// What the owner last acted on; starts as the counter's value at opening.
    #[getter]
    fn seen(&self) -> u64 {
        self.seen.load(Ordering::Acquire)
    }

    #[setter]
    fn set_seen(&self, seen: u64) {
        self.seen.store(seen, Ordering::Release);
    }
}

/// Opens the file for writing, creating it if it is absent, or for reading where that is all
/// that the mount or its permissions allow.
fn open(path: &Path) -> PyResult<(File, bool)> {
    match OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path) {
        Ok(file) => {
            // Growing a file adds zeros, so that two processes may both do it.
            if file.metadata()?.len() < COUNTER_BYTES {
                file.set_len(COUNTER_BYTES)?;
            }
            Ok((file, true))
        }
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
            ) && path.exists() =>
        {
            let file = File::open(path)?;
            if file.metadata()?.len() < COUNTER_BYTES {
                let reason = format!("{} is not a counter: under 8 bytes", path.display());
                return Err(pyo3::exceptions::PyOSError::new_err(reason));
            }
            Ok((file, false))
        }
        Err(error) => Err(error.into()),
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Generation>()
}
