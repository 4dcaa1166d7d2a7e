//! The leader's part: sign, have the others cosign, keep and tell.

use super::super::handle::Inner;
use super::super::notes;
use super::super::store::Mark;
use super::{NoteRefused, cosigns, keep, majority, sign};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use runtime::blocking::in_place;
use std::collections::BTreeMap;
use std::time::Duration;
use tlog::SignedNote;
use tokio::time::timeout;
use wire::{Call, Frame, NodeId, Reply};

/// How long the leader waits for a majority, beyond a slow follower's wait and disk.
const MAJORITY_WAIT: Duration = Duration::from_secs(2);
/// How long it waits for the rest once it has a majority. More signatures are worth more, but not
/// a delay of what hangs on the checkpoint (admissions).
const REST_WAIT: Duration = Duration::from_millis(100);
/// How long a node that stops tries to get its last leaves signed.
const LAST_ROUND: Duration = Duration::from_secs(1);

/// One round of the leader: sign, collect, store, tell.
pub(super) async fn round(inner: &Inner) -> Result<(), NoteRefused> {
    let (mark, mut note) = in_place(|| {
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

pub(super) fn tell(inner: &Inner, note: &str) {
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

/// Before this node stops: the leader has its last leaves signed, if the others are there.
pub(in super::super) async fn last_round(inner: &Inner) {
    let signed = inner
        .notary
        .newest()
        .map_or(0, |newest| newest.checkpoint.size);
    if cosigns(inner) && inner.leads() && inner.store.now().state.size > signed {
        // Whoever leads next signs for them otherwise.
        let _ = timeout(LAST_ROUND, round(inner)).await;
    }
}
