//! Opening with what a reader outside the house holds: keys of one topic and partition.

use super::header::{Form, Header, Parts};
use super::{Opened, Place, PlaceKey};
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use std::collections::BTreeMap;
use wire::KeyEpoch;

/// Why a payload does not open outside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutsideError {
    /// The holder was not given this epoch's key.
    #[error("sealed under key epoch {epoch}, of which the reader key has none")]
    NoKey {
        /// In the header.
        epoch: KeyEpoch,
    },
    /// In the form of older releases, under the key of the whole house.
    #[error("sealed in the form of an older release, which a reader key does not open")]
    Plain,
    /// The tag does not fit.
    #[error("not authentic for this topic, partition and key")]
    Tampered,
    /// Not a sealed payload.
    #[error("not a sealed payload: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
}

/// Opens `bytes` found at `place` with one of `keys`. That a payload comes twice is not noticed, and a
/// signature is not checked: that takes the ledger.
pub fn open_outside(
    keys: &BTreeMap<KeyEpoch, PlaceKey>,
    place: &Place<'_>,
    bytes: &[u8],
) -> Result<Opened, OutsideError> {
    let Parts {
        header,
        encoded,
        ciphertext,
        signature: _,
    } = Header::split(bytes).map_err(|reason| OutsideError::Malformed { reason })?;
    let epoch = header.epoch;
    match header.form {
        Form::Plain => return Err(OutsideError::Plain),
        Form::Placed { .. } => {}
    }
    let key = keys.get(&epoch).ok_or(OutsideError::NoKey { epoch })?;
    let key = header.writer.key_at(key);
    let payload = Payload {
        msg: ciphertext,
        aad: &Header::associated_data(encoded, place),
    };
    let plaintext = ChaCha20Poly1305::new((&*key).into())
        .decrypt(&header.nonce(), payload)
        .map_err(|_| OutsideError::Tampered)?;
    Ok(Opened {
        plaintext,
        epoch,
        writer: header.writer.node,
        sequence: header.sequence,
    })
}
