//! Proving a ledger directory from the outside: nothing is trusted but signatures, and a checkpoint
//! counts only if a strict majority of those who were members at its size stands for it.
//!
//! Reads only, so it works on the directory of a running node.

mod error;
mod report;
mod whole;

use super::leaves::LEAVES;
use super::notes::{self, AWAITED, CHECKPOINT, NoteFile, SIGNED};
use super::phase::names;
use super::{StoreError, log, store};
use std::path::Path;
use tlog::{Checkpoint, CheckpointError, Hash, KeyName, NoteVerifier, SignedNote, TreeError};
use whole::{WholeLog, read_leaf, read_log};
use wire::{Level, NodeId};

pub use error::VerifyError;
pub use report::{InclusionReport, VerifyReport};
pub use whole::acts;

/// Whom to trust.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Keys of which one must have signed the checkpoint, besides the majority of the members.
    /// Empty: the members that the log itself names, which shows that the log is whole, but not
    /// whose it is.
    pub trusted: Vec<NoteVerifier>,
}

/// Recomputes and proves everything in a ledger directory: checksums of every file, the root
/// against the checkpoint, that a majority of the members signed it, the inclusion of every leaf,
/// that the log continues each earlier checkpoint, and that the fold keeps its invariants.
pub fn verify(dir: &Path, options: &VerifyOptions) -> Result<VerifyReport, VerifyError> {
    // The history first, then the checkpoint, then the leaves: a running node writes in the
    // opposite order, so what is read later covers what was read earlier.
    let (history, _) = notes::read_history(dir)?;
    let vkey = notes::read_vkey(dir)?;
    let own = std::slice::from_ref(&vkey);
    let vows = [
        notes::read(dir, SIGNED, own)?,
        notes::read(dir, AWAITED, own)?,
    ];
    let signed = checkpoint(dir, vkey.name())?;
    let log = read_log(dir)?;
    let size = signed.checkpoint.size;
    let (signed_by, missing) = check_signed(dir, &log, &signed, options)?;
    for vow in vows.iter().flatten() {
        let found = log.tree.root_at(vow.checkpoint.size).ok();
        // What was signed with a former replica may still have to be fetched.
        if found.is_some() || vow.checkpoint.size <= size {
            expect_root(dir, &vow.checkpoint, found)?;
        }
    }
    for leaf in 0..size {
        let proof = log.tree.prove_inclusion(leaf, size)?;
        let proved = log
            .tree
            .leaf(leaf)
            .ok_or(TreeError::NoSuchLeaf { index: leaf, size });
        let proved = proof.verify_hash(proved?, &signed.checkpoint.root);
        proved.map_err(|error| VerifyError::Inclusion { leaf, error })?;
    }
    for (number, note) in history.iter().enumerate() {
        let text = SignedNote::parse(note).map_err(CheckpointError::from)?;
        let claimed = Checkpoint::parse_text(text.text())?.size;
        let members = notes::verifiers(&signed.checkpoint.origin, log.roster_at(claimed));
        let (old, _) = Checkpoint::open(note, &members)?;
        old.expect_origin(&signed.checkpoint.origin)?;
        // A running node may have signed the last of these after we read the checkpoint.
        let newer = log.tree.size().max(size);
        let proof = log.tree.prove_consistency(old.size, newer)?;
        let proved = proof.verify(&old.root, &log.tree.root_at(newer)?);
        proved.map_err(|error| VerifyError::Consistency {
            number,
            size: old.size,
            error,
        })?;
    }
    log::check(dir)?;
    store::check_floor(dir, log.tree.size())?;
    Ok(VerifyReport {
        origin: signed.checkpoint.origin.to_string(),
        size,
        root: signed.checkpoint.root,
        signed_by,
        missing,
        keys_from_log: options.trusted.is_empty(),
        included: size,
        consistent_with: history.len(),
        unsigned: log.tree.size() - size,
        unfinished_bytes: log.unfinished,
        tally: log.state.tally,
    })
}

