//! How far apart the uses of one entry are, in what was used between them.
//!
//! Stack distances after R. L. Mattson and others: Evaluation techniques for storage hierarchies,
//! IBM Systems Journal 9 (1970), on a Fenwick tree; sampled by key after C. A. Waldspurger and
//! others: Efficient MRC construction with SHARDS, FAST 2015.

use std::collections::BinaryHeap;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::buffer::Bytes;
use crate::policies::spread;
use crate::replay::{items, number, same_length, Trace};

const FIRST: u64 = u64::MAX;
const ROOM: usize = 1024;

/// Entries from the least recently used to the most recently used one, with their weights.
struct Recency {
    /// A Fenwick tree over places; a place is a moment of use, numbered from 1.
    tree: Vec<u64>,
    owners: Vec<u32>,
    places: Vec<u32>,
    weights: Vec<u64>,
    total: u64,
    filled: usize,
    live: usize,
}

impl Recency {
    fn new(distinct: usize) -> Self {
        Self {
            tree: vec![0; ROOM + 1],
            owners: vec![0; ROOM + 1],
            places: vec![0; distinct],
            weights: vec![0; distinct],
            total: 0,
            filled: 0,
            live: 0,
        }
    }

    #[inline]
    fn add(&mut self, mut place: usize, weight: u64) {
        while place < self.tree.len() {
            self.tree[place] = self.tree[place].wrapping_add(weight);
            place += place & place.wrapping_neg();
        }
    }

    #[inline]
    fn below(&self, mut place: usize) -> u64 {
        let mut sum = 0_u64;
        while place > 0 {
            sum = sum.wrapping_add(self.tree[place]);
            place &= place - 1;
        }
        sum
    }

    /// The weight of all that was used since, and its own; `FIRST` for what is not there.
    #[inline]
    fn distance(&self, slot: u32) -> u64 {
        match self.places[slot as usize] as usize {
            0 => FIRST,
            place => self.total - self.below(place - 1),
        }
    }

    fn remove(&mut self, slot: u32) {
        let place = std::mem::take(&mut self.places[slot as usize]) as usize;
        if place > 0 {
            let weight = self.weights[slot as usize];
            self.add(place, weight.wrapping_neg());
            self.total -= weight;
            self.live -= 1;
        }
    }

    fn touch(&mut self, slot: u32, weight: u64) {
        self.remove(slot);
        if self.filled + 1 == self.tree.len() {
            self.compact();
        }
        self.filled += 1;
        self.live += 1;
        self.total += weight;
        self.places[slot as usize] = self.filled as u32;
        self.weights[slot as usize] = weight;
        self.owners[self.filled] = slot;
        self.add(self.filled, weight);
    }

    /// Closes the gaps that earlier uses left behind, so that the tree stays in the cache.
    fn compact(&mut self) {
        let mut order = Vec::with_capacity(self.live);
        for place in 1..=self.filled {
            let slot = self.owners[place];
            if self.places[slot as usize] as usize == place {
                order.push(slot);
            }
        }
        let room = 2 * order.len() + ROOM;
        self.tree = vec![0; room + 1];
        self.owners.resize(room + 1, 0);
        for (index, slot) in order.iter().enumerate() {
            self.places[*slot as usize] = index as u32 + 1;
            self.owners[index + 1] = *slot;
            self.tree[index + 1] = self.weights[*slot as usize];
        }
        for place in 1..=room {
            let parent = place + (place & place.wrapping_neg());
            if parent <= room {
                self.tree[parent] = self.tree[parent].wrapping_add(self.tree[place]);
            }
        }
        self.filled = order.len();
    }
}

/// What was measured at the requests that were looked at.
#[derive(Default)]
struct Measured {
    requests: Vec<u64>,
    distances: Vec<u64>,
    rates: Vec<f64>,
}

/// Measures every request.
fn measure_all(trace: &Trace<'_>) -> Vec<u64> {
    let (slots, distinct) = number(trace.keys);
    let mut recency = Recency::new(distinct);
    let mut distances = Vec::with_capacity(slots.len());
    for (request, slot) in slots.iter().enumerate() {
        distances.push(recency.distance(*slot));
        recency.touch(*slot, trace.size(request));
    }
    distances
}

