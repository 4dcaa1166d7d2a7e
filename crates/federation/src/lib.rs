//! Federated rounds: one [`Aggregator`] with the leader, one [`Participant`] on every node.
//!
//! The ledger is the only memory that counts. A round is open once `RoundOpened` is committed and
//! has a model once `RoundClosed` is; nothing is sent or adopted on the strength of a proposal.
//! Raw readings never appear here: a participant is asked with a model and answers with the
//! difference that training made to it.
//!
//! Pure: time and events come in as inputs, effects go out as outputs, in order.

mod aggregator;
pub mod cohort;
pub mod combination;
pub mod compression;
pub mod fedavg;
pub mod fedbuff;
pub mod memory;
pub mod optimizer;
mod participant;
pub mod privacy;
#[cfg(test)]
mod problem;
mod random;
pub mod robust;
pub mod scaffold;
pub mod secagg;

pub use aggregator::{
    Aggregator, Config, Counters, Input, MAX_EXAMPLES, Output, PackedUpdate, Privacy,
    RefusedUpdate, Update,
};
pub use participant::{Participant, ParticipantInput, ParticipantOutput, Remembered};

use sha2::{Digest as _, Sha256};
use wire::Digest;

/// Most parameters a model may have: 3 million f32 are 12 MB, which fits a frame
/// (`wire::codec::MAX_ENCODED`) with room for its other fields.
pub const MAX_PARAMETERS: usize = 3_000_000;

/// Identifies a model: SHA-256 over its parameters as little-endian f32.
pub fn model_digest(parameters: &[f32]) -> Digest {
    // Bytes of many parameters at a time: the hash takes longer to be called than to hash four bytes.
    const HASHED: usize = 1024;
    let mut hash = Sha256::new();
    let mut bytes = [[0; 4]; HASHED];
    for parameters in parameters.chunks(HASHED) {
        for (bytes, parameter) in bytes.iter_mut().zip(parameters) {
            *bytes = parameter.to_le_bytes();
        }
        hash.update(bytes[..parameters.len()].as_flattened());
    }
    Digest(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_little_endian_bytes() {
        let check = |parameters: &[f32]| {
            let bytes: Vec<u8> = parameters.iter().flat_map(|p| p.to_le_bytes()).collect();
            assert_eq!(model_digest(parameters), Digest::of(&bytes));
        };
        check(&[1.0, -0.5, f32::MIN_POSITIVE]);
        check(&[]);
        let many: Vec<f32> = (0..2500).map(|n| n as f32 / 7.0).collect();
        check(&many[..1024]);
        check(&many);
        assert_ne!(
            model_digest(&[0.0]),
            model_digest(&[-0.0]),
            "bits count, not values"
        );
    }
}
