//! Keys of the table: exactly 16 bytes, compared and hashed without Python's help.

use std::hash::{BuildHasher, RandomState};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key(pub [u64; 2]);

impl Key {
    /// Shortened to 8 bytes, alike in every process; small integers stay what they are.
    #[inline]
    pub fn id(self) -> u64 {
        self.0[0] ^ self.0[1].wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// As one number.
    pub fn number(self) -> u128 {
        u128::from(self.0[0]) | u128::from(self.0[1]) << 64
    }

    /// From one number.
    pub fn from_number(number: u128) -> Self {
        Self([number as u64, (number >> 64) as u64])
    }

    /// As the bytes that it was made from.
    pub fn to_bytes(self, py: Python<'_>) -> Bound<'_, PyBytes> {
        PyBytes::new(py, &self.number().to_le_bytes())
    }
}

impl<'py> FromPyObject<'_, 'py> for Key {
    type Error = PyErr;

    #[inline]
    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let Ok(bytes) = object.cast::<PyBytes>() else {
            return Err(wrong_type(&object));
        };
        match <[u8; 16]>::try_from(bytes.as_bytes()) {
            Ok(bytes) => Ok(Self::from_number(u128::from_le_bytes(bytes))),
            Err(_) => Err(wrong_length(bytes.as_bytes().len())),
        }
    }
}

#[cold]
fn wrong_type(object: &Bound<'_, PyAny>) -> PyErr {
    match object.get_type().name() {
        Ok(name) => PyTypeError::new_err(format!("a table's key is 16 bytes, not {name}")),
        Err(error) => error,
    }
}

#[cold]
fn wrong_length(length: usize) -> PyErr {
    PyValueError::new_err(format!("a table's key is 16 bytes, not {length}"))
}

/// Hashes keys with a secret of its own, so that keys cannot be chosen to collide.
pub struct KeyHasher {
    secrets: [u64; 3],
}

impl KeyHasher {
    /// With a fresh secret.
    pub fn new() -> Self {
        let random = RandomState::new();
        Self { secrets: [1, 2, 3].map(|number: u64| random.hash_one(number) | 1) }
    }

    /// Two folded multiplications: every bit of the key reaches every bit of the hash.
    #[inline]
    pub fn hash(&self, key: Key) -> u32 {
        let [a, b, c] = self.secrets;
        fold(fold(key.0[0] ^ a, key.0[1] ^ b) ^ key.0[1], c) as u32
    }

    /// A number to start a random sequence from.
    pub fn seed(&self) -> u64 {
        self.secrets[0].rotate_left(17) ^ self.secrets[2]
    }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}
