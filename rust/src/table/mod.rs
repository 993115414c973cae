//! The native table: the memory tier, and the ledger and policy of every other tier.

mod dropped;
mod fast;
mod gate;
mod items;
mod key;
mod nodes;
mod recall;
mod rooms;
mod state;
mod time;

pub use fast::add_methods;

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyIterator, PyList, PyString, PyTuple};

use dropped::Dropped;
use gate::Gate;
use items::{capacity, Listing, PutArguments, Row, Summary};
use key::Key;
use nodes::{Item, Terms};
use state::{policy_capacity, NoVictim, State};
use time::Now;

pub use recall::Recall;

use crate::policies::{self, KeyForm, Policy, PythonPolicy};

/// Bounded map from 16-byte keys to live values.
#[pyclass(frozen, module = "infercache._core", weakref)]
pub struct Table {
    gate: Gate<State>,
    policy_name: String,
    clock: Option<Py<PyAny>>,
}

impl Table {
    /// Runs an operation inside the lock and drops what it threw out after leaving it.
    #[inline]
    fn run<R>(
        &self,
        py: Python<'_>,
        operation: impl FnOnce(&mut State, &mut Dropped) -> R,
    ) -> PyResult<R> {
        let mut dropped = Dropped::default();
        let mut inside = self.gate.enter(py)?;
        let outcome = operation(&mut inside, &mut dropped);
        if self.gate.runs_python() {
            if let Some(error) = inside.policy.take_error() {
                drop(inside);
                return Err(error);
            }
        }
        drop(inside);
        dropped.release(py);
        Ok(outcome)
    }

    /// The time of one operation. A clock of the caller is asked outside the lock, and only if
    /// some entry can expire.
    #[inline]
    fn now(&self, py: Python<'_>) -> PyResult<Now> {
        match &self.clock {
            None => Ok(Now::system()),
            Some(clock) => self.ask(py, clock),
        }
    }

    #[cold]
    fn ask(&self, py: Python<'_>, clock: &Py<PyAny>) -> PyResult<Now> {
        if self.gate.enter(py)?.mortal == 0 {
            return Ok(Now::given(f64::NEG_INFINITY));
        }
        Ok(Now::given(clock.call0(py)?.extract(py)?))
    }

    fn no_victim(&self) -> PyErr {
        PyRuntimeError::new_err(format!(
            "policy {} named no entry to evict although some could leave",
            self.policy_name
        ))
    }

    /// The value of a fresh entry that never expires (Some(Some)), or a miss (Some(None)), if
    /// nothing more than looking is to be done.
    #[inline]
    fn get_at_once(&self, py: Python<'_>, key: Key) -> Option<Option<Py<PyAny>>> {
        if self.gate.runs_python() {
            return None;
        }
        let mut state = self.gate.try_enter()?;
        let Some(slot) = state.nodes.find(key) else {
            state.counts.misses += 1;
            return Some(None);
        };
        if state.nodes.node(slot).holds.mortal() {
            return None;
        }
        state.counts.hits += 1;
        state.note_use(slot);
        Some(Some(state.nodes.value(py, slot)))
    }

    #[cold]
    fn get_slowly(&self, py: Python<'_>, key: Key) -> PyResult<Option<Py<PyAny>>> {
        let now = self.now(py)?;
        self.run(py, |state, dropped| {
            let slot = state.get(key, &now, dropped)?;
            Some(state.nodes.value(py, slot))
        })
    }

    #[inline]
    fn put_one(
        &self,
        py: Python<'_>,
        key: Key,
        value: Py<PyAny>,
        terms: &mut Terms,
    ) -> PyResult<bool> {
        match self.run(py, |state, dropped| state.put(key, value, terms, dropped))? {
            Ok(kept) => Ok(kept),
            Err(NoVictim) => Err(self.no_victim()),
        }
    }
}

