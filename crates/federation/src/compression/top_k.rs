use super::bits::{pack, packed_len, unpack};
use super::{DecodeError, TOP_K, fits, put_u32, take_u32, whole};

/// Kind, length, number kept.
const HEAD: usize = 9;

/// Enough for every index below `length`.
fn index_bits(length: usize) -> u32 {
    usize::BITS - length.saturating_sub(1).leading_zeros()
}

pub(super) fn encoded_len(length: usize, keep: usize) -> usize {
    HEAD + packed_len(keep, index_bits(length)) + 4 * keep
}

pub(super) fn encode(update: &[f32], keep: usize) -> Vec<u8> {
    let mut order: Vec<usize> = (0..update.len()).collect();
    // The largest first; of equals the earlier, so that equal updates give equal bytes.
    let larger = |a: &usize, b: &usize| {
        let sizes = update[*b].abs().total_cmp(&update[*a].abs());
        sizes.then(a.cmp(b))
    };
    if keep > 0 && keep < order.len() {
        order.select_nth_unstable_by(keep - 1, larger);
    }
    order.truncate(keep);
    order.sort_unstable();
    let mut bytes = Vec::with_capacity(encoded_len(update.len(), keep));
    bytes.push(TOP_K);
    put_u32(update.len(), &mut bytes);
    put_u32(keep, &mut bytes);
    let indices = order.iter().map(|index| *index as u32);
    pack(indices, index_bits(update.len()), &mut bytes);
    for index in order {
        bytes.extend(update[index].to_le_bytes());
    }
    bytes
}

pub(super) fn decode(bytes: &[u8], length: usize) -> Result<Vec<f32>, DecodeError> {
    let (found, rest) = take_u32(bytes)?;
    fits(length, found)?;
    let (keep, rest) = take_u32(rest)?;
    if keep > length {
        return Err(DecodeError::Malformed("more coordinates than there are"));
    }
    whole(encoded_len(length, keep), HEAD + rest.len())?;
    let bits = index_bits(length);
    let (packed, values) = rest.split_at(packed_len(keep, bits));
    let indices = unpack(packed, keep, bits)?;
    if !indices.is_sorted_by(|a, b| a < b) {
        return Err(DecodeError::Malformed("indices that do not rise"));
    }
    let mut update = vec![0.0; length];
    for (index, value) in indices.into_iter().zip(values.chunks_exact(4)) {
        let value = f32::from_le_bytes([value[0], value[1], value[2], value[3]]);
        if !value.is_finite() {
            return Err(DecodeError::Malformed("a value that is not finite"));
        }
        *update
            .get_mut(index as usize)
            .ok_or(DecodeError::Malformed("an index beyond the model"))? = value;
    }
    Ok(update)
}
