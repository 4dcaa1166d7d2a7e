//! What rests on a disk: random data keys, each wrapped by a key that the node holds.
//!
//! No data key comes from a key epoch's secrets: those are forgotten by design, what is on a disk has to
//! be read again. A [`DataKey`] is drawn, seals one run of records or one item, and is kept beside them,
//! wrapped ([`Keychain::fresh`]). The wrapping is ChaCha20-Poly1305 (RFC 8439) under a key that HKDF-SHA256
//! (RFC 5869) makes of the wrapping key and the [`Place`]: purpose, container, position, and the
//! container's [`Shred`], 32 random bytes. A wrapped key therefore opens where it was made and nowhere
//! else, and whoever overwrites a container's shred destroys every key in it, also for the holder of the
//! wrapping key.
//!
//! Pure: entropy comes in as an argument. What holds the wrapping key is the shell's to say; a key store
//! that keeps it outside of this process would take the place of [`WrappingKey`].

mod data_key;
mod item;
#[cfg(test)]
mod tests;
mod wrapping;

pub use data_key::{DataKey, TAG};
pub use item::{ItemError, is_sealed, open_item, seal_item, wrapped_by};
pub use wrapping::{KeyId, Keychain, UnwrapError, WRAPPED, WrappingKey};

/// 32 random bytes in a container's header, without which no data key in it can be unwrapped.
pub type Shred = [u8; 32];

/// Entropy for a data key: the key and the nonce of its wrapping.
pub type KeyEntropy = [u8; 44];

/// What a container is; keys of one purpose are none of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// A segment of the mail journal.
    MailJournal,
    /// An item of the quarantine.
    Quarantine,
    /// A segment of the journal of scores that wait for Kafka.
    Scores,
}

impl Purpose {
    const fn name(self) -> &'static [u8] {
        match self {
            Self::MailJournal => b"mail journal",
            Self::Quarantine => b"quarantine",
            Self::Scores => b"scores",
        }
    }
}

/// Where a data key is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Of the container.
    pub purpose: Purpose,
    /// Which one: its first record, or the item's number.
    pub container: u64,
    /// From which record on; 0 in an item.
    pub position: u64,
    /// The container's.
    pub shred: Shred,
}

impl Place {
    /// HKDF's info; the fields behind the name are of fixed length, so that no two places read alike.
    fn info(&self) -> Vec<u8> {
        let mut info = b"glasshouse at rest 1 ".to_vec();
        info.extend_from_slice(self.purpose.name());
        info.extend_from_slice(&self.container.to_be_bytes());
        info.extend_from_slice(&self.position.to_be_bytes());
        info
    }
}
