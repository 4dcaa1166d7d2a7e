//! The postman: mails the alerts that this node raised, once the ledger has them.
//!
//! [`telemetry::alertmail`] decides. Two files remember how far he is: up to which leaf everything is
//! mailed, and what he is about beyond it. They are written before a mail leaves and after the relay
//! has answered, so an alert may be mailed twice after a crash (in the same mail, with the same
//! Message-ID) and never not.

use crate::board::Board;
use edge::mailer::{MailerError, Outbox};
use futures::future::BoxFuture;
use ledger::Applied;
use machine::{Instant, Machine as _};
use replica::{Committed, Ledger};
use runtime::durable::number::{self, Kept};
use runtime::durable::replace;
use runtime::service::{ServiceError, StopSignal};
use runtime::{blocking, clock, entropy};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use telemetry::alertmail::bounce::{Action, Notification};
use telemetry::alertmail::{self, Answer, Event, Input, Letter, Output, Progress, Settings};
use wire::status::Bounce;
use wire::{Act, NodeId};

/// Everything the service needs; cloned for each start.
#[derive(Clone)]
pub struct Postman {
    /// This node.
    pub me: NodeId,
    /// How he goes about it.
    pub settings: Settings,
    /// The ledger.
    pub ledger: Ledger,
    /// The relay.
    pub mailer: Arc<dyn Outbox>,
    /// Remembers up to which leaf everything is mailed.
    pub watermark: PathBuf,
    /// Remembers what is under way beyond it.
    pub ahead: PathBuf,
    /// Counters.
    pub board: Arc<Board>,
}

/// The mail at the relay.
type Posting = BoxFuture<'static, (Letter, Result<(), MailerError>)>;

impl Postman {
    /// Runs until stopped.
    pub async fn run(self, mut stop: StopSignal) -> Result<(), ServiceError> {
        let progress = blocking::in_place(|| self.remembered());
        let seed = u64::from_le_bytes(entropy::bytes());
        let mut machine = alertmail::Postman::new(self.settings.clone(), progress, seed);
        // From the first leaf on: the end of an alert follows up the mail that told of it.
        let mut log = self.ledger.subscribe(0);
        let mut posting: Option<Posting> = None;
        let mut out = Vec::new();
        loop {
            let input = tokio::select! {
                () = stop.stopped() => return Ok(()),
                committed = log.next() => Some(self.leaf(&committed?)),
                (letter, outcome) = answered(&mut posting) => {
                    posting = None;
                    Some(Input::Answered(self.judge(&letter, outcome)))
                }
                () = deadline(machine.deadline()) => None,
            };
            match input {
                Some(input) => machine.handle(clock::now(), input, &mut out),
                None => machine.tick(clock::now(), &mut out),
            }
            for output in out.drain(..) {
                match output {
                    Output::Keep(progress) => blocking::in_place(|| self.keep(&progress))?,
                    Output::Post(letter) => posting = Some(self.post(letter)),
                }
            }
            self.board.count.waiting.store(machine.waiting(), Relaxed);
        }
    }

    fn leaf(&self, committed: &Committed) -> Input {
        let effective = committed.applied == Applied::Effective;
        Input::Leaf {
            index: committed.index,
            mine: committed.record.proposer == self.me,
            event: event(&committed.record.act).filter(|_| effective),
        }
    }

    fn post(&self, letter: Letter) -> Posting {
        let mailer = Arc::clone(&self.mailer);
        Box::pin(async move {
            let outcome = mailer.post(&letter).await;
            (letter, outcome)
        })
    }

    fn judge(&self, letter: &Letter, outcome: Result<(), MailerError>) -> Answer {
        match outcome {
            Ok(()) => {
                self.board.count.mailed.fetch_add(1, Relaxed);
                Answer::Taken
            }
            Err(error) if error.is_transient() => {
                tracing::warn!("alert mail {} waits: {error}", letter.id);
                Answer::NotNow
            }
            Err(error) => {
                self.board.count.refused.fetch_add(1, Relaxed);
                tracing::error!(
                    "alert mail {} (`{}`, {} raised, {} cleared) is given up: {error}",
                    letter.id,
                    letter.subject,
                    letter.raised,
                    letter.cleared
                );
                Answer::Refused
            }
        }
    }

