//! Accounts, expiry and eviction: everything that happens inside the lock.

use pyo3::{Py, PyAny};

use super::dropped::Dropped;
use super::key::Key;
use super::nodes::{Gone, Nodes, Terms};
use super::recall::Recalled;
use super::time::{Dice, Now};
use crate::policies::{End, Facts, Policy};

/// What a caller may still use of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Fresh.
    Fresh = 0,
    /// Fresh, but this caller should compute it again already.
    EarlyRefresh = 1,
    /// Expired, but within its grace.
    Stale = 2,
}

/// Counts since the table was made.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub hits: u64,
    pub misses: u64,
    pub puts: u64,
    pub evictions: u64,
    pub expirations: u64,
    pub rejected: u64,
    pub removed: u64,
}

/// Entries and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    pub entries: u64,
    pub bytes: u64,
}

impl Amount {
    /// One entry more.
    pub fn add(&mut self, bytes: u64) {
        self.entries += 1;
        self.bytes += bytes;
    }

    /// One entry less.
    pub fn sub(&mut self, bytes: u64) {
        self.entries -= 1;
        self.bytes -= bytes;
    }
}

/// The policy did not name a victim although entries could leave.
#[derive(Debug)]
pub struct NoVictim;

/// Whether an entry was kept.
pub type Kept = Result<bool, NoVictim>;

/// The table's state.
pub struct State {
    pub nodes: Nodes,
    pub policy: Box<dyn Policy>,
    pub counts: Counts,
    /// Hits of the native fast path by group.
    pub recalled: Recalled,
    /// The bounds; u64::MAX for none.
    pub capacity: Amount,
    /// What is charged.
    pub used: Amount,
    /// What of it the policy cannot choose.
    pub held: Amount,
    /// Entries with pins.
    pub pinned: u64,
    /// Entries that may expire.
    pub mortal: u64,
    by_entries: bool,
    /// Whether the policy is written in Python, and so may raise.
    may_fail: bool,
    /// The slot that the next sweep starts at.
    pub sweep_from: u32,
    dice: Dice,
}

impl State {
    /// An empty table.
    pub fn new(capacity: Amount, policy: Box<dyn Policy>) -> Self {
        let nodes = Nodes::new();
        let dice = Dice::new(nodes.seed());
        let may_fail = policy.object().is_some();
        Self {
            nodes,
            policy,
            counts: Counts::default(),
            recalled: Recalled::default(),
            capacity,
            used: Amount::default(),
            held: Amount::default(),
            pinned: 0,
            mortal: 0,
            by_entries: is_by_entries(capacity),
            may_fail,
            sweep_from: 0,
            dice,
        }
    }

    /// What the policy is told of an entry.
    pub fn facts(&self, key: Key, size: u64, cost: f64) -> Facts {
        let weight = if self.by_entries { 1 } else { size };
        Facts { id: key.id(), key: key.number(), size, weight, cost }
    }

    /// What the policy knows of the entry in a slot.
    pub fn facts_of(&self, slot: u32) -> Facts {
        let terms = self.nodes.terms(slot);
        self.facts(self.nodes.node(slot).key, terms.size, terms.cost)
    }

    /// The bound in the weight that the policy counts in.
    pub fn policy_capacity(&self) -> Option<u64> {
        policy_capacity(self.capacity)
    }

    /// The slot of a key whose entry may be used at all; removes what is past its grace.
    #[inline]
    pub fn find_live(&mut self, key: Key, now: &Now, dropped: &mut Dropped) -> Option<u32> {
        let slot = self.nodes.find(key)?;
        if !self.nodes.node(slot).holds.mortal() {
            return Some(slot);
        }
        let until = self.nodes.terms(slot).stale_until;
        if until != f64::INFINITY && now.seconds() >= until {
            self.counts.expirations += 1;
            dropped.push(self.drop_slot(slot, false));
            return None;
        }
        Some(slot)
    }

    /// The slot of a key whose entry may be used at all; nothing is counted or removed.
    pub fn peek(&self, key: Key, now: &Now) -> Option<u32> {
        let slot = self.nodes.find(key)?;
        let until = self.nodes.terms(slot).stale_until;
        (until == f64::INFINITY || now.seconds() < until).then_some(slot)
    }

