//! LRU: the entry whose last use is longest ago leaves first.
//!
//! R. L. Mattson, J. Gecsei, D. R. Slutz, I. L. Traiger: Evaluation techniques for storage
//! hierarchies. IBM Systems Journal 9(2), 1970. Nothing deviates; replacing an entry and
//! unpinning it count as uses.

use super::list::{check_members, Links, List};
use super::{End, Facts, Policy};

/// See the module.
#[derive(Default)]
pub struct Lru {
    links: Links,
    list: List,
}

impl Lru {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Policy for Lru {
    #[inline]
    fn insert(&mut self, slot: u32, _facts: &Facts) {
        self.links.ensure(slot);
        self.list.push_front(&mut self.links, slot);
    }

    #[inline]
    fn hit(&mut self, slot: u32) {
        self.list.refresh(&mut self.links, slot);
    }

    fn hold(&mut self, slot: u32) {
        self.list.unlink(&mut self.links, slot);
    }

    fn release(&mut self, slot: u32, _facts: &Facts, end: End) {
        match end {
            End::Next => self.list.push_back(&mut self.links, slot),
            End::Recent => self.list.push_front(&mut self.links, slot),
        }
    }

    #[inline]
    fn evict(&mut self, _incoming: Option<&Facts>) -> Option<u32> {
        self.list.pop_back(&mut self.links)
    }

    #[inline]
    fn forget(&mut self, _slot: u32, _evicted: bool) {}

    fn check(&self, attached: &[(u32, Facts)]) -> Vec<String> {
        let mut faults = self.list.check(&self.links, "list");
        let slots = attached.iter().map(|entry| entry.0);
        faults.extend(check_members(self.list.walk(&self.links), slots));
        faults
    }
}
