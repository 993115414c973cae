//! The slab of entries and the index from key to slot.

use hashbrown::HashTable;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::key::{Key, KeyHasher};

/// A value and its terms: what a caller gives, and gets back. Passed on by reference where it is
/// hot, because copying it is much of the work.
pub struct Item {
    /// The value.
    pub value: Py<PyAny>,
    /// All but the value.
    pub terms: Terms,
}

/// What a caller gives with a value.
pub struct Terms {
    /// Size in bytes.
    pub size: u64,
    /// Seconds that computing it again takes.
    pub cost: f64,
    /// The writer's version.
    pub version: u64,
    /// Seconds since the epoch.
    pub created_at: f64,
    /// Fresh until then.
    pub expires_at: f64,
    /// Readable until then.
    pub stale_until: f64,
    /// The caller's number for where the key belongs.
    pub group: u32,
    /// Exact `str`s; None for no tags.
    pub tags: Option<Py<PyTuple>>,
}

/// What is left of an entry that is gone.
pub struct Gone {
    /// The value.
    pub value: Py<PyAny>,
    /// Its tags.
    pub tags: Option<Py<PyTuple>>,
}

impl Terms {
    /// Of an entry of which nothing is said.
    #[inline]
    pub fn plain() -> Self {
        Self {
            size: 1,
            cost: 0.0,
            version: 0,
            created_at: 0.0,
            expires_at: f64::INFINITY,
            stale_until: f64::INFINITY,
            group: 0,
            tags: None,
        }
    }

    /// The same, tags moved out.
    #[inline]
    fn moved(&mut self) -> Self {
        Self { tags: self.tags.take(), ..*self }
    }

    /// Whether the entry can expire.
    #[inline]
    pub fn mortal(&self) -> bool {
        self.expires_at != f64::INFINITY
    }

    /// The same again, tags by reference.
    pub fn share(&self, py: Python<'_>) -> Self {
        Self { tags: self.tags.as_ref().map(|tags| tags.clone_ref(py)), ..*self }
    }
}

const LEAVING: u32 = 1 << 31;
const USED: u32 = 1 << 30;
const MORTAL: u32 = 1 << 29;
const PINS: u32 = MORTAL - 1;

/// Why an entry may not be chosen (pins, or chosen already), and whether it can expire.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Holds(u32);

impl Holds {
    /// Whether the policy may choose it.
    #[inline]
    pub fn attached(self) -> bool {
        self.0 & (LEAVING | PINS) == 0
    }

    /// Whether it was chosen and not gone yet.
    pub fn leaving(self) -> bool {
        self.0 & LEAVING != 0
    }

    /// Number of pins.
    pub fn pins(self) -> u32 {
        self.0 & PINS
    }

    /// Whether the entry can expire.
    #[inline]
    pub fn mortal(self) -> bool {
        self.0 & MORTAL != 0
    }

    /// Says whether the entry can expire.
    #[inline]
    pub fn set_mortal(&mut self, mortal: bool) {
        self.0 = if mortal { self.0 | MORTAL } else { self.0 & !MORTAL };
    }

    /// Marks it as leaving, or not.
    pub fn set_leaving(&mut self, leaving: bool) {
        self.0 = if leaving { self.0 | LEAVING } else { self.0 & !LEAVING };
    }

    /// Remembers a use that the policy did not see.
    #[inline]
    pub fn note_use(&mut self) {
        self.0 |= USED;
    }

    /// Whether there was such a use since last asked.
    pub fn take_use(&mut self) -> bool {
        let used = self.0 & USED != 0;
        self.0 &= !USED;
        used
    }

    /// One pin more; false at the most there can be.
    pub fn pin(&mut self) -> bool {
        let more = self.pins() < PINS;
        self.0 += u32::from(more);
        more
    }

    /// One pin less; false if there is none.
    pub fn unpin(&mut self) -> bool {
        let less = self.pins() > 0;
        self.0 -= u32::from(less);
        less
    }
}

/// What every access looks at: half a cache line.
pub struct Node {
    /// The key.
    pub key: Key,
    /// The value; None if the slot is free.
    pub value: Option<Py<PyAny>>,
    /// Why it may not be chosen.
    pub holds: Holds,
    hash: u32,
}

/// Entries by slot and by key. Values and terms lie apart, so that a hit touches few lines.
pub struct Nodes {
    slab: Vec<Node>,
    terms: Vec<Terms>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: KeyHasher,
}

