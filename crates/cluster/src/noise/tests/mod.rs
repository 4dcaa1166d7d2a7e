mod handshakes;
mod levels;
mod records;
mod rekey;
mod vectors;

use super::*;
use crate::detect::{Detection, Pulse};
use crate::members::MemberTable;
use ed25519_dalek::SigningKey;
use tokio::io::{AsyncRead, AsyncWrite};
use wire::{KeyEpoch, Level, MemberEntry, NodeId};

pub(super) const CLUSTER: &str = "house";

pub(super) fn signing(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// Node `name` with an identity key from `seed`.
pub(super) fn node(name: &str, seed: u8) -> Identity {
    Identity::new(CLUSTER, NodeId::from(name), 7, &signing(seed))
}

pub(super) fn table(members: &[(&str, u8)]) -> MemberTable {
    MemberTable::founding(members.iter().map(|(name, seed)| MemberEntry {
        node: NodeId::from(*name),
        identity: signing(*seed).verifying_key().to_bytes(),
        address: format!("{name}:1"),
    }))
}

/// A link at the usual pace.
pub(super) fn start<S>(connection: S, keys: LinkKeys, table: &EpochTable) -> Link<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let detection = Detection::default();
    let pace = Pace {
        heartbeat: detection.heartbeat,
        silence_limit: detection.silence_limit,
        dismisses: true,
    };
    Link::start(connection, keys, table, pace, Pulse::for_tests())
}

/// Reads to the end, as a session does all the time.
pub(super) fn hear_out<S>(mut reader: LinkReader<S>)
where
    S: AsyncRead + Send + 'static,
{
    tokio::spawn(async move { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await });
}

/// First keys of both ends, as a handshake would leave them.
pub(super) fn key_pair() -> (LinkKeys, LinkKeys) {
    let ends = |initiator| LinkKeys::new(&[1; 32], &[2; 32], [3; 32], initiator);
    (ends(true), ends(false))
}

/// A link secret for tests; another one for every epoch.
pub(super) fn secret(epoch: u64) -> (KeyEpoch, [u8; 32]) {
    (
        KeyEpoch(epoch),
        [u8::try_from(epoch % 251).unwrap() + 1; 32],
    )
}
