//! Proving a ledger directory from the outside: nothing is trusted but signatures, and a checkpoint
//! counts only if a strict majority of those who were members at its size stands for it.
//!
//! Reads only, so it works on the directory of a running node.

use super::frames::Stop;
use super::leaves::{LEAVES, LeafReader};
use super::notes::{self, AWAITED, CHECKPOINT, NoteFile, SIGNED};
use super::store::Roster;
use super::{StoreError, log, store};
use ledger::invariants::{self, Broken, Step};
use ledger::{Applied, State, Tally};
use std::fmt;
use std::path::{Path, PathBuf};
use tlog::{
    Checkpoint, CheckpointError, Hash, InclusionProof, KeyName, NoteVerifier, ProofError,
    SignedNote, Tree, TreeError,
};
use wire::{Level, NodeId, Record};

/// Whom to trust.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Keys of which one must have signed the checkpoint, besides the majority of the members.
    /// Empty: the members that the log itself names, which shows that the log is whole, but not
    /// whose it is.
    pub trusted: Vec<NoteVerifier>,
}

/// Why a directory does not verify.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file is unreadable or altered.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing is signed.
    #[error("{0} holds no signed checkpoint; is it the ledger directory of a node that has run?")]
    NoCheckpoint(PathBuf),
    /// A leaf cannot be read as an act.
    #[error("leaf {leaf} is not an act this build can read: {error}")]
    Leaf {
        /// The leaf.
        leaf: u64,
        /// Why.
        error: wire::DecodeError,
    },
    /// Too few members stand for the checkpoint.
    #[error(
        "the checkpoint over {size} leaves is signed by {signed} of {members} members; a majority is \
         {majority}. Missing: {missing}. {remedy}"
    )]
    NoMajority {
        /// Its leaves.
        size: u64,
        /// Members that signed.
        signed: usize,
        /// Members at that size.
        members: usize,
        /// What it takes.
        majority: usize,
        /// Those that did not sign.
        missing: String,
        /// Why that may be, and what to do.
        remedy: &'static str,
    },
    /// A signature is wrong, nobody trusted signed, or it is another log's.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Leaves are missing, or one was altered.
    #[error("leaf {leaf} is not what was signed: {error}")]
    Inclusion {
        /// The leaf.
        leaf: u64,
        /// Where the proof led.
        error: ProofError,
    },
    /// An earlier checkpoint is no prefix of the log.
    #[error(
        "the log is not a continuation of checkpoint {number} in checkpoint.history ({size} leaves): {error}"
    )]
    Consistency {
        /// Place in the history, from 0.
        number: usize,
        /// Its size.
        size: u64,
        /// Where the proof led.
        error: ProofError,
    },
    /// The tree cannot answer.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The fold broke its own rules.
    #[error(transparent)]
    Invariant(#[from] Broken),
}

/// What was proved.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifyReport {
    /// The log's name.
    pub origin: String,
    /// Leaves that the checkpoint covers.
    pub size: u64,
    /// Their root.
    pub root: Hash,
    /// The members that signed.
    pub signed_by: Vec<NodeId>,
    /// The members at that size that did not.
    pub missing: Vec<NodeId>,
    /// Nobody was trusted beforehand: the members are those that the log itself names.
    pub keys_from_log: bool,
    /// Leaves whose inclusion was proved.
    pub included: u64,
    /// Earlier checkpoints of which the log was proved to be a continuation.
    pub consistent_with: usize,
    /// Leaves behind the checkpoint: committed, not yet signed.
    pub unsigned: u64,
    /// Bytes at the end that are not yet a whole leaf: a write under way, or one that a crash
    /// tore off.
    pub unfinished_bytes: u64,
    /// Outcomes of all leaves.
    pub tally: Tally,
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "log        {}", self.origin)?;
        writeln!(f, "size       {}", self.size)?;
        writeln!(f, "root       {}", self.root)?;
        let members = self.signed_by.len() + self.missing.len();
        write!(
            f,
            "signed by  {} of {members} members: {}",
            self.signed_by.len(),
            names(&self.signed_by)
        )?;
        if !self.missing.is_empty() {
            write!(f, "; missing: {}", names(&self.missing))?;
        }
        let source = if self.keys_from_log {
            " (by the members the log itself names)"
        } else {
            ""
        };
        writeln!(f, "{source}")?;
        writeln!(
            f,
            "proved     inclusion of {} leaves, continuation of {} earlier checkpoints",
            self.included, self.consistent_with
        )?;
        let Tally {
            effective,
            duplicate,
            lost,
            ignored,
        } = self.tally;
        writeln!(
            f,
            "acts       {effective} effective, {duplicate} duplicate, {lost} lost, {ignored} ignored"
        )?;
        write!(
            f,
            "unsigned   {} leaves, {} bytes under way",
            self.unsigned, self.unfinished_bytes
        )
    }
}

