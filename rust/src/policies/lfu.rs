//! LFU: the entry that was used least often leaves first; among those, the one whose last use is
//! longest ago.
//!
//! K. Shah, A. Mitra, D. Matani: An O(1) algorithm for implementing the LFU cache eviction
//! scheme. 2010. Counts are exact and never age. What was pinned keeps its count, and an entry
//! that is evicted loses it. Attaching a held entry again costs O(distinct counts).

use super::list::{check_members, Links, List, NONE};
use super::{End, Facts, Policy};

/// The entries that were used equally often.
struct Bucket {
    uses: u64,
    list: List,
    lower: u32,
    higher: u32,
}

/// See the module.
pub struct Lfu {
    links: Links,
    uses: Vec<u64>,
    bucket_of: Vec<u32>,
    buckets: Vec<Bucket>,
    free: Vec<u32>,
    lowest: u32,
}

impl Default for Lfu {
    fn default() -> Self {
        Self::new()
    }
}

impl Lfu {
    /// No entries.
    pub fn new() -> Self {
        Self {
            links: Links::default(),
            uses: Vec::new(),
            bucket_of: Vec::new(),
            buckets: Vec::new(),
            free: Vec::new(),
            lowest: NONE,
        }
    }

    fn bucket(&mut self, bucket: u32) -> &mut Bucket {
        &mut self.buckets[bucket as usize]
    }

    /// A new, empty bucket behind `lower`, or as the lowest if that is NONE.
    fn add_bucket(&mut self, uses: u64, lower: u32) -> u32 {
        let higher = match lower {
            NONE => self.lowest,
            lower => self.bucket(lower).higher,
        };
        let made = Bucket { uses, list: List::default(), lower, higher };
        let bucket = match self.free.pop() {
            Some(bucket) => {
                self.buckets[bucket as usize] = made;
                bucket
            }
            None => {
                self.buckets.push(made);
                (self.buckets.len() - 1) as u32
            }
        };
        match lower {
            NONE => self.lowest = bucket,
            lower => self.bucket(lower).higher = bucket,
        }
        if higher != NONE {
            self.bucket(higher).lower = bucket;
        }
        bucket
    }

    fn drop_if_empty(&mut self, bucket: u32) {
        let Bucket { list, lower, higher, .. } = &self.buckets[bucket as usize];
        if list.len() > 0 {
            return;
        }
        let (lower, higher) = (*lower, *higher);
        match lower {
            NONE => self.lowest = higher,
            lower => self.bucket(lower).higher = higher,
        }
        if higher != NONE {
            self.bucket(higher).lower = lower;
        }
        self.free.push(bucket);
    }

    /// The bucket for a count, searched upwards from `lower`, or from the lowest if that is NONE.
    fn bucket_for(&mut self, uses: u64, lower: u32) -> u32 {
        let (mut lower, mut next) = match lower {
            NONE => (NONE, self.lowest),
            lower => (lower, self.bucket(lower).higher),
        };
        while next != NONE && self.bucket(next).uses < uses {
            (lower, next) = (next, self.bucket(next).higher);
        }
        if next != NONE && self.bucket(next).uses == uses {
            return next;
        }
        self.add_bucket(uses, lower)
    }

    fn attach(&mut self, slot: u32, bucket: u32, end: End) {
        self.bucket_of[slot as usize] = bucket;
        let list = &mut self.buckets[bucket as usize].list;
        match end {
            End::Next => list.push_back(&mut self.links, slot),
            End::Recent => list.push_front(&mut self.links, slot),
        }
    }

    fn detach(&mut self, slot: u32) -> u32 {
        let bucket = self.bucket_of[slot as usize];
        self.buckets[bucket as usize].list.unlink(&mut self.links, slot);
        bucket
    }

    fn walk(&self) -> impl Iterator<Item = &Bucket> {
        let mut bucket = self.lowest;
        std::iter::from_fn(move || {
            let found = self.buckets.get(bucket as usize)?;
            bucket = found.higher;
            Some(found)
        })
    }
}

impl Policy for Lfu {
    fn insert(&mut self, slot: u32, _facts: &Facts) {
        self.links.ensure(slot);
        if slot as usize >= self.uses.len() {
            self.uses.resize(slot as usize + 1, 0);
            self.bucket_of.resize(slot as usize + 1, NONE);
        }
        self.uses[slot as usize] = 1;
        let bucket = self.bucket_for(1, NONE);
        self.attach(slot, bucket, End::Recent);
    }

    fn hit(&mut self, slot: u32) {
        let bucket = self.detach(slot);
        self.uses[slot as usize] += 1;
        let next = self.bucket_for(self.uses[slot as usize], bucket);
        self.attach(slot, next, End::Recent);
        self.drop_if_empty(bucket);
    }

    fn hold(&mut self, slot: u32) {
        let bucket = self.detach(slot);
        self.drop_if_empty(bucket);
    }

    fn release(&mut self, slot: u32, _facts: &Facts, end: End) {
        let bucket = self.bucket_for(self.uses[slot as usize], NONE);
        self.attach(slot, bucket, end);
    }

    fn evict(&mut self, _incoming: Option<&Facts>) -> Option<u32> {
        let lowest = self.lowest;
        let slot = self.buckets.get(lowest as usize)?.list.back;
        self.hold(slot);
        Some(slot)
    }

    fn forget(&mut self, _slot: u32, _evicted: bool) {}

    fn check(&self, attached: &[(u32, Facts)]) -> Vec<String> {
        let mut faults = Vec::new();
        let mut found = Vec::new();
        let mut before = 0;
        for bucket in self.walk() {
            let Bucket { uses, list, .. } = bucket;
            faults.extend(list.check(&self.links, &format!("bucket {uses}")));
            if *uses <= before || list.len() == 0 {
                faults.push(format!("bucket {uses} comes after {before}, or is empty"));
            }
            before = *uses;
            for slot in list.walk(&self.links) {
                if self.uses[slot as usize] != *uses {
                    faults
                        .push(format!("slot {slot} is in bucket {uses}, where it does not belong"));
                }
                found.push(slot);
            }
        }
        faults.extend(check_members(found.into_iter(), attached.iter().map(|entry| entry.0)));
        faults
    }
}
