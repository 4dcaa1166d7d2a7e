//! One link, from its handshake to its end.

use super::config::GatewayHandler;
use super::counters::{Counters, count};
use super::flow::{CREDIT_EVERY, CallBudget, WINDOW_FRAMES};
use super::gateway::GatewayMessage;
use super::members::Standing;
use super::outbox::{Outbox, Refusal};
use super::traffic::Letter;
use crate::noise::{LinkHandle, Peer, Proven};
use ractor::ActorRef;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use wire::{Capability, Cast, Frame, Level};

/// Calls in flight to one peer, and calls of one peer served at a time. Consensus keeps a few
/// going, people and rounds a few more.
pub const MAX_CALLS: usize = 64;

pub(super) type GatewayRef = ActorRef<GatewayMessage>;

/// Frames of a peer with their numbers; `None`: refused, but counted in its window.
pub(super) type Inbound = mpsc::Receiver<(u64, Option<Frame>)>;

pub(super) struct Link {
    /// Distinguishes links to one peer; label of the session.
    pub(super) number: u64,
    pub(super) peer: Peer,
    /// The lower one of both ends' levels.
    pub(super) level: Level,
    /// What entitled the peer to it.
    pub(super) standing: Standing,
    /// Was it this node that dialed?
    pub(super) dialed: bool,
    pub(super) handle: LinkHandle,
    /// What the peer shows us.
    pub(super) capability_in: Capability,
    /// What we show the peer.
    pub(super) capability_out: Capability,
    /// The peer's gateway, once its session is ready.
    pub(super) gateway: watch::Sender<Option<GatewayRef>>,
    outbox: Mutex<Outbox>,
    /// A message of the outbox is under way.
    sent: Notify,
    /// There may be room in the window.
    pub(super) room: Notify,
    /// Permits for calls to the peer.
    pub(super) calling: Arc<Semaphore>,
    /// Calls in flight or waiting for a permit.
    pub(super) waiting: Mutex<CallBudget>,
    /// Calls of the peer being served.
    pub(super) serving: Arc<Semaphore>,
    /// Frames of the peer, to be handled in order.
    pub(super) inbound: mpsc::Sender<(u64, Option<Frame>)>,
}

impl Link {
    /// A fresh link, and the peer's frames as they come in.
    pub(super) fn new(
        number: u64,
        proven: Proven,
        handle: LinkHandle,
        dialed: bool,
    ) -> (Self, Inbound) {
        let (inbound, frames) = mpsc::channel(WINDOW_FRAMES);
        let link = Self {
            number,
            peer: proven.peer,
            level: proven.level,
            standing: proven.standing,
            dialed,
            handle,
            capability_in: proven.capability_in,
            capability_out: proven.capability_out,
            gateway: watch::Sender::new(None),
            outbox: Mutex::default(),
            sent: Notify::new(),
            room: Notify::new(),
            calling: Arc::new(Semaphore::new(MAX_CALLS)),
            waiting: Mutex::default(),
            serving: Arc::new(Semaphore::new(MAX_CALLS)),
            inbound,
        };
        (link, frames)
    }

    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Do frames go in batches?
    pub(super) fn batches(&self) -> bool {
        self.level >= Level::BATCHES
    }

    /// The peer has handled all frames through this number.
    pub(super) fn credit(&self, through: u64) {
        self.outbox().window.credit(through);
        self.room.notify_waiters();
    }

    /// Sends a frame, or has it wait for the message that is under way. Under the outbox's lock, so that messages go in
    /// the order of their numbers.
    pub(super) fn send(
        &self,
        outbox: &mut Outbox,
        letter: Letter<'_>,
        gateway: &GatewayRef,
    ) -> Result<(), Refusal> {
        let message = outbox.send(letter, self.capability_out, self.handle.flushed())?;
        self.begun(message, gateway);
        Ok(())
    }

    /// Gives the session what the outbox holds, unless a message is under way: then it goes when
    /// that has left. Under the outbox's lock, too.
    fn send_waiting(&self, outbox: &mut Outbox, gateway: &GatewayRef) {
        let message = outbox.begin(self.capability_out, self.handle.flushed());
        self.begun(message, gateway);
    }

    fn begun(&self, message: Option<Vec<u8>>, gateway: &GatewayRef) {
        if let Some(message) = message {
            self.hand_over(gateway, message);
            self.sent.notify_one();
        }
    }

    /// Gives the session a message. It is lost only with the link, and the window with it.
    pub(super) fn hand_over(&self, gateway: &GatewayRef, message: Vec<u8>) {
        if gateway.cast(GatewayMessage::Cast(message)).is_err() {
            self.handle.close("the peer's gateway is gone");
        }
    }

    /// Sees one message after the other off, until the link ends.
    pub(super) async fn pump(self: Arc<Self>) {
        let pumping = async {
            loop {
                self.sent.notified().await;
                let through = self.outbox().under_way();
                self.handle.flushed_through(through).await;
                let gateway = self.gateway.borrow().clone();
                let mut outbox = self.outbox();
                outbox.left();
                if let Some(gateway) = gateway {
                    self.send_waiting(&mut outbox, &gateway);
                }
            }
        };
        tokio::select! {
            () = pumping => {}
            _ = self.handle.closed() => {}
        }
    }

    /// Hands the peer's frames to the handler, one after the other, and gives credit.
    pub(super) async fn serve(
        &self,
        mut frames: Inbound,
        handler: &dyn GatewayHandler,
        counters: &Counters,
    ) {
        let _closer = CloseOnDrop(self.handle.clone());
        let mut gateway = self.gateway.subscribe();
        let serving = async {
            // The credit has to go somewhere; frames can be a moment ahead of our own readiness.
            let _ = gateway.wait_for(Option::is_some).await; // the sender lives in `self`
            let mut credited = 0;
            while let Some((number, frame)) = frames.recv().await {
                if let Some(frame) = frame {
                    handler.frame(self.peer.node.clone(), frame).await;
                    count(&counters.frames_received);
                }
                if frames.is_empty() || number.saturating_sub(credited) >= CREDIT_EVERY {
                    self.give_credit(number);
                    credited = number;
                }
            }
        };
        tokio::select! {
            () = serving => {}
            _ = self.handle.closed() => {}
        }
    }

    fn give_credit(&self, through: u64) {
        let gateway = self.gateway.borrow().clone();
        let Some(gateway) = gateway else {
            return; // lost with the link, and the window with it
        };
        if self.batches() {
            let mut outbox = self.outbox();
            outbox.handled(through);
            self.send_waiting(&mut outbox, &gateway);
        } else {
            let credit = Cast::Credit {
                capability: self.capability_out,
                through,
            };
            self.hand_over(&gateway, wire::encode(&credit));
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
