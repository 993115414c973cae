//! FIFO: the entry that came in first leaves first; a hit changes nothing.
//!
//! L. A. Belady: A study of replacement algorithms for a virtual-storage computer. IBM Systems
//! Journal 5(2), 1966. Nothing deviates; an entry that is replaced or was pinned comes in anew.

use super::list::{check_members, Links, List};
use super::{End, Facts, Policy};

/// See the module.
#[derive(Default)]
pub struct Fifo {
    links: Links,
    queue: List,
}

impl Fifo {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Policy for Fifo {
    #[inline]
    fn insert(&mut self, slot: u32, _facts: &Facts) {
        self.links.ensure(slot);
        self.queue.push_front(&mut self.links, slot);
    }

    #[inline]
    fn hit(&mut self, _slot: u32) {}

    fn hold(&mut self, slot: u32) {
        self.queue.unlink(&mut self.links, slot);
    }

    fn release(&mut self, slot: u32, _facts: &Facts, end: End) {
        match end {
            End::Next => self.queue.push_back(&mut self.links, slot),
            End::Recent => self.queue.push_front(&mut self.links, slot),
        }
    }

    #[inline]
    fn evict(&mut self, _incoming: Option<&Facts>) -> Option<u32> {
        self.queue.pop_back(&mut self.links)
    }

    #[inline]
    fn forget(&mut self, _slot: u32, _evicted: bool) {}

    fn check(&self, attached: &[(u32, Facts)]) -> Vec<String> {
        let mut faults = self.queue.check(&self.links, "queue");
        let slots = attached.iter().map(|entry| entry.0);
        faults.extend(check_members(self.queue.walk(&self.links), slots));
        faults
    }
}
