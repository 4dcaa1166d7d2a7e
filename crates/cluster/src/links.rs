//! The state that sessions, gateway, dialers and the acceptor share: one link per peer.

use super::config::{ClusterConfig, GatewayHandler};
use super::counters::{ClusterCounters, Counters};
use super::detect::{Detectors, Suspicion};
use super::error::ClusterError;
use super::link::{GatewayRef, Link};
use super::members::{MemberTable, Members};
use super::status::{EPOCH_GRACE, LinkEvent, LinkStatus};
use crate::noise::{EpochTable, Identity, LinkHandle, Peer, Proven, Side};
use ractor::ActorRef;
use ractor_cluster::NodeServerMessage;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch};
use wire::{Admission, Capability, KeyEpoch, Level, NodeId};

/// Link events kept for a slow listener: each peer could flap dozens of times before it misses any.
const EVENTS: usize = 256;

pub(super) struct Links {
    pub(super) identity: Identity,
    pub(super) members: Members,
    pub(super) level: Level,
    /// Proof of our own membership.
    admission: Mutex<Option<Arc<Admission>>>,
    pub(super) detectors: Detectors,
    me: NodeId,
    pub(super) incarnation: u64,
    pub(super) cluster: String,
    /// For each peer the lock that lets one new link to it be set up at a time.
    setup: Mutex<BTreeMap<NodeId, Arc<tokio::sync::Mutex<()>>>>,
    pub(super) epochs: EpochTable,
    pub(super) handler: Arc<dyn GatewayHandler>,
    table: Mutex<BTreeMap<NodeId, Arc<Link>>>,
    /// The session server while it runs.
    pub(super) server: watch::Sender<Option<ActorRef<NodeServerMessage>>>,
    /// Sessions that `ractor_cluster` still holds: link number → peer.
    pub(super) sessions: watch::Sender<BTreeMap<u64, NodeId>>,
    events: broadcast::Sender<LinkEvent>,
    pub(super) counters: Counters,
    next_number: AtomicU64,
}

impl Links {
    pub(super) fn new(
        config: ClusterConfig,
        epochs: EpochTable,
        handler: Arc<dyn GatewayHandler>,
    ) -> Result<Self, ClusterError> {
        let ClusterConfig {
            cluster,
            me,
            incarnation,
            identity,
            members,
            level,
            admission,
            detection,
        } = config;
        let table = members.current();
        let own = table.members.get(&me);
        if own.is_some_and(|own| own.identity != identity.verifying_key().to_bytes()) {
            return Err(ClusterError::OtherKey { node: me });
        }
        Ok(Self {
            identity: Identity::new(&cluster, me.clone(), incarnation, &identity),
            members,
            level,
            admission: Mutex::new(admission.map(Arc::new)),
            detectors: Detectors::new(detection),
            me,
            incarnation,
            cluster,
            setup: Mutex::default(),
            epochs,
            handler,
            table: Mutex::default(),
            server: watch::Sender::new(None),
            sessions: watch::Sender::new(BTreeMap::new()),
            events: broadcast::Sender::new(EVENTS),
            counters: Counters::default(),
            next_number: AtomicU64::new(1),
        })
    }

    pub(super) fn me(&self) -> &NodeId {
        &self.me
    }

