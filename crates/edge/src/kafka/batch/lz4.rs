//! LZ4 frames (<https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>), unpacked to where their records stay: the library's own
//! reader of frames takes each byte through two buffers more, which costs as much as the decompression.
//!
//! Checksums within frames are passed over. The batch has one over all of it, and that was right.

use super::compress::DecompressError;
use bytes::{Buf, Bytes};
use lz4_flex::block;

const MAGIC: u32 = 0x184D_2204;
/// Sixteen magics of frames that hold something else.
const SKIPPABLE: u32 = 0x184D_2A50;

// The descriptor's flags.
const VERSION: u8 = 0b1100_0000;
const VERSION_1: u8 = 0b0100_0000;
const INDEPENDENT: u8 = 0b0010_0000;
const BLOCK_CHECKSUMS: u8 = 0b0001_0000;
const CONTENT_SIZE: u8 = 0b0000_1000;
const CONTENT_CHECKSUM: u8 = 0b0000_0100;
const DICTIONARY: u8 = 0b0000_0001;

/// In a block's size: it is not compressed.
const AS_IT_IS: u32 = 1 << 31;
/// How far back a block refers into the ones before.
const WINDOW: usize = 64 << 10;
/// A byte of a compressed block makes at most so many.
const MOST_RATIO: usize = 255;

/// Frames one after the other; at most `limit` bytes come out.
pub(super) fn frames(packed: &[u8], limit: usize) -> Result<Bytes, DecompressError> {
    let (mut input, mut plain) = (packed, Vec::new());
    while !input.is_empty() {
        match number(&mut input)? {
            MAGIC => frame(&mut input, limit, &mut plain)?,
            magic if magic & !0xF == SKIPPABLE => {
                let len = number(&mut input)?;
                take(&mut input, len as usize)?;
            }
            magic => return Err(corrupt(format!("{magic:08x} begins no LZ4 frame"))),
        }
    }
    Ok(Bytes::from(plain))
}

fn frame(input: &mut &[u8], limit: usize, plain: &mut Vec<u8>) -> Result<(), DecompressError> {
    let begin = plain.len();
    let [flags, sizes] = [take(input, 1)?[0], take(input, 1)?[0]];
    if flags & VERSION != VERSION_1 || flags & DICTIONARY != 0 {
        return Err(corrupt(
            "an LZ4 frame of another version, or with a dictionary",
        ));
    }
    let most = match sizes >> 4 & 0b111 {
        id @ 4..=7 => 1usize << (8 + 2 * id),
        id => return Err(corrupt(format!("{id} is no size of LZ4 blocks"))),
    };
    if flags & CONTENT_SIZE != 0 {
        take(input, 8)?;
    }
    take(input, 1)?; // the descriptor's checksum
    loop {
        let size = number(input)?;
        if size == 0 {
            break;
        }
        let packed = take(input, (size & !AS_IT_IS) as usize)?;
        let left = limit - plain.len();
        if packed.len() > most {
            return Err(corrupt("an LZ4 block over its frame's limit"));
        }
        if size & AS_IT_IS == 0 {
            let from = match flags & INDEPENDENT {
                0 => begin.max(plain.len().saturating_sub(WINDOW)),
                _ => plain.len(),
            };
            compressed(
                packed,
                most.min(packed.len() * MOST_RATIO),
                from,
                left,
                plain,
            )?;
        } else if packed.len() > left {
            return Err(DecompressError::TooLarge);
        } else {
            plain.extend_from_slice(packed);
        }
        if flags & BLOCK_CHECKSUMS != 0 {
            number(input)?;
        }
    }
    if flags & CONTENT_CHECKSUM != 0 {
        number(input)?;
    }
    Ok(())
}

/// Appends a block of at most `most` bytes, of which `left` may come. It may refer to what is there `from` an index on.
fn compressed(
    packed: &[u8],
    most: usize,
    from: usize,
    left: usize,
    plain: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    let begin = plain.len();
    plain.resize(begin + most.min(left), 0);
    let (before, room) = plain.split_at_mut(begin);
    let unpacked = match &before[from..] {
        [] => block::decompress_into(packed, room),
        window => block::decompress_into_with_dict(packed, room, window),
    };
    match unpacked {
        Ok(len) => {
            plain.truncate(begin + len);
            Ok(())
        }
        Err(block::DecompressError::OutputTooSmall { .. }) if left < most => {
            Err(DecompressError::TooLarge)
        }
        Err(error) => Err(corrupt(error.to_string())),
    }
}

fn take<'a>(input: &mut &'a [u8], len: usize) -> Result<&'a [u8], DecompressError> {
    let (taken, left) = input
        .split_at_checked(len)
        .ok_or_else(|| corrupt("an LZ4 frame is cut off"))?;
    *input = left;
    Ok(taken)
}

fn number(input: &mut &[u8]) -> Result<u32, DecompressError> {
    take(input, 4).map(|mut bytes| bytes.get_u32_le())
}

fn corrupt(reason: impl Into<String>) -> DecompressError {
    DecompressError::Corrupt(reason.into())
}
