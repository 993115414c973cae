//! Belady's optimum: what is used again last leaves first.
//!
//! L. A. Belady: A study of replacement algorithms for a virtual-storage computer, IBM Systems
//! Journal 5 (1966). With sizes the optimum is NP-hard; what stands here then is a heuristic.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::buffer::Bytes;
use crate::replay::{answer, items, number, same_length, Tally, Trace};

const NEVER: u32 = u32::MAX;
const CANDIDATES: usize = 64;

/// A set of numbers below a bound whose greatest is found in four steps or so.
struct Marks {
    levels: Vec<Vec<u64>>,
}

impl Marks {
    fn new(bound: usize) -> Self {
        let mut levels = Vec::new();
        let mut words = bound.div_ceil(64).max(1);
        loop {
            levels.push(vec![0; words]);
            if words == 1 {
                return Self { levels };
            }
            words = words.div_ceil(64);
        }
    }

    #[inline]
    fn set(&mut self, mut place: usize) {
        for level in &mut self.levels {
            let word = &mut level[place >> 6];
            let known = *word != 0;
            *word |= 1 << (place & 63);
            if known {
                return;
            }
            place >>= 6;
        }
    }

    #[inline]
    fn clear(&mut self, mut place: usize) {
        for level in &mut self.levels {
            let word = &mut level[place >> 6];
            *word &= !(1 << (place & 63));
            if *word != 0 {
                return;
            }
            place >>= 6;
        }
    }

    #[inline]
    fn last(&self) -> Option<usize> {
        let mut place = 0;
        for level in self.levels.iter().rev() {
            let word = level[place];
            if word == 0 {
                return None;
            }
            place = (place << 6) | (63 - word.leading_zeros() as usize);
        }
        Some(place)
    }
}

/// For each request the place of the next one for the same entry, or `NEVER`.
fn next_uses(slots: &[u32], distinct: usize) -> Vec<u32> {
    let mut coming = vec![NEVER; distinct];
    let mut nexts = vec![NEVER; slots.len()];
    for (request, slot) in slots.iter().enumerate().rev() {
        nexts[request] = std::mem::replace(&mut coming[*slot as usize], request as u32);
    }
    nexts
}

/// Entries of size 1. With `bypass` an entry that would be the next to leave does not come in.
fn run_units(trace: &Trace<'_>, capacity: u64, bypass: bool, mut tally: Tally) -> Tally {
    let (slots, distinct) = number(trace.keys);
    let nexts = next_uses(&slots, distinct);
    let mut held = vec![false; distinct];
    let mut marks = Marks::new(slots.len());
    // Entries that are never used again need not be told apart.
    let (mut used, mut useless) = (0, 0);
    for (request, slot) in slots.iter().enumerate() {
        let next = nexts[request];
        let hit = held[*slot as usize];
        tally.note(hit, 1, trace.cost(request));
        if hit {
            marks.clear(request);
        } else {
            if capacity == 0 {
                tally.rejected += 1;
                continue;
            }
            if used == capacity {
                if useless > 0 {
                    useless -= 1;
                } else if let Some(last) = marks.last() {
                    if bypass && next as usize > last {
                        continue;
                    }
                    marks.clear(last);
                    held[slots[last] as usize] = false;
                }
                used -= 1;
                tally.evictions += 1;
            }
            used += 1;
        }
        if next == NEVER {
            useless += 1;
        } else {
            marks.set(next as usize);
        }
        held[*slot as usize] = next != NEVER;
    }
    tally
}

/// What may leave in a replay with sizes.
#[derive(Clone, Copy)]
struct Resident {
    slot: u32,
    next: u32,
    size: u64,
}

impl Resident {
    /// Room times the time for which it would be taken for one hit: the greatest leaves first.
    #[inline]
    fn waste(&self, now: usize) -> f64 {
        self.size as f64 * (self.next as usize - now) as f64
    }
}

/// Residents, each found by its slot.
struct Room {
    residents: Vec<Resident>,
    places: Vec<u32>,
    used: u64,
    state: u64,
}

