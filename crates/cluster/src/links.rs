//! The state that sessions, gateway, dialers and the acceptor share: one link per peer.

use super::config::{ClusterConfig, GatewayHandler};
use super::detect::{Detectors, Suspicion};
use super::error::ClusterError;
use super::flow::{CREDIT_EVERY, CallBudget, WINDOW_FRAMES, Window};
use super::gateway::GatewayMessage;
use super::members::{MemberTable, Members, Standing};
use super::status::{ClusterCounters, EPOCH_GRACE, LinkEvent, LinkStatus};
use crate::noise::{EpochTable, Identity, LinkHandle, Peer, Proven, Side};
use ractor::ActorRef;
use ractor_cluster::NodeServerMessage;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, broadcast, mpsc, watch};
use wire::{Admission, Capability, Cast, Frame, KeyEpoch, Level, NodeId};

/// Calls in flight to one peer, and calls of one peer served at a time. Consensus keeps a few
/// going, people and rounds a few more.
pub const MAX_CALLS: usize = 64;

/// Link events kept for a slow listener: each peer could flap dozens of times before it misses any.
const EVENTS: usize = 256;

pub(super) type GatewayRef = ActorRef<GatewayMessage>;

/// One link, from its handshake to its end.
pub(super) struct Link {
    /// Distinguishes links to one peer; label of the session.
    pub(super) number: u64,
    pub(super) peer: Peer,
    /// The lower one of both ends' levels.
    pub(super) level: Level,
    /// What entitled the peer to it.
    standing: Standing,
    /// Was it this node that dialed?
    pub(super) dialed: bool,
    pub(super) handle: LinkHandle,
    /// What the peer shows us.
    pub(super) capability_in: Capability,
    /// What we show the peer.
    pub(super) capability_out: Capability,
    /// The peer's gateway, once its session is ready.
    pub(super) gateway: watch::Sender<Option<GatewayRef>>,
    window: Mutex<Window>,
    /// Permits for calls to the peer.
    pub(super) calling: Arc<Semaphore>,
    /// Calls in flight or waiting for a permit.
    pub(super) waiting: Mutex<CallBudget>,
    /// Calls of the peer being served.
    pub(super) serving: Arc<Semaphore>,
    /// Frames of the peer, to be handled in order; `None`: refused, but counted in its window.
    pub(super) inbound: mpsc::Sender<(u64, Option<Frame>)>,
}

impl Link {
    pub(super) fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn credit(&self, through: u64) {
        self.window().credit(through);
    }

    fn give_credit(&self, through: u64) {
        let credit = Cast::Credit {
            capability: self.capability_out,
            through,
        };
        if let Some(gateway) = self.gateway.borrow().as_ref() {
            // Lost only with the link, and the window with it.
            let _ = gateway.cast(GatewayMessage::Cast(wire::encode(&credit)));
        }
    }
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) refused_handshakes: AtomicU64,
    pub(super) refused_former: AtomicU64,
    pub(super) applications: AtomicU64,
    pub(super) refused_applications: AtomicU64,
    pub(super) calls_shed: AtomicU64,
    pub(super) frames_sent: AtomicU64,
    pub(super) frames_shed: AtomicU64,
    pub(super) frames_received: AtomicU64,
    pub(super) gateway_refused: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

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
        let (inbound, frames) = mpsc::channel(WINDOW_FRAMES);
        let link = Arc::new(Link {
            number: self.next_number.fetch_add(1, Ordering::Relaxed),
            peer: proven.peer,
            level: proven.level,
            standing: proven.standing,
            dialed,
            handle,
            capability_in: proven.capability_in,
            capability_out: proven.capability_out,
            gateway: watch::Sender::new(None),
            window: Mutex::default(),
            calling: Arc::new(Semaphore::new(MAX_CALLS)),
            waiting: Mutex::default(),
            serving: Arc::new(Semaphore::new(MAX_CALLS)),
            inbound,
        });
        self.table()
            .insert(link.peer.node.clone(), Arc::clone(&link));
        tokio::spawn(Arc::clone(self).serve_frames(Arc::clone(&link), frames));
        // The members may have changed since the handshake looked, and whoever follows them may
        // have looked at the links before this one was among them.
        let table = self.members.current();
        if let Err(why) = table.still_stands(&link.peer, link.standing) {
            self.expel(&link, &why);
        }
        link
    }

    /// Hands the peer's frames to the handler, one after the other, and gives credit.
    async fn serve_frames(
        self: Arc<Self>,
        link: Arc<Link>,
        mut frames: mpsc::Receiver<(u64, Option<Frame>)>,
    ) {
        let _closer = CloseOnDrop(link.handle.clone());
        let mut gateway = link.gateway.subscribe();
        let serving = async {
            // The credit has to go somewhere; frames can be a moment ahead of our own readiness.
            let _ = gateway.wait_for(Option::is_some).await; // the sender lives in `link`
            let mut credited = 0;
            while let Some((number, frame)) = frames.recv().await {
                if let Some(frame) = frame {
                    self.handler.frame(link.peer.node.clone(), frame).await;
                    count(&self.counters.frames_received);
                }
                if frames.is_empty() || number.saturating_sub(credited) >= CREDIT_EVERY {
                    link.give_credit(number);
                    credited = number;
                }
            }
        };
        tokio::select! {
            () = serving => {}
            _ = link.handle.closed() => {}
        }
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
                frames_in_flight: link.window().frames(),
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
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        ClusterCounters {
            refused_handshakes: read(&counters.refused_handshakes),
            refused_former: read(&counters.refused_former),
            applications: read(&counters.applications),
            refused_applications: read(&counters.refused_applications),
            calls_shed: read(&counters.calls_shed),
            heartbeats: self.detectors.heartbeats(),
            frames_sent: read(&counters.frames_sent),
            frames_shed: read(&counters.frames_shed),
            frames_received: read(&counters.frames_received),
            gateway_refused: read(&counters.gateway_refused),
        }
    }
}

/// A link whose frames nobody handles any more is of no use, whatever ended the handling.
struct CloseOnDrop(LinkHandle);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close("its frames are no longer handled");
    }
}