/// Measures the requests for keys whose hash is below a threshold, which is lowered as often as
/// there are more than `most` such keys.
fn measure_some(trace: &Trace<'_>, rate: f64, most: usize) -> Measured {
    let mut measured = Measured::default();
    let mut threshold = if rate >= 1.0 { u64::MAX } else { (rate * 2f64.powi(64)) as u64 };
    let (slots, distinct) = number(trace.keys);
    let mut recency = Recency::new(distinct);
    let mut sampled: BinaryHeap<(u64, u32)> = BinaryHeap::new();
    for (request, slot) in slots.iter().enumerate() {
        let hash = spread(trace.keys[request]);
        if hash >= threshold {
            continue;
        }
        let distance = recency.distance(*slot);
        recency.touch(*slot, trace.size(request));
        if distance == FIRST {
            sampled.push((hash, *slot));
            while sampled.len() > most {
                if let Some((highest, leaving)) = sampled.pop() {
                    threshold = highest;
                    recency.remove(leaving);
                }
            }
        }
        if hash < threshold {
            measured.requests.push(request as u64);
            measured.distances.push(distance);
            measured.rates.push(threshold as f64 / 2f64.powi(64));
        }
    }
    // The last one stands for the end, so that a reader knows the threshold that remained.
    measured.rates.push(threshold as f64 / 2f64.powi(64));
    measured
}

/// Items of 8 bytes as `bytes`.
fn pack<'py>(py: Python<'py>, items: impl Iterator<Item = [u8; 8]>) -> Bound<'py, PyBytes> {
    let bytes: Vec<u8> = items.flatten().collect();
    PyBytes::new(py, &bytes)
}

fn read<'a>(keys: &'a Bytes<'_>, sizes: Option<&'a Bytes<'_>>) -> PyResult<Trace<'a>> {
    let keys = items(keys, "keys", "uint64")?;
    let sizes: Option<&[u64]> = sizes.map(|sizes| items(sizes, "sizes", "uint64")).transpose()?;
    same_length("sizes", sizes.map_or(keys.len(), <[u64]>::len), keys.len())?;
    if keys.len() >= u32::MAX as usize {
        return Err(PyValueError::new_err("at most 4294967294 requests"));
    }
    Ok(Trace { keys, sizes, costs: None })
}

/// See the stub for the contract.
#[pyfunction]
#[pyo3(signature = (keys, sizes=None))]
pub fn stack_distances<'py>(
    py: Python<'py>,
    keys: &Bound<'py, PyAny>,
    sizes: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let (keys, sizes) = (Bytes::new(keys)?, sizes.map(Bytes::new).transpose()?);
    let trace = read(&keys, sizes.as_ref())?;
    let distances = py.detach(|| measure_all(&trace));
    Ok(pack(py, distances.into_iter().map(u64::to_ne_bytes)))
}

/// See the stub for the contract.
#[pyfunction]
#[pyo3(signature = (keys, sizes=None, *, rate=1.0, most=usize::MAX))]
#[allow(clippy::type_complexity)]
pub fn sampled_distances<'py>(
    py: Python<'py>,
    keys: &Bound<'py, PyAny>,
    sizes: Option<&Bound<'py, PyAny>>,
    rate: f64,
    most: usize,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let (keys, sizes) = (Bytes::new(keys)?, sizes.map(Bytes::new).transpose()?);
    let trace = read(&keys, sizes.as_ref())?;
    let found = py.detach(|| measure_some(&trace, rate, most));
    Ok((
        pack(py, found.requests.into_iter().map(u64::to_ne_bytes)),
        pack(py, found.distances.into_iter().map(u64::to_ne_bytes)),
        pack(py, found.rates.into_iter().map(f64::to_ne_bytes)),
    ))
}

/// See the stub for the contract.
#[pyfunction]
pub fn previous_uses<'py>(
    py: Python<'py>,
    keys: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let keys = Bytes::new(keys)?;
    let trace = read(&keys, None)?;
    let previous = py.detach(|| {
        let (slots, distinct) = number(trace.keys);
        let mut last = vec![-1_i64; distinct];
        let steps = slots.iter().enumerate();
        steps
            .map(|(request, slot)| std::mem::replace(&mut last[*slot as usize], request as i64))
            .collect::<Vec<i64>>()
    });
    Ok(pack(py, previous.into_iter().map(i64::to_ne_bytes)))
}
