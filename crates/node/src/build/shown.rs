//! What a node's status says of the ledger, the links and the doors: computed when it is read.

use super::Parts;
use crate::board::Board;
use crate::mailbox::DoorCounts;
use crate::space::SealedSpace;
use cluster::{Cluster, Members};
use ledger::State;
use replica::Ledger;
use std::sync::Arc;
use wire::status::{PeerStatus, Status};
use wire::{Alert, NodeId, Source};

/// Beyond certainty.
const MAX_PHI_SHOWN: f64 = 999.0;
/// Open alerts shown; an operator with more of them needs another tool.
const MAX_OPEN_SHOWN: usize = 50;

impl Parts {
    pub(super) fn fill_board(&self) {
        show_ledger(&self.board, self.ledger.clone());
        show_links(&self.board, self.cluster.clone(), self.members.clone());
        show_doors(&self.board, self.counts.clone(), self.space.clone());
        let formats = self.formats.clone();
        self.board
            .section(move |status| status.mail.formats = formats.counts());
    }
}

fn show_ledger(board: &Board, ledger: Ledger) {
    board.section(move |status| {
        let state = ledger.state();
        let leadership = ledger.leader().borrow().clone();
        status.leader = leadership.leader;
        status.term = leadership.term;
        let up = |(node, member): (&NodeId, &ledger::Member)| (node.to_string(), member.up);
        status.members = state.members.iter().map(up).collect();
        let (size, root) = ledger.size_and_root();
        status.ledger.size = size;
        status.ledger.root = root.to_string();
        status.ledger.phase = ledger.phase().borrow().to_string();
        status.ledger.level = state.level.0;
        status.ledger.cosigned = ledger.cosigned().map_or(0, |(size, _)| size);
        status.ledger.store = ledger.store_id().map_or(0, |store| store.0);
        let consensus = ledger.consensus_members();
        status.ledger.voters = consensus.voters.into_iter().collect();
        status.ledger.learners = consensus.learners.into_iter().collect();
        show_state(status, &state);
    });
}

fn show_state(status: &mut Status, state: &State) {
    status.alerts.open = newest(state.alerts.values());
    status.ledger.alerts_raised = state.alerts_raised;
    status.ledger.alerts_cleared = state.alerts_cleared;
    for ((_, source), total) in &state.ingest {
        match source {
            Source::Mail => status.ledger.mails += total.count,
            Source::Kafka => status.ledger.records += total.count,
        }
    }
    status.ledger.records += state.feed_records();
    status.learning.round = state.rounds.last_closed;
    status.learning.closed = state.rounds.closed;
    status.learning.abandoned = state.rounds.abandoned;
    let losses = state.rounds.losses();
    status.learning.losses = losses.map(|(round, loss)| (round.0, loss)).collect();
}

fn show_links(board: &Board, cluster: Cluster, members: Members) {
    board.section(move |status| {
        let links = cluster.links();
        for (node, link) in &links {
            status.links.insert(node.to_string(), link.sending_epoch.0);
        }
        for (node, entry) in &members.current().members {
            if node == cluster.me() {
                continue;
            }
            let link = links.get(node);
            let suspicion = cluster.suspicion(node);
            let silent = suspicion.map_or(0, |suspicion| suspicion.silent.as_millis());
            let peer = PeerStatus {
                address: entry.address.clone(),
                linked: link.is_some(),
                // JSON knows no infinity.
                phi: suspicion.map_or(0.0, |suspicion| suspicion.phi.min(MAX_PHI_SHOWN)),
                silent_ms: u64::try_from(silent).unwrap_or(u64::MAX),
                incarnation: link.map_or(0, |link| link.incarnation),
                level: link.map_or(0, |link| link.level.0),
            };
            status.peers.insert(node.to_string(), peer);
        }
    });
}

fn show_doors(board: &Board, counts: Arc<DoorCounts>, space: Arc<SealedSpace>) {
    board.section(move |status| {
        status.key_epoch = *space.epochs().borrow();
        let (door, pending) = counts.read();
        status.mail.accepted = door.accepted;
        status.mail.rejected = door.rejected;
        status.mail.duplicates = door.duplicates;
        status.mail.pending = pending;
        status.plaintext_payload_bytes += door.plaintext_payload_bytes;
    });
}

/// The open alerts of the whole house, newest first.
fn newest<'a>(alerts: impl Iterator<Item = &'a Alert>) -> Vec<Alert> {
    let mut alerts: Vec<Alert> = alerts.cloned().collect();
    alerts.sort_by_key(|alert| std::cmp::Reverse(alert.at));
    alerts.truncate(MAX_OPEN_SHOWN);
    alerts
}