    /// The slot of a fresh entry, counted and told to the policy.
    #[inline]
    pub fn get(&mut self, key: Key, now: &Now, dropped: &mut Dropped) -> Option<u32> {
        if let Some(slot) = self.nodes.find(key) {
            if !self.nodes.node(slot).holds.mortal() || self.is_fresh(slot, now, dropped) {
                self.counts.hits += 1;
                self.note_use(slot);
                return Some(slot);
            }
        }
        self.counts.misses += 1;
        None
    }

    #[cold]
    fn is_fresh(&mut self, slot: u32, now: &Now, dropped: &mut Dropped) -> bool {
        let key = self.nodes.node(slot).key;
        self.find_live(key, now, dropped).is_some()
            && now.seconds() < self.nodes.terms(slot).expires_at
    }

    /// As `get`, but stale entries too, and early refresh drawn with `beta`.
    pub fn read(
        &mut self,
        key: Key,
        beta: f64,
        now: &Now,
        dropped: &mut Dropped,
    ) -> Option<(u32, Freshness)> {
        let Some(slot) = self.find_live(key, now, dropped) else {
            self.counts.misses += 1;
            return None;
        };
        self.counts.hits += 1;
        self.note_use(slot);
        Some((slot, self.freshness(slot, beta, now)))
    }

    /// How fresh an entry is; drawn with `beta` above 0 (XFetch).
    pub fn freshness(&mut self, slot: u32, beta: f64, now: &Now) -> Freshness {
        let (expires_at, cost) = (self.nodes.terms(slot).expires_at, self.nodes.terms(slot).cost);
        if expires_at == f64::INFINITY {
            return Freshness::Fresh;
        }
        let now = now.seconds();
        if now >= expires_at {
            Freshness::Stale
        } else if beta > 0.0 && now - cost * beta * self.dice.unit().ln() >= expires_at {
            Freshness::EarlyRefresh
        } else {
            Freshness::Fresh
        }
    }

    /// Tells the policy of a use, now or once it sees the entry again.
    #[inline]
    pub fn note_use(&mut self, slot: u32) {
        let holds = &mut self.nodes.node_mut(slot).holds;
        if holds.attached() {
            self.policy.hit(slot);
        } else {
            holds.note_use();
        }
    }

    /// Keeps an entry, evicting others if need be. If it cannot be kept, nothing of its key is.
    #[inline]
    pub fn put(
        &mut self,
        key: Key,
        value: Py<PyAny>,
        terms: &mut Terms,
        dropped: &mut Dropped,
    ) -> Kept {
        self.counts.puts += 1;
        let hash = self.nodes.hash(key);
        match self.nodes.find_hashed(hash, key) {
            Some(slot) => self.replace(slot, key, value, terms, dropped),
            None => self.add(hash, key, value, terms, dropped),
        }
    }

    #[inline]
    fn add(
        &mut self,
        hash: u32,
        key: Key,
        value: Py<PyAny>,
        terms: &mut Terms,
        dropped: &mut Dropped,
    ) -> Kept {
        let size = terms.size;
        if !self.can_fit(size, 1) {
            self.counts.rejected += 1;
            dropped.push(Gone { value, tags: terms.tags.take() });
            return Ok(false);
        }
        let facts = self.facts(key, size, terms.cost);
        self.policy.arrive(&facts);
        if let Err(error) = self.make_room(1, &facts, dropped) {
            dropped.push(Gone { value, tags: terms.tags.take() });
            return Err(error);
        }
        self.used.add(size);
        self.mortal += u64::from(terms.mortal());
        let slot = self.nodes.add(hash, key, value, terms);
        self.policy.insert(slot, &facts);
        Ok(self.unless_failed(slot, dropped))
    }

    #[inline(never)]
    fn replace(
        &mut self,
        slot: u32,
        key: Key,
        value: Py<PyAny>,
        terms: &mut Terms,
        dropped: &mut Dropped,
    ) -> Kept {
        self.seize(slot);
        let (old_size, size) = (self.nodes.terms(slot).size, terms.size);
        // From here on the slot is held with no bytes, until it gets its new ones.
        self.used.bytes -= old_size;
        self.held.bytes -= old_size;
        let facts = self.facts(key, size, terms.cost);
        let room = match self.can_fit(size, 0) {
            true => self.make_room(0, &facts, dropped).map(|()| true),
            false => Ok(false),
        };
        if !matches!(room, Ok(true)) {
            self.counts.rejected += 1;
            self.used.bytes += old_size;
            self.held.bytes += old_size;
            dropped.push(Gone { value, tags: terms.tags.take() });
            dropped.push(self.drop_seized(slot, false));
            return room;
        }
        self.used.bytes += size;
        self.held.bytes += size;
        self.mortal += u64::from(terms.mortal());
        self.mortal -= u64::from(self.nodes.terms(slot).mortal());
        self.nodes.node_mut(slot).holds.note_use();
        dropped.push(self.nodes.swap(slot, value, terms));
        self.settle(slot, End::Recent);
        Ok(self.unless_failed(slot, dropped))
    }

