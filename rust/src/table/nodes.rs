//! The slab of entries and the index from key to slot.

use hashbrown::HashTable;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::key::{Key, KeyHasher};

/// What a caller gives with a value, and gets back with it.
pub struct Item {
    /// The value.
    pub value: Py<PyAny>,
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

impl Item {
    /// Another reference to the same value and tags.
    pub fn share(&self, py: Python<'_>) -> Self {
        Self {
            value: self.value.clone_ref(py),
            tags: self.tags.as_ref().map(|tags| tags.clone_ref(py)),
            ..*self
        }
    }
}

const LEAVING: u32 = 1 << 31;
const USED: u32 = 1 << 30;

/// Why an entry may not be chosen: pins, and whether it was chosen already.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Holds(u32);

impl Holds {
    /// Whether the policy may choose it.
    #[inline]
    pub fn attached(self) -> bool {
        self.0 & !USED == 0
    }

    /// Whether it was chosen and not gone yet.
    pub fn leaving(self) -> bool {
        self.0 & LEAVING != 0
    }

    /// Number of pins.
    pub fn pins(self) -> u32 {
        self.0 & !(LEAVING | USED)
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
        let more = self.pins() + 1 < USED;
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

/// An entry under its key.
pub struct Node {
    /// The key.
    pub key: Key,
    /// Why it may not be chosen.
    pub holds: Holds,
    /// The entry; None if the slot is free.
    pub item: Option<Item>,
}

/// Entries by slot and by key.
pub struct Nodes {
    slab: Vec<Node>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: KeyHasher,
}

impl Nodes {
    /// No entries.
    pub fn new() -> Self {
        let hasher = KeyHasher::new();
        Self { slab: Vec::new(), free: Vec::new(), index: HashTable::new(), hasher }
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
        self.index.find(self.hasher.hash(key), same).copied()
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

    /// The entry in a slot that is in use.
    #[inline]
    pub fn item(&self, slot: u32) -> &Item {
        self.slab[slot as usize].item.as_ref().expect("the slot is in use")
    }

    /// Adds an entry under a key that is not there; returns its slot.
    #[inline]
    pub fn add(&mut self, key: Key, item: Item) -> u32 {
        let node = Node { key, holds: Holds::default(), item: Some(item) };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slab[slot as usize] = node;
                slot
            }
            None => {
                self.slab.push(node);
                (self.slab.len() - 1) as u32
            }
        };
        let (slab, hasher) = (&self.slab, &self.hasher);
        let rehash = |slot: &u32| hasher.hash(slab[*slot as usize].key);
        self.index.insert_unique(hasher.hash(key), slot, rehash);
        slot
    }

    /// Takes an entry out; the caller drops it outside the lock.
    #[inline]
    pub fn take(&mut self, slot: u32) -> Item {
        let node = &mut self.slab[slot as usize];
        let item = node.item.take().expect("the slot is in use");
        let hash = self.hasher.hash(node.key);
        if let Ok(found) = self.index.find_entry(hash, |other| *other == slot) {
            found.remove();
        }
        self.free.push(slot);
        item
    }

    /// Takes all entries out.
    pub fn drain(&mut self) -> impl Iterator<Item = Item> {
        self.free.clear();
        self.index.clear();
        std::mem::take(&mut self.slab).into_iter().filter_map(|node| node.item)
    }

    /// All entries, by slot.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Node, &Item)> {
        let used = |(slot, node)| entry(slot, node);
        self.slab.iter().enumerate().filter_map(used)
    }

    /// Bytes of memory that the table itself takes, without values and policy.
    pub fn memory_bytes(&self) -> usize {
        let index = self.index.capacity() * 8 / 7 * (size_of::<u32>() + 1);
        self.slab.capacity() * size_of::<Node>() + self.free.capacity() * 4 + index
    }

    /// One sentence for each slot that is lost or found twice.
    pub fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (slot, node, _) in self.iter() {
            if self.find(node.key) != Some(slot) {
                faults.push(format!("the key of slot {slot} is not found there"));
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

fn entry(slot: usize, node: &Node) -> Option<(u32, &Node, &Item)> {
    node.item.as_ref().map(|item| (slot as u32, node, item))
}
