//! How often keys were asked for lately: a count-min sketch of 4-bit counters that ages.
//!
//! G. Cormode, S. Muthukrishnan: An improved data stream summary: the count-min sketch and its
//! applications. Journal of Algorithms 55(1), 2005; ageing by halving from TinyLFU. It grows with
//! the cache: a doubled row repeats its counters, so that no estimate changes.

const ROWS: usize = 4;
const MOST: u8 = 15;
const SEEDS: [u64; ROWS] =
    [0xC3A5_C85C_97CB_3127, 0xB492_B66F_BE98_F273, 0x9AE1_6A3B_2F90_404F, 0xCBF2_9CE4_8422_2325];
const SMALLEST: usize = 64;
/// Increments for each counter of a row after which all are halved.
const SAMPLE: usize = 10;

/// See the module.
pub struct Sketch {
    /// Two counters a byte: row by row.
    rows: [Vec<u8>; ROWS],
    width: usize,
    increments: usize,
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            rows: std::array::from_fn(|_| vec![0; SMALLEST / 2]),
            width: SMALLEST,
            increments: 0,
        }
    }
}

impl Sketch {
    #[inline]
    fn place(&self, row: usize, id: u64) -> usize {
        let product = u128::from(id ^ SEEDS[row]) * u128::from(SEEDS[(row + 1) % ROWS]);
        ((product as u64) ^ ((product >> 64) as u64)) as usize & (self.width - 1)
    }

    #[inline]
    fn counter(&self, row: usize, place: usize) -> u8 {
        self.rows[row][place / 2] >> (place % 2 * 4) & MOST
    }

    /// Makes the rows at least as wide as the cache has entries.
    #[inline]
    pub fn ensure(&mut self, entries: usize) {
        while self.width < entries {
            for row in &mut self.rows {
                row.extend_from_within(..);
            }
            self.width *= 2;
        }
    }

    /// Counts one use.
    #[inline]
    pub fn count(&mut self, id: u64) {
        let mut counted = false;
        for row in 0..ROWS {
            let place = self.place(row, id);
            if self.counter(row, place) < MOST {
                self.rows[row][place / 2] += 1 << (place % 2 * 4);
                counted = true;
            }
        }
        self.increments += usize::from(counted);
        if self.increments >= SAMPLE * self.width {
            self.halve();
        }
    }

    #[cold]
    fn halve(&mut self) {
        for byte in self.rows.iter_mut().flatten() {
            *byte = *byte >> 1 & 0x77;
        }
        self.increments /= 2;
    }

    /// Estimates how often the id was counted, 0 to 15; never too low within a sample.
    #[inline]
    pub fn estimate(&self, id: u64) -> u8 {
        (0..ROWS).map(|row| self.counter(row, self.place(row, id))).min().unwrap_or(0)
    }
}
