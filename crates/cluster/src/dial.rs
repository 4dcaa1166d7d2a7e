//! Connections to peers, made and made again. Of two nodes the one with the smaller name dials;
//! the other one joins in only if that does not bring a link about, for instance because it has
//! moved and the smaller one does not know where to, or was removed and does not know it.

use super::link::Link;
use super::links::Links;
use super::{Transport, session};
use crate::noise;
use runtime::entropy;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use wire::NodeId;

/// First pause between attempts; doubled after each failure. A peer that restarts is back within
/// a second, and on the same host its port answers at once.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Longest pause, before jitter: a peer that comes back waits for us this long at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The greater name gives the smaller one this long. Twice its longest pause with jitter and a
/// handshake: it had its chance.
const CALLED_PAUSE: Duration = Duration::from_secs(4);

/// Time for a connection to be made. Within one site it takes less than a millisecond.
pub(super) const DIAL_LIMIT: Duration = Duration::from_secs(2);

/// A link that lived so long was a good one: the next attempt starts from the first pause.
const GOOD_LIFE: Duration = Duration::from_secs(3);

/// Pauses between attempts.
struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    fn new(dials_first: bool) -> Self {
        let (first, longest) = if dials_first {
            (FIRST_PAUSE, LONGEST_PAUSE)
        } else {
            (CALLED_PAUSE, CALLED_PAUSE)
        };
        Self {
            first,
            longest,
            next: first,
        }
    }

    fn reset(&mut self) {
        self.next = self.first;
    }

    /// Doubles up to the longest, and up to as much again at random: nodes that lost a peer at the
    /// same moment do not all come back to it at the same moment.
    fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        let jitter = entropy::below(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        pause + Duration::from_millis(jitter)
    }
}

/// Runs until dropped. `address` is where `peer` is said to be; a change cuts pauses and attempts
/// short. A link that works is left alone: who is at its other end is proven.
pub(super) async fn keep_linked<T: Transport>(
    links: Arc<Links>,
    transport: Arc<T>,
    peer: NodeId,
    mut address: watch::Receiver<String>,
) {
    let dials_first = links.dials_first(&peer);
    let mut backoff = Backoff::new(dials_first);
    // Only changes of the reason are worth a line: a peer can be down for days.
    let mut last_complaint = String::new();
    let mut waits = !dials_first;
    loop {
        if waits {
            tokio::select! {
                () = tokio::time::sleep(backoff.pause()) => {}
                changed = address.changed() => match changed {
                    Ok(()) => backoff.reset(),
                    Err(_) => return, // whoever wants the link has gone
                },
            }
        }
        waits = true;
        if let Some(link) = links.link(&peer) {
            last_complaint.clear();
            link.handle.closed().await;
            if link.handle.age() >= GOOD_LIFE {
                backoff.reset();
            }
            continue;
        }
        let place = address.borrow_and_update().clone();
        let attempt = tokio::select! {
            attempt = dial(&links, &transport, &peer, &place) => attempt,
            changed = address.changed() => match changed {
                Ok(()) => {
                    address.mark_changed();
                    continue;
                }
                Err(_) => return,
            },
        };
        match attempt {
            // Watched from the top of the loop on; a dead one costs a pause.
            Ok(Some(_)) => waits = false,
            Ok(None) => {}
            Err(complaint) => {
                if complaint != last_complaint {
                    tracing::info!(peer = %peer, "no link: {complaint}; trying again");
                    last_complaint = complaint;
                }
            }
        }
    }
}

async fn dial<T: Transport>(
    links: &Arc<Links>,
    transport: &Arc<T>,
    peer: &NodeId,
    address: &str,
) -> Result<Option<Arc<Link>>, String> {
    let mut connection = tokio::time::timeout(DIAL_LIMIT, transport.dial(peer, address))
        .await
        .map_err(|_| format!("no connection to {address} within {DIAL_LIMIT:?}"))?
        .map_err(|error| error.to_string())?;
    let (table, admission) = (links.members.current(), links.admission());
    let side = links.side(&table, admission.as_ref());
    let established = noise::dial(&mut connection, side, peer)
        .await
        .map_err(|error| error.to_string())?;
    Ok(session::adopt(links, connection, established, true).await)
}

#[cfg(test)]
mod tests;
