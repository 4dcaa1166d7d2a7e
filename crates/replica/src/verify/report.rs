//! What was proved, for people.

use crate::phase::names;
use ledger::Tally;
use std::fmt;
use tlog::{Checkpoint, Hash, InclusionProof};
use wire::{NodeId, Record};

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
