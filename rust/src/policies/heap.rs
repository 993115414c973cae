//! A binary heap of slots by priority, in which a slot can be found and taken out.

const ABSENT: u32 = u32::MAX;

/// Lower leaves first; equal priorities by age.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Priority {
    pub value: f64,
    pub age: u64,
}

/// See the module. Every operation is O(log entries).
#[derive(Default)]
pub struct Heap {
    order: Vec<(Priority, u32)>,
    places: Vec<u32>,
}

impl Heap {
    /// The slots in it, in no order.
    pub fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.order.iter().map(|entry| entry.1)
    }

    /// Adds a slot that is not in it.
    pub fn push(&mut self, slot: u32, priority: Priority) {
        if slot as usize >= self.places.len() {
            self.places.resize(slot as usize + 1, ABSENT);
        }
        self.order.push((priority, slot));
        self.places[slot as usize] = (self.order.len() - 1) as u32;
        self.rise(self.order.len() - 1);
    }

    /// Takes out the slot with the lowest priority.
    pub fn pop(&mut self) -> Option<(u32, Priority)> {
        let (priority, slot) = *self.order.first()?;
        self.remove(slot);
        Some((slot, priority))
    }

    /// Takes a slot out that is in it.
    pub fn remove(&mut self, slot: u32) -> Priority {
        let place = self.places[slot as usize] as usize;
        let last = self.order.len() - 1;
        self.swap(place, last);
        let (priority, _) = self.order.pop().expect("the slot is in the heap");
        self.places[slot as usize] = ABSENT;
        if place < last {
            self.sink(place);
            self.rise(place);
        }
        priority
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.order.swap(one, other);
        self.places[self.order[one].1 as usize] = one as u32;
        self.places[self.order[other].1 as usize] = other as u32;
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.order[parent].0 <= self.order[place].0 {
                return;
            }
            self.swap(place, parent);
            place = parent;
        }
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let left = 2 * place + 1;
            if left >= self.order.len() {
                return;
            }
            let right = left + 1;
            let is_right = right < self.order.len() && self.order[right].0 < self.order[left].0;
            let child = if is_right { right } else { left };
            if self.order[place].0 <= self.order[child].0 {
                return;
            }
            self.swap(place, child);
            place = child;
        }
    }

    /// One sentence for each slot that is out of order or not found.
    pub fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (place, (priority, slot)) in self.order.iter().enumerate() {
            if self.places[*slot as usize] as usize != place {
                faults.push(format!("heap: slot {slot} is not where it is said to be"));
            }
            if place > 0 && self.order[(place - 1) / 2].0 > *priority {
                faults.push(format!("heap: slot {slot} is above a lower one"));
            }
        }
        faults
    }
}
