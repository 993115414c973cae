//! From Python's arguments to entries, and back to rows.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::key::Key;
use super::nodes::{Item, Node, Terms};
use super::state::{Amount, Freshness, State};

/// The arguments of one put.
pub struct PutArguments {
    pub key: Key,
    pub item: Item,
}

impl<'py> FromPyObject<'_, 'py> for PutArguments {
    type Error = PyErr;

    /// From a tuple `(key, value, size, cost, version, created_at, expires_at, stale_until,
    /// group, tags)` of which all after the value may be missing.
    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let row = object.cast::<PyTuple>()?;
        let count = row.len();
        if !(2..=10).contains(&count) {
            let message = format!("an item to put has 2 to 10 fields, not {count}");
            return Err(PyValueError::new_err(message));
        }
        let number = |place: usize, missing: f64| match place < count {
            true => row.get_item(place)?.extract::<f64>(),
            false => Ok(missing),
        };
        let whole = |place: usize, missing: u64| match place < count {
            true => row.get_item(place)?.extract::<u64>(),
            false => Ok(missing),
        };
        let key = row.get_item(0)?.extract()?;
        let value = row.get_item(1)?.unbind();
        let times = [number(5, 0.0)?, number(6, f64::INFINITY)?, number(7, f64::NEG_INFINITY)?];
        let group = u32::try_from(whole(8, 0)?)?;
        let tags = if count > 9 { tags_of(&row.get_item(9)?)? } else { None };
        let item = item(value, whole(2, 1)?, number(3, 0.0)?, whole(4, 0)?, times, group, tags)?;
        Ok(Self { key, item })
    }
}

/// Builds an entry; `times` are created_at, expires_at, stale_until.
#[inline]
pub fn item(
    value: Py<PyAny>,
    size: u64,
    cost: f64,
    version: u64,
    times: [f64; 3],
    group: u32,
    tags: Option<Py<PyTuple>>,
) -> PyResult<Item> {
    let [created_at, expires_at, stale_until] = times;
    if !(0.0..f64::INFINITY).contains(&cost) {
        let message = format!("cost is {cost} seconds; it must be a finite number, 0 or more");
        return Err(PyValueError::new_err(message));
    }
    if expires_at.is_nan() || stale_until.is_nan() {
        return Err(PyValueError::new_err("expires_at and stale_until must not be NaN"));
    }
    let stale_until = stale_until.max(expires_at);
    let terms = Terms { size, cost, version, created_at, expires_at, stale_until, group, tags };
    Ok(Item { value, terms })
}

/// Checks that tags are a tuple of exact `str`s, so that comparing them runs no foreign code.
pub fn tags_of(object: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyTuple>>> {
    let tags = object.cast::<PyTuple>()?;
    if !tags.is_exact_instance_of::<PyTuple>()
        || tags.iter().any(|tag| !tag.is_exact_instance_of::<PyString>())
    {
        return Err(PyTypeError::new_err("tags are a tuple of str"));
    }
    Ok((!tags.is_empty()).then(|| tags.clone().unbind()))
}

/// Reads the two bounds; None is no bound.
pub fn capacity(
    bytes: Option<&Bound<'_, PyAny>>,
    entries: Option<&Bound<'_, PyAny>>,
) -> PyResult<Amount> {
    Ok(Amount { entries: bound(entries, "entries")?, bytes: bound(bytes, "bytes")? })
}

fn bound(given: Option<&Bound<'_, PyAny>>, what: &str) -> PyResult<u64> {
    let Some(given) = given else { return Ok(u64::MAX) };
    given.extract::<u64>().ok().filter(|number| *number < u64::MAX).ok_or_else(|| {
        PyValueError::new_err(format!(
            "capacity_{what} is {given}; it must be a whole number, 0 or more, or None"
        ))
    })
}

/// What a reader gets: the entry, how fresh it is, and its group.
pub struct Row {
    item: Item,
    freshness: Freshness,
}

impl Row {
    /// Another reference to the entry in a slot.
    pub fn new(py: Python<'_>, state: &State, slot: u32, freshness: Freshness) -> Self {
        let terms = state.nodes.terms(slot).share(py);
        Self { item: Item { value: state.nodes.value(py, slot), terms }, freshness }
    }

    /// `(state, value, size, cost, version, created_at, expires_at, stale_until, tags)`.
    pub fn into_tuple<'py>(self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let Item { value, terms } = self.item;
        let Terms { size, cost, version, created_at, expires_at, stale_until, .. } = terms;
        let (state, tags) = (self.freshness as u8, tuple_of(py, terms.tags));
        (state, value, size, cost, version, created_at, expires_at, stale_until, tags)
            .into_pyobject(py)
    }

    /// The same with the group as the tenth field.
    pub fn into_long_tuple<'py>(self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let group = self.item.terms.group.into_pyobject(py)?.into_any();
        let mut fields: Vec<Bound<'py, PyAny>> = self.into_tuple(py)?.iter().collect();
        fields.push(group);
        PyTuple::new(py, fields)
    }
}

