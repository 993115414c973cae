//! Hash of an id: ids of digests are random already, ids of a trace are not.

/// Every bit of the id reaches every bit of the hash.
#[inline]
pub fn spread(id: u64) -> u64 {
    let product = u128::from(id ^ 0x2D35_8DCC_AA6C_78A5) * 0x9E37_79B9_7F4A_7C15;
    (product as u64) ^ ((product >> 64) as u64)
}