/// The index looks at the lowest and the highest bits.
#[inline]
fn widen(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

impl Nodes {
    /// No entries.
    pub fn new() -> Self {
        Self {
            slab: Vec::new(),
            terms: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: KeyHasher::new(),
        }
    }

    /// Number of entries.
    #[inline]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Number of slots, free ones too.
    pub fn slots(&self) -> u32 {
        self.slab.len() as u32
    }

    /// A number to start a random sequence from.
    pub fn seed(&self) -> u64 {
        self.hasher.seed()
    }

    /// The slot of a key.
    #[inline]
    pub fn find(&self, key: Key) -> Option<u32> {
        self.find_hashed(self.hash(key), key)
    }

    /// The hash of a key, for `find_hashed` and `add`.
    #[inline]
    pub fn hash(&self, key: Key) -> u32 {
        self.hasher.hash(key)
    }

    /// The slot of a key with that hash.
    #[inline]
    pub fn find_hashed(&self, hash: u32, key: Key) -> Option<u32> {
        let slab = &self.slab;
        let same = |slot: &u32| slab[*slot as usize].key == key;
        self.index.find(widen(hash), same).copied()
    }

    /// The node in a slot.
    #[inline]
    pub fn node(&self, slot: u32) -> &Node {
        &self.slab[slot as usize]
    }

    /// The node in a slot.
    #[inline]
    pub fn node_mut(&mut self, slot: u32) -> &mut Node {
        &mut self.slab[slot as usize]
    }

    /// The terms of a slot that is in use.
    #[inline]
    pub fn terms(&self, slot: u32) -> &Terms {
        &self.terms[slot as usize]
    }

    /// Another reference to the value in a slot that is in use.
    #[inline]
    pub fn value(&self, py: Python<'_>, slot: u32) -> Py<PyAny> {
        self.slab[slot as usize].value.as_ref().expect("the slot is in use").clone_ref(py)
    }

    /// Adds an entry under a key that is not there and has that hash; returns its slot.
    #[inline]
    pub fn add(&mut self, hash: u32, key: Key, value: Py<PyAny>, terms: &mut Terms) -> u32 {
        let mut holds = Holds::default();
        holds.set_mortal(terms.mortal());
        let node = Node { key, value: Some(value), holds, hash };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slab[slot as usize] = node;
                self.terms[slot as usize] = terms.moved();
                slot
            }
            None => {
                self.slab.push(node);
                self.terms.push(terms.moved());
                (self.slab.len() - 1) as u32
            }
        };
        let slab = &self.slab;
        let rehash = |slot: &u32| widen(slab[*slot as usize].hash);
        self.index.insert_unique(widen(hash), slot, rehash);
        slot
    }

    /// Puts another entry under the same key; returns what is left of the old one.
    pub fn swap(&mut self, slot: u32, value: Py<PyAny>, terms: &mut Terms) -> Gone {
        let node = &mut self.slab[slot as usize];
        node.holds.set_mortal(terms.mortal());
        let value = node.value.replace(value).expect("the slot is in use");
        let old = std::mem::replace(&mut self.terms[slot as usize], terms.moved());
        Gone { value, tags: old.tags }
    }

    /// Takes an entry out; the caller drops what is left of it outside the lock. Its terms, but
    /// for the tags, can be read until the slot is used again.
    #[inline]
    pub fn take(&mut self, slot: u32) -> Gone {
        let node = &mut self.slab[slot as usize];
        let value = node.value.take().expect("the slot is in use");
        if let Ok(found) = self.index.find_entry(widen(node.hash), |other| *other == slot) {
            found.remove();
        }
        self.free.push(slot);
        Gone { value, tags: self.terms[slot as usize].tags.take() }
    }

    /// Takes all entries out.
    pub fn drain(&mut self) -> impl Iterator<Item = Gone> {
        self.free.clear();
        self.index.clear();
        let nodes = std::mem::take(&mut self.slab).into_iter();
        nodes
            .zip(std::mem::take(&mut self.terms))
            .filter_map(|(node, terms)| node.value.map(|value| Gone { value, tags: terms.tags }))
    }

    /// All entries, by slot.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Node, &Terms)> {
        let both = self.slab.iter().zip(&self.terms).enumerate();
        both.filter(|(_, (node, _))| node.value.is_some())
            .map(|(slot, (node, terms))| (slot as u32, node, terms))
    }

    /// Bytes of memory that the table itself takes, without values and policy.
    pub fn memory_bytes(&self) -> usize {
        let index = self.index.capacity() * 8 / 7 * (size_of::<u32>() + 1);
        let slot = size_of::<Node>() + size_of::<Terms>();
        self.slab.capacity() * slot + self.free.capacity() * 4 + index
    }

    /// One sentence for each slot that is lost or found twice.
    pub fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (slot, node, terms) in self.iter() {
            if self.find(node.key) != Some(slot) {
                faults.push(format!("the key of slot {slot} is not found there"));
            }
            if node.holds.mortal() != terms.mortal() {
                faults.push(format!("slot {slot} has the wrong mark for expiry"));
            }
        }
        let used = self.iter().count();
        if used != self.index.len() || used + self.free.len() != self.slab.len() {
            faults.push(format!(
                "{used} slots in use, {} free, {} in all, {} keys",
                self.free.len(),
                self.slab.len(),
                self.index.len()
            ));
        }
        faults
    }
}
