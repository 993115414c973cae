//! Pins, two-phase eviction, resizing, sweeping and the audit.

use super::dropped::Dropped;
use super::key::Key;
use super::nodes::{Node, Terms};
use super::state::{Amount, NoVictim, State};
use super::time::Now;
use crate::policies::{End, Facts};

impl State {
    /// Protects an entry from leaving; one that was about to leave stays.
    pub fn pin(&mut self, slot: u32) -> bool {
        self.seize(slot);
        let holds = &mut self.nodes.node_mut(slot).holds;
        let first = holds.pins() == 0;
        let pinned = holds.pin();
        self.pinned += u64::from(first);
        pinned
    }

    /// Takes one pin back; false if there is none.
    pub fn unpin(&mut self, slot: u32) -> bool {
        let holds = &mut self.nodes.node_mut(slot).holds;
        if !holds.unpin() {
            return false;
        }
        if holds.pins() == 0 {
            self.pinned -= 1;
            self.settle(slot, End::Recent);
        }
        true
    }

    /// Marks the entries that must leave so that this one fits; None if that cannot be.
    pub fn choose(
        &mut self,
        key: Option<Key>,
        size: u64,
        entries: u64,
        cost: f64,
    ) -> Option<Vec<Key>> {
        let old = key.and_then(|key| self.nodes.find(key));
        let incoming = self.facts(key.unwrap_or(Key([0, 0])), size, cost);
        let credit = old.map_or(Amount::default(), |slot| {
            let bytes = self.nodes.terms(slot).size;
            Amount { entries: entries.min(1), bytes }
        });
        let was_attached = old.filter(|slot| self.nodes.node(*slot).holds.attached());
        if let Some(slot) = was_attached {
            self.seize(slot);
        }
        let chosen = self.choose_room(&incoming, entries, credit);
        if let Some(slot) = was_attached {
            self.settle(slot, End::Recent);
        }
        chosen
    }

    fn choose_room(&mut self, incoming: &Facts, entries: u64, credit: Amount) -> Option<Vec<Key>> {
        let bytes = missing(incoming.size, self.used.bytes - credit.bytes, self.capacity.bytes);
        let count = missing(entries, self.used.entries - credit.entries, self.capacity.entries);
        if bytes > self.used.bytes - self.held.bytes
            || count > self.used.entries - self.held.entries
        {
            return None;
        }
        let mut freed = Amount::default();
        let mut chosen = Vec::new();
        while freed.bytes < bytes || freed.entries < count {
            let Some(slot) = self.choose_one(Some(incoming)) else {
                self.keep(&chosen);
                return None;
            };
            freed.bytes += self.nodes.terms(slot).size;
            freed.entries += 1;
            chosen.push(self.nodes.node(slot).key);
        }
        Some(chosen)
    }

    /// Marks entries of at least that many bytes as leaving, or all that may leave.
    pub fn choose_bytes(&mut self, bytes: u64) -> Vec<Key> {
        let (mut freed, mut chosen) = (0, Vec::new());
        while freed < bytes {
            let Some(slot) = self.choose_one(None) else { break };
            freed += self.nodes.terms(slot).size;
            chosen.push(self.nodes.node(slot).key);
        }
        chosen
    }

    /// Drops those of the keys that are still leaving.
    pub fn forget(&mut self, keys: &[Key], dropped: &mut Dropped) -> usize {
        let slots: Vec<u32> = keys.iter().filter_map(|key| self.leaving(*key)).collect();
        let mut count = 0;
        for slot in slots {
            // A key may have been given twice.
            if self.nodes.node(slot).value.is_some() {
                self.counts.evictions += 1;
                dropped.push(self.drop_slot(slot, true));
                count += 1;
            }
        }
        count
    }

    /// Lets those of the keys that are still leaving stay, in the order that they had.
    pub fn keep(&mut self, keys: &[Key]) -> usize {
        let slots: Vec<u32> = keys.iter().filter_map(|key| self.leaving(*key)).collect();
        self.keep_slots(&slots)
    }

    fn keep_slots(&mut self, slots: &[u32]) -> usize {
        let mut count = 0;
        for slot in slots.iter().rev() {
            // A key may have been given twice.
            if self.nodes.node(*slot).holds.leaving() {
                self.seize(*slot);
                self.settle(*slot, End::Next);
                count += 1;
            }
        }
        count
    }

    fn leaving(&self, key: Key) -> Option<u32> {
        self.nodes.find(key).filter(|slot| self.nodes.node(*slot).holds.leaving())
    }

