//! Replays a trace through a policy: the same code that decides in the live table.

use hashbrown::HashTable;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::buffer::{Bytes, Item};
use crate::policies::{resolve, spread, with_native, Facts, KeyForm, Policy, PythonPolicy};

/// What came of a replay.
#[derive(Default)]
pub struct Tally {
    pub requests: u64,
    pub hits: u64,
    pub requested_bytes: u64,
    pub hit_bytes: u64,
    pub saved: f64,
    pub evictions: u64,
    pub rejected: u64,
    pub outcomes: Option<Vec<u8>>,
    pub failed: bool,
}

impl Tally {
    #[inline]
    pub fn note(&mut self, hit: bool, size: u64, cost: f64) {
        self.requests += 1;
        self.requested_bytes += size;
        if hit {
            self.hits += 1;
            self.hit_bytes += size;
            self.saved += cost;
        }
        if let Some(outcomes) = &mut self.outcomes {
            outcomes.push(u8::from(hit));
        }
    }
}

/// The requests of a trace.
pub struct Trace<'a> {
    pub keys: &'a [u64],
    pub sizes: Option<&'a [u64]>,
    pub costs: Option<&'a [f64]>,
}

impl Trace<'_> {
    #[inline]
    pub fn size(&self, request: usize) -> u64 {
        self.sizes.map_or(1, |sizes| sizes[request])
    }

    #[inline]
    pub fn cost(&self, request: usize) -> f64 {
        self.costs.map_or(0.0, |costs| costs[request])
    }
}

/// Replaces keys by small numbers in the order of their first request; returns also how many.
pub fn number(keys: &[u64]) -> (Vec<u32>, usize) {
    let mut index: HashTable<(u64, u32)> = HashTable::new();
    let mut count = 0;
    let mut numbered = Vec::with_capacity(keys.len());
    for key in keys {
        let found = index
            .entry(spread(*key), |known| known.0 == *key, |known| spread(known.0))
            .or_insert_with(|| {
                count += 1;
                (*key, count - 1)
            });
        numbered.push(found.get().1);
    }
    (numbered, count as usize)
}

const ABSENT: u64 = u64::MAX;

/// Runs the requests; an entry's slot is the number of its key.
fn run<P: Policy>(mut policy: P, trace: &Trace<'_>, capacity: u64, mut tally: Tally) -> (Tally, P) {
    let (slots, distinct) = number(trace.keys);
    let mut sizes = vec![ABSENT; distinct];
    let mut used = 0;
    for (request, slot) in slots.iter().enumerate() {
        let (size, cost) = (trace.size(request), trace.cost(request));
        let held = &mut sizes[*slot as usize];
        if *held != ABSENT {
            tally.note(true, size, cost);
            policy.hit(*slot);
        } else {
            tally.note(false, size, cost);
            if size > capacity || size == ABSENT {
                tally.rejected += 1;
                continue;
            }
            let key = trace.keys[request];
            let facts = Facts { id: key, key: u128::from(key), size, weight: size, cost };
            policy.arrive(&facts);
            while size > capacity - used {
                let Some(victim) = policy.evict(Some(&facts)) else {
                    tally.failed = true;
                    return (tally, policy);
                };
                policy.forget(victim, true);
                used -= std::mem::replace(&mut sizes[victim as usize], ABSENT);
                tally.evictions += 1;
            }
            used += size;
            sizes[*slot as usize] = size;
            policy.insert(*slot, &facts);
        }
        if policy.failed() {
            tally.failed = true;
            break;
        }
    }
    (tally, policy)
}

pub fn items<'a, T: Item>(bytes: &'a Bytes<'_>, what: &str, type_name: &str) -> PyResult<&'a [T]> {
    bytes.as_items().ok_or_else(|| {
        PyTypeError::new_err(format!(
            "{what} must be a contiguous array of {type_name}, not of format '{}'",
            bytes.format()
        ))
    })
}

pub fn same_length(what: &str, found: usize, wanted: usize) -> PyResult<()> {
    if found == wanted {
        return Ok(());
    }
    Err(PyValueError::new_err(format!("{found} {what} for {wanted} keys")))
}

/// Replays a trace; see the stub for the contract.
#[pyfunction]
#[pyo3(signature = (keys, sizes=None, costs=None, policy=None, capacity=0, *, outcomes=false))]
pub fn replay<'py>(
    py: Python<'py>,
    keys: &Bound<'py, PyAny>,
    sizes: Option<&Bound<'py, PyAny>>,
    costs: Option<&Bound<'py, PyAny>>,
    policy: Option<&Bound<'py, PyAny>>,
    capacity: u64,
    outcomes: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let (keys, sizes, costs) =
        (Bytes::new(keys)?, sizes.map(Bytes::new).transpose()?, costs.map(Bytes::new).transpose()?);
    let trace = Trace {
        keys: items(&keys, "keys", "uint64")?,
        sizes: sizes.as_ref().map(|sizes| items(sizes, "sizes", "uint64")).transpose()?,
        costs: costs.as_ref().map(|costs| items(costs, "costs", "float64")).transpose()?,
    };
    same_length("sizes", trace.sizes.map_or(trace.keys.len(), <[u64]>::len), trace.keys.len())?;
    same_length("costs", trace.costs.map_or(trace.keys.len(), <[f64]>::len), trace.keys.len())?;
    let room = if outcomes { trace.keys.len() } else { 0 };
    let tally = Tally { outcomes: outcomes.then(|| Vec::with_capacity(room)), ..Tally::default() };
    let default = pyo3::types::PyString::intern(py, "s3fifo").into_any();
    let policy = resolve(py, policy.unwrap_or(&default))?;
    answer(py, decide(py, &policy, &trace, capacity, tally)?)
}

fn decide(
    py: Python<'_>,
    policy: &Bound<'_, PyAny>,
    trace: &Trace<'_>,
    capacity: u64,
    tally: Tally,
) -> PyResult<Tally> {
    let name = policy.extract::<String>().unwrap_or_default();
    let native = with_native!(
        name.as_str(),
        Some(capacity),
        |native| return Ok(py.detach(|| run(native, trace, capacity, tally).0)),
        PythonPolicy::new(policy.clone().unbind(), KeyForm::Int)
    );
    let (tally, mut policy) = run(native, trace, capacity, tally);
    match policy.take_error() {
        Some(error) => Err(error),
        None if tally.failed => Err(PyRuntimeError::new_err(
            "the policy named no entry to evict although some could leave",
        )),
        None => Ok(tally),
    }
}

pub fn answer(py: Python<'_>, tally: Tally) -> PyResult<Bound<'_, PyDict>> {
    let answer = PyDict::new(py);
    answer.set_item("requests", tally.requests)?;
    answer.set_item("hits", tally.hits)?;
    answer.set_item("misses", tally.requests - tally.hits)?;
    answer.set_item("requested_bytes", tally.requested_bytes)?;
    answer.set_item("hit_bytes", tally.hit_bytes)?;
    answer.set_item("saved_s", tally.saved)?;
    answer.set_item("evictions", tally.evictions)?;
    answer.set_item("rejected", tally.rejected)?;
    answer.set_item("outcomes", tally.outcomes.map(|hits| PyBytes::new(py, &hits)))?;
    Ok(answer)
}
