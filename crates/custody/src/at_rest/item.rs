//! One item in one file: magic, shred, wrapped key, then the sealed content with its tag. Every writing
//! of it has a data key of its own.

use super::wrapping;
use super::{KeyId, Keychain, Place, Purpose, Shred, TAG, UnwrapError, WRAPPED};
use zeroize::Zeroize;

/// No plain item begins with it: those begin with their format's version, a small number.
const MAGIC: &[u8; 8] = b"ghseal\0\x01";
const SHRED: usize = 32;
const HEAD: usize = MAGIC.len() + SHRED + WRAPPED;

/// Why an item did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// Its head is not all there.
    #[error("{len} bytes are too few for a sealed item")]
    Short {
        /// Its length.
        len: usize,
    },
    /// Its key cannot be had.
    #[error(transparent)]
    Key(#[from] UnwrapError),
    /// The tag does not fit: changed, cut off, or another item's content.
    #[error("the sealed content has been changed or belongs to another item")]
    Tampered,
}

/// Whether `bytes` are a sealed item, rather than one of the time before there was sealing.
pub fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Id of the wrapping key that a sealed item was sealed under; `None` of anything else.
pub fn wrapped_by(bytes: &[u8]) -> Option<KeyId> {
    let wrapped = bytes.strip_prefix(MAGIC)?.get(SHRED..)?.first_chunk()?;
    Some(wrapping::wrapped_by(wrapped))
}

/// Item number `number`, sealed. `entropy` is fresh: shred, key and nonce.
pub fn seal_item(
    keys: &Keychain,
    purpose: Purpose,
    number: u64,
    mut entropy: [u8; 76],
    content: &[u8],
) -> Vec<u8> {
    let mut place = Place {
        purpose,
        container: number,
        position: 0,
        shred: [0; SHRED],
    };
    let mut for_key = [0; 44];
    place.shred.copy_from_slice(&entropy[..SHRED]);
    for_key.copy_from_slice(&entropy[SHRED..]);
    entropy.zeroize();
    let (key, wrapped) = keys.fresh(&place, for_key);
    let mut bytes = Vec::with_capacity(HEAD + content.len() + TAG);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&place.shred);
    bytes.extend_from_slice(&wrapped);
    bytes.extend_from_slice(content);
    let tag = key.seal(0, MAGIC, &mut bytes[HEAD..]);
    bytes.extend_from_slice(&tag);
    bytes
}

/// Opens what [`seal_item`] gave.
///
/// # Errors
/// See [`ItemError`].
pub fn open_item(
    keys: &Keychain,
    purpose: Purpose,
    number: u64,
    bytes: &[u8],
) -> Result<Vec<u8>, ItemError> {
    let short = ItemError::Short { len: bytes.len() };
    let (head, rest) = bytes.split_at_checked(HEAD).ok_or(short.clone())?;
    let (content, tag) = rest.split_last_chunk::<TAG>().ok_or(short)?;
    let (shred, wrapped) = head[MAGIC.len()..].split_at(SHRED);
    let mut place = Place {
        purpose,
        container: number,
        position: 0,
        shred: Shred::default(),
    };
    place.shred.copy_from_slice(shred);
    let key = keys.unwrap(&place, wrapped)?;
    let mut content = content.to_vec();
    if key.open(0, MAGIC, &mut content, tag) {
        Ok(content)
    } else {
        Err(ItemError::Tampered)
    }
}
