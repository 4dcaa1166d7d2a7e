//! What samsa does not write.

use bytes::BufMut;

/// Length of an array or a string, in the compact encoding (KIP-482).
pub(super) fn put_count<W: BufMut>(out: &mut W, count: usize) {
    let mut left = count + 1;
    while left >= 0x80 {
        out.put_u8(left as u8 | 0x80);
        left >>= 7;
    }
    out.put_u8(left as u8);
}
