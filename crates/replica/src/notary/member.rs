//! A member's part: it signs, and takes, what its own log leads to.

use super::super::handle::Inner;
use super::super::lead;
use super::super::notes::{self, SIGNED};
use super::super::store::Mark;
use super::{NoteRefused, keep, majority, sign};
use runtime::blocking::in_place;
use runtime::clock;
use std::collections::BTreeMap;
use std::time::Duration;
use tlog::{Checkpoint, SignedNote};
use tokio::time::timeout;
use wire::{NodeId, Reply, StoreId};

/// How long a member waits to have the leaves that it shall sign for: a follower applies them a
/// heartbeat after the leader at most.
const COSIGN_WAIT: Duration = Duration::from_millis(500);

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
pub(in super::super) async fn cosign(inner: &Inner, from: &NodeId, note: &str) -> Reply {
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
    in_place(|| {
        inner.store.durable()?;
        sign(inner, &mark)
    })?;
    let seconds = clock::unix_now().0 / 1_000;
    let line = inner.signer().cosignature_line(parsed.text(), seconds);
    Ok(line.map_err(tlog::CheckpointError::from)?)
}

/// Is this node's own signature under a checkpoint that its replica does not remember? It is
/// written down before it leaves the node, so the directory must be older.
fn expect_remembered(
    inner: &Inner,
    note: &str,
    checkpoint: &Checkpoint,
) -> Result<(), NoteRefused> {
    let founding = inner
        .core
        .get()
        .is_some_and(|core| core.store_id == StoreId::FOUNDING);
    // A replica that replaces a lost one knows nothing of what that one signed.
    if !founding || checkpoint.size <= inner.notary.desk().signed {
        return Ok(());
    }
    let me = BTreeMap::from([(inner.me.clone(), inner.identity.verifying_key().to_bytes())]);
    if Checkpoint::open(note.as_bytes(), &notes::verifiers(&inner.origin, &me)).is_err() {
        return Ok(());
    }
    // The desk may still be empty at start; the disk is what counts.
    let kept = notes::read(&inner.dir, SIGNED, std::slice::from_ref(&inner.own))?;
    let ours = kept.map_or(0, |file| file.checkpoint.size);
    if checkpoint.size <= ours {
        return Ok(());
    }
    Err(NoteRefused::OldCopy {
        theirs: checkpoint.size,
        ours,
    })
}

/// Takes a checkpoint that a majority stands for, if this replica's own log leads to it.
pub(in super::super) async fn take(inner: &Inner, from: &NodeId, note: &str) {
    let taken = async {
        let parsed = SignedNote::parse(note.as_bytes()).map_err(tlog::CheckpointError::from)?;
        let checkpoint = Checkpoint::parse_text(parsed.text())?;
        checkpoint.expect_origin(&inner.origin)?;
        expect_remembered(inner, note, &checkpoint)?;
        let mark = mark_at(inner, checkpoint.size).await?;
        agrees(&checkpoint, &mark)?;
        keep(inner, majority(inner, note, &mark.roster)?)
    };
    match taken.await {
        Ok(()) => {}
        Err(error @ NoteRefused::OldCopy { .. }) => {
            lead::refuse(inner, &error.to_string());
            if let Some(core) = inner.core.get() {
                // An error says that it has ended already.
                let _ = core.raft.shutdown().await;
            }
        }
        Err(error) => tracing::debug!("a checkpoint from {from} is not taken: {error}"),
    }
}
