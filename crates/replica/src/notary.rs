//! Who stands for the log: the leader signs a checkpoint, the other members cosign it, and with a
//! strict majority of the members it is the cluster's.
//!
//! A member signs only what its own log leads to, and remembers on the disk what it signed before
//! the signature leaves it. Its log only ever grows, so whatever it signs is consistent with all
//! that it has signed; a log that is not what was signed for is refused at the next start.

mod member;
mod round;

use super::StoreError;
use super::handle::{Inner, Ledger};
use super::lead;
use super::notes::{self, NoteWriter};
use super::store::Mark;
use round::{round, tell};
use runtime::blocking::in_place;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tlog::{Checkpoint, NoteVerifier, SignedNote};
use tokio::time::sleep;
use wire::{Level, NodeId};

pub(super) use member::{cosign, take};
pub(super) use round::last_round;

/// Where nothing is committed, the newest checkpoint is told again so often: a few hundred bytes.
const TELL_AGAIN: Duration = Duration::from_secs(5);

/// What is signed here.
#[derive(Default)]
pub(super) struct Notary {
    desk: Mutex<Desk>,
    /// Notice of each new checkpoint of the cluster.
    news: tokio::sync::watch::Sender<Option<Cosigned>>,
}

#[derive(Default)]
struct Desk {
    writer: Option<NoteWriter>,
    /// Size that this replica signed last.
    signed: u64,
}

/// A checkpoint that the cluster stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cosigned {
    pub(super) checkpoint: Checkpoint,
    pub(super) note: String,
    pub(super) signers: Vec<NodeId>,
}

impl Notary {
    pub(super) fn open(&self, writer: NoteWriter) {
        self.desk().writer = Some(writer);
    }

    fn desk(&self) -> std::sync::MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn news(&self) -> tokio::sync::watch::Receiver<Option<Cosigned>> {
        self.news.subscribe()
    }

    pub(super) fn newest(&self) -> Option<Cosigned> {
        self.news.borrow().clone()
    }
}

impl Ledger {
    /// Leaves under the newest checkpoint that a majority of the members stands for, and who
    /// signed it. `None` until there is one in this run.
    pub fn cosigned(&self) -> Option<(u64, Vec<NodeId>)> {
        let newest = self.inner().notary.newest()?;
        Some((newest.checkpoint.size, newest.signers))
    }
}

/// Why a note does not count.
#[derive(Debug, thiserror::Error)]
enum NoteRefused {
    #[error(transparent)]
    Checkpoint(#[from] tlog::CheckpointError),
    #[error("it is signed by {signers} of the {members} members, a majority is needed")]
    TooFew { signers: usize, members: usize },
    #[error("this replica does not remember the log at {0} leaves")]
    Unknown(u64),
    #[error(
        "the log has forked: at {size} leaves the note has root {theirs}, this replica {ours}. Stop \
         the cluster and compare the logs with `glasshouse ledger verify`"
    )]
    Forked {
        size: u64,
        theirs: tlog::Hash,
        ours: tlog::Hash,
    },
    #[error(
        "this node has signed for {theirs} leaves, its ledger directory knows of {ours} only: it is an \
         old copy, put back from a backup or a snapshot of the disk. It may have voted and acknowledged \
         what it does not remember, so it must not take part any more. Remove the directory and start \
         the node: it comes back as a new replica and fetches the log from its peers"
    )]
    OldCopy { theirs: u64, ours: u64 },
    #[error("what this node signed with its former replica is not yet shown to be in the log")]
    Awaiting,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// On every node: sign alone while the ledger's level is the first release's; at the leader from
/// then on with the others, at most once per `checkpoint_every`.
pub(super) async fn run(inner: Arc<Inner>) {
    lead::opened(&inner).await;
    restore(&inner);
    let mut published = inner.store.watch();
    let mut leadership = inner.leadership.subscribe();
    loop {
        let done = if cosigns(&inner) {
            inner
                .notary
                .newest()
                .map_or(0, |newest| newest.checkpoint.size)
        } else {
            inner.notary.desk().signed
        };
        let turn = !cosigns(&inner) || inner.leads();
        if turn && published.borrow_and_update().state.size > done {
            let round = if cosigns(&inner) {
                round(&inner).await
            } else {
                sign_alone(&inner).map_err(NoteRefused::from)
            };
            if let Err(error) = round {
                // Consensus goes on without: the next commit tries again.
                tracing::warn!("no checkpoint could be signed: {error}");
            }
            sleep(inner.timings.checkpoint_every).await;
            continue;
        }
        let more = async {
            if turn {
                published
                    .wait_for(|view| view.state.size > done)
                    .await
                    .map(drop)
            } else {
                std::future::pending().await
            }
        };
        let ended = tokio::select! {
            changed = more => changed.is_err(),
            changed = leadership.changed() => changed.is_err(),
            () = sleep(TELL_AGAIN) => {
                // A frame may be lost, and who was away has missed it.
                if inner.leads() && let Some(newest) = inner.notary.newest() {
                    tell(&inner, &newest.note);
                }
                false
            }
        };
        if ended {
            return;
        }
    }
}

