//! Digests of bytes: XXH3-128 (fast, against accidents), BLAKE3 (against attackers too), and the
//! chained digests of the blocks of a token list.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use twox_hash::xxhash3_128::Hasher as Xxh3;

use crate::buffer::Bytes;

/// Above this many bytes hashing lets other threads run meanwhile.
pub const DETACH_BYTES: usize = 32 * 1024;
/// Length of a key's digest, as in `infercache.key.DIGEST_BYTES`.
pub const DIGEST_BYTES: usize = 16;

/// 16 bytes of digest.
pub type Digest = [u8; DIGEST_BYTES];

/// Runs `work` with the interpreter lock released if it is worth it.
pub fn detached<T: Send>(py: Python<'_>, size: usize, work: impl Send + FnOnce() -> T) -> T {
    if size > DETACH_BYTES {
        py.detach(work)
    } else {
        work()
    }
}

/// The key of a keyed BLAKE3.
pub fn blake3_key(key: &[u8]) -> PyResult<&[u8; 32]> {
    key.try_into()
        .map_err(|_| PyValueError::new_err(format!("a BLAKE3 key has 32 bytes, not {}", key.len())))
}

/// XXH3-128 of a contiguous buffer, in the canonical (big-endian) byte order.
#[pyfunction]
#[pyo3(signature = (data, seed=0))]
pub fn xxh3_128<'py>(data: &Bound<'py, PyAny>, seed: u64) -> PyResult<Bound<'py, PyBytes>> {
    let (py, view) = (data.py(), Bytes::new(data)?);
    let bytes = view.as_slice();
    let hash = detached(py, bytes.len(), || Xxh3::oneshot_with_seed(seed, bytes));
    Ok(PyBytes::new(py, &hash.to_be_bytes()))
}

/// BLAKE3 of a contiguous buffer, keyed if a key of 32 bytes is given, `length` bytes of it.
#[pyfunction]
#[pyo3(name = "blake3", signature = (data, key=None, length=32))]
pub fn blake3_of<'py>(
    data: &Bound<'py, PyAny>,
    key: Option<&[u8]>,
    length: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let (py, view) = (data.py(), Bytes::new(data)?);
    let mut hasher = new_blake3(key)?;
    let bytes = view.as_slice();
    detached(py, bytes.len(), || {
        hasher.update(bytes);
    });
    blake3_output(py, &hasher, length)
}

fn new_blake3(key: Option<&[u8]>) -> PyResult<blake3::Hasher> {
    Ok(match key {
        Some(key) => blake3::Hasher::new_keyed(blake3_key(key)?),
        None => blake3::Hasher::new(),
    })
}

fn blake3_output<'py>(
    py: Python<'py>,
    hasher: &blake3::Hasher,
    length: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, length, |out| {
        hasher.finalize_xof().fill(out);
        Ok(())
    })
}

enum Incremental {
    Blake3(Box<blake3::Hasher>),
    Xxh3(Box<Xxh3>),
}

/// Digest of bytes that come in pieces.
#[pyclass(module = "infercache._core")]
pub struct Hasher {
    state: Incremental,
}

#[pymethods]
impl Hasher {
    #[new]
    #[pyo3(signature = (algorithm="blake3", key=None))]
    fn new(algorithm: &str, key: Option<&[u8]>) -> PyResult<Self> {
        let state = match (algorithm, key) {
            ("blake3", key) => Incremental::Blake3(Box::new(new_blake3(key)?)),
            ("xxh3", None) => Incremental::Xxh3(Box::new(Xxh3::new())),
            ("xxh3", Some(_)) => {
                return Err(PyValueError::new_err("xxh3 takes no key; use \"blake3\" with a key"))
            }
            _ => return Err(unknown_algorithm(algorithm)),
        };
        Ok(Self { state })
    }

    /// Adds a contiguous buffer.
    fn update(&mut self, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let view = Bytes::new(data)?;
        let bytes = view.as_slice();
        let state = &mut self.state;
        detached(data.py(), bytes.len(), || match state {
            Incremental::Blake3(hasher) => {
                hasher.update(bytes);
            }
            Incremental::Xxh3(hasher) => hasher.write(bytes),
        });
        Ok(())
    }

    /// The digest of all that was added so far: 32 bytes of BLAKE3, 16 of XXH3-128.
    fn digest<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        match &self.state {
            Incremental::Blake3(hasher) => blake3_output(py, hasher, blake3::OUT_LEN),
            Incremental::Xxh3(hasher) => Ok(PyBytes::new(py, &hasher.finish_128().to_be_bytes())),
        }
    }
}

fn unknown_algorithm(name: &str) -> PyErr {
    PyValueError::new_err(format!("unknown algorithm {name:?}; known: blake3, xxh3"))
}

/// How a key space turns an encoding into a digest; made from its 32-byte seed.
pub enum Scheme {
    Blake3(Box<[u8; 32]>),
    Xxh3(Box<[u8; 192]>),
}

