//! Encrypted, authenticated links: Noise_XX_25519_ChaChaPoly_SHA256 (Noise Protocol Framework,
//! revision 34) on the dalek crates, and after it records of our own that can move to new keys
//! while data flows.
//!
//! - The handshake carries a [`wire::Certificate`] each way: an ed25519 identity of a member
//!   vouches for the x25519 static key of this incarnation.
//! - From level 1 on the initiator greets in the first message and both introduce themselves in
//!   the other two, with their level and, the initiator, with the proof of its admission. The
//!   first release greets with nothing and is answered with what it knows.
//! - After `Split()` each direction has its own key. A record is a big-endian `u16` length and a
//!   ChaCha20-Poly1305 ciphertext with a 64-bit counter as nonce, as in Noise §5.1; the first
//!   plaintext byte is its kind.
//! - **Rekey in band.** Each end announces the epochs whose link secret it holds; a sender moves
//!   to the newest epoch that both hold and says so in the last record under the old key. Nobody
//!   ever waits for an epoch and nobody goes back. The next key depends on the last one *and* on
//!   the epoch's link secret: a member of the group who sees other members' links cannot read
//!   them, and an evicted member who kept a link open loses it.

mod certificate;
mod channel;
mod cipher;
mod epochs;
mod error;
mod handshake;
mod link;
mod ratchet;
mod record;
mod resolver;
mod said;
#[cfg(test)]
mod tests;

pub(crate) use certificate::verify;
pub use certificate::{Identity, Peer};
pub use channel::Channel;
pub use epochs::{EpochTable, LinkSecret, MAX_EPOCHS};
pub use error::{HandshakeError, LinkError};
pub use handshake::{Established, Greeted, HANDSHAKE_LIMIT, Proven, Side, dial, knock, listen};
pub(crate) use link::Pace;
pub use link::{DISMISS_LIMIT, Link, LinkHandle, LinkKeys, LinkReader, LinkWriter, WRITE_LIMIT};