    /// Sets the bounds and evicts what no longer fits, entries that are leaving already first;
    /// None if what is pinned alone is too much.
    pub fn resize(
        &mut self,
        capacity: Amount,
        dropped: &mut Dropped,
    ) -> Result<Option<Vec<Key>>, NoVictim> {
        let leaving = |(slot, node, _): (u32, &Node, &Terms)| node.holds.leaving().then_some(slot);
        let mut gone: Vec<u32> = self.nodes.iter().filter_map(leaving).collect();
        let known = gone.len();
        let mut held = self.held;
        gone.iter().for_each(|slot| held.sub(self.nodes.terms(*slot).size));
        if held.bytes > capacity.bytes || held.entries > capacity.entries {
            return Ok(None);
        }
        let (mut left, mut count) = (self.used, 0);
        while left.bytes > capacity.bytes || left.entries > capacity.entries {
            if count == gone.len() {
                let Some(slot) = self.choose_one(None) else {
                    self.keep_slots(&gone[known..]);
                    return Err(NoVictim);
                };
                gone.push(slot);
            }
            left.sub(self.nodes.terms(gone[count]).size);
            count += 1;
        }
        let evicted = gone[..count].iter().map(|slot| self.nodes.node(*slot).key).collect();
        for slot in &gone[..count] {
            dropped.push(self.drop_slot(*slot, true));
        }
        self.counts.evictions += count as u64;
        self.capacity = capacity;
        self.policy.resize(self.policy_capacity());
        Ok(Some(evicted))
    }

    /// Looks at up to `limit` slots, from where it stopped last time, and removes what is past
    /// its grace.
    pub fn sweep(&mut self, limit: usize, now: &Now, dropped: &mut Dropped) -> Vec<Key> {
        let mut gone = Vec::new();
        if self.mortal == 0 {
            return gone;
        }
        for _ in 0..limit.min(self.nodes.slots() as usize) {
            let slot = self.sweep_from % self.nodes.slots();
            self.sweep_from = slot + 1;
            let node = self.nodes.node(slot);
            let past = node.holds.mortal() && now.seconds() >= self.nodes.terms(slot).stale_until;
            if node.value.is_some() && past {
                gone.push(node.key);
                self.counts.expirations += 1;
                dropped.push(self.drop_slot(slot, false));
            }
        }
        gone
    }

    /// Removes the entries that match, whatever holds them.
    pub fn remove_matching(
        &mut self,
        matches: impl Fn(&Terms) -> bool,
        dropped: &mut Dropped,
    ) -> Vec<Key> {
        let found = self.nodes.iter().filter(|(_, _, terms)| matches(terms));
        let found: Vec<(u32, Key)> = found.map(|(slot, node, _)| (slot, node.key)).collect();
        for (slot, _) in &found {
            dropped.push(self.drop_slot(*slot, false));
        }
        self.counts.removed += found.len() as u64;
        found.into_iter().map(|(_, key)| key).collect()
    }

    /// Gives up all entries without telling the policy: the table is garbage.
    pub fn abandon(&mut self, dropped: &mut Dropped) {
        for gone in self.nodes.drain() {
            dropped.push(gone);
        }
        self.policy = Box::new(crate::policies::Fifo::new());
        (self.used, self.held) = (Amount::default(), Amount::default());
        (self.pinned, self.mortal) = (0, 0);
    }

    /// Recomputes all accounts; one sentence a fault.
    pub fn check(&self) -> Vec<String> {
        let mut faults = self.nodes.check();
        let (mut used, mut held) = (Amount::default(), Amount::default());
        let (mut pinned, mut mortal) = (0, 0);
        let mut attached = Vec::new();
        for (slot, node, terms) in self.nodes.iter() {
            used.add(terms.size);
            pinned += u64::from(node.holds.pins() > 0);
            mortal += u64::from(terms.mortal());
            match node.holds.attached() {
                true => attached.push((slot, self.facts_of(slot))),
                false => held.add(terms.size),
            }
        }
        compare(&mut faults, "charged", self.used, used);
        compare(&mut faults, "held", self.held, held);
        compare(&mut faults, "pinned", self.pinned, pinned);
        compare(&mut faults, "able to expire", self.mortal, mortal);
        if used.bytes > self.capacity.bytes || used.entries > self.capacity.entries {
            faults.push(format!("{used:?} is above the capacity {:?}", self.capacity));
        }
        faults.extend(self.policy.check(&attached));
        faults
    }
}

fn missing(wanted: u64, used: u64, capacity: u64) -> u64 {
    wanted.saturating_sub(capacity.saturating_sub(used))
}

fn compare<T: PartialEq + std::fmt::Debug>(
    faults: &mut Vec<String>,
    what: &str,
    kept: T,
    found: T,
) {
    if kept != found {
        faults.push(format!("{what}: {kept:?} in the account, {found:?} in the table"));
    }
}