impl Scheme {
    pub fn new(algorithm: &str, seed: &[u8]) -> PyResult<Self> {
        let seed = blake3_key(seed)?;
        match algorithm {
            "blake3" => Ok(Self::Blake3(Box::new(*seed))),
            "xxh3" => {
                let mut secret = Box::new([0; 192]);
                blake3::Hasher::new_keyed(seed).finalize_xof().fill(&mut secret[..]);
                Ok(Self::Xxh3(secret))
            }
            _ => Err(unknown_algorithm(algorithm)),
        }
    }

    /// The digest of a whole encoding.
    pub fn digest(&self, bytes: &[u8]) -> Digest {
        match self {
            Self::Blake3(seed) => truncate(blake3::keyed_hash(seed, bytes)),
            Self::Xxh3(secret) => Xxh3::oneshot_with_secret(&secret[..], bytes)
                .expect("192 bytes are enough for a secret")
                .to_be_bytes(),
        }
    }

    /// A state for encodings that come in pieces, more than `DETACH_BYTES` in all.
    pub fn stream(&self) -> Stream {
        Stream(match self {
            Self::Blake3(seed) => Incremental::Blake3(Box::new(blake3::Hasher::new_keyed(seed))),
            Self::Xxh3(secret) => Incremental::Xxh3(Box::new(
                Xxh3::with_seed_and_secret(0, secret.to_vec())
                    .unwrap_or_else(|_| unreachable!("192 bytes are enough for a secret")),
            )),
        })
    }
}

fn truncate(hash: blake3::Hash) -> Digest {
    let mut digest = [0; DIGEST_BYTES];
    digest.copy_from_slice(&hash.as_bytes()[..DIGEST_BYTES]);
    digest
}

/// The digest of an encoding that is too large to be held in one piece.
pub struct Stream(Incremental);

impl Stream {
    pub fn write(&mut self, py: Python<'_>, bytes: &[u8]) {
        let state = &mut self.0;
        detached(py, bytes.len(), || match state {
            Incremental::Blake3(hasher) => {
                hasher.update(bytes);
            }
            Incremental::Xxh3(hasher) => hasher.write(bytes),
        });
    }

    pub fn finish(&self) -> Digest {
        match &self.0 {
            Incremental::Blake3(hasher) => truncate(hasher.finalize()),
            Incremental::Xxh3(hasher) => hasher.finish_128().to_be_bytes(),
        }
    }
}

/// The chained digests of the full blocks of a token list: each is the first 16 bytes of BLAKE3
/// over the one before it (first `parent`) and the block's tokens as little-endian int64.
#[pyfunction]
pub fn chain_digest<'py>(
    parent: &[u8],
    tokens: &Bound<'py, PyAny>,
    block_tokens: usize,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    if block_tokens == 0 {
        return Err(PyValueError::new_err("block_tokens must be at least 1"));
    }
    let py = tokens.py();
    let digests = if let Ok(list) = tokens.cast::<PyList>() {
        let tokens: Vec<i64> = list.extract()?;
        chain(py, parent, &tokens, block_tokens)
    } else {
        let view = Bytes::new(tokens)?;
        let (format, bytes) = (view.format().trim_start_matches(['@', '=', '<']), view.as_slice());
        match (format, view.itemsize()) {
            ("q" | "l" | "n", 8) => {
                let words = bytes.chunks_exact(8);
                let tokens: Vec<i64> = words
                    .map(|word| i64::from_ne_bytes(word.try_into().expect("8 bytes")))
                    .collect();
                chain(py, parent, &tokens, block_tokens)
            }
            ("i" | "l", 4) => {
                let words = bytes.chunks_exact(4);
                let tokens: Vec<i64> = words
                    .map(|word| i32::from_ne_bytes(word.try_into().expect("4 bytes")).into())
                    .collect();
                chain(py, parent, &tokens, block_tokens)
            }
            _ => {
                return Err(PyTypeError::new_err(format!(
                    "tokens must be int64 or int32 or a list of ints, not items of format {:?}",
                    view.format()
                )))
            }
        }
    };
    Ok(digests.iter().map(|digest| PyBytes::new(py, digest)).collect())
}

fn chain(py: Python<'_>, parent: &[u8], tokens: &[i64], block_tokens: usize) -> Vec<Digest> {
    detached(py, size_of_val(tokens), || {
        let mut digests: Vec<Digest> = Vec::with_capacity(tokens.len() / block_tokens);
        let mut block = Vec::with_capacity(parent.len().max(DIGEST_BYTES) + 8 * block_tokens);
        for run in tokens.chunks_exact(block_tokens) {
            block.clear();
            block.extend_from_slice(digests.last().map_or(parent, |digest| &digest[..]));
            block.extend(run.iter().flat_map(|token| token.to_le_bytes()));
            digests.push(truncate(blake3::hash(&block)));
        }
        digests
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Hasher>()?;
    module.add_function(wrap_pyfunction!(xxh3_128, module)?)?;
    module.add_function(wrap_pyfunction!(blake3_of, module)?)?;
    module.add_function(wrap_pyfunction!(chain_digest, module)?)
}