    /// What this node brings to a handshake at this moment.
    pub(super) fn side<'a>(
        &'a self,
        table: &'a MemberTable,
        admission: Option<&'a Arc<Admission>>,
    ) -> Side<'a> {
        Side {
            me: &self.identity,
            table,
            level: self.level,
            admission: admission.map(Arc::as_ref),
        }
    }

    pub(super) fn admission(&self) -> Option<Arc<Admission>> {
        let admission = self.admission.lock();
        admission.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_admission(&self, admission: Admission) {
        let mut own = self
            .admission
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *own = Some(Arc::new(admission));
    }

    /// Of two nodes the one with the smaller name dials; the other one only when it is not dialed.
    pub(super) fn dials_first(&self, peer: &NodeId) -> bool {
        self.me < *peer
    }

    /// The lock under which a link to `node` is set up.
    pub(super) fn setup(&self, node: &NodeId) -> Arc<tokio::sync::Mutex<()>> {
        let mut setup = self.setup.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever holds or awaits a lock has a clone; the others are as good as new ones.
        setup.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(setup.entry(node.clone()).or_default())
    }

    /// Ends the links of all who are no members by `table`, and waits for signs of life of those
    /// who are.
    pub(super) fn follow(&self, table: &MemberTable) {
        let links: Vec<_> = self.table().values().cloned().collect();
        let mut expected: BTreeSet<NodeId> = table.members.keys().cloned().collect();
        expected.remove(&self.me);
        for link in links {
            if let Err(why) = table.still_stands(&link.peer, link.standing) {
                self.expel(&link, &why);
            } else {
                expected.insert(link.peer.node.clone());
            }
        }
        self.detectors.keep(&expected);
    }

    /// Out of the table at once, so that nothing more goes or comes over it; then it is told.
    fn expel(&self, link: &Link, why: &str) {
        self.table()
            .retain(|_, current| current.number != link.number);
        tracing::warn!(peer = %link.peer.node, "link ended: {why}");
        link.handle.dismiss(why);
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<NodeId, Arc<Link>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The link to `node`, ready or not.
    pub(super) fn link(&self, node: &NodeId) -> Option<Arc<Link>> {
        self.table().get(node).cloned()
    }

    /// The link whose peer was given this capability.
    pub(super) fn link_by_capability(&self, capability: &Capability) -> Option<Arc<Link>> {
        self.table()
            .values()
            .find(|link| link.capability_in == *capability)
            .cloned()
    }

    pub(super) fn link_by_number(&self, number: u64) -> Option<Arc<Link>> {
        self.table()
            .values()
            .find(|link| link.number == number)
            .cloned()
    }

    /// Enters a fresh link; frames of its peer are handled from now on, until it ends.
    pub(super) fn enter(
        self: &Arc<Self>,
        proven: Proven,
        handle: LinkHandle,
        dialed: bool,
    ) -> Arc<Link> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let (link, frames) = Link::new(number, proven, handle, dialed);
        let link = Arc::new(link);
        self.table()
            .insert(link.peer.node.clone(), Arc::clone(&link));
        let (links, serving) = (Arc::clone(self), Arc::clone(&link));
        tokio::spawn(async move {
            let (handler, counters) = (&*links.handler, &links.counters);
            serving.serve(frames, handler, counters).await;
        });
        if link.batches() {
            tokio::spawn(Arc::clone(&link).pump());
        }
        // The members may have changed since the handshake looked, and whoever follows them may
        // have looked at the links before this one was among them.
        let table = self.members.current();
        if let Err(why) = table.still_stands(&link.peer, link.standing) {
            self.expel(&link, &why);
        }
        link
    }

    /// The peer's gateway is known: the link can be used.
    pub(super) fn ready(&self, link: &Link, gateway: GatewayRef) {
        link.gateway.send_replace(Some(gateway));
        let Peer {
            node, incarnation, ..
        } = link.peer.clone();
        tracing::info!(peer = %node, incarnation, level = %link.level, "link up");
        let _ = self.events.send(LinkEvent::Up { node, incarnation }); // nobody may be listening
    }

    /// Forgets a link that has ended.
    pub(super) fn leave(&self, link: &Link, reason: String) {
        let mut table = self.table();
        if table
            .get(&link.peer.node)
            .is_some_and(|current| current.number == link.number)
        {
            table.remove(&link.peer.node);
        }
        drop(table);
        let was_up = link.gateway.send_replace(None).is_some();
        tracing::info!(peer = %link.peer.node, was_up, "link down: {reason}");
        if let Some(why) = link.handle.dismissed() {
            let node = link.peer.node.clone();
            tracing::warn!(peer = %node, "the peer does not take this node for a member: {why}");
            let reason = why.to_owned();
            let _ = self.events.send(LinkEvent::Dismissed { node, reason }); // nobody may be listening
        }
        if was_up {
            let node = link.peer.node.clone();
            let _ = self.events.send(LinkEvent::Down { node, reason }); // nobody may be listening
        }
    }

    pub(super) fn close_all(&self, reason: &str) {
        self.table()
            .values()
            .for_each(|link| link.handle.close(reason));
    }

    /// What is thought of a member, or of a linked node that is about to be one.
    pub(super) fn suspicion(&self, node: &NodeId) -> Option<Suspicion> {
        self.detectors.suspicion(node, self.reach(node).is_some())
    }

    pub(super) fn disconnect(&self, node: &NodeId, reason: &str) {
        if let Some(link) = self.link(node) {
            link.handle.close(reason);
        }
    }

    pub(super) fn events(&self) -> broadcast::Receiver<LinkEvent> {
        self.events.subscribe()
    }

    pub(super) fn status(&self) -> BTreeMap<NodeId, LinkStatus> {
        let holds_epoch = self.epochs.newest().is_some();
        let members = self.members.current();
        let status = |link: &Link| {
            let node = &link.peer.node;
            let (phi, silent) = self.detectors.pulse(node).read();
            let member = members.members.get(node);
            let (sending_epoch, receiving_epoch) =
                (link.handle.sending_epoch(), link.handle.receiving_epoch());
            let age = link.handle.age();
            LinkStatus {
                incarnation: link.peer.incarnation,
                sending_epoch,
                receiving_epoch,
                behind: holds_epoch
                    && age > EPOCH_GRACE
                    && sending_epoch.min(receiving_epoch) == KeyEpoch(0),
                age,
                frames_in_flight: link.outbox().window.frames(),
                level: link.level,
                phi,
                silent,
                address: member.map_or_else(String::new, |member| member.address.clone()),
            }
        };
        let table = self.table();
        let up = table
            .iter()
            .filter(|(_, link)| link.gateway.borrow().is_some());
        up.map(|(node, link)| (node.clone(), status(link)))
            .collect()
    }

    pub(super) fn counters(&self) -> ClusterCounters {
        self.counters.read(self.detectors.heartbeats())
    }
}