fn tuple_of(py: Python<'_>, tags: Option<Py<PyTuple>>) -> Bound<'_, PyTuple> {
    tags.map_or_else(|| PyTuple::empty(py), |tags| tags.into_bound(py))
}

/// Everything about an entry but its value.
pub struct Listing {
    key: Key,
    terms: Terms,
}

impl Listing {
    /// Of one entry.
    pub fn new(py: Python<'_>, node: &Node, terms: &Terms) -> Self {
        Self { key: node.key, terms: terms.share(py) }
    }

    /// `(key, size, cost, version, created_at, expires_at, stale_until, group, tags)`.
    pub fn into_tuple<'py>(self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let Terms { size, cost, version, created_at, expires_at, stale_until, group, tags } =
            self.terms;
        let (key, tags) = (self.key.to_bytes(py), tuple_of(py, tags));
        (key, size, cost, version, created_at, expires_at, stale_until, group, tags)
            .into_pyobject(py)
    }
}

/// The table's counts, accounts and bounds by name.
pub fn stats<'py>(py: Python<'py>, state: &Summary, policy: &str) -> PyResult<Bound<'py, PyDict>> {
    let answer = PyDict::new(py);
    for (name, number) in &state.numbers {
        answer.set_item(*name, *number)?;
    }
    answer.set_item("capacity_bytes", state.capacity_bytes)?;
    answer.set_item("capacity_entries", state.capacity_entries)?;
    answer.set_item("policy", policy)?;
    Ok(answer)
}

/// What `stats` tells, copied inside the lock.
pub struct Summary {
    numbers: [(&'static str, u64); 14],
    capacity_bytes: Option<u64>,
    capacity_entries: Option<u64>,
}

impl Summary {
    /// Of the table now.
    pub fn new(state: &State) -> Self {
        let counts = state.counts;
        let memory = state.nodes.memory_bytes() as u64;
        let numbers = [
            ("hits", counts.hits),
            ("misses", counts.misses),
            ("puts", counts.puts),
            ("evictions", counts.evictions),
            ("expirations", counts.expirations),
            ("rejected", counts.rejected),
            ("removed", counts.removed),
            ("entries", state.used.entries),
            ("bytes", state.used.bytes),
            ("pinned", state.pinned),
            ("held_entries", state.held.entries),
            ("held_bytes", state.held.bytes),
            ("memory_bytes", memory),
            ("memory_bytes_per_entry", memory / state.used.entries.max(1)),
        ];
        let known = |bound: u64| (bound != u64::MAX).then_some(bound);
        let capacity = state.capacity;
        Self {
            numbers,
            capacity_bytes: known(capacity.bytes),
            capacity_entries: known(capacity.entries),
        }
    }
}

/// Whether the entry carries the tag; both are exact `str`s, so that no foreign code runs.
pub fn is_tagged(terms: &Terms, tag: &Bound<'_, PyString>) -> bool {
    let Some(tags) = &terms.tags else { return false };
    let same = |other: Borrowed<'_, '_, PyAny>| {
        // SAFETY: both are exact strings, which compare without calling anything.
        unsafe { pyo3::ffi::PyUnicode_Compare(other.as_ptr(), tag.as_ptr()) == 0 }
    };
    let tags = tags.bind(tag.py());
    (0..tags.len()).any(|place| tags.get_borrowed_item(place).is_ok_and(same))
}