/// Leaf `index` with its inclusion proof under the signed checkpoint, checked.
pub fn inclusion(
    dir: &Path,
    index: u64,
    options: &VerifyOptions,
) -> Result<InclusionReport, VerifyError> {
    let vkey = notes::read_vkey(dir)?;
    let signed = checkpoint(dir, vkey.name())?;
    let log = read_log(dir)?;
    check_signed(dir, &log, &signed, options)?;
    let NoteFile { checkpoint, note } = signed;
    let leaf = read_leaf(dir, index)?;
    let proof = log.tree.prove_inclusion(index, checkpoint.size)?;
    let checked = proof.verify(&leaf, &checkpoint.root);
    checked.map_err(|error| VerifyError::Inclusion { leaf: index, error })?;
    let record = wire::decode(&leaf).map_err(|error| VerifyError::Leaf { leaf: index, error })?;
    let hash = tlog::leaf_hash(&leaf);
    let note = String::from_utf8_lossy(&note).into_owned();
    Ok(InclusionReport {
        record,
        leaf,
        hash,
        proof,
        checkpoint,
        note,
    })
}

fn checkpoint(dir: &Path, origin: &KeyName) -> Result<NoteFile, VerifyError> {
    let file = notes::read_unverified(dir, CHECKPOINT)?;
    let file = file.ok_or_else(|| VerifyError::NoCheckpoint(dir.to_owned()))?;
    file.checkpoint.expect_origin(origin)?;
    Ok(file)
}

/// Does the log lead to the root that was signed, and did a majority sign it? Gives the members
/// that did and those that did not.
fn check_signed(
    dir: &Path,
    log: &WholeLog,
    signed: &NoteFile,
    options: &VerifyOptions,
) -> Result<(Vec<NodeId>, Vec<NodeId>), VerifyError> {
    let Checkpoint { origin, size, .. } = &signed.checkpoint;
    expect_root(dir, &signed.checkpoint, log.tree.root_at(*size).ok())?;
    if let Some(cluster) = &log.state.cluster
        && let Ok(expected) = notes::origin(cluster)
    {
        signed.checkpoint.expect_origin(&expected)?;
    }
    if !options.trusted.is_empty() {
        Checkpoint::open(&signed.note, &options.trusted)?;
    }
    let roster = log.roster_at(*size);
    let members = notes::verifiers(origin, roster);
    let (_, keys) = Checkpoint::open(&signed.note, &members)?;
    let by = |identity: &[u8; 32]| keys.iter().any(|key| key.key().as_bytes() == identity);
    let (signed_by, missing): (Vec<_>, Vec<_>) =
        roster.iter().partition(|(_, identity)| by(identity));
    let nodes = |members: Vec<(&NodeId, &[u8; 32])>| -> Vec<NodeId> {
        members.into_iter().map(|(node, _)| node.clone()).collect()
    };
    let (signed_by, missing) = (nodes(signed_by), nodes(missing));
    if signed_by.len() * 2 > roster.len() {
        return Ok((signed_by, missing));
    }
    Err(VerifyError::NoMajority {
        size: *size,
        signed: signed_by.len(),
        members: roster.len(),
        majority: roster.len() / 2 + 1,
        missing: names(&missing),
        remedy: if log.state.level < Level::MEMBERSHIP {
            "The ledger is of level 0, where each node signs alone: upgrade every node, then a \
             majority signs"
        } else {
            "The first checkpoint by a majority is still to come: start the cluster and wait for it"
        },
    })
}

fn expect_root(dir: &Path, signed: &Checkpoint, found: Option<Hash>) -> Result<(), StoreError> {
    if found == Some(signed.root) {
        return Ok(());
    }
    let what = format!(
        "the first {} leaves lead to root {}, but {} was signed: a leaf was altered, added or removed \
         after signing",
        signed.size,
        found.map_or_else(|| "(too few leaves)".to_owned(), |root| root.to_string()),
        signed.root,
    );
    Err(StoreError::mismatch(&dir.join(LEAVES), what))
}
