//! Follows the table of members: links of who was removed end, dialers start and stop.

use super::INTENSITY;
use super::links::Links;
use super::members::MemberTable;
use super::{Transport, dial};
use runtime::service::{ServiceError, StopSignal};
use runtime::supervisor::{ChildSpec, DynamicSupervisor, Restart};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use wire::NodeId;

/// Dialers at one time, one for each other member. Consensus among all members is at its end long
/// before.
const MAX_DIALERS: usize = 256;

/// The supervisor of the dialers, and behind it who starts and ends them.
pub(super) fn children<T: Transport>(links: &Arc<Links>, transport: &Arc<T>) -> [ChildSpec; 2] {
    let dialers = DynamicSupervisor::new("dialers", MAX_DIALERS, INTENSITY);
    let supervisor = ChildSpec::dynamic_supervisor(&dialers);
    let (links, transport) = (Arc::clone(links), Arc::clone(transport));
    let follower = ChildSpec::service("members", move || {
        let mut follower = Follower {
            links: Arc::clone(&links),
            transport: Arc::clone(&transport),
            dialers: dialers.clone(),
            addresses: BTreeMap::new(),
        };
        async move { Ok(move |stop: StopSignal| async move { follower.run(stop).await }) }
    });
    [supervisor, follower]
}

struct Follower<T> {
    links: Arc<Links>,
    transport: Arc<T>,
    dialers: DynamicSupervisor,
    /// Where the dialer of each peer looks for it.
    addresses: BTreeMap<NodeId, watch::Sender<String>>,
}

impl<T: Transport> Follower<T> {
    async fn run(&mut self, mut stop: StopSignal) -> Result<(), ServiceError> {
        let mut table = self.links.members.subscribe();
        let mut awake = tokio::time::interval(self.links.detectors.detection.heartbeat);
        awake.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.stopped() => return Ok(()),
                changed = table.changed() => {
                    // The sender lives in `links`.
                    changed.map_err(|_| "the table of members is gone")?;
                    let table = Arc::clone(&table.borrow_and_update());
                    self.links.follow(&table);
                    self.staff(&table).await?;
                }
                _ = awake.tick() => self.links.detectors.tick(),
            }
        }
    }

    /// One dialer for each other member.
    async fn staff(&mut self, table: &MemberTable) -> Result<(), ServiceError> {
        let dialed: BTreeSet<NodeId> = self.addresses.keys().cloned().collect();
        // Who is leaving may have to be reached once more; whoever has forgotten its address is dialed.
        let wanted =
            |peer: &NodeId| table.members.contains_key(peer) || table.leaving.contains(peer);
        for gone in dialed.iter().filter(|peer| !wanted(peer)) {
            // In this order: a dialer whose address is gone ends by itself.
            self.dialers.terminate_child(gone.as_str()).await?;
            self.addresses.remove(gone);
        }
        for (peer, member) in &table.members {
            if peer == self.links.me() {
                continue;
            }
            if let Some(address) = self.addresses.get(peer) {
                address.send_if_modified(|address| {
                    let moved = *address != member.address;
                    if moved {
                        address.clone_from(&member.address);
                    }
                    moved
                });
                continue;
            }
            let address = watch::Sender::new(member.address.clone());
            self.dialers
                .start_child(self.dialer(peer, &address))
                .await?;
            self.addresses.insert(peer.clone(), address);
        }
        Ok(())
    }

    fn dialer(&self, peer: &NodeId, address: &watch::Sender<String>) -> ChildSpec {
        let (links, transport) = (Arc::clone(&self.links), Arc::clone(&self.transport));
        let (peer, address) = (peer.clone(), address.subscribe());
        let dialer = ChildSpec::service(peer.as_str().to_owned(), move || {
            let (links, transport) = (Arc::clone(&links), Arc::clone(&transport));
            let keeping = dial::keep_linked(links, transport, peer.clone(), address.clone());
            async move {
                Ok(move |mut stop: StopSignal| async move {
                    tokio::select! {
                        () = stop.stopped() => {}
                        () = keeping => {}
                    }
                    Ok(())
                })
            }
        });
        // It ends by itself only when nobody wants the link any more.
        dialer.restart(Restart::Transient)
    }
}
