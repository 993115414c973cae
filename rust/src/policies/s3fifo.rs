//! S3-FIFO: new entries pass a small queue; what was used there goes on to the main queue, the
//! rest leaves quickly and is remembered; what comes back while remembered goes to the main
//! queue at once, where used entries go round again.
//!
//! J. Yang, Y. Zhang, Z. Qiu, Y. Yue, K. V. Rashmi: FIFO queues are all you need for cache
//! eviction. SOSP 2023. Small queue 10 % of the capacity, ghost as large as the main queue,
//! counters up to 3, promoted at more than one use. The ghost may forget early,
//! as there in 4.2. Sizes: queues and ghost are bounded by
//! weight. Without a bound, the weight of all entries stands for the capacity.

use super::departed::Departed;
use super::list::{check_members, Links, List};
use super::{Capacity, End, Facts, Policy};

const MOST_USES: u8 = 3;
const USES_TO_PROMOTE: u8 = 2;

#[derive(Clone, Copy, Default)]
struct Node {
    id: u64,
    weight: u64,
    uses: u8,
    in_main: bool,
}

/// See the module.
#[derive(Default)]
pub struct S3Fifo {
    links: Links,
    nodes: Vec<Node>,
    small: List,
    main: List,
    small_weight: u64,
    main_weight: u64,
    ghost: Departed,
    capacity: Capacity,
}

impl S3Fifo {
    /// Empty queues.
    pub fn new(capacity: Option<u64>) -> Self {
        Self { capacity: Capacity(capacity), ..Self::default() }
    }

    fn small_target(&self) -> u64 {
        (self.capacity.or(self.small_weight + self.main_weight) / 10).max(1)
    }

    fn ghost_target(&self) -> u64 {
        let all = self.capacity.or(self.small_weight + self.main_weight);
        all - all / 10
    }

    fn attach(&mut self, slot: u32, end: End) {
        let node = self.nodes[slot as usize];
        let (list, weight) = match node.in_main {
            true => (&mut self.main, &mut self.main_weight),
            false => (&mut self.small, &mut self.small_weight),
        };
        *weight += node.weight;
        match end {
            End::Next => list.push_back(&mut self.links, slot),
            End::Recent => list.push_front(&mut self.links, slot),
        }
    }

    fn detach(&mut self, slot: u32) {
        let node = self.nodes[slot as usize];
        let (list, weight) = match node.in_main {
            true => (&mut self.main, &mut self.main_weight),
            false => (&mut self.small, &mut self.small_weight),
        };
        *weight -= node.weight;
        list.unlink(&mut self.links, slot);
    }

    /// One step: the oldest of a queue leaves, or moves; None if it moved.
    fn step(&mut self) -> Option<u32> {
        let from_small = self.main.len() == 0
            || (self.small.len() > 0 && self.small_weight >= self.small_target());
        let slot = if from_small { self.small.back } else { self.main.back };
        let node = &mut self.nodes[slot as usize];
        let stays = node.uses >= if from_small { USES_TO_PROMOTE } else { 1 };
        if !stays {
            self.detach(slot);
            return Some(slot);
        }
        self.detach(slot);
        let node = &mut self.nodes[slot as usize];
        node.uses = if from_small { 0 } else { node.uses - 1 };
        node.in_main = true;
        self.attach(slot, End::Recent);
        None
    }
}

impl Policy for S3Fifo {
    fn insert(&mut self, slot: u32, facts: &Facts) {
        self.links.ensure(slot);
        if slot as usize >= self.nodes.len() {
            self.nodes.resize(slot as usize + 1, Node::default());
        }
        let in_main = self.ghost.remove(facts.id);
        let node = Node { id: facts.id, weight: facts.weight, uses: 0, in_main };
        self.nodes[slot as usize] = node;
        self.attach(slot, End::Recent);
    }

    #[inline]
    fn hit(&mut self, slot: u32) {
        let uses = &mut self.nodes[slot as usize].uses;
        *uses = (*uses + 1).min(MOST_USES);
    }

    fn hold(&mut self, slot: u32) {
        self.detach(slot);
    }

    fn release(&mut self, slot: u32, facts: &Facts, end: End) {
        self.nodes[slot as usize].weight = facts.weight;
        self.attach(slot, end);
    }

    fn evict(&mut self, _incoming: Option<&Facts>) -> Option<u32> {
        while self.small.len() + self.main.len() > 0 {
            if let Some(slot) = self.step() {
                return Some(slot);
            }
        }
        None
    }

    fn forget(&mut self, slot: u32, evicted: bool) {
        let node = self.nodes[slot as usize];
        if evicted && !node.in_main {
            self.ghost.push(node.id, node.weight, self.ghost_target());
        }
    }

    fn resize(&mut self, capacity: Option<u64>) {
        self.capacity = Capacity(capacity);
        self.ghost.trim(self.ghost_target());
    }

    fn check(&self, attached: &[(u32, Facts)]) -> Vec<String> {
        let mut faults = self.small.check(&self.links, "small");
        faults.extend(self.main.check(&self.links, "main"));
        faults.extend(self.ghost.check("ghost"));
        let both = || self.small.walk(&self.links).chain(self.main.walk(&self.links));
        faults.extend(check_members(both(), attached.iter().map(|entry| entry.0)));
        let weigh = |list: &List| -> u64 {
            list.walk(&self.links).map(|slot| self.nodes[slot as usize].weight).sum()
        };
        if (weigh(&self.small), weigh(&self.main)) != (self.small_weight, self.main_weight) {
            faults.push("the weights of the small and the main queue do not add up".to_owned());
        }
        faults
    }
}
