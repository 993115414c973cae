//! ARC: one list of what was used once and one of what was used again; ghosts of both say which
//! was cut too short, and shift the share between them.
//!
//! N. Megiddo, D. S. Modha: ARC: a self-tuning, low overhead replacement cache. FAST 2003.
//! With unit sizes it decides as the paper's Figure 4. Sizes: the lists, the ghosts and the
//! target are weights, and the target moves by the weight of what came back times the ratio of
//! the ghosts. Ghosts are trimmed once the new entry is in, instead of before, which gives the
//! same lists. Without a bound, the weight of all entries stands for the capacity.

use super::ghost::Ghost;
use super::list::{check_members, Links, List};
use super::{Capacity, End, Facts, Policy};

#[derive(Clone, Copy, Default)]
struct Node {
    id: u64,
    weight: u64,
    again: bool,
}

/// One of the two lists with its ghost.
#[derive(Default)]
struct Half {
    list: List,
    weight: u64,
    ghost: Ghost,
}

/// Where the entry that comes in was remembered.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Remembered {
    #[default]
    Nowhere,
    Once,
    Again,
}

/// See the module.
#[derive(Default)]
pub struct Arc {
    links: Links,
    nodes: Vec<Node>,
    once: Half,
    again: Half,
    /// What `once` should weigh.
    target: f64,
    arriving: Option<(u64, Remembered)>,
    capacity: Capacity,
}

impl Arc {
    /// No entries.
    pub fn new(capacity: Option<u64>) -> Self {
        Self { capacity: Capacity(capacity), ..Self::default() }
    }

    fn bound(&self) -> u64 {
        self.capacity.or(self.once.weight + self.again.weight)
    }

    fn remembered(&self, id: u64) -> Remembered {
        match self.arriving {
            Some((arriving, remembered)) if arriving == id => remembered,
            _ if self.once.ghost.contains(id) => Remembered::Once,
            _ if self.again.ghost.contains(id) => Remembered::Again,
            _ => Remembered::Nowhere,
        }
    }

    fn half(&mut self, again: bool) -> &mut Half {
        if again {
            &mut self.again
        } else {
            &mut self.once
        }
    }

    fn attach(&mut self, slot: u32, end: End) {
        let Node { weight, again, .. } = self.nodes[slot as usize];
        let half = if again { &mut self.again } else { &mut self.once };
        half.weight += weight;
        match end {
            End::Next => half.list.push_back(&mut self.links, slot),
            End::Recent => half.list.push_front(&mut self.links, slot),
        }
    }

    fn detach(&mut self, slot: u32) {
        let Node { weight, again, .. } = self.nodes[slot as usize];
        let half = if again { &mut self.again } else { &mut self.once };
        half.weight -= weight;
        half.list.unlink(&mut self.links, slot);
    }

    /// Keeps the lists of what was used once, and all four lists, within their bounds.
    fn trim(&mut self) {
        let bound = self.bound();
        self.once.ghost.trim(bound.saturating_sub(self.once.weight));
        let rest = self.once.weight + self.once.ghost.weight() + self.again.weight;
        self.again.ghost.trim(bound.saturating_mul(2).saturating_sub(rest));
    }
}

/// How far the target moves: more if the other ghost is the larger one.
fn shift(other: u64, own: u64, weight: u64) -> f64 {
    (other as f64 / own.max(1) as f64).max(1.0) * weight as f64
}

impl Policy for Arc {
    fn arrive(&mut self, facts: &Facts) {
        self.arriving = None;
        let remembered = self.remembered(facts.id);
        let (once, again) = (self.once.ghost.weight(), self.again.ghost.weight());
        match remembered {
            Remembered::Nowhere => {}
            Remembered::Once => {
                let more = self.target + shift(again, once, facts.weight);
                self.target = more.min(self.bound() as f64);
                self.once.ghost.remove(facts.id);
            }
            Remembered::Again => {
                self.target = (self.target - shift(once, again, facts.weight)).max(0.0);
                self.again.ghost.remove(facts.id);
            }
        }
        self.arriving = Some((facts.id, remembered));
    }

    fn insert(&mut self, slot: u32, facts: &Facts) {
        self.links.ensure(slot);
        if slot as usize >= self.nodes.len() {
            self.nodes.resize(slot as usize + 1, Node::default());
        }
        let again = self.remembered(facts.id) != Remembered::Nowhere;
        self.arriving = None;
        self.nodes[slot as usize] = Node { id: facts.id, weight: facts.weight, again };
        self.attach(slot, End::Recent);
        self.trim();
    }

    fn hit(&mut self, slot: u32) {
        self.detach(slot);
        self.nodes[slot as usize].again = true;
        self.attach(slot, End::Recent);
    }

    fn hold(&mut self, slot: u32) {
        self.detach(slot);
    }

    fn release(&mut self, slot: u32, facts: &Facts, end: End) {
        self.nodes[slot as usize].weight = facts.weight;
        self.attach(slot, end);
    }

    fn evict(&mut self, incoming: Option<&Facts>) -> Option<u32> {
        let once = self.once.weight as f64;
        let came_back =
            incoming.is_some_and(|facts| self.remembered(facts.id) == Remembered::Again);
        let from_once = once > self.target || (came_back && once == self.target);
        let from_once = self.again.list.len() == 0 || (from_once && self.once.list.len() > 0);
        let slot = self.half(!from_once).list.back;
        if slot == super::list::NONE {
            return None;
        }
        self.detach(slot);
        Some(slot)
    }

    fn forget(&mut self, slot: u32, evicted: bool) {
        if evicted {
            let Node { id, weight, again } = self.nodes[slot as usize];
            self.half(again).ghost.push(id, weight);
        }
    }

    fn resize(&mut self, capacity: Option<u64>) {
        self.capacity = Capacity(capacity);
        self.target = self.target.min(self.bound() as f64);
        self.trim();
    }

    fn check(&self, attached: &[(u32, Facts)]) -> Vec<String> {
        let mut faults = Vec::new();
        for (half, name) in [(&self.once, "once"), (&self.again, "again")] {
            faults.extend(half.list.check(&self.links, name));
            faults.extend(half.ghost.check(name));
            let slots = half.list.walk(&self.links);
            let weight: u64 = slots.map(|slot| self.nodes[slot as usize].weight).sum();
            if weight != half.weight {
                faults.push(format!("{name}: weighs {weight} but counts {}", half.weight));
            }
        }
        let both = self.once.list.walk(&self.links).chain(self.again.list.walk(&self.links));
        faults.extend(check_members(both, attached.iter().map(|entry| entry.0)));
        faults
    }
}
