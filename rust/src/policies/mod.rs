//! What leaves: one trait, used by the live table and by replay alike.

mod arc;
mod climber;
mod departed;
mod fifo;
mod gdsf;
mod ghost;
mod heap;
mod lfu;
mod list;
mod lru;
mod python;
mod s3fifo;
mod sieve;
mod sketch;
mod spread;
mod wtinylfu;

use pyo3::prelude::*;
use pyo3::types::PyString;

pub use arc::Arc;
pub use fifo::Fifo;
pub use gdsf::Gdsf;
pub use lfu::Lfu;
pub use lru::Lru;
pub use python::{KeyForm, PythonPolicy};
pub use s3fifo::S3Fifo;
pub use sieve::Sieve;
pub use spread::spread;
pub use wtinylfu::WTinyLfu;

/// What a policy knows of an entry.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The entry's key, shortened; what ghosts and sketches remember. The same in every process.
    pub id: u64,
    /// The entry's key; policies written in Python are given it.
    pub key: u128,
    /// Size in bytes.
    pub size: u64,
    /// What it takes of the capacity: its size, or 1 where only entries are bounded.
    pub weight: u64,
    /// Seconds that computing it again takes; 0 if that was not measured.
    pub cost: f64,
}

/// Where a held entry comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is the next to leave, as it was when it was chosen.
    Next,
    /// It was just in use.
    Recent,
}

/// Decides which entry leaves.
///
/// Entries are known by slot: a small number that is used again after `forget`. An entry is
/// *attached* (it may be chosen) or *held* (pinned, or chosen and not gone yet): `hold` and
/// `evict` detach it, `release` attaches it again with what was known of it, `forget` ends it.
/// So pinned entries cost nothing, however many there are.
pub trait Policy: Send {
    /// A new entry is about to come in; called once, before room is made for it.
    fn arrive(&mut self, _facts: &Facts) {}

    /// The entry came in, attached.
    fn insert(&mut self, slot: u32, facts: &Facts);

    /// An attached entry was used.
    fn hit(&mut self, slot: u32);

    /// Detaches an attached entry.
    fn hold(&mut self, slot: u32);

    /// Attaches a held entry again; its size and cost may have changed.
    fn release(&mut self, slot: u32, facts: &Facts, end: End);

    /// Chooses and detaches the attached entry that leaves next; None if none is attached.
    fn evict(&mut self, incoming: Option<&Facts>) -> Option<u32>;

    /// Chooses an entry that is gone at once: `evict` and `forget` in one call.
    #[inline]
    fn displace(&mut self, incoming: Option<&Facts>) -> Option<u32> {
        let slot = self.evict(incoming)?;
        self.forget(slot, true);
        Some(slot)
    }

    /// A held entry is gone: evicted, or else removed or expired.
    fn forget(&mut self, slot: u32, evicted: bool);

    /// The capacity is now this, in weight; None if there is no bound.
    fn resize(&mut self, _capacity: Option<u64>) {}

    /// Recomputes the policy's accounts from the attached entries; one sentence a fault.
    fn check(&self, attached: &[(u32, Facts)]) -> Vec<String>;

    /// Whether a policy written in Python raised something that was not taken yet.
    fn failed(&self) -> bool {
        false
    }

    /// What a policy written in Python raised since the last call.
    fn take_error(&mut self) -> Option<PyErr> {
        None
    }

    /// The policy in Python, for the garbage collector.
    fn object(&self) -> Option<&Py<PyAny>> {
        None
    }
}

/// Capacity in weight, or what is there if there is no bound.
#[derive(Clone, Copy, Debug, Default)]
pub struct Capacity(pub Option<u64>);

impl Capacity {
    /// The bound, or `total` where there is none.
    pub fn or(self, total: u64) -> u64 {
        self.0.unwrap_or(total)
    }
}

/// Runs `$body` with `$policy` bound to a fresh native policy called `$name`, or `$other`.
macro_rules! with_native {
    ($name:expr, $capacity:expr, |$policy:ident| $body:expr, $other:expr) => {{
        use $crate::policies as p;
        match $name {
            "fifo" => {
                let $policy = p::Fifo::new();
                $body
            }
            "lru" => {
                let $policy = p::Lru::new();
                $body
            }
            "lfu" => {
                let $policy = p::Lfu::new();
                $body
            }
            "sieve" => {
                let $policy = p::Sieve::new();
                $body
            }
            "s3fifo" => {
                let $policy = p::S3Fifo::new($capacity);
                $body
            }
            "wtinylfu" => {
                let $policy = p::WTinyLfu::new($capacity);
                $body
            }
            "arc" => {
                let $policy = p::Arc::new($capacity);
                $body
            }
            "gdsf" => {
                let $policy = p::Gdsf::new();
                $body
            }
            _ => $other,
        }
    }};
}
pub(crate) use with_native;

/// Names of the native policies.
pub const NAMES: [&str; 8] = ["arc", "fifo", "gdsf", "lfu", "lru", "s3fifo", "sieve", "wtinylfu"];

/// A native policy by name.
pub fn native(name: &str, capacity: Option<u64>) -> Option<Box<dyn Policy>> {
    with_native!(name, capacity, |policy| Some(Box::new(policy)), None)
}

/// What a caller means by a policy: the name of a native one, or an object with the interface
/// of a policy written in Python.
pub fn resolve<'py>(py: Python<'py>, given: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if let Ok(name) = given.cast::<PyString>() {
        if NAMES.contains(&&*name.to_cow()?) {
            return Ok(given.clone());
        }
    }
    py.import("infercache.policies.registry")?.getattr("resolve")?.call1((given,))
}
