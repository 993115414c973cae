//! Keys of entries that left, oldest first, bounded by the weight that they had.

use std::collections::VecDeque;
use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::hash_map::Entry;
use hashbrown::HashMap;

use super::spread::spread;

/// Hasher of ids.
#[derive(Default)]
pub struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, id: u64) {
        self.0 = spread(id);
    }
}

#[derive(Clone, Copy)]
struct Memory {
    number: u64,
    weight: u64,
}

/// See the module.
#[derive(Default)]
pub struct Ghost {
    known: HashMap<u64, Memory, BuildHasherDefault<Spread>>,
    order: VecDeque<(u64, u64)>,
    weight: u64,
    next: u64,
}

impl Ghost {
    /// Sum of the weights.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// Whether an id is remembered.
    #[inline]
    pub fn contains(&self, id: u64) -> bool {
        self.known.contains_key(&id)
    }

    /// Remembers an id as the youngest.
    pub fn push(&mut self, id: u64, weight: u64) {
        self.next += 1;
        if let Some(old) = self.known.insert(id, Memory { number: self.next, weight }) {
            self.weight -= old.weight;
            self.tidy();
        }
        self.order.push_back((id, self.next));
        self.weight += weight;
    }

    /// Forgets an id; false if it was not there.
    pub fn remove(&mut self, id: u64) -> bool {
        let Some(memory) = self.known.remove(&id) else { return false };
        self.weight -= memory.weight;
        self.tidy();
        true
    }

    /// Removed ids stay in the queue until they are its oldest, or too many.
    fn tidy(&mut self) {
        if self.order.len() > 64 && self.order.len() > 2 * self.known.len() {
            let known = &self.known;
            self.order.retain(|(id, number)| known.get(id).is_some_and(|m| m.number == *number));
        }
    }

    /// Forgets the oldest ids until at most this weight is left.
    pub fn trim(&mut self, weight: u64) {
        while self.weight > weight {
            let Some((id, number)) = self.order.pop_front() else { return };
            match self.known.entry(id) {
                Entry::Occupied(found) if found.get().number == number => {
                    self.weight -= found.remove().weight;
                }
                _ => {}
            }
        }
    }

    /// One sentence for each account that does not add up.
    pub fn check(&self, name: &str) -> Vec<String> {
        let found: u64 = self.known.values().map(|memory| memory.weight).sum();
        let mut faults = Vec::new();
        if found != self.weight {
            faults.push(format!("{name}: weighs {found} but counts {}", self.weight));
        }
        let live = |(id, number): &&(u64, u64)| {
            self.known.get(id).is_some_and(|memory| memory.number == *number)
        };
        let queued = self.order.iter().filter(live).count();
        if queued != self.known.len() {
            faults.push(format!("{name}: {queued} of {} ids are queued", self.known.len()));
        }
        faults
    }
}
