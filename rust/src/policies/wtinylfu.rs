//! W-TinyLFU: new entries live in a window by recency; what the window drops enters the main
//! part only if it was asked for more often lately than what would leave for it.
//!
//! G. Einziger, R. Friedman, B. Manes: TinyLFU: a highly efficient cache admission policy. ACM
//! Transactions on Storage 13(4), 2017; the window's share climbs as in Adaptive software cache
//! management, Middleware 2018. The window has 20 % at first instead of 1 %, because that loses
//! less on recent traffic until it has climbed; the main part is a segmented LRU, 80 % protected. Room is made before an entry comes in, and a tie keeps what is there, without the
//! dice that Caffeine throws against flooding. Sizes: the parts are bounded by weight, and one
//! victim at a time is compared. Without a bound, the weight of all stands for the capacity.

use super::climber::Climber;
use super::list::{check_members, Links, List, NONE};
use super::sketch::Sketch;
use super::{Capacity, End, Facts, Policy};

const WINDOW_SHARE: f64 = 0.2;
const WINDOW_RANGE: (f64, f64) = (0.01, 0.95);
const PROTECTED_SHARE: f64 = 0.8;

const WINDOW: usize = 0;
const PROBATION: usize = 1;
const PROTECTED: usize = 2;
const NAMES: [&str; 3] = ["window", "probation", "protected"];

#[derive(Clone, Copy, Default)]
struct Node {
    id: u64,
    weight: u64,
    part: u8,
}

#[derive(Default)]
struct Part {
    list: List,
    weight: u64,
}

/// See the module.
pub struct WTinyLfu {
    links: Links,
    nodes: Vec<Node>,
    parts: [Part; 3],
    sketch: Sketch,
    climber: Climber,
    capacity: Capacity,
}

impl WTinyLfu {
    /// No entries.
    pub fn new(capacity: Option<u64>) -> Self {
        Self {
            links: Links::default(),
            nodes: Vec::new(),
            parts: Default::default(),
            sketch: Sketch::default(),
            climber: Climber::new(WINDOW_SHARE, WINDOW_RANGE),
            capacity: Capacity(capacity),
        }
    }

    fn entries(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.list.len())).sum()
    }

    fn bound(&self) -> u64 {
        self.capacity.or(self.parts.iter().map(|part| part.weight).sum())
    }

    fn window_target(&self) -> u64 {
        ((self.bound() as f64 * self.climber.share) as u64).max(1)
    }

    fn main_target(&self) -> u64 {
        self.bound().saturating_sub(self.window_target())
    }

    fn main_weight(&self) -> u64 {
        self.parts[PROBATION].weight + self.parts[PROTECTED].weight
    }

    fn attach(&mut self, slot: u32, end: End) {
        let Node { weight, part, .. } = self.nodes[slot as usize];
        let part = &mut self.parts[part as usize];
        part.weight += weight;
        match end {
            End::Next => part.list.push_back(&mut self.links, slot),
            End::Recent => part.list.push_front(&mut self.links, slot),
        }
    }

    fn detach(&mut self, slot: u32) {
        let Node { weight, part, .. } = self.nodes[slot as usize];
        let part = &mut self.parts[part as usize];
        part.weight -= weight;
        part.list.unlink(&mut self.links, slot);
    }

    fn shift(&mut self, slot: u32, part: usize) {
        self.detach(slot);
        self.nodes[slot as usize].part = part as u8;
        self.attach(slot, End::Recent);
    }

    fn demote(&mut self) {
        let target = (self.main_target() as f64 * PROTECTED_SHARE) as u64;
        while self.parts[PROTECTED].weight > target {
            self.shift(self.parts[PROTECTED].list.back, PROBATION);
        }
    }

    /// What leaves the main part next; NONE if it is empty.
    fn main_victim(&self) -> u32 {
        match self.parts[PROBATION].list.back {
            NONE => self.parts[PROTECTED].list.back,
            slot => slot,
        }
    }

    fn estimate(&self, slot: u32) -> u8 {
        self.sketch.estimate(self.nodes[slot as usize].id)
    }

    /// The victim, still attached; NONE if there are no entries.
    fn choose(&mut self, incoming: u64) -> u32 {
        loop {
            let victim = self.main_victim();
            let candidate = self.parts[WINDOW].list.back;
            let window_is_over = self.parts[WINDOW].weight + incoming > self.window_target();
            if candidate == NONE || (!window_is_over && victim != NONE) {
                return victim;
            }
            let weight = self.nodes[candidate as usize].weight;
            if window_is_over && self.main_weight() + weight <= self.main_target() {
                self.shift(candidate, PROBATION);
                continue;
            }
            if victim == NONE || self.estimate(candidate) <= self.estimate(victim) {
                return candidate;
            }
            self.shift(candidate, PROBATION);
            return victim;
        }
    }
}

impl Policy for WTinyLfu {
    fn arrive(&mut self, facts: &Facts) {
        self.sketch.ensure(self.entries() as usize + 1);
        self.sketch.count(facts.id);
        self.climber.note(false, self.entries());
    }

    fn insert(&mut self, slot: u32, facts: &Facts) {
        self.links.ensure(slot);
        if slot as usize >= self.nodes.len() {
            self.nodes.resize(slot as usize + 1, Node::default());
        }
        self.nodes[slot as usize] = Node { id: facts.id, weight: facts.weight, part: WINDOW as u8 };
        self.attach(slot, End::Recent);
    }

    fn hit(&mut self, slot: u32) {
        let node = self.nodes[slot as usize];
        self.sketch.count(node.id);
        self.climber.note(true, self.entries());
        match node.part as usize {
            PROBATION => {
                self.shift(slot, PROTECTED);
                self.demote();
            }
            part => self.parts[part].list.refresh(&mut self.links, slot),
        }
    }

    fn hold(&mut self, slot: u32) {
        self.detach(slot);
    }

    fn release(&mut self, slot: u32, facts: &Facts, end: End) {
        self.nodes[slot as usize].weight = facts.weight;
        self.attach(slot, end);
    }

    fn evict(&mut self, incoming: Option<&Facts>) -> Option<u32> {
        self.demote();
        let slot = self.choose(incoming.map_or(0, |facts| facts.weight));
        if slot == NONE {
            return None;
        }
        self.detach(slot);
        Some(slot)
    }

    fn forget(&mut self, _slot: u32, _evicted: bool) {}

    fn resize(&mut self, capacity: Option<u64>) {
        self.capacity = Capacity(capacity);
    }

    fn check(&self, attached: &[(u32, Facts)]) -> Vec<String> {
        let mut faults = Vec::new();
        for (part, name) in self.parts.iter().zip(NAMES) {
            faults.extend(part.list.check(&self.links, name));
            let slots = part.list.walk(&self.links);
            let weight: u64 = slots.map(|slot| self.nodes[slot as usize].weight).sum();
            if weight != part.weight {
                faults.push(format!("{name}: weighs {weight} but counts {}", part.weight));
            }
        }
        let all = self.parts.iter().flat_map(|part| part.list.walk(&self.links));
        faults.extend(check_members(all, attached.iter().map(|entry| entry.0)));
        faults
    }
}
