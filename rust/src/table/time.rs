//! Time and chance inside the table.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

/// The time of one operation, read when first asked for.
pub struct Now(Cell<f64>);

impl Now {
    /// The machine's clock, read if it is needed.
    #[inline]
    pub fn system() -> Self {
        Self(Cell::new(f64::NAN))
    }

    /// A time that was read before.
    pub fn given(seconds: f64) -> Self {
        Self(Cell::new(seconds))
    }

    /// Seconds since the epoch; the same for the whole operation.
    #[inline]
    pub fn seconds(&self) -> f64 {
        if self.0.get().is_nan() {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.0.set(since.as_secs_f64());
        }
        self.0.get()
    }
}

/// Random numbers: xorshift64* (S. Vigna, ACM Transactions on Mathematical Software 42, 2016).
pub struct Dice(u64);

impl Dice {
    /// From any number.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// Uniform in (0, 1].
    pub fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
        (bits + 1) as f64 / (1u64 << 53) as f64
    }
}