/// Is a checkpoint the cluster's rather than each node's own?
fn cosigns(inner: &Inner) -> bool {
    inner.level.min(inner.store.now().state.level) >= Level::MEMBERSHIP
}

/// What the disk has from the last run.
fn restore(inner: &Inner) {
    let own = std::slice::from_ref(&inner.own);
    if let Ok(Some(file)) = notes::read(&inner.dir, notes::SIGNED, own) {
        inner.notary.desk().signed = file.checkpoint.size;
    }
    let state = inner.store.now().state;
    let roster = state
        .witnesses()
        .map(|(node, identity)| (node.clone(), *identity))
        .collect();
    let Ok(Some(file)) = notes::read_unverified(&inner.dir, notes::CHECKPOINT) else {
        return;
    };
    let note = String::from_utf8_lossy(&file.note).into_owned();
    if let Ok(cosigned) = majority(inner, &note, &roster) {
        inner.notary.news.send_replace(Some(cosigned));
    }
}

/// Opens a note that a strict majority of `roster` signed.
fn majority(
    inner: &Inner,
    note: &str,
    roster: &super::store::Roster,
) -> Result<Cosigned, NoteRefused> {
    let trusted = notes::verifiers(&inner.origin, roster);
    let (checkpoint, keys) = Checkpoint::open(note.as_bytes(), &trusted)?;
    checkpoint.expect_origin(&inner.origin)?;
    let signers = signers(roster, &keys);
    if signers.len() * 2 <= roster.len() {
        return Err(NoteRefused::TooFew {
            signers: signers.len(),
            members: roster.len(),
        });
    }
    Ok(Cosigned {
        checkpoint,
        note: note.to_owned(),
        signers,
    })
}

fn signers(roster: &super::store::Roster, keys: &[&NoteVerifier]) -> Vec<NodeId> {
    let signed = |identity: &[u8; 32]| keys.iter().any(|key| key.key().as_bytes() == identity);
    let members = roster.iter().filter(|(_, identity)| signed(identity));
    members.map(|(node, _)| node.clone()).collect()
}

/// Signs for `mark`, whose leaves are durable, and remembers it.
fn sign(inner: &Inner, mark: &Mark) -> Result<SignedNote, NoteRefused> {
    if inner.store.awaited().is_some() {
        return Err(NoteRefused::Awaiting);
    }
    let checkpoint = Checkpoint {
        origin: inner.origin.clone(),
        size: mark.size,
        root: mark.root,
    };
    let note = checkpoint
        .sign(&[inner.signer()])
        .map_err(tlog::CheckpointError::from)?;
    let mut desk = inner.notary.desk();
    if mark.size > desk.signed {
        let Some(writer) = &desk.writer else {
            return Err(NoteRefused::Awaiting);
        };
        writer.save_signed(&note.encode())?;
        desk.signed = mark.size;
    }
    Ok(note)
}

/// A checkpoint by this node alone: while the level is the first release's it is what there is.
pub(super) fn sign_alone(inner: &Inner) -> Result<(), StoreError> {
    in_place(|| {
        let mark = inner.store.durable()?;
        if mark.size == 0 || inner.notary.desk().signed >= mark.size {
            return Ok(());
        }
        match sign(inner, &mark) {
            Ok(note) if !cosigns(inner) => match &mut inner.notary.desk().writer {
                Some(writer) => writer.save_checkpoint(&note.encode()),
                None => Ok(()),
            },
            Err(NoteRefused::Store(error)) => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    })
}

/// Stores the cluster's checkpoint, if it is newer than what there is.
fn keep(inner: &Inner, cosigned: Cosigned) -> Result<(), NoteRefused> {
    let newer = |newest: &Cosigned| {
        let known = (newest.checkpoint.size, newest.signers.len());
        (cosigned.checkpoint.size, cosigned.signers.len()) > known
    };
    if !inner.notary.newest().is_none_or(|newest| newer(&newest)) {
        return Ok(());
    }
    in_place(|| {
        inner.store.durable()?;
        if let Some(writer) = &mut inner.notary.desk().writer {
            writer.save_checkpoint(&cosigned.note)?;
        }
        Ok::<_, StoreError>(())
    })?;
    inner.notary.news.send_replace(Some(cosigned));
    Ok(())
}
