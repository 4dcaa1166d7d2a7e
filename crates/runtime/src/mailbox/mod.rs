//! Addresses: how mail reaches an actor that may be restarted at any moment.
//!
//! An [`Address`] is typed, named and outlives the actor behind it: a new incarnation takes the
//! old one's place. ractor's mailboxes are unbounded, so every letter carries a permit out of a
//! fixed number; it is given back when the letter has been handled or has died with its actor.
//! Delivery is at most once: what an actor had not handled when it ended is gone.
//!
//! What happens when there is no room is decided per letter, by [`Machine::overload`]:
//!
//! | policy | no room, or the actor is being restarted | the sender sees | counted as |
//! |---|---|---|---|
//! | shed | dropped | nothing | `shed` |
//! | delay | waits, at most [`SEND_PATIENCE`] | an error after that | `delayed`, then `refused` |
//! | refuse | not taken | an error at once | `refused` |

mod counts;
#[cfg(test)]
mod tests;

pub(crate) use counts::Ticket;

use crate::clock;
use counts::Counts;
use machine::mistakes::{self, Mistake};
use machine::{Instant, Machine, Overload};
use ractor::{ActorRef, Message};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use wire::status::MailboxStatus;

/// How long [`Address::send`] waits for room and for a restarting actor, both together. Longer
/// than any restart takes; a sender that waited so long has a dead neighbour, not a busy one.
pub const SEND_PATIENCE: Duration = Duration::from_secs(10);

/// Why mail was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Refused at once, or waited for room in vain.
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
    /// The capacity, unless by mistake.
    room: usize,
    policy: fn(&I) -> Overload,
    permits: Arc<Semaphore>,
    incarnation: watch::Sender<Option<ActorRef<Mail<I>>>>,
    counts: Arc<Counts>,
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
    /// A letter and the ticket it travels on.
    Letter(I, Ticket),
    /// What the actor told itself, under a number that it knows. Takes no room.
    Tick(u64),
}

impl<I: Send + 'static> Message for Mail<I> {}

impl<I: Send + 'static> Address<I> {
    /// An address without an actor yet. At most `capacity` letters may wait; a sender that finds
    /// no room waits too.
    pub fn new(name: impl Into<String>, capacity: usize) -> Self {
        Self::with_policy(name, capacity, |_| Overload::Delay)
    }

    /// An address for a machine, which says per letter what happens when there is no room.
    pub fn of<M: Machine<Input = I>>(name: impl Into<String>, capacity: usize) -> Self {
        Self::with_policy(name, capacity, M::overload)
    }

    fn with_policy(name: impl Into<String>, capacity: usize, policy: fn(&I) -> Overload) -> Self {
        let room = if mistakes::on(Mistake::UnboundedQueue) {
            Semaphore::MAX_PERMITS
        } else {
            capacity
        };
        Self(Arc::new(Inner {
            name: name.into(),
            capacity,
            room,
            policy,
            permits: Arc::new(Semaphore::new(room)),
            incarnation: watch::Sender::new(None),
            counts: Arc::default(),
        }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Sends by the letter's own policy. `Ok` does not say that it was handled, nor, if it may
    /// be shed, that it was accepted.
    pub async fn post(&self, input: I) -> Result<(), SendError> {
        match (self.0.policy)(&input) {
            Overload::Shed => {
                if self.offer(input).is_err() {
                    self.0.counts.shed();
                }
                Ok(())
            }
            Overload::Delay => self.send(input).await,
            Overload::Refuse => self.try_send(input),
        }
    }

    /// Sends and waits for room and for a restarting actor, whatever the letter's policy, for at
    /// most [`SEND_PATIENCE`]. Not for an actor's letters to itself: it would wait for itself.
    pub async fn send(&self, input: I) -> Result<(), SendError> {
        let posted = clock::now();
        let mut waited = false;
        let sent = self.deliver(posted, input, &mut waited).await;
        if waited {
            self.0.counts.delayed();
        }
        if sent.is_err() {
            self.0.counts.refused();
        }
        sent
    }

    /// Sends at once or not at all, whatever the letter's policy.
    pub fn try_send(&self, input: I) -> Result<(), SendError> {
        let sent = self.offer(input);
        if sent.is_err() {
            self.0.counts.refused();
        }
        sent
    }

    async fn deliver(&self, posted: Instant, input: I, waited: &mut bool) -> Result<(), SendError> {
        let deadline = tokio::time::Instant::now() + SEND_PATIENCE;
        let permits = &self.0.permits;
        let permit = match Arc::clone(permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                *waited = true;
                let permit = Arc::clone(permits).acquire_owned();
                match tokio::time::timeout_at(deadline, permit).await {
                    Ok(Ok(permit)) => permit,
                    Ok(Err(_)) | Err(_) => return Err(self.full()),
                }
            }
        };
        let mut incarnations = self.0.incarnation.subscribe();
        let mut mail = Mail::Letter(input, self.ticket(posted, permit));
        loop {
            *waited |= incarnations.borrow().is_none();
            let ready = incarnations.wait_for(Option::is_some);
            let actor = match tokio::time::timeout_at(deadline, ready).await {
                Ok(Ok(actor)) => actor.clone(),
                Ok(Err(_)) | Err(_) => None,
            };
            let Some(actor) = actor else {
                mail.withdraw();
                return Err(self.down());
            };
            match actor.send_message(mail) {
                Ok(()) => return Ok(()),
                Err(ractor::MessagingErr::SendErr(unsent)) => mail = unsent,
                Err(
                    ractor::MessagingErr::ChannelClosed | ractor::MessagingErr::InvalidActorType,
                ) => {
                    return Err(self.down());
                }
            }
            // That incarnation is closed. Wait for the next one.
            *waited = true;
            match tokio::time::timeout_at(deadline, incarnations.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => {
                    mail.withdraw();
                    return Err(self.down());
                }
            }
        }
    }

    fn offer(&self, input: I) -> Result<(), SendError> {
        let permit = Arc::clone(&self.0.permits)
            .try_acquire_owned()
            .map_err(|_| self.full())?;
        let actor = self.0.incarnation.borrow().clone();
        let actor = actor.ok_or_else(|| self.down())?;
        match actor.send_message(Mail::Letter(input, self.ticket(clock::now(), permit))) {
            Ok(()) => Ok(()),
            Err(ractor::MessagingErr::SendErr(unsent)) => {
                unsent.withdraw();
                Err(self.down())
            }
            Err(ractor::MessagingErr::ChannelClosed | ractor::MessagingErr::InvalidActorType) => {
                Err(self.down())
            }
        }
    }

    fn ticket(&self, posted: Instant, permit: OwnedSemaphorePermit) -> Ticket {
        Ticket::new(Arc::clone(&self.0.counts), posted, permit)
    }

    /// Letters sent and not yet handled.
    pub fn depth(&self) -> usize {
        self.0.room - self.0.permits.available_permits()
    }

    /// What has become of its letters so far, and what waits right now.
    pub fn status(&self) -> MailboxStatus {
        MailboxStatus {
            depth: self.depth() as u64,
            capacity: self.0.capacity as u64,
            ..self.0.counts.status(clock::now())
        }
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

impl<I> Mail<I> {
    /// It did not reach an actor, and its sender knows.
    fn withdraw(self) {
        match self {
            Self::Letter(_, ticket) => ticket.withdraw(),
            Self::Tick(_) => {}
        }
    }
}
