//! SIEVE: a hand walks from the oldest entry to the newest; what was used since the hand last
//! passed stays where it is, the first that was not leaves.
//!
//! Y. Zhang, J. Yang, Y. Yue, Y. Vigfusson, K. V. Rashmi: SIEVE is simpler than LRU: an efficient
//! turn-key eviction algorithm for web caches. NSDI 2024. Nothing deviates. An entry that was
//! chosen and is kept after all comes back right in front of the hand, as the next to leave.

use super::list::{check_members, Links, List, NONE};
use super::{End, Facts, Policy};

/// See the module.
pub struct Sieve {
    links: Links,
    queue: List,
    hand: u32,
    used: Vec<bool>,
}

impl Sieve {
    /// An empty queue.
    pub fn new() -> Self {
        Self { links: Links::default(), queue: List::default(), hand: NONE, used: Vec::new() }
    }
}

impl Policy for Sieve {
    #[inline]
    fn insert(&mut self, slot: u32, _facts: &Facts) {
        self.links.ensure(slot);
        if slot as usize >= self.used.len() {
            self.used.resize(slot as usize + 1, false);
        }
        self.used[slot as usize] = false;
        self.queue.push_front(&mut self.links, slot);
    }

    #[inline]
    fn hit(&mut self, slot: u32) {
        self.used[slot as usize] = true;
    }

    fn hold(&mut self, slot: u32) {
        if self.hand == slot {
            self.hand = self.links.prev(slot);
        }
        self.queue.unlink(&mut self.links, slot);
    }

    fn release(&mut self, slot: u32, _facts: &Facts, end: End) {
        match end {
            End::Next => {
                self.queue.push_after(&mut self.links, slot, self.hand);
                self.used[slot as usize] = false;
                self.hand = slot;
            }
            End::Recent => self.queue.push_front(&mut self.links, slot),
        }
    }

    #[inline]
    fn evict(&mut self, _incoming: Option<&Facts>) -> Option<u32> {
        let mut slot = if self.hand == NONE { self.queue.back } else { self.hand };
        while slot != NONE && self.used[slot as usize] {
            self.used[slot as usize] = false;
            let before = self.links.prev(slot);
            slot = if before == NONE { self.queue.back } else { before };
        }
        if slot == NONE {
            return None;
        }
        self.hand = self.links.prev(slot);
        self.queue.unlink(&mut self.links, slot);
        Some(slot)
    }

    #[inline]
    fn forget(&mut self, _slot: u32, _evicted: bool) {}

    fn check(&self, attached: &[(u32, Facts)]) -> Vec<String> {
        let mut faults = self.queue.check(&self.links, "queue");
        let slots = attached.iter().map(|entry| entry.0);
        faults.extend(check_members(self.queue.walk(&self.links), slots));
        if self.hand != NONE && !self.links.linked(self.hand) {
            faults.push(format!("the hand points to slot {}, which is not there", self.hand));
        }
        faults
    }
}
