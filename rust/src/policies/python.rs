//! Policies written in Python, behind the same trait as the native ones.

use std::collections::VecDeque;

use hashbrown::HashMap;
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::{End, Facts, Policy};

/// How a policy in Python is given keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// As 16 bytes: in a table.
    Bytes,
    /// As int: in a replay.
    Int,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    key: u128,
    size: u64,
    cost: f64,
    held: bool,
}

/// Calls an `infercache.policies.base.Policy`.
///
/// What is held stays in the policy's own books: `victims` may name it, and it is skipped. What
/// a call raises is kept for `take_error`; the entry is then in the table all the same.
pub struct PythonPolicy {
    object: Py<PyAny>,
    form: KeyForm,
    slots: HashMap<u128, u32>,
    entries: Vec<Entry>,
    named: VecDeque<u32>,
    error: Option<PyErr>,
}

impl PythonPolicy {
    /// Wraps the object.
    pub fn new(object: Py<PyAny>, form: KeyForm) -> Self {
        Self {
            object,
            form,
            slots: HashMap::new(),
            entries: Vec::new(),
            named: VecDeque::new(),
            error: None,
        }
    }

    fn python_key(&self, py: Python<'_>, key: u128) -> PyResult<Py<PyAny>> {
        match self.form {
            KeyForm::Bytes => Ok(PyBytes::new(py, &key.to_le_bytes()).into_any().unbind()),
            KeyForm::Int => Ok((key as u64).into_pyobject(py)?.into_any().unbind()),
        }
    }

    fn native_key(&self, object: &Bound<'_, PyAny>) -> PyResult<u128> {
        match self.form {
            KeyForm::Bytes => Ok(u128::from_le_bytes(object.extract()?)),
            KeyForm::Int => Ok(u128::from(object.extract::<u64>()?)),
        }
    }

    fn tell(&mut self, method: &str, key: u128, facts: Option<&Facts>) {
        self.named.clear();
        let outcome = Python::attach(|py| {
            let key = self.python_key(py, key)?;
            match facts {
                Some(facts) => self.object.call_method1(py, method, (key, facts.size, facts.cost)),
                None => self.object.call_method1(py, method, (key,)),
            }
        });
        if let Err(error) = outcome {
            self.error.get_or_insert(error);
        }
    }

    fn ask(&mut self) -> PyResult<()> {
        Python::attach(|py| {
            for key in self.object.bind(py).call_method0("victims")?.try_iter()? {
                let key = key?;
                match self.slots.get(&self.native_key(&key)?) {
                    Some(slot) => self.named.push_back(*slot),
                    None => {
                        return Err(PyKeyError::new_err(format!(
                            "policy {} named {key}, which is not in the table",
                            self.object.bind(py)
                        )))
                    }
                }
            }
            Ok(())
        })
    }

    fn next_named(&mut self) -> Option<u32> {
        while let Some(slot) = self.named.pop_front() {
            let entry = &mut self.entries[slot as usize];
            if !entry.held {
                entry.held = true;
                return Some(slot);
            }
        }
        None
    }
}

impl Policy for PythonPolicy {
    fn insert(&mut self, slot: u32, facts: &Facts) {
        if slot as usize >= self.entries.len() {
            self.entries.resize(slot as usize + 1, Entry::default());
        }
        let Facts { key, size, cost, .. } = *facts;
        self.entries[slot as usize] = Entry { key, size, cost, held: false };
        self.slots.insert(facts.key, slot);
        self.tell("on_insert", facts.key, Some(facts));
    }

    fn hit(&mut self, slot: u32) {
        self.tell("on_hit", self.entries[slot as usize].key, None);
    }

    fn hold(&mut self, slot: u32) {
        self.entries[slot as usize].held = true;
    }

    fn release(&mut self, slot: u32, facts: &Facts, _end: End) {
        let old = self.entries[slot as usize];
        let Facts { key, size, cost, .. } = *facts;
        self.entries[slot as usize] = Entry { key, size, cost, held: false };
        if (old.size, old.cost) != (size, cost) {
            self.tell("on_remove", key, None);
            self.tell("on_insert", key, Some(facts));
        }
    }

    fn evict(&mut self, _incoming: Option<&Facts>) -> Option<u32> {
        if let Some(slot) = self.next_named() {
            return Some(slot);
        }
        if let Err(error) = self.ask() {
            self.error.get_or_insert(error);
        }
        self.next_named()
    }

    fn forget(&mut self, slot: u32, _evicted: bool) {
        let key = self.entries[slot as usize].key;
        self.slots.remove(&key);
        let named = std::mem::take(&mut self.named);
        self.tell("on_remove", key, None);
        self.named = named;
        self.named.retain(|other| *other != slot);
    }

    fn check(&self, attached: &[(u32, Facts)]) -> Vec<String> {
        let wrong = |(slot, facts): &&(u32, Facts)| self.slots.get(&facts.key) != Some(slot);
        let lost = attached.iter().filter(wrong).count();
        let mut faults = Vec::new();
        if lost > 0 {
            faults.push(format!("{lost} entries are not known to the policy's adapter"));
        }
        faults
    }

    fn failed(&self) -> bool {
        self.error.is_some()
    }

    fn take_error(&mut self) -> Option<PyErr> {
        self.error.take()
    }

    fn object(&self) -> Option<&Py<PyAny>> {
        Some(&self.object)
    }
}
