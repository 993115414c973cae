//! Ids that left lately, bounded by the weight that they had: buckets say which, a queue of
//! weights how long.
//!
//! Ids are numbered as they leave; those from the queue's first number on are remembered. So one
//! look at a bucket answers, one write remembers, and nothing is looked up to forget (the ghost
//! of J. Yang et al., SOSP 2023, section 4.2, with whole hashes instead of fingerprints, so that
//! the buckets can become more). A bucket that is full forgets its oldest id early; where that
//! happens to more than one id in 16, the buckets are doubled.

use std::collections::VecDeque;

use super::spread::spread;

const WAYS: usize = 8;
const FIRST_BUCKETS: usize = 128;
const MOST_LOST: usize = 16;

/// The youngest first: hashes and their numbers, 0 for none.
#[derive(Clone, Copy, Default)]
#[repr(align(128))]
struct Bucket {
    hashes: [u64; WAYS],
    numbers: [u64; WAYS],
}

impl Bucket {
    #[inline]
    fn way_of(&self, hash: u64) -> Option<usize> {
        self.hashes.iter().position(|known| *known == hash)
    }

    /// Number of the oldest.
    #[inline]
    fn oldest(&self) -> u64 {
        self.numbers[WAYS - 1]
    }

    /// Adds a youngest; the oldest falls out. Moving all is quicker than looking for a place.
    #[inline]
    fn push(&mut self, hash: u64, number: u64) {
        for way in (1..WAYS).rev() {
            self.hashes[way] = self.hashes[way - 1];
            self.numbers[way] = self.numbers[way - 1];
        }
        (self.hashes[0], self.numbers[0]) = (hash, number);
    }
}

/// See the module.
pub struct Departed {
    buckets: Vec<Bucket>,
    /// Weights of the numbers from `first` on; 0 for those taken back.
    weights: VecDeque<u64>,
    first: u64,
    weight: u64,
    /// Ids pushed, and of these pushed out early, since as many as there are places.
    pushed: usize,
    lost: usize,
}

impl Default for Departed {
    fn default() -> Self {
        let (buckets, weights) = (Vec::new(), VecDeque::new());
        Self { buckets, weights, first: 1, weight: 0, pushed: 0, lost: 0 }
    }
}

impl Departed {
    /// Forgets an id; whether it was remembered.
    #[inline]
    pub fn remove(&mut self, id: u64) -> bool {
        if self.buckets.is_empty() {
            return false;
        }
        let hash = hash(id);
        let place = self.place(hash);
        let bucket = &mut self.buckets[place];
        let Some(way) = bucket.way_of(hash) else { return false };
        bucket.hashes[way] = 0;
        let number = std::mem::take(&mut bucket.numbers[way]);
        if number < self.first {
            return false;
        }
        let weight = &mut self.weights[(number - self.first) as usize];
        self.weight -= std::mem::take(weight);
        true
    }

    /// Remembers an id that left, and forgets the oldest until at most `bound` of weight is left.
    #[inline]
    pub fn push(&mut self, id: u64, weight: u64, bound: u64) {
        let hash = hash(id);
        let number = self.first + self.weights.len() as u64;
        self.weights.push_back(weight);
        self.weight += weight;
        self.trim(bound);
        if self.buckets.is_empty() {
            self.buckets = vec![Bucket::default(); FIRST_BUCKETS];
        }
        let mut place = self.place(hash);
        if self.buckets[place].oldest() >= self.first {
            self.lost += 1;
            if self.lost > self.places() / MOST_LOST {
                self.grow();
                place = self.place(hash);
            }
        }
        self.buckets[place].push(hash, number);
        self.pushed += 1;
        if self.pushed >= self.places() {
            (self.pushed, self.lost) = (0, 0);
        }
    }

    /// Forgets the oldest ids until at most this weight is left.
    #[inline]
    pub fn trim(&mut self, bound: u64) {
        while self.weight > bound {
            let Some(weight) = self.weights.pop_front() else { return };
            self.weight -= weight;
            self.first += 1;
        }
    }

    #[inline]
    fn place(&self, hash: u64) -> usize {
        hash as usize & (self.buckets.len() - 1)
    }

    fn places(&self) -> usize {
        self.buckets.len() * WAYS
    }

    /// Doubles the buckets; each one's ids go to two, so that none is lost.
    #[cold]
    fn grow(&mut self) {
        let more = vec![Bucket::default(); self.buckets.len() * 2];
        let old = std::mem::replace(&mut self.buckets, more);
        (self.pushed, self.lost) = (0, 0);
        for bucket in old {
            for (hash, number) in bucket.hashes.into_iter().zip(bucket.numbers).rev() {
                if hash != 0 {
                    let place = self.place(hash);
                    self.buckets[place].push(hash, number);
                }
            }
        }
    }

    /// One sentence for each account that does not add up.
    pub fn check(&self, name: &str) -> Vec<String> {
        let mut faults = Vec::new();
        let found: u64 = self.weights.iter().sum();
        if found != self.weight {
            faults.push(format!("{name}: weighs {found} but counts {}", self.weight));
        }
        let next = self.first + self.weights.len() as u64;
        for (place, bucket) in self.buckets.iter().enumerate() {
            for (hash, number) in bucket.hashes.into_iter().zip(bucket.numbers) {
                if (hash == 0) != (number == 0) || number >= next {
                    faults.push(format!("{name}: hash {hash:x} has number {number}"));
                }
                if hash != 0 && self.place(hash) != place {
                    faults.push(format!("{name}: hash {hash:x} is in bucket {place}"));
                }
            }
        }
        faults
    }
}

/// Never 0.
#[inline]
fn hash(id: u64) -> u64 {
    spread(id).max(1)
}
