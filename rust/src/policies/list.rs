//! Doubly linked lists through slots: several lists share one array of links.

/// No slot.
pub const NONE: u32 = u32::MAX;

/// `prev` of a slot that is in no list.
const LOOSE: u32 = u32::MAX - 1;

#[derive(Clone, Copy)]
struct Link {
    prev: u32,
    next: u32,
}

/// The links of all slots.
#[derive(Default)]
pub struct Links(Vec<Link>);

impl Links {
    /// Makes room for `slot`.
    #[inline]
    pub fn ensure(&mut self, slot: u32) {
        if slot as usize >= self.0.len() {
            self.0.resize(slot as usize + 1, Link { prev: LOOSE, next: NONE });
        }
    }

    /// The slot before this one, nearer to the front.
    #[inline]
    pub fn prev(&self, slot: u32) -> u32 {
        self.0[slot as usize].prev
    }

    /// The slot after this one, nearer to the back.
    #[inline]
    pub fn next(&self, slot: u32) -> u32 {
        self.0[slot as usize].next
    }

    /// Whether the slot is in a list.
    pub fn linked(&self, slot: u32) -> bool {
        self.0.get(slot as usize).is_some_and(|link| link.prev != LOOSE)
    }
}

/// One list: the newest at the front, the oldest at the back.
pub struct List {
    /// The newest, or NONE.
    pub front: u32,
    /// The oldest, or NONE.
    pub back: u32,
    len: u32,
}

impl Default for List {
    fn default() -> Self {
        Self { front: NONE, back: NONE, len: 0 }
    }
}

impl List {
    /// Number of slots in it.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Puts a loose slot at the front.
    #[inline]
    pub fn push_front(&mut self, links: &mut Links, slot: u32) {
        links.0[slot as usize] = Link { prev: NONE, next: self.front };
        match self.front {
            NONE => self.back = slot,
            front => links.0[front as usize].prev = slot,
        }
        self.front = slot;
        self.len += 1;
    }

    /// Puts a loose slot at the back.
    pub fn push_back(&mut self, links: &mut Links, slot: u32) {
        links.0[slot as usize] = Link { prev: self.back, next: NONE };
        match self.back {
            NONE => self.front = slot,
            back => links.0[back as usize].next = slot,
        }
        self.back = slot;
        self.len += 1;
    }

    /// Puts a loose slot behind `other`, or at the front if `other` is NONE.
    pub fn push_after(&mut self, links: &mut Links, slot: u32, other: u32) {
        if other == NONE {
            return self.push_front(links, slot);
        }
        let next = links.next(other);
        if next == NONE {
            return self.push_back(links, slot);
        }
        links.0[slot as usize] = Link { prev: other, next };
        links.0[other as usize].next = slot;
        links.0[next as usize].prev = slot;
        self.len += 1;
    }

    /// Takes a slot of this list out.
    #[inline]
    pub fn unlink(&mut self, links: &mut Links, slot: u32) {
        let Link { prev, next } = links.0[slot as usize];
        match prev {
            NONE => self.front = next,
            prev => links.0[prev as usize].next = next,
        }
        match next {
            NONE => self.back = prev,
            next => links.0[next as usize].prev = prev,
        }
        links.0[slot as usize].prev = LOOSE;
        self.len -= 1;
    }

    /// Moves a slot of this list to the front.
    #[inline]
    pub fn refresh(&mut self, links: &mut Links, slot: u32) {
        if self.front != slot {
            self.unlink(links, slot);
            self.push_front(links, slot);
        }
    }

    /// Takes the oldest out.
    #[inline]
    pub fn pop_back(&mut self, links: &mut Links) -> Option<u32> {
        let slot = self.back;
        if slot == NONE {
            return None;
        }
        self.unlink(links, slot);
        Some(slot)
    }

    /// The slots from front to back, as far as the links hold together.
    pub fn walk<'a>(&self, links: &'a Links) -> impl Iterator<Item = u32> + 'a {
        let mut slot = self.front;
        let mut left = links.0.len();
        std::iter::from_fn(move || {
            let current = slot;
            if current as usize >= links.0.len() || left == 0 {
                return None;
            }
            left -= 1;
            slot = links.next(current);
            Some(current)
        })
    }

    /// One sentence for each broken link.
    pub fn check(&self, links: &Links, name: &str) -> Vec<String> {
        let mut faults = Vec::new();
        let (mut before, mut count) = (NONE, 0);
        for slot in self.walk(links) {
            if links.prev(slot) != before {
                faults.push(format!("{name}: slot {slot} does not point back to {before}"));
            }
            before = slot;
            count += 1;
        }
        if before != self.back {
            faults.push(format!("{name}: ends at {before} but its back is {}", self.back));
        }
        if count != self.len {
            faults.push(format!("{name}: holds {count} entries but counts {}", self.len));
        }
        faults
    }
}

/// Compares what the lists of a policy hold with the entries that are attached.
pub fn check_members(
    found: impl Iterator<Item = u32>,
    attached: impl Iterator<Item = u32>,
) -> Vec<String> {
    let mut found: Vec<u32> = found.collect();
    let mut wanted: Vec<u32> = attached.collect();
    found.sort_unstable();
    wanted.sort_unstable();
    if found == wanted {
        return Vec::new();
    }
    vec![format!("policy holds slots {found:?} but {wanted:?} are attached")]
}
