//! Admissions: proof that the cluster took a node in, for a member whose ledger does not say so
//! yet, and for the node itself. The leaf is in the log (RFC 6962 inclusion proof), and a majority
//! of the members known to whoever checks have signed the log's checkpoint.

use std::collections::{BTreeMap, BTreeSet};
use tlog::{
    Checkpoint, CheckpointError, InclusionProof, KeyName, KeyNameError, NoteVerifier, ProofError,
};
use wire::{Act, Admission, DecodeError, MemberEntry, NodeId, Record};

/// Why an admission proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// The leaf cannot be read.
    #[error("its leaf is unreadable: {0}")]
    Leaf(#[from] DecodeError),
    /// The leaf is about something else.
    #[error("its leaf does not admit anybody")]
    OtherAct,
    /// The leaf admits somebody else.
    #[error("its leaf admits node {admitted} with another name or identity key than the one shown")]
    OtherNode {
        /// Who is admitted.
        admitted: NodeId,
    },
    /// The name of the cluster cannot be a log's.
    #[error("the cluster's name cannot name a log: {0}")]
    Origin(#[from] KeyNameError),
    /// The checkpoint is not acceptable.
    #[error("its checkpoint is not acceptable: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// Too few of the members have signed.
    #[error(
        "its checkpoint is signed by {signed} of the {known} members known here, {needed} are needed"
    )]
    Minority {
        /// Members that signed.
        signed: usize,
        /// Members known.
        known: usize,
        /// A strict majority of them.
        needed: usize,
    },
    /// The leaf is not in the log.
    #[error("its leaf is not in the log: {0}")]
    Proof(#[from] ProofError),
}

/// Does `admission` prove that `node`, holding `identity`, was admitted to `cluster`, in the eyes
/// of a majority of the `known` members?
pub fn verify(
    admission: &Admission,
    cluster: &str,
    node: &NodeId,
    identity: &[u8; 32],
    known: &BTreeMap<NodeId, MemberEntry>,
) -> Result<(), AdmissionError> {
    let record: Record = wire::decode(&admission.leaf)?;
    let Act::Admitted {
        node: admitted,
        identity: theirs,
        ..
    } = record.act
    else {
        return Err(AdmissionError::OtherAct);
    };
    if admitted != *node || theirs != *identity {
        return Err(AdmissionError::OtherNode { admitted });
    }
    let origin = KeyName::new(&format!("glasshouse/{cluster}"))?;
    let trusted = verifiers(&origin, known);
    let (checkpoint, signers) = Checkpoint::open(admission.note.as_bytes(), &trusted)?;
    checkpoint.expect_origin(&origin)?;
    // One member counts once, under however many names its key signed.
    let signed: BTreeSet<[u8; 32]> = signers.iter().map(|key| key.key().to_bytes()).collect();
    let needed = known.len() / 2 + 1;
    if signed.len() < needed {
        return Err(AdmissionError::Minority {
            signed: signed.len(),
            known: known.len(),
            needed,
        });
    }
    InclusionProof {
        index: admission.index,
        size: checkpoint.size,
        path: admission.path.iter().copied().map(tlog::Hash).collect(),
    }
    .verify(&admission.leaf, &checkpoint.root)?;
    Ok(())
}

/// Under which names the members' keys may stand on a checkpoint: the log's, as the node that
/// keeps a copy of it signs; and the member's, as a cosigner.
fn verifiers(origin: &KeyName, known: &BTreeMap<NodeId, MemberEntry>) -> Vec<NoteVerifier> {
    let of_member = |member: &MemberEntry| {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&member.identity).ok()?;
        let names = [
            Some(origin.clone()),
            KeyName::new(&format!("{origin}/{}", member.node)).ok(),
            KeyName::new(member.node.as_str()).ok(),
        ];
        Some(
            names
                .into_iter()
                .flatten()
                .map(move |name| NoteVerifier::new(name, key)),
        )
    };
    known.values().filter_map(of_member).flatten().collect()
}

#[cfg(test)]
pub(crate) mod tests;
