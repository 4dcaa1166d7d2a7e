//! The one task between sessions and the journal.

use super::duplicates::{Remembered, identity};
use super::journal_sink::Stored;
use super::replay::{self, Replays};
use super::sink::Receipt;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, StreamExt};
use runtime::journal::{Journal, JournalError, Pending};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use telemetry::smtp::Defer;
use tokio::sync::mpsc::{OwnedPermit, Receiver};
use tokio::sync::oneshot;
use wire::{Digest, StoredMail};

/// Messages between their sessions and the journal; each waits with its session, so this needs
/// to be no more than what keeps the journal's writer busy.
pub(super) const INTAKE: usize = 1_024;

/// One message on its way into the journal, with its place in the hand-over.
pub(super) struct Intake {
    pub(super) mail: StoredMail,
    pub(super) place: OwnedPermit<Stored>,
    pub(super) answer: oneshot::Sender<Result<Receipt, Defer>>,
}

/// The one task that feeds the journal, so that messages are handed on in its order.
pub(super) struct Pump {
    journal: Journal,
    remembered: Remembered,
    replays: Arc<Mutex<Replays>>,
    /// Identities that are in flight.
    under_way: HashSet<Digest>,
    in_flight: FuturesOrdered<BoxFuture<'static, Committed>>,
}

/// What became of an append.
struct Committed {
    outcome: Result<u64, JournalError>,
    identity: Option<Digest>,
    intake: Intake,
}

impl Pump {
    pub(super) fn new(
        journal: Journal,
        remembered: Remembered,
        replays: Arc<Mutex<Replays>>,
    ) -> Self {
        Self {
            journal,
            remembered,
            replays,
            under_way: HashSet::new(),
            in_flight: FuturesOrdered::new(),
        }
    }

    pub(super) async fn run(mut self, mut incoming: Receiver<Intake>) {
        loop {
            tokio::select! {
                Some(committed) = self.in_flight.next() => self.finish(committed),
                intake = incoming.recv(), if self.in_flight.len() < INTAKE => match intake {
                    Some(intake) => self.begin(intake).await,
                    None => break,
                },
            }
        }
        while let Some(committed) = self.in_flight.next().await {
            self.finish(committed);
        }
    }

    async fn begin(&mut self, intake: Intake) {
        let identity = identity(&intake.mail.data);
        if let Some(seq) = identity.and_then(|identity| self.remembered.get(&identity)) {
            let receipt = Receipt {
                id: seq.to_string(),
                duplicate: true,
            };
            return answer(intake.answer, Ok(receipt));
        }
        // The same message on a second connection before the first is durable: its client comes again
        // and then hears 250. This goes before the counter, which would refuse it for good.
        if identity.is_some_and(|identity| self.under_way.contains(&identity)) {
            return answer(intake.answer, Err(Defer::Busy));
        }
        let sealed = replay::key(&intake.mail);
        if sealed
            .as_ref()
            .is_some_and(|key| !self.replays().begin(key))
        {
            return answer(intake.answer, Err(Defer::Replayed));
        }
        self.under_way.extend(identity);
        match self.journal.submit(wire::encode(&intake.mail)).await {
            Ok(pending) => self
                .in_flight
                .push_back(Box::pin(commit(pending, identity, intake))),
            Err(error) => self.finish(Committed {
                outcome: Err(error),
                identity,
                intake,
            }),
        }
    }

    fn replays(&self) -> MutexGuard<'_, Replays> {
        self.replays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(
        &mut self,
        Committed {
            outcome,
            identity,
            intake,
        }: Committed,
    ) {
        if let Some(identity) = identity {
            self.under_way.remove(&identity);
        }
        if let Some(key) = replay::key(&intake.mail) {
            self.replays().end(&key, outcome.is_ok());
        }
        match outcome {
            Ok(seq) => {
                if let Some(identity) = identity {
                    self.remembered.insert(identity, seq);
                }
                intake.place.send(Stored {
                    seq,
                    mail: intake.mail,
                });
                let receipt = Receipt {
                    id: seq.to_string(),
                    duplicate: false,
                };
                answer(intake.answer, Ok(receipt));
            }
            Err(error) => {
                tracing::error!(%error, "a mail was not made durable");
                answer(intake.answer, Err(defer(&error)));
            }
        }
    }
}

async fn commit(pending: Pending, identity: Option<Digest>, intake: Intake) -> Committed {
    Committed {
        outcome: pending.await,
        identity,
        intake,
    }
}

fn answer(to: oneshot::Sender<Result<Receipt, Defer>>, verdict: Result<Receipt, Defer>) {
    // A session that has gone does not hear it; its client will send again and be recognised.
    let _ = to.send(verdict);
}

const fn defer(error: &JournalError) -> Defer {
    match error {
        JournalError::Full { .. } => Defer::Full,
        JournalError::TooLarge { .. } | JournalError::Failed { .. } | JournalError::Closed => {
            Defer::Failed
        }
    }
}
