//! The slab of entries and the index from key to slot.

use hashbrown::HashTable;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::key::{Key, KeyHasher};

/// A value and its terms: what a caller gives, and gets back.
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

impl Terms {
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
        let slab = &self.slab;
        let same = |slot: &u32| slab[*slot as usize].key == key;
        self.index.find(widen(self.hasher.hash(key)), same).copied()
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

    /// Adds an entry under a key that is not there; returns its slot.
    #[inline]
    pub fn add(&mut self, key: Key, item: Item) -> u32 {
        let hash = self.hasher.hash(key);
        let mut holds = Holds::default();
        holds.set_mortal(item.terms.mortal());
        let node = Node { key, value: Some(item.value), holds, hash };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slab[slot as usize] = node;
                self.terms[slot as usize] = item.terms;
                slot
            }
            None => {
                self.slab.push(node);
                self.terms.push(item.terms);
                (self.slab.len() - 1) as u32
            }
        };
        let slab = &self.slab;
        let rehash = |slot: &u32| widen(slab[*slot as usize].hash);
        self.index.insert_unique(widen(hash), slot, rehash);
        slot
    }

    /// Puts another entry under the same key; returns the old one.
    pub fn swap(&mut self, slot: u32, item: Item) -> Item {
        let node = &mut self.slab[slot as usize];
        node.holds.set_mortal(item.terms.mortal());
        let value = node.value.replace(item.value).expect("the slot is in use");
        Item { value, terms: std::mem::replace(&mut self.terms[slot as usize], item.terms) }
    }

    /// Takes an entry out; the caller drops it outside the lock.
    #[inline]
    pub fn take(&mut self, slot: u32) -> Item {
        let node = &mut self.slab[slot as usize];
        let value = node.value.take().expect("the slot is in use");
        if let Ok(found) = self.index.find_entry(widen(node.hash), |other| *other == slot) {
            found.remove();
        }
        self.free.push(slot);
        let old = &mut self.terms[slot as usize];
        let tags = old.tags.take();
        Item { value, terms: Terms { tags, ..*old } }
    }

    /// Takes all entries out.
    pub fn drain(&mut self) -> impl Iterator<Item = Item> {
        self.free.clear();
        self.index.clear();
        let nodes = std::mem::take(&mut self.slab).into_iter();
        nodes
            .zip(std::mem::take(&mut self.terms))
            .filter_map(|(node, terms)| node.value.map(|value| Item { value, terms }))
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
