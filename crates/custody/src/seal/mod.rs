//! Payloads on the data space: sealed with the epoch's data key, opened while that epoch's grace
//! lasts, each once.
//!
//! A sealed payload is a [`header`] in clear and ChaCha20-Poly1305 ciphertext (RFC 8439) with its
//! tag. Every writer has its own key per epoch, HKDF-SHA256 (RFC 5869) of the data key over the
//! writer's name and a salt drawn at its start, so that a nonce is a plain counter and two writers
//! can never meet on one. Topic, partition, device and header are authenticated with it: a payload
//! moved to another place does not open there.
//!
//! In the second form the writer's key comes from a key of the topic and partition ([`PlaceKey`]), so that one
//! can be handed out without the others; and the writer may sign, with its identity key, what it has sealed
//! ([`origin`]), since the cipher alone says only that it was somebody who holds the key.

mod header;
mod keyring;
mod origin;
mod outside;
mod parking;
mod place;
mod replay;
mod sealer;
#[cfg(test)]
mod tests;

pub use keyring::{Grace, Keyring, OpenError, Opened};
pub use origin::Origin;
pub use outside::{OutsideError, open_outside};
pub use parking::{MAX_PARKED, Parking};
pub use place::{Place, PlaceKey};
pub use replay::{MAX_STREAMS, REPLAY_WINDOW};
pub use sealer::{SealError, SealForm, Sealer};
