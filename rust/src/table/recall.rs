//! Looking a value up for a caller that asks again, through another door, if it does not get it.

use pyo3::prelude::*;

use super::dropped::Dropped;
use super::key::Key;
use super::nodes::Terms;
use super::state::{Freshness, State};
use super::time::Now;
use super::Table;

/// What a lookup found.
pub enum Recall {
    /// The value, fresh.
    Value(Py<PyAny>),
    /// A fresh value, but this caller should compute it again already.
    RefreshDue,
    /// Nothing, or nothing fresh.
    Nothing,
}

impl Table {
    /// The fresh value of a key. Only then is the use counted and told to the policy: in the
    /// other cases the caller comes back and is counted there.
    #[inline]
    pub fn recall(&self, py: Python<'_>, key: [u8; 16], beta: f64) -> PyResult<Recall> {
        let key = Key::from_number(u128::from_le_bytes(key));
        let now = self.now(py)?;
        self.run(py, |state, dropped| match state.recall(key, beta, &now, dropped) {
            Some((slot, Freshness::Fresh)) => Recall::Value(state.nodes.value(py, slot)),
            Some((_, Freshness::EarlyRefresh)) => Recall::RefreshDue,
            Some((_, Freshness::Stale)) | None => Recall::Nothing,
        })
    }
}

impl State {
    #[inline]
    fn recall(
        &mut self,
        key: Key,
        beta: f64,
        now: &Now,
        dropped: &mut Dropped,
    ) -> Option<(u32, Freshness)> {
        let slot = self.find_live(key, now, dropped)?;
        let freshness = self.freshness(slot, beta, now);
        if freshness == Freshness::Fresh {
            self.counts.hits += 1;
            self.recalled.note(self.nodes.terms(slot));
            self.note_use(slot);
        }
        Some((slot, freshness))
    }
}

/// Hits that were answered without running Python, and the seconds of computation that they
/// saved, by the group of the entry.
#[derive(Default)]
pub struct Recalled {
    groups: Vec<(u64, f64)>,
}

impl Recalled {
    #[inline]
    fn note(&mut self, terms: &Terms) {
        let group = terms.group as usize;
        if group >= self.groups.len() {
            self.groups.resize(group + 1, (0, 0.0));
        }
        let (hits, saved_s) = &mut self.groups[group];
        *hits += 1;
        *saved_s += terms.cost;
    }

    /// For each group from 0 on.
    pub fn groups(&self) -> Vec<(u64, f64)> {
        self.groups.clone()
    }
}
