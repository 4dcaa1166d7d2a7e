//! Who stands for the log: the leader signs a checkpoint, the other members cosign it, and with a
//! strict majority of the members it is the cluster's.
//!
//! A member signs only what its own log leads to, and remembers on the disk what it signed before
//! the signature leaves it. Its log only ever grows, so whatever it signs is consistent with all
//! that it has signed; a log that is not what was signed for is refused at the next start.

use super::handle::{Inner, Ledger};
use super::lead;
use super::notes::{self, NoteWriter};
use super::store::Mark;
use super::{StoreError, disk};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use runtime::clock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tlog::{Checkpoint, NoteVerifier, SignedNote};
use tokio::time::{sleep, timeout};
use wire::{Call, Frame, Level, NodeId, Reply};

/// How long a member waits to have the leaves that it shall sign for: a follower applies them a
/// heartbeat after the leader at most.
const COSIGN_WAIT: Duration = Duration::from_millis(500);
/// How long the leader waits for a majority, beyond a slow follower's wait and disk.
const MAJORITY_WAIT: Duration = Duration::from_secs(2);
/// How long it waits for the rest once it has a majority. More signatures are worth more, but not
/// a delay of what hangs on the checkpoint (admissions).
const REST_WAIT: Duration = Duration::from_millis(100);
/// Where nothing is committed, the newest checkpoint is told again so often: a few hundred bytes.
const TELL_AGAIN: Duration = Duration::from_secs(5);
/// How long a node that stops tries to get its last leaves signed.
const LAST_ROUND: Duration = Duration::from_secs(1);

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
    disk::blocking(|| {
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

/// One round of the leader: sign, collect, store, tell.
async fn round(inner: &Inner) -> Result<(), NoteRefused> {
    let (mark, mut note) = disk::blocking(|| {
        let mark = inner.store.durable()?;
        let note = sign(inner, &mark)?;
        Ok::<_, NoteRefused>((mark, note))
    })?;
    let linked = inner.net.peers();
    let linked = linked
        .into_iter()
        .filter(|node| mark.roster.contains_key(node));
    let text = note.encode();
    let mut asked: FuturesUnordered<_> = linked
        .map(|node| {
            let note = text.clone();
            async move { (inner.net.call(&node, Call::Cosign { note }).await, node) }
        })
        .collect();
    let enough = mark.roster.len() / 2;
    let mut lines = 0;
    let majority_by = tokio::time::Instant::now() + MAJORITY_WAIT;
    let mut until = majority_by;
    while let Ok(Some((answer, node))) = tokio::time::timeout_at(until, asked.next()).await {
        match answer {
            Ok(Reply::Cosigned(line)) => match accept(inner, &mark, &note, &node, &line) {
                Ok(signed) => {
                    note = signed;
                    lines += 1;
                }
                Err(error) => tracing::warn!("{node}'s cosignature does not count: {error}"),
            },
            Ok(Reply::Refused(why)) => tracing::warn!("{node} does not cosign: {why}"),
            Ok(other) => tracing::warn!("{node} answered another question: {other:?}"),
            Err(error) => tracing::debug!("{node} does not cosign: {error}"),
        }
        if lines == enough {
            until = majority_by.min(tokio::time::Instant::now() + REST_WAIT);
        }
    }
    let note = note.encode();
    let cosigned = majority(inner, &note, &mark.roster)?;
    keep(inner, cosigned)?;
    tell(inner, &note);
    Ok(())
}

fn tell(inner: &Inner, note: &str) {
    for node in inner.net.peers() {
        let note = note.to_owned();
        inner.net.cast(&node, Frame::Checkpoint { note });
    }
}

/// The note with one more line, if that is the member's and holds.
fn accept(
    inner: &Inner,
    mark: &Mark,
    note: &SignedNote,
    node: &NodeId,
    line: &str,
) -> Result<SignedNote, NoteRefused> {
    let mut signed = note.clone();
    signed.add_line(line).map_err(tlog::CheckpointError::from)?;
    let member = BTreeMap::from_iter(mark.roster.get(node).map(|key| (node.clone(), *key)));
    let trusted = notes::verifiers(&inner.origin, &member);
    signed
        .verify(&trusted)
        .map_err(tlog::CheckpointError::from)?;
    Ok(signed)
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
    disk::blocking(|| {
        inner.store.durable()?;
        if let Some(writer) = &mut inner.notary.desk().writer {
            writer.save_checkpoint(&cosigned.note)?;
        }
        Ok::<_, StoreError>(())
    })?;
    inner.notary.news.send_replace(Some(cosigned));
    Ok(())
}

/// Waits until this replica has applied `size` leaves; gives what it holds there.
async fn mark_at(inner: &Inner, size: u64) -> Result<Mark, NoteRefused> {
    let mut published = inner.store.watch();
    let reached = published.wait_for(|view| view.state.size >= size);
    let _ = timeout(COSIGN_WAIT, reached).await;
    inner.store.mark_at(size).ok_or(NoteRefused::Unknown(size))
}

fn agrees(checkpoint: &Checkpoint, mark: &Mark) -> Result<(), NoteRefused> {
    if checkpoint.root == mark.root {
        return Ok(());
    }
    let error = NoteRefused::Forked {
        size: mark.size,
        theirs: checkpoint.root,
        ours: mark.root,
    };
    tracing::error!("{error}");
    Err(error)
}

/// Serves `wire::Call::Cosign`.
pub(super) async fn cosign(inner: &Inner, from: &NodeId, note: &str) -> Reply {
    match try_cosign(inner, from, note).await {
        Ok(line) => Reply::Cosigned(line),
        Err(error) => Reply::Refused(error.to_string()),
    }
}

async fn try_cosign(inner: &Inner, from: &NodeId, note: &str) -> Result<String, NoteRefused> {
    let parsed = SignedNote::parse(note.as_bytes()).map_err(tlog::CheckpointError::from)?;
    let checkpoint = Checkpoint::parse_text(parsed.text())?;
    checkpoint.expect_origin(&inner.origin)?;
    let mark = mark_at(inner, checkpoint.size).await?;
    agrees(&checkpoint, &mark)?;
    let asker = BTreeMap::from_iter(mark.roster.get(from).map(|key| (from.clone(), *key)));
    let trusted = notes::verifiers(&inner.origin, &asker);
    parsed
        .verify(&trusted)
        .map_err(tlog::CheckpointError::from)?;
    disk::blocking(|| {
        inner.store.durable()?;
        sign(inner, &mark)
    })?;
    let seconds = clock::unix_now().0 / 1_000;
    let line = inner.signer().cosignature_line(parsed.text(), seconds);
    Ok(line.map_err(tlog::CheckpointError::from)?)
}

/// Takes a checkpoint that a majority stands for, if this replica's own log leads to it.
pub(super) async fn take(inner: &Inner, from: &NodeId, note: &str) {
    let taken = async {
        let parsed = SignedNote::parse(note.as_bytes()).map_err(tlog::CheckpointError::from)?;
        let checkpoint = Checkpoint::parse_text(parsed.text())?;
        let mark = mark_at(inner, checkpoint.size).await?;
        agrees(&checkpoint, &mark)?;
        keep(inner, majority(inner, note, &mark.roster)?)
    };
    if let Err(error) = taken.await {
        tracing::debug!("a checkpoint from {from} is not taken: {error}");
    }
}

/// Before this node stops: the leader has its last leaves signed, if the others are there.
pub(super) async fn last_round(inner: &Inner) {
    let signed = inner
        .notary
        .newest()
        .map_or(0, |newest| newest.checkpoint.size);
    if cosigns(inner) && inner.leads() && inner.store.now().state.size > signed {
        // Whoever leads next signs for them otherwise.
        let _ = timeout(LAST_ROUND, round(inner)).await;
    }
}
