//! GDSF: the entry with the lowest `L + uses * cost / size` leaves first, where `L` is what the
//! last one to leave had, so that what is not used any more falls behind.
//!
//! L. Cherkasova: Improving WWW proxies performance with Greedy-Dual-Size-Frequency caching
//! policy. HP Labs HPL-98-69R1, 1998. Cost is the measured seconds of computing the entry again;
//! one that was not measured counts with the mean of those that were, or 1 if none was. Equal
//! priorities leave in the order of their last use. O(log entries) a use.

use super::heap::{Heap, Priority};
use super::list::check_members;
use super::{End, Facts, Policy};

#[derive(Clone, Copy, Default)]
struct Node {
    uses: u64,
    worth: f64,
    /// The priority with which it was detached.
    last: f64,
    age: u64,
}

/// See the module.
#[derive(Default)]
pub struct Gdsf {
    heap: Heap,
    nodes: Vec<Node>,
    inflation: f64,
    age: u64,
    known_cost: f64,
    known_count: u64,
}

impl Gdsf {
    /// No entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cost of one byte.
    fn worth(&self, facts: &Facts) -> f64 {
        let cost = match (facts.cost > 0.0, self.known_count) {
            (true, _) => facts.cost,
            (false, 0) => 1.0,
            (false, count) => self.known_cost / count as f64,
        };
        cost / facts.size.max(1) as f64
    }

    /// Attaches a slot with the priority that its uses are worth now.
    fn push(&mut self, slot: u32) {
        let Node { uses, worth, .. } = self.nodes[slot as usize];
        self.age += 1;
        let value = self.inflation + uses as f64 * worth;
        self.heap.push(slot, Priority { value, age: self.age });
    }

    fn detach(&mut self, slot: u32) {
        let Priority { value, age } = self.heap.remove(slot);
        let node = &mut self.nodes[slot as usize];
        (node.last, node.age) = (value, age);
    }
}

impl Policy for Gdsf {
    fn insert(&mut self, slot: u32, facts: &Facts) {
        if facts.cost > 0.0 {
            self.known_cost += facts.cost;
            self.known_count += 1;
        }
        if slot as usize >= self.nodes.len() {
            self.nodes.resize(slot as usize + 1, Node::default());
        }
        let worth = self.worth(facts);
        self.nodes[slot as usize] = Node { uses: 1, worth, ..Node::default() };
        self.push(slot);
    }

    fn hit(&mut self, slot: u32) {
        self.heap.remove(slot);
        self.nodes[slot as usize].uses += 1;
        self.push(slot);
    }

    fn hold(&mut self, slot: u32) {
        self.detach(slot);
    }

    fn release(&mut self, slot: u32, facts: &Facts, end: End) {
        match end {
            End::Next => {
                let Node { last, age, .. } = self.nodes[slot as usize];
                self.heap.push(slot, Priority { value: last, age });
            }
            End::Recent => {
                self.nodes[slot as usize].worth = self.worth(facts);
                self.push(slot);
            }
        }
    }

    fn evict(&mut self, _incoming: Option<&Facts>) -> Option<u32> {
        let (slot, Priority { value, age }) = self.heap.pop()?;
        let node = &mut self.nodes[slot as usize];
        (node.last, node.age) = (value, age);
        Some(slot)
    }

    fn forget(&mut self, slot: u32, evicted: bool) {
        if evicted {
            self.inflation = self.inflation.max(self.nodes[slot as usize].last);
        }
    }

    fn check(&self, attached: &[(u32, Facts)]) -> Vec<String> {
        let mut faults = self.heap.check();
        faults.extend(check_members(self.heap.slots(), attached.iter().map(|entry| entry.0)));
        faults
    }
}