    /// A put during which the policy raised something keeps nothing.
    #[inline]
    fn unless_failed(&mut self, slot: u32, dropped: &mut Dropped) -> bool {
        if self.may_fail && self.policy.failed() {
            dropped.push(self.drop_slot(slot, false));
            return false;
        }
        true
    }

    /// Whether room for this can be made at all.
    fn can_fit(&self, bytes: u64, entries: u64) -> bool {
        bytes <= self.capacity.bytes - self.held.bytes
            && entries <= self.capacity.entries - self.held.entries
    }

    fn make_room(
        &mut self,
        entries: u64,
        incoming: &Facts,
        dropped: &mut Dropped,
    ) -> Result<(), NoVictim> {
        while incoming.size > self.capacity.bytes - self.used.bytes
            || entries > self.capacity.entries - self.used.entries
        {
            self.evict(Some(incoming), dropped)?;
        }
        Ok(())
    }

    #[inline]
    fn evict(&mut self, incoming: Option<&Facts>, dropped: &mut Dropped) -> Result<(), NoVictim> {
        let slot = self.policy.displace(incoming).ok_or(NoVictim)?;
        self.counts.evictions += 1;
        dropped.push(self.take(slot));
        Ok(())
    }

    /// Takes an entry out of the table, whatever holds it, and returns what is left of it.
    pub fn drop_slot(&mut self, slot: u32, evicted: bool) -> Gone {
        self.seize(slot);
        self.drop_seized(slot, evicted)
    }

    fn drop_seized(&mut self, slot: u32, evicted: bool) -> Gone {
        self.held.sub(self.nodes.terms(slot).size);
        self.pinned -= u64::from(self.nodes.node(slot).holds.pins() > 0);
        self.policy.forget(slot, evicted);
        self.take(slot)
    }

    #[inline]
    fn take(&mut self, slot: u32) -> Gone {
        let terms = self.nodes.terms(slot);
        self.used.sub(terms.size);
        self.mortal -= u64::from(terms.mortal());
        self.nodes.take(slot)
    }

    /// Has the policy choose an entry, which stays readable until it is forgotten.
    pub fn choose_one(&mut self, incoming: Option<&Facts>) -> Option<u32> {
        if self.used.entries == self.held.entries {
            return None;
        }
        let slot = self.policy.evict(incoming)?;
        self.held.add(self.nodes.terms(slot).size);
        self.nodes.node_mut(slot).holds.set_leaving(true);
        Some(slot)
    }

    /// Makes an entry held, and no longer leaving; the caller settles, pins or drops it.
    pub fn seize(&mut self, slot: u32) {
        if self.nodes.node(slot).holds.attached() {
            self.policy.hold(slot);
            self.held.add(self.nodes.terms(slot).size);
        }
        self.nodes.node_mut(slot).holds.set_leaving(false);
    }

    /// Attaches a seized entry again unless it is pinned, and tells the policy of its uses.
    pub fn settle(&mut self, slot: u32, end: End) {
        if self.nodes.node(slot).holds.pins() > 0 {
            return;
        }
        let facts = self.facts_of(slot);
        self.held.sub(facts.size);
        self.policy.release(slot, &facts, end);
        if self.nodes.node_mut(slot).holds.take_use() {
            self.policy.hit(slot);
        }
    }
}

fn is_by_entries(capacity: Amount) -> bool {
    capacity.bytes == u64::MAX && capacity.entries != u64::MAX
}

/// The bound in the weight that a policy counts in: bytes, or entries where only they are bounded.
pub fn policy_capacity(capacity: Amount) -> Option<u64> {
    let bound = if is_by_entries(capacity) { capacity.entries } else { capacity.bytes };
    (bound != u64::MAX).then_some(bound)
}
