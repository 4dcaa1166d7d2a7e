//! Numbers of a few bits, one behind the other.

use super::DecodeError;

pub(super) fn packed_len(count: usize, bits: u32) -> usize {
    (count * bits as usize).div_ceil(8)
}

/// Appends each value's lowest `bits` (at most 32).
pub(super) fn pack(values: impl Iterator<Item = u32>, bits: u32, bytes: &mut Vec<u8>) {
    let (mut held, mut count) = (0_u64, 0);
    for value in values {
        held |= u64::from(value) << count;
        count += bits;
        while count >= 8 {
            bytes.push(held as u8);
            held >>= 8;
            count -= 8;
        }
    }
    if count > 0 {
        bytes.push(held as u8);
    }
}

/// `count` values; exactly the bytes that they fill are given.
pub(super) fn unpack(bytes: &[u8], count: usize, bits: u32) -> Result<Vec<u32>, DecodeError> {
    let mask = (1_u64 << bits) - 1;
    let mut bytes = bytes.iter();
    let (mut held, mut have) = (0_u64, 0);
    let values = (0..count)
        .map(|_| {
            while have < bits {
                let next = bytes
                    .next()
                    .ok_or(DecodeError::Malformed("fewer bits than values"))?;
                held |= u64::from(*next) << have;
                have += 8;
            }
            let value = (held & mask) as u32;
            held >>= bits;
            have -= bits;
            Ok(value)
        })
        .collect::<Result<_, _>>()?;
    match held == 0 && bytes.next().is_none() {
        true => Ok(values),
        false => Err(DecodeError::Malformed(
            "something stands behind the last value",
        )),
    }
}
