//! Addresses: how mail reaches an actor that may be restarted at any moment.
//!
//! An [`Address`] is typed, named and outlives the actor behind it: a new incarnation takes the
//! old one's place. ractor's mailboxes are unbounded, so every letter carries a permit out of a
//! fixed number; it is given back when the letter has been handled or has died with its actor.
//! Delivery is at most once: what an actor had not handled when it ended is gone.

use ractor::{ActorRef, Message};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// How long [`Address::send`] waits for room and for a restarting actor, both together. Longer
/// than any restart takes; a sender that waited so long has a dead neighbour, not a busy one.
pub const SEND_PATIENCE: Duration = Duration::from_secs(10);

/// Why mail was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Shed, or waited for room in vain.
    #[error("mailbox {name} holds its limit of {capacity} letters; send less or raise the limit")]
    Full {
        /// The address.
        name: String,
        /// Its limit.
        capacity: usize,
    },
    /// No actor stands behind the address.
    #[error("nobody answers at mailbox {name}; its actor is stopped or being restarted")]
    Down {
        /// The address.
        name: String,
    },
}

/// Where letters of type `I` go.
pub struct Address<I>(Arc<Inner<I>>);

struct Inner<I> {
    name: String,
    capacity: usize,
    permits: Arc<Semaphore>,
    incarnation: watch::Sender<Option<ActorRef<Mail<I>>>>,
    shed: AtomicU64,
}

impl<I> Clone for Address<I> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<I> fmt::Debug for Address<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.0.name)
    }
}

/// What an actor behind an [`Address`] receives.
pub(crate) enum Mail<I> {
    /// A letter and the permit it travels on.
    Letter(I, OwnedSemaphorePermit),
    /// The timer armed under this number has fired.
    Tick(u64),
}

impl<I: Send + 'static> Message for Mail<I> {}

impl<I: Send + 'static> Address<I> {
    /// An address without an actor yet. At most `capacity` letters may wait.
    pub fn new(name: impl Into<String>, capacity: usize) -> Self {
        Self(Arc::new(Inner {
            name: name.into(),
            capacity,
            permits: Arc::new(Semaphore::new(capacity)),
            incarnation: watch::Sender::new(None),
            shed: AtomicU64::new(0),
        }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Sends and waits for room and for a restarting actor (policy: delay), for at most
    /// [`SEND_PATIENCE`]. Not for an actor's letters to itself: it would wait for itself.
    pub async fn send(&self, input: I) -> Result<(), SendError> {
        let deadline = tokio::time::Instant::now() + SEND_PATIENCE;
        let permit = Arc::clone(&self.0.permits).acquire_owned();
        let permit = match tokio::time::timeout_at(deadline, permit).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) | Err(_) => return Err(self.full()),
        };
        let mut incarnations = self.0.incarnation.subscribe();
        let mut mail = Mail::Letter(input, permit);
        loop {
            let ready = incarnations.wait_for(Option::is_some);
            let actor = match tokio::time::timeout_at(deadline, ready).await {
                Ok(Ok(actor)) => actor.clone(),
                Ok(Err(_)) | Err(_) => return Err(self.down()),
            };
            match actor.map(|actor| actor.send_message(mail)) {
                Some(Ok(())) => return Ok(()),
                Some(Err(ractor::MessagingErr::SendErr(unsent))) => mail = unsent,
                Some(Err(_)) | None => return Err(self.down()),
            }
            // That incarnation is closed. Wait for the next one.
            match tokio::time::timeout_at(deadline, incarnations.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(self.down()),
            }
        }
    }

    /// Sends or sheds: refused at once, and counted, when there is no room or no actor.
    pub fn try_send(&self, input: I) -> Result<(), SendError> {
        let result = match Arc::clone(&self.0.permits).try_acquire_owned() {
            Err(_) => Err(self.full()),
            Ok(permit) => {
                let actor = self.0.incarnation.borrow().clone();
                match actor.map(|actor| actor.send_message(Mail::Letter(input, permit))) {
                    Some(Ok(())) => Ok(()),
                    Some(Err(_)) | None => Err(self.down()),
                }
            }
        };
        if result.is_err() {
            self.0.shed.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    /// Letters sent and not yet handled.
    pub fn depth(&self) -> usize {
        self.0.capacity - self.0.permits.available_permits()
    }

    /// Letters that [`try_send`](Self::try_send) refused so far.
    pub fn shed(&self) -> u64 {
        self.0.shed.load(Ordering::Relaxed)
    }

    pub(crate) fn occupy(&self, actor: ActorRef<Mail<I>>) {
        self.0.incarnation.send_replace(Some(actor));
    }

    /// Empties the address unless a successor has it already.
    pub(crate) fn vacate(&self, actor: &ActorRef<Mail<I>>) {
        self.0.incarnation.send_if_modified(|current| {
            let ours = current
                .as_ref()
                .is_some_and(|current| current.get_id() == actor.get_id());
            if ours {
                *current = None;
            }
            ours
        });
    }

    fn full(&self) -> SendError {
        SendError::Full {
            name: self.0.name.clone(),
            capacity: self.0.capacity,
        }
    }

    fn down(&self) -> SendError {
        SendError::Down {
            name: self.0.name.clone(),
        }
    }
}
