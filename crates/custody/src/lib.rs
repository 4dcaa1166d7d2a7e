//! Key epochs: who holds which secret, and when it changes.
//!
//! The nodes form one MLS group (RFC 9420, suite 0x0003). The ledger orders the group's commits:
//! the first commit for an epoch wins, and [`Custodian`] applies only what the ledger committed.
//! From each epoch's exporter come two secrets ([`EpochSecrets`]): one for the links between the
//! nodes, one for the payloads on the data space, which [`Sealer`] and [`Keyring`] seal and open.
//!
//! Pure: time and events come in as inputs, effects go out as outputs, and all randomness is drawn
//! from a ChaCha20 generator seeded by the 32 bytes that the shell hands to the constructor.
//! Not ours to remove: OpenMLS stamps the secrets of a superseded MLS epoch with
//! `SystemTime::now()` for a deletion policy that is switched off here; no decision reads it.
//! Nor is it ours that OpenMLS encrypts a commit on a thread pool; what is drawn there does not
//! depend on the threads' order, so equal seeds and inputs still give equal bytes.
//! Key packages, whose lifetimes would need a clock, are never made: every join is an external
//! commit (`docs/decisions/0005-mls-join-by-external-commit.md`).
//!
//! What rests on a disk is sealed under other keys, which come from no epoch: [`at_rest`].
//!
//! What these keys do not give: any member of the group can seal in another member's name, since
//! they share the data key. They keep outsiders and past members out; they do not sign. Whoever was
//! removed reads nothing of the next epoch, but can still seal under the ones before it, for as
//! long as their grace lasts.

pub mod at_rest;
mod custodian;
mod drbg;
mod group;
pub mod harness;
#[cfg(test)]
mod interop;
mod provider;
mod roster;
mod seal;
mod secrets;
#[cfg(test)]
mod vectors;

pub use custodian::{Custodian, Input, Output};
pub use group::{GroupError, JoinInfo, KeyGroup, MAX_MESSAGE, PendingJoin};
pub use roster::{Membership, Roster};
pub use seal::{
    Grace, Keyring, MAX_PARKED, MAX_STREAMS, OpenError, Opened, Origin, OutsideError, Parking,
    Place, PlaceKey, REPLAY_WINDOW, SealError, SealForm, Sealer, open_outside,
};
pub use secrets::EpochSecrets;