impl Room {
    fn take(&mut self, place: usize) {
        let gone = self.residents.swap_remove(place);
        self.places[gone.slot as usize] = NEVER;
        self.used -= gone.size;
        if let Some(moved) = self.residents.get(place) {
            self.places[moved.slot as usize] = place as u32;
        }
    }

    fn put(&mut self, resident: Resident) {
        self.places[resident.slot as usize] = self.residents.len() as u32;
        self.used += resident.size;
        self.residents.push(resident);
    }

    fn draw(&mut self) -> usize {
        // Xorshift64: the same draws in every run.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        ((u128::from(self.state) * self.residents.len() as u128) >> 64) as usize
    }

    /// The place of the most wasteful of some residents drawn at random, or of all if few.
    fn worst(&mut self, now: usize) -> Option<usize> {
        let few = self.residents.len() <= CANDIDATES;
        let count = self.residents.len().min(CANDIDATES);
        let candidates = (0..count).map(|place| if few { place } else { self.draw() });
        let drawn: Vec<usize> = candidates.collect();
        let waste = |place: &usize| self.residents[*place].waste(now);
        drawn.into_iter().max_by(|one, other| waste(one).total_cmp(&waste(other)))
    }
}

/// Entries with sizes: of 64 drawn at random the one with the most room times time to its next
/// use leaves. What is never used again does not come in.
fn run_sizes(trace: &Trace<'_>, capacity: u64, mut tally: Tally) -> Tally {
    let (slots, distinct) = number(trace.keys);
    let nexts = next_uses(&slots, distinct);
    let mut room = Room {
        residents: Vec::new(),
        places: vec![NEVER; distinct],
        used: 0,
        state: 0x9E37_79B9_7F4A_7C15,
    };
    for (request, slot) in slots.iter().enumerate() {
        let (next, size) = (nexts[request], trace.size(request));
        let place = room.places[*slot as usize];
        let hit = place != NEVER;
        tally.note(hit, size, trace.cost(request));
        if hit && next == NEVER {
            room.take(place as usize);
        } else if hit {
            room.residents[place as usize].next = next;
        } else if size > capacity {
            tally.rejected += 1;
        } else if next != NEVER {
            let incoming = Resident { slot: *slot, next, size };
            let mut enters = true;
            while enters && size > capacity - room.used {
                match room.worst(request) {
                    Some(worst)
                        if room.residents[worst].waste(request) >= incoming.waste(request) =>
                    {
                        room.take(worst);
                        tally.evictions += 1;
                    }
                    _ => enters = false,
                }
            }
            if enters {
                room.put(incoming);
            }
        }
    }
    tally
}

/// Replays a trace under Belady's optimum; see the stub for the contract.
#[pyfunction]
#[pyo3(signature = (keys, sizes=None, costs=None, capacity=0, *, bypass=false, outcomes=false))]
pub fn belady<'py>(
    py: Python<'py>,
    keys: &Bound<'py, PyAny>,
    sizes: Option<&Bound<'py, PyAny>>,
    costs: Option<&Bound<'py, PyAny>>,
    capacity: u64,
    bypass: bool,
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
    if trace.keys.len() >= NEVER as usize {
        return Err(PyValueError::new_err("at most 4294967294 requests"));
    }
    let tally = Tally { outcomes: outcomes.then(Vec::new), ..Tally::default() };
    let tally = py.detach(|| match trace.sizes {
        None => run_units(&trace, capacity, bypass, tally),
        Some(_) => run_sizes(&trace, capacity, tally),
    });
    answer(py, tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_find_their_greatest() {
        let mut marks = Marks::new(1_000_000);
        assert_eq!(marks.last(), None);
        for place in [3, 999_999, 64, 0, 70_000] {
            marks.set(place);
        }
        let mut found = Vec::new();
        while let Some(last) = marks.last() {
            marks.clear(last);
            found.push(last);
        }
        assert_eq!(found, [999_999, 70_000, 64, 3, 0]);
    }
}