    /// What is mailed already. An alert that is mailed twice is better than one that is not.
    fn remembered(&self) -> Progress {
        let mark = match number::read(&self.watermark) {
            Ok(kept) => kept.map_or(0, Kept::number),
            Err(error) => {
                tracing::warn!("{error}; alerts of this node may be mailed again");
                0
            }
        };
        let ahead = match std::fs::read_to_string(&self.ahead) {
            Ok(text) => Progress::from_text(&text).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Progress::from_mark(mark);
            }
            Err(error) => Err(error.to_string()),
        };
        match ahead {
            // A release that does not know this file may have gone on without it.
            Ok(ahead) if ahead.mark() >= mark => ahead,
            Ok(_) => Progress::from_mark(mark),
            Err(error) => {
                let path = self.ahead.display();
                tracing::warn!("{path}: {error}; some alerts of this node may be mailed again");
                Progress::from_mark(mark)
            }
        }
    }

    /// First what is under way: the mark may lie behind it, never before.
    fn keep(&self, progress: &Progress) -> io::Result<()> {
        replace(&self.ahead, progress.to_text().as_bytes())?;
        number::write(&self.watermark, progress.mark())
    }
}

async fn answered(posting: &mut Option<Posting>) -> (Letter, Result<(), MailerError>) {
    match posting {
        Some(posting) => posting.await,
        None => std::future::pending().await,
    }
}

async fn deadline(moment: Option<Instant>) {
    match moment {
        Some(moment) => clock::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn event(act: &Act) -> Option<Event> {
    match act {
        Act::AlertRaised(alert) => Some(Event::Raised(alert.clone())),
        Act::AlertCleared { id, at } => Some(Event::Cleared {
            id: id.clone(),
            at: *at,
        }),
        Act::LevelRaised { .. }
        | Act::Invited { .. }
        | Act::Admitted { .. }
        | Act::Removed { .. }
        | Act::Introduced { .. }
        | Act::FunctionDeployed { .. }
        | Act::Genesis { .. }
        | Act::NodeUp { .. }
        | Act::NodeDown { .. }
        | Act::RoleAssigned { .. }
        | Act::RoundOpened { .. }
        | Act::RoundClosed { .. }
        | Act::BufferedRoundClosed { .. }
        | Act::RoundAbandoned { .. }
        | Act::GroupCommit { .. }
        | Act::Ingested { .. }
        | Act::FeedAdvanced { .. }
        | Act::ReaderKeyGranted { .. }
        | Act::ModelPinned { .. }
        | Act::ModelUnpinned { .. }
        | Act::ModelRolledBack { .. }
        | Act::PrivacySpent { .. }
        | Act::VariatesReset { .. }
        | Act::BudgetDeclared { .. } => None,
    }
}

/// An alert mail came back to this node's mailbox. Anybody can write such a notification: it is counted
/// and told, and changes nothing.
pub(crate) fn returned(board: &Board, notification: Notification) {
    let mail = notification.id;
    for returned in notification.returned {
        let bounce = Bounce {
            mail: mail.clone(),
            recipient: returned.recipient,
            status: returned.status,
            diagnostic: returned.diagnostic,
        };
        let said = format!("{} {}", bounce.status, bounce.diagnostic);
        match returned.action {
            Action::Failed => {
                tracing::error!(
                    "alert mail {mail} did not reach {}: {said}; look at `alerts.to`",
                    bounce.recipient
                );
                board.bounced(bounce);
            }
            Action::Delayed => {
                tracing::warn!("alert mail {mail} is late for {}: {said}", bounce.recipient);
            }
            Action::Passed => {
                tracing::info!("alert mail {mail} reached {}", bounce.recipient);
            }
        }
    }
}
