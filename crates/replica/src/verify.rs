//! Proving a ledger directory from the outside: nothing is trusted but the signature.
//!
//! Reads only, so it works on the directory of a running node.

use super::checkpoint::{self, CheckpointFile};
use super::frames::Stop;
use super::leaves::{LEAVES, LeafReader};
use super::{StoreError, log, store};
use ledger::invariants::{self, Broken, Step};
use ledger::{State, Tally};
use std::fmt;
use std::path::{Path, PathBuf};
use tlog::{
    Checkpoint, CheckpointError, Hash, InclusionProof, NoteVerifier, ProofError, Tree, TreeError,
};
use wire::Record;

/// Whom to trust.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Keys of which one must have signed the checkpoint. Empty: the key in the directory's own
    /// `vkey`, which shows that the log is whole, but not whose it is.
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
    /// The checkpoint's signer is not of this cluster.
    #[error(
        "the checkpoint is signed by a key that the genesis does not list; the log or its key was exchanged"
    )]
    Stranger,
    /// The checkpoint belongs to another log.
    #[error(transparent)]
    Origin(#[from] CheckpointError),
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
    /// The keys that signed.
    pub signed_by: Vec<String>,
    /// Whether those keys were given, or found in the directory itself.
    pub key_from_directory: bool,
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
        let source = if self.key_from_directory {
            " (key from the directory itself)"
        } else {
            ""
        };
        writeln!(f, "signed by  {}{source}", self.signed_by.join(", "))?;
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

/// Recomputes and proves everything in a ledger directory: checksums of every file, the root
/// against the signed checkpoint, the inclusion of every leaf, that the log continues each earlier
/// checkpoint, and that the fold keeps its invariants.
pub fn verify(dir: &Path, options: &VerifyOptions) -> Result<VerifyReport, VerifyError> {
    // The history first, then the checkpoint, then the leaves: a running node writes in the
    // opposite order, so what is read later covers what was read earlier.
    let (history, _) = checkpoint::read_history(dir)?;
    let own = checkpoint::read_vkey(dir)?;
    let trusted = if options.trusted.is_empty() {
        vec![own]
    } else {
        options.trusted.clone()
    };
    let signed = signed(dir, &trusted)?;
    let log = read_log(dir)?;
    let size = signed.checkpoint.size;
    let root = log.tree.root_at(size).ok();
    checkpoint::expect_root(dir, &signed.checkpoint, root)?;

    let (_, signers) = Checkpoint::open(&signed.note, &trusted)?;
    let listed = |key: &&NoteVerifier| {
        log.state
            .members
            .values()
            .any(|member| member.identity == *key.key().as_bytes())
    };
    if size > 0 && !signers.iter().any(listed) {
        return Err(VerifyError::Stranger);
    }
    if let Some(cluster) = &log.state.cluster {
        signed
            .checkpoint
            .expect_origin(&checkpoint::origin(cluster).map_err(|_| VerifyError::Stranger)?)?;
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
        let (old, _) = Checkpoint::open(note, &trusted)?;
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
        signed_by: signers.iter().map(ToString::to_string).collect(),
        key_from_directory: options.trusted.is_empty(),
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
    let own = checkpoint::read_vkey(dir)?;
    let trusted = if options.trusted.is_empty() {
        vec![own]
    } else {
        options.trusted.clone()
    };
    let CheckpointFile { checkpoint, note } = signed(dir, &trusted)?;
    let mut reader = LeafReader::open(&dir.join(LEAVES))?;
    let (mut tree, mut leaf) = (Tree::new(), Vec::new());
    while tree.size() < checkpoint.size {
        match reader.next()? {
            Ok((stored, _, _)) => {
                if tree.append(&stored.bytes) == index {
                    leaf = stored.bytes;
                }
            }
            Err(Stop::Damaged { offset, what }) => {
                return Err(StoreError::damaged(&dir.join(LEAVES), offset, what).into());
            }
            Err(Stop::End | Stop::Torn { .. }) => break,
        }
    }
    let proof = tree.prove_inclusion(index, checkpoint.size)?;
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

fn signed(dir: &Path, trusted: &[NoteVerifier]) -> Result<CheckpointFile, VerifyError> {
    checkpoint::read(dir, trusted)?.ok_or_else(|| VerifyError::NoCheckpoint(dir.to_owned()))
}

struct WholeLog {
    tree: Tree,
    state: State,
    unfinished: u64,
}

fn read_log(dir: &Path) -> Result<WholeLog, VerifyError> {
    let path = dir.join(LEAVES);
    let mut reader = LeafReader::open(&path)?;
    let mut log = WholeLog {
        tree: Tree::new(),
        state: State::new(),
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
            Err(Stop::Damaged { offset, what }) => {
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
        invariants::check(Step {
            before: &before,
            after: &log.state,
            applied: &applied,
        })?;
    }
}
