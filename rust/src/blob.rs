//! The checks of a blob in one call, and the sealing of a small one; the format is that of
//! `infercache.codecs.blob`, which also says in words what is wrong where this says None.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use twox_hash::xxhash3_128::Hasher as Xxh3;

use crate::buffer::Bytes;
use crate::digest::{blake3_key, detached, DIGEST_BYTES};

const MAGIC: [u8; 8] = *b"\x93ICBLOB\n";
const FORMAT: u16 = 1;
const XXH3: u8 = 1;
const BLAKE3: u8 = 2;
const HEAD_BYTES: usize = 88;
const ALIGNMENT: usize = 64;
const LARGEST_NAMES: usize = 1 << 20;
/// Below this a copy is cheaper than hashing and writing several buffers.
const JOIN_BYTES: usize = 32 * 1024;

/// What a blob says of its entry: version, cost, creation, expiry, end of grace.
type Numbers = (u64, f64, f64, f64, f64);

/// The start and end of the body, the tags as they are stored, and the numbers; None unless
/// every check passes.
type Opened<'py> = (usize, usize, Option<Bound<'py, PyBytes>>, u64, f64, f64, f64, f64);

/// Where the parts of a blob lie.
struct Layout {
    names_end: usize,
    tags_end: usize,
    start: usize,
    end: usize,
}

impl Layout {
    /// None if the head is not one that this reads with that algorithm, or its lengths are wrong.
    fn read(blob: &[u8], keyed: bool) -> Option<Self> {
        let head = blob.get(..HEAD_BYTES)?;
        let algorithm = if keyed { BLAKE3 } else { XXH3 };
        if head[..8] != MAGIC || head[8..10] != FORMAT.to_le_bytes() || head[10] != algorithm {
            return None;
        }
        let length = |at: usize| u32::from_le_bytes(field(head, at)) as usize;
        let (start, names_end) = (length(12), HEAD_BYTES + length(16));
        let tags_end = names_end.checked_add(length(20))?;
        let end = u64::from_le_bytes(field(head, 24)).checked_add(start as u64)?;
        let whole = end.checked_add(checksum_bytes(keyed) as u64)?;
        let sound = tags_end <= LARGEST_NAMES
            && start == tags_end.next_multiple_of(ALIGNMENT)
            && whole == blob.len() as u64;
        sound.then_some(Self { names_end, tags_end, start, end: end as usize })
    }
}

#[inline]
fn field<const N: usize>(head: &[u8], at: usize) -> [u8; N] {
    head[at..at + N].try_into().expect("inside the head")
}

fn checksum_bytes(keyed: bool) -> usize {
    if keyed {
        32
    } else {
        16
    }
}

fn numbers(head: &[u8]) -> Numbers {
    let float = |at: usize| f64::from_le_bytes(field(head, at));
    (u64::from_le_bytes(field(head, 32)), float(40), float(48), float(56), float(64))
}

/// Whether the bytes before `end` have the checksum behind it, in constant time where keyed.
fn verify(blob: &[u8], end: usize, key: Option<&[u8; 32]>) -> bool {
    let (data, found) = blob.split_at(end);
    match key {
        None => Xxh3::oneshot(data).to_be_bytes() == found,
        Some(key) => blake3::keyed_hash(key, data) == *found,
    }
}

/// Checks a whole blob against the names, digest and key of the reader; see `Opened`.
#[pyfunction]
#[pyo3(signature = (blob, names, digest, key=None, /))]
fn open_blob<'py>(
    blob: &Bound<'py, PyAny>,
    names: &[u8],
    digest: &[u8],
    key: Option<&[u8]>,
) -> PyResult<Option<Opened<'py>>> {
    let view = Bytes::new(blob)?;
    let key = key.map(blake3_key).transpose()?;
    let bytes = view.as_slice();
    let Some(layout) = Layout::read(bytes, key.is_some()) else { return Ok(None) };
    let Layout { names_end, tags_end, start, end } = layout;
    if bytes[HEAD_BYTES..names_end] != *names
        || bytes[72..HEAD_BYTES] != *digest
        || !detached(blob.py(), bytes.len(), || verify(bytes, end, key))
    {
        return Ok(None);
    }
    let tags = &bytes[names_end..tags_end];
    let tags = (!tags.is_empty()).then(|| PyBytes::new(blob.py(), tags));
    let (version, cost_s, created_at, expires_at, stale_until) = numbers(bytes);
    Ok(Some((start, end, tags, version, cost_s, created_at, expires_at, stale_until)))
}

/// The whole blob of a small body; None if the body is large or the names are too long.
#[pyfunction]
#[pyo3(signature = (names, tags, digest, numbers, body, key=None, /))]
fn seal_blob<'py>(
    py: Python<'py>,
    names: &[u8],
    tags: &[u8],
    digest: &[u8],
    numbers: Numbers,
    body: Vec<Bound<'py, PyAny>>,
    key: Option<&[u8]>,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let key = key.map(blake3_key).transpose()?;
    let digest = <&[u8; DIGEST_BYTES]>::try_from(digest)?;
    let body: Vec<Bytes<'_>> = body.iter().map(Bytes::new).collect::<PyResult<_>>()?;
    let body_bytes: usize = body.iter().map(|part| part.as_slice().len()).sum();
    let names_end = HEAD_BYTES + names.len();
    let tags_end = names_end + tags.len();
    if body_bytes > JOIN_BYTES || tags_end > LARGEST_NAMES {
        return Ok(None);
    }
    let start = tags_end.next_multiple_of(ALIGNMENT);
    let end = start + body_bytes;
    let keyed = key.is_some();
    let sealed = PyBytes::new_with(py, end + checksum_bytes(keyed), |blob| {
        write_head(blob, [start, names.len(), tags.len(), body_bytes], keyed, &numbers, digest);
        blob[HEAD_BYTES..names_end].copy_from_slice(names);
        blob[names_end..tags_end].copy_from_slice(tags);
        let mut at = start;
        for part in body.iter().map(Bytes::as_slice) {
            blob[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        let (data, checksum) = blob.split_at_mut(end);
        match key {
            None => checksum.copy_from_slice(&Xxh3::oneshot(data).to_be_bytes()),
            Some(key) => checksum.copy_from_slice(blake3::keyed_hash(key, data).as_bytes()),
        }
        Ok(())
    })?;
    Ok(Some(sealed))
}

fn write_head(
    blob: &mut [u8],
    lengths: [usize; 4],
    keyed: bool,
    numbers: &Numbers,
    digest: &[u8; DIGEST_BYTES],
) {
    let [start, names, tags, body] = lengths;
    let (version, cost_s, created_at, expires_at, stale_until) = *numbers;
    blob[..8].copy_from_slice(&MAGIC);
    blob[8..10].copy_from_slice(&FORMAT.to_le_bytes());
    blob[10] = if keyed { BLAKE3 } else { XXH3 };
    for (at, length) in [(12, start), (16, names), (20, tags)] {
        blob[at..at + 4].copy_from_slice(&(length as u32).to_le_bytes());
    }
    blob[24..32].copy_from_slice(&(body as u64).to_le_bytes());
    blob[32..40].copy_from_slice(&version.to_le_bytes());
    for (at, float) in [(40, cost_s), (48, created_at), (56, expires_at), (64, stale_until)] {
        blob[at..at + 8].copy_from_slice(&float.to_le_bytes());
    }
    blob[72..HEAD_BYTES].copy_from_slice(digest);
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(open_blob, module)?)?;
    module.add_function(wrap_pyfunction!(seal_blob, module)?)
}