fn to_bytes(py: Python<'_>, keys: Vec<Key>) -> Vec<Bound<'_, PyBytes>> {
    keys.into_iter().map(|key| key.to_bytes(py)).collect()
}

/// The policy behind a name or an object, and what it is called.
fn policy_of(
    py: Python<'_>,
    given: &Bound<'_, PyAny>,
    capacity: Option<u64>,
) -> PyResult<(Box<dyn Policy>, String, bool)> {
    let resolved = policies::resolve(py, given)?;
    if let Ok(name) = resolved.extract::<String>() {
        if let Some(policy) = policies::native(&name, capacity) {
            return Ok((policy, name, false));
        }
    }
    let name = resolved.get_type().name()?.to_string();
    let policy = PythonPolicy::new(resolved.unbind(), KeyForm::Bytes);
    Ok((Box::new(policy), name, true))
}

#[pymethods]
impl Table {
    #[new]
    #[pyo3(signature = (capacity_bytes=None, capacity_entries=None, policy=None, *, clock=None))]
    fn new(
        py: Python<'_>,
        capacity_bytes: Option<&Bound<'_, PyAny>>,
        capacity_entries: Option<&Bound<'_, PyAny>>,
        policy: Option<&Bound<'_, PyAny>>,
        clock: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let capacity = capacity(capacity_bytes, capacity_entries)?;
        let default = pyo3::types::PyString::intern(py, "s3fifo").into_any();
        let (policy, policy_name, runs_python) =
            policy_of(py, policy.unwrap_or(&default), policy_capacity(capacity))?;
        let gate = Gate::new(State::new(capacity, policy), runs_python);
        Ok(Self { gate, policy_name, clock })
    }

    #[pyo3(signature = (keys, default=None))]
    fn get_many<'py>(
        &self,
        py: Python<'py>,
        keys: Vec<Key>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let now = self.now(py)?;
        let found = self.run(py, |state, dropped| {
            let mut get = |key| {
                let slot = state.get(key, &now, dropped)?;
                Some(state.nodes.value(py, slot))
            };
            keys.into_iter().map(&mut get).collect::<Vec<_>>()
        })?;
        let or_default = |value: Option<Py<PyAny>>| match value {
            Some(value) => Some(value.into_bound(py)),
            None => default.clone(),
        };
        PyList::new(py, found.into_iter().map(or_default).collect::<Vec<_>>())
    }

    fn put_many(&self, py: Python<'_>, items: Vec<PutArguments>) -> PyResult<Vec<bool>> {
        let put = |PutArguments { key, item: Item { value, mut terms } }| {
            self.put_one(py, key, value, &mut terms)
        };
        items.into_iter().map(put).collect()
    }

    fn remove(&self, py: Python<'_>, key: Key) -> PyResult<bool> {
        Ok(self.remove_keys(py, &[key])? == 1)
    }

    fn remove_many(&self, py: Python<'_>, keys: Vec<Key>) -> PyResult<usize> {
        self.remove_keys(py, &keys)
    }

    #[pyo3(signature = (key, beta=0.0))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        key: Key,
        beta: f64,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let now = self.now(py)?;
        let row = self.run(py, |state, dropped| {
            let (slot, freshness) = state.read(key, beta, &now, dropped)?;
            Some(Row::new(py, state, slot, freshness))
        })?;
        row.map(|row| row.into_tuple(py)).transpose()
    }

    /// The fresh value, or the default; as `get`, but a miss is not counted: whoever looks on
    /// after it counts it.
    #[pyo3(signature = (key, default=None, beta=0.0))]
    fn probe<'py>(
        &self,
        py: Python<'py>,
        key: Key,
        default: Option<Bound<'py, PyAny>>,
        beta: f64,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(match self.recall(py, key.number().to_le_bytes(), beta)? {
            Recall::Value(value) => Some(value.into_bound(py)),
            Recall::RefreshDue | Recall::Nothing => default,
        })
    }

    /// Hits and seconds saved of `probe` and `Memo`, by group.
    fn recalled(&self, py: Python<'_>) -> PyResult<Vec<(u64, f64)>> {
        self.run(py, |state, _| state.recalled.groups())
    }

    fn peek<'py>(&self, py: Python<'py>, key: Key) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let now = self.now(py)?;
        let row = self.run(py, |state, _| {
            let slot = state.peek(key, &now)?;
            let freshness = state.freshness(slot, 0.0, &now);
            Some(Row::new(py, state, slot, freshness))
        })?;
        row.map(|row| row.into_long_tuple(py)).transpose()
    }

    #[pyo3(signature = (group=None, tag=None))]
    fn remove_where<'py>(
        &self,
        py: Python<'py>,
        group: Option<u32>,
        tag: Option<Bound<'py, PyString>>,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        if tag.as_ref().is_some_and(|tag| !tag.is_exact_instance_of::<PyString>()) {
            return Err(PyTypeError::new_err("a tag is a str, not one of its subclasses"));
        }
        let keys = self.run(py, |state, dropped| {
            let matches = |terms: &Terms| {
                group.is_none_or(|group| terms.group == group)
                    && tag.as_ref().is_none_or(|tag| items::is_tagged(terms, tag))
            };
            state.remove_matching(matches, dropped)
        })?;
        Ok(to_bytes(py, keys))
    }

    fn touch(&self, py: Python<'_>, key: Key) -> PyResult<bool> {
        self.on_live(py, key, |state, slot| {
            state.note_use(slot);
            true
        })
    }

    fn pin(&self, py: Python<'_>, key: Key) -> PyResult<bool> {
        self.on_live(py, key, State::pin)
    }

    fn unpin(&self, py: Python<'_>, key: Key) -> PyResult<bool> {
        self.run(py, |state, _| state.nodes.find(key).is_some_and(|slot| state.unpin(slot)))
    }

    #[pyo3(signature = (size, entries=1, key=None, cost=0.0))]
    fn choose<'py>(
        &self,
        py: Python<'py>,
        size: u64,
        entries: u64,
        key: Option<Key>,
        cost: f64,
    ) -> PyResult<Option<Vec<Bound<'py, PyBytes>>>> {
        let keys = self.run(py, |state, _| state.choose(key, size, entries, cost))?;
        Ok(keys.map(|keys| to_bytes(py, keys)))
    }

    fn victims<'py>(&self, py: Python<'py>, size: u64) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        Ok(to_bytes(py, self.run(py, |state, _| state.choose_bytes(size))?))
    }

    fn forget(&self, py: Python<'_>, keys: Vec<Key>) -> PyResult<usize> {
        self.run(py, |state, dropped| state.forget(&keys, dropped))
    }

    fn keep(&self, py: Python<'_>, keys: Vec<Key>) -> PyResult<usize> {
        self.run(py, |state, _| state.keep(&keys))
    }

    #[pyo3(signature = (capacity_bytes=None, capacity_entries=None))]
    fn resize<'py>(
        &self,
        py: Python<'py>,
        capacity_bytes: Option<&Bound<'_, PyAny>>,
        capacity_entries: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let bounds = capacity(capacity_bytes, capacity_entries)?;
        match self.run(py, |state, dropped| state.resize(bounds, dropped))? {
            Err(NoVictim) => Err(self.no_victim()),
            Ok(Some(keys)) => Ok(to_bytes(py, keys)),
            Ok(None) => Err(PyValueError::new_err(
                "what is pinned is larger than the new capacity; unpin it first",
            )),
        }
    }

    #[pyo3(signature = (limit=1000))]
    fn sweep<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let now = self.now(py)?;
        Ok(to_bytes(py, self.run(py, |state, dropped| state.sweep(limit, &now, dropped))?))
    }

    fn clear(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.run(py, |state, dropped| state.remove_matching(|_| true, dropped))?.len())
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let summary = self.run(py, |state, _| Summary::new(state))?;
        items::stats(py, &summary, &self.policy_name)
    }

    fn check(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.run(py, |state, _| state.check())
    }

    fn entries<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let listed = self.run(py, |state, _| {
            let list = |(_, node, terms)| Listing::new(py, node, terms);
            state.nodes.iter().map(list).collect::<Vec<_>>()
        })?;
        listed.into_iter().map(|listing| listing.into_tuple(py)).collect()
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.gate.enter(py)?.nodes.len())
    }

    fn __contains__(&self, py: Python<'_>, key: Key) -> PyResult<bool> {
        let now = self.now(py)?;
        self.run(py, |state, _| state.peek(key, &now).is_some())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        let keys: Vec<Key> =
            self.run(py, |state, _| state.nodes.iter().map(|(_, node, _)| node.key).collect())?;
        PyList::new(py, to_bytes(py, keys))?.try_iter()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.clock)?;
        // Where a policy in Python is running, the collector learns nothing and so frees nothing.
        let Some(inside) = self.gate.try_enter() else { return Ok(()) };
        for (_, node, _) in inside.nodes.iter() {
            visit.call(&node.value)?;
        }
        match inside.policy.object() {
            Some(object) => visit.call(object),
            None => Ok(()),
        }
    }

    fn __clear__(&self) {
        let mut dropped = Dropped::default();
        if let Some(mut inside) = self.gate.try_enter() {
            inside.abandon(&mut dropped);
        }
    }
}

impl Table {
    fn on_live(
        &self,
        py: Python<'_>,
        key: Key,
        then: impl FnOnce(&mut State, u32) -> bool,
    ) -> PyResult<bool> {
        let now = self.now(py)?;
        self.run(py, |state, dropped| match state.find_live(key, &now, dropped) {
            Some(slot) => then(state, slot),
            None => false,
        })
    }

    fn remove_keys(&self, py: Python<'_>, keys: &[Key]) -> PyResult<usize> {
        self.run(py, |state, dropped| {
            let mut count = 0;
            for key in keys {
                if let Some(slot) = state.nodes.find(*key) {
                    dropped.push(state.drop_slot(slot, false));
                    state.counts.removed += 1;
                    count += 1;
                }
            }
            count
        })
    }
}