/// A leaf with its proof, for people and for other verifiers.
#[derive(Debug, Clone, PartialEq)]
pub struct InclusionReport {
    /// The act.
    pub record: Record,
    /// The leaf's bytes.
    pub leaf: Vec<u8>,
    /// Its hash.
    pub hash: Hash,
    /// The proof, towards `checkpoint`'s root.
    pub proof: InclusionProof,
    /// What it is proved against.
    pub checkpoint: Checkpoint,
    /// The signed note itself.
    pub note: String,
}

impl fmt::Display for InclusionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "leaf {} of {}", self.proof.index, self.proof.size)?;
        writeln!(f, "act   {:?}", self.record)?;
        writeln!(f, "hash  {}", self.hash)?;
        for (level, hash) in self.proof.path.iter().enumerate() {
            writeln!(f, "path  {level:>2} {hash}")?;
        }
        writeln!(f, "root  {}", self.checkpoint.root)?;
        write!(f, "\n{}", self.note)
    }
}

fn names(nodes: &[NodeId]) -> String {
    let names: Vec<&str> = nodes.iter().map(NodeId::as_str).collect();
    names.join(", ")
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

/// All acts on a ledger directory, in order, each with what came of it. Nothing is proved;
/// [`verify`] does that.
pub fn acts(dir: &Path) -> Result<Vec<(Record, Applied)>, VerifyError> {
    let path = dir.join(LEAVES);
    let mut reader = LeafReader::open(&path)?;
    let (mut state, mut acts) = (State::new(), Vec::new());
    loop {
        let stored = match reader.next()? {
            Ok((stored, _, _)) => stored,
            Err(Stop::End | Stop::Torn { .. }) => return Ok(acts),
            Err(Stop::Damaged { offset, what }) => {
                let what = format!("leaf {}: {what}", state.size);
                return Err(StoreError::damaged(&path, offset, what).into());
            }
        };
        let leaf = state.size;
        let record: Record =
            wire::decode(&stored.bytes).map_err(|error| VerifyError::Leaf { leaf, error })?;
        let applied = state.apply(leaf, &record);
        acts.push((record, applied));
    }
}

fn read_leaf(dir: &Path, index: u64) -> Result<Vec<u8>, VerifyError> {
    let mut reader = LeafReader::open(&dir.join(LEAVES))?;
    let mut at = 0;
    while let Ok((stored, _, _)) = reader.next()? {
        if at == index {
            return Ok(stored.bytes);
        }
        at += 1;
    }
    Err(TreeError::NoSuchLeaf { index, size: at }.into())
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

struct WholeLog {
    tree: Tree,
    state: State,
    /// The members from a size of the log on, ascending.
    rosters: Vec<(u64, Roster)>,
    unfinished: u64,
}

impl WholeLog {
    fn roster_at(&self, size: u64) -> &Roster {
        static NOBODY: Roster = Roster::new();
        let known = self.rosters.partition_point(|(from, _)| *from <= size);
        let last = known.checked_sub(1).and_then(|at| self.rosters.get(at));
        last.map_or(&NOBODY, |(_, roster)| roster)
    }
}

fn read_log(dir: &Path) -> Result<WholeLog, VerifyError> {
    let path = dir.join(LEAVES);
    let mut reader = LeafReader::open(&path)?;
    let mut log = WholeLog {
        tree: Tree::new(),
        state: State::new(),
        rosters: Vec::new(),
        unfinished: 0,
    };
    loop {
        let stored = match reader.next()? {
            Ok((stored, _, _)) => stored,
            Err(Stop::End) => return Ok(log),
            Err(Stop::Torn { offset }) => {
                let len = std::fs::metadata(&path)
                    .map_err(StoreError::io("read", &path))?
                    .len();
                log.unfinished = len.saturating_sub(offset);
                return Ok(log);
            }
            Err(Stop::Hole { offset, what } | Stop::Damaged { offset, what }) => {
                let leaf = log.tree.size();
                let what = format!("leaf {leaf}: {what}");
                return Err(StoreError::damaged(&path, offset, what).into());
            }
        };
        let leaf = log.tree.append(&stored.bytes);
        let record =
            wire::decode(&stored.bytes).map_err(|error| VerifyError::Leaf { leaf, error })?;
        let before = log.state.clone();
        let applied = log.state.apply(leaf, &record);
        if log.state.witnesses().count() != before.witnesses().count() {
            let witnesses = log.state.witnesses();
            let roster = witnesses.map(|(node, identity)| (node.clone(), *identity));
            log.rosters.push((leaf + 1, roster.collect()));
        }
        invariants::check(Step {
            before: &before,
            after: &log.state,
            applied: &applied,
        })?;
    }
}
