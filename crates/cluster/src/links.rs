//! The state that sessions, gateway, dialers and the acceptor share: one link per peer.

use super::config::{ClusterConfig, GatewayHandler};
use super::error::{CallError, CastError, ClusterError};
use super::flow::{CREDIT_EVERY, WINDOW_FRAMES, Window};
use super::gateway::GatewayMessage;
use super::status::{ClusterCounters, EPOCH_GRACE, LinkEvent, LinkStatus};
use crate::noise::{EpochTable, Identity, LinkHandle, Peer, Roster};
use ractor::ActorRef;
use ractor::rpc::CallResult;
use ractor_cluster::NodeServerMessage;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, broadcast, mpsc, watch};
use wire::codec::MAX_ENCODED;
use wire::{Call, Capability, Cast, Frame, KeyEpoch, NodeId, Reply, Request};

/// Calls in flight to one peer, and calls of one peer served at a time. Consensus keeps a few
/// going, people and rounds a few more.
pub const MAX_CALLS: usize = 64;

/// Link events kept for a slow listener: each peer could flap dozens of times before it misses any.
const EVENTS: usize = 256;

type GatewayRef = ActorRef<GatewayMessage>;

/// One link, from its handshake to its end.
pub(super) struct Link {
    /// Distinguishes links to one peer; label of the session.
    pub(super) number: u64,
    pub(super) peer: Peer,
    pub(super) handle: LinkHandle,
    /// What the peer shows us.
    pub(super) capability_in: Capability,
    /// What we show the peer.
    pub(super) capability_out: Capability,
    /// The peer's gateway, once its session is ready.
    pub(super) gateway: watch::Sender<Option<GatewayRef>>,
    window: Mutex<Window>,
    calling: Arc<Semaphore>,
    /// Calls of the peer being served.
    pub(super) serving: Arc<Semaphore>,
    /// Frames of the peer, to be handled in order.
    pub(super) inbound: mpsc::Sender<(u64, Frame)>,
}

impl Link {
    fn window(&self) -> MutexGuard<'_, Window> {
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
    pub(super) roster: Roster,
    me: NodeId,
    pub(super) incarnation: u64,
    pub(super) cluster: String,
    /// All peers, each with the lock that lets one new link to it be set up at a time.
    pub(super) peers: BTreeMap<NodeId, tokio::sync::Mutex<()>>,
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
        let (me, incarnation, cluster) = (
            config.me.clone(),
            config.incarnation,
            config.cluster.clone(),
        );
        let own = config.roster.get(&me);
        if own.is_some_and(|key| *key != config.identity.verifying_key().to_bytes()) {
            return Err(ClusterError::OtherKey { node: me });
        }
        let (identity, roster, peers) = config.split();
        Ok(Self {
            identity,
            roster,
            me,
            incarnation,
            cluster,
            peers: peers
                .into_iter()
                .map(|peer| (peer, tokio::sync::Mutex::new(())))
                .collect(),
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

    /// Of two nodes the one with the smaller name dials.
    pub(super) fn dialed_peers(&self) -> impl Iterator<Item = NodeId> {
        self.peers.keys().filter(|peer| self.me < **peer).cloned()
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
        peer: Peer,
        capability_in: Capability,
        capability_out: Capability,
        handle: LinkHandle,
    ) -> Arc<Link> {
        let (inbound, frames) = mpsc::channel(WINDOW_FRAMES);
        let link = Arc::new(Link {
            number: self.next_number.fetch_add(1, Ordering::Relaxed),
            peer,
            handle,
            capability_in,
            capability_out,
            gateway: watch::Sender::new(None),
            window: Mutex::default(),
            calling: Arc::new(Semaphore::new(MAX_CALLS)),
            serving: Arc::new(Semaphore::new(MAX_CALLS)),
            inbound,
        });
        self.table()
            .insert(link.peer.node.clone(), Arc::clone(&link));
        tokio::spawn(Arc::clone(self).serve_frames(Arc::clone(&link), frames));
        link
    }

    /// Hands the peer's frames to the handler, one after the other, and gives credit.
    async fn serve_frames(
        self: Arc<Self>,
        link: Arc<Link>,
        mut frames: mpsc::Receiver<(u64, Frame)>,
    ) {
        let _closer = CloseOnDrop(link.handle.clone());
        let mut gateway = link.gateway.subscribe();
        let serving = async {
            // The credit has to go somewhere; frames can be a moment ahead of our own readiness.
            let _ = gateway.wait_for(Option::is_some).await; // the sender lives in `link`
            let mut credited = 0;
            while let Some((number, frame)) = frames.recv().await {
                self.handler.frame(link.peer.node.clone(), frame).await;
                count(&self.counters.frames_received);
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
        let Peer { node, incarnation } = link.peer.clone();
        tracing::info!(peer = %node, incarnation, "link up");
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

    fn reach(&self, node: &NodeId) -> Option<(Arc<Link>, GatewayRef)> {
        let link = self.link(node)?;
        let gateway = link.gateway.borrow().clone()?;
        Some((link, gateway))
    }

    pub(super) fn cast(&self, to: &NodeId, frame: Frame) -> Result<(), CastError> {
        let not_linked = || CastError::NotLinked { node: to.clone() };
        let (link, gateway) = self.reach(to).ok_or_else(not_linked)?;
        // Held while encoding and sending: numbers go out in order.
        let mut window = link.window();
        let (capability, number) = (link.capability_out, window.next());
        let bytes = wire::encode(&Cast::Frame {
            capability,
            number,
            frame: Box::new(frame),
        });
        let len = bytes.len();
        if len > MAX_ENCODED {
            return Err(CastError::TooLarge {
                len,
                limit: MAX_ENCODED,
            });
        }
        if window.admit(len).is_none() {
            count(&self.counters.frames_shed);
            let (frames, bytes) = (window.frames(), window.bytes());
            return Err(CastError::Congested {
                node: to.clone(),
                frames,
                bytes,
            });
        }
        gateway
            .cast(GatewayMessage::Cast(bytes))
            .map_err(|_| not_linked())?;
        drop(window);
        count(&self.counters.frames_sent);
        Ok(())
    }

    pub(super) async fn call(
        &self,
        to: &NodeId,
        call: Call,
        limit: Duration,
    ) -> Result<Reply, CallError> {
        let (link, gateway) = self
            .reach(to)
            .ok_or_else(|| CallError::NotLinked { node: to.clone() })?;
        let request = wire::encode(&Request {
            capability: link.capability_out,
            call,
        });
        if request.len() > MAX_ENCODED {
            return Err(CallError::TooLarge {
                len: request.len(),
                limit: MAX_ENCODED,
            });
        }
        let asking = async {
            let _permit = Arc::clone(&link.calling).acquire_owned().await;
            gateway
                .call(|port| GatewayMessage::Call(request, port), Some(limit))
                .await
        };
        let answer = tokio::select! {
            answer = tokio::time::timeout(limit, asking) => answer,
            _ = link.handle.closed() => return Err(CallError::Lost { node: to.clone() }),
        };
        match answer {
            Ok(Ok(CallResult::Success(reply))) => Ok(wire::decode(&reply)?),
            Ok(Ok(CallResult::SenderError) | Err(_)) => Err(CallError::Lost { node: to.clone() }),
            Ok(Ok(CallResult::Timeout)) | Err(_) => Err(CallError::TimedOut {
                node: to.clone(),
                limit,
            }),
        }
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
        let status = |link: &Link| {
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
