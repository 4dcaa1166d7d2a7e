//! The sink for real use: journal, duplicates, ordered hand-over.

use super::duplicates::{Remembered, identity};
use super::register::{Begun, Register};
use super::replay::{self, Replays};
use super::sink::{AcceptedMail, MailSink, Receipt};
use futures::future::BoxFuture;
use runtime::blocking;
use runtime::journal::{
    Journal, JournalError, JournalOptions, LOCK_PAUSE, LOCK_TRIES, OpenError, Record, Records,
    Recovery,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use telemetry::smtp::Defer;
use tokio::sync::mpsc::{OwnedPermit, Receiver, Sender, channel};
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};
use wire::{DecodeError, DeviceId, KnownDevice, StoredMail};

/// How long a message waits for a place in the hand-over before its client is told 451. Gear gives
/// up after 20 seconds and often tries only once: better a short wait than a refusal, and better a
/// refusal than a timeout.
pub const HANDOVER_PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of mail that a replay reads at a time: a second's worth at full rate.
const REPLAY_CHUNK: usize = 4 << 20;

/// Sizes and bounds of the sink.
#[derive(Clone, Debug)]
pub struct JournalSinkOptions {
    /// The journal's.
    pub journal: JournalOptions,
    /// Messages that may wait for whoever works them off.
    pub handover: usize,
    /// Messages remembered to recognise a second delivery.
    pub remembered: usize,
    /// How long a message waits for a place in the hand-over.
    pub patience: Duration,
}

impl Default for JournalSinkOptions {
    /// Hand-over: a second's worth at full rate. Remembered: a client that lost its 250 comes
    /// again within minutes to hours; 64 Ki messages of 48 bytes each are the newest hour of a
    /// busy room.
    fn default() -> Self {
        Self {
            journal: JournalOptions::default(),
            handover: 4_096,
            remembered: 65_536,
            patience: HANDOVER_PATIENCE,
        }
    }
}

/// Why the sink could not be opened or its mark not be written.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// A record is no mail, or one of a later build.
    #[error("record {seq} of the mail journal cannot be read: {source}")]
    Record {
        /// Its sequence number.
        seq: u64,
        /// Why.
        source: DecodeError,
    },
    /// The counters of sealed messages cannot be read or written.
    #[error("the counters of sealed messages: {0}")]
    Counters(io::Error),
    /// A blocking task of ours panicked.
    #[error("a task of the mail journal failed: {0}")]
    Task(String),
}

/// A durable message on its way to be worked off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Its sequence number in the journal: its identity in the house.
    pub seq: u64,
    /// The message.
    pub mail: StoredMail,
}

/// Where a message lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Its sequence number in the journal.
    pub seq: u64,
    /// It was there already.
    pub duplicate: bool,
}

/// Makes messages durable in a [`Journal`], then hands them on in the order of their sequence
/// numbers through a bounded channel: the journal's writer itself does, behind each commit. At start, everything behind the processed mark is handed on
/// again before anything new is taken.
#[derive(Clone)]
pub struct JournalSink {
    journal: Journal,
    handover: Sender<Stored>,
    patience: Duration,
    dir: PathBuf,
    register: Arc<Register>,
    /// True once the replay is done and new messages may be taken.
    open: watch::Receiver<bool>,
}

impl JournalSink {
    /// Opens the journal in `dir`, replays what is not processed yet into the returned receiver,
    /// and then takes new messages. Runs on the current tokio runtime.
    ///
    /// # Errors
    /// The journal cannot be opened, or holds something that this build cannot read.
    pub async fn open(
        dir: &Path,
        options: JournalSinkOptions,
    ) -> Result<(Arc<Self>, Receiver<Stored>, Recovery), SinkError> {
        let Found {
            journal,
            remembered,
            replays,
            recovery,
        } = recover_patiently(dir, &options).await?;
        let (handover, stored) = channel(options.handover);
        let (ready, open) = watch::channel(false);
        let replay = Replay {
            journal: journal.clone(),
            handover: handover.clone(),
        };
        tokio::spawn(async move {
            match replay.run().await {
                Ok(()) => drop(ready.send_replace(true)),
                Err(error) => tracing::error!(%error, "mail cannot be taken: the replay failed"),
            }
        });
        Ok((
            Arc::new(Self {
                journal,
                handover,
                patience: options.patience,
                dir: dir.to_owned(),
                register: Arc::new(Register::new(remembered, replays)),
                open,
            }),
            stored,
            recovery,
        ))
    }

    /// The journal, for looking at single records.
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Messages accepted and not yet processed.
    pub fn pending(&self) -> u64 {
        self.journal.last().saturating_sub(self.journal.processed())
    }

    /// Notes durably that all messages up to and with `seq` are worked off, and gives back disk
    /// space that is not needed any more. Costs two syncs: call it for many messages at once.
    ///
    /// # Errors
    /// `seq` is not in the journal; a file cannot be written.
    pub async fn mark_processed(&self, seq: u64) -> Result<(), SinkError> {
        let journal = self.journal.clone();
        let (dir, register) = (self.dir.clone(), Arc::clone(&self.register));
        aside(move || {
            journal.mark_processed(seq)?;
            // What the journal gives back must stand there, or it could be replayed.
            replay::save(&register.replays, &dir).map_err(SinkError::Counters)?;
            journal.release(seq)?;
            Ok(())
        })
        .await
    }

    /// Makes a message durable and hands it on, for who comes without a session.
    ///
    /// # Errors
    /// Why it was not taken; nothing of it is kept then.
    pub async fn take(&self, accepted: AcceptedMail) -> Result<Kept, Defer> {
        let place = timeout(self.patience, self.place())
            .await
            .unwrap_or(Err(Defer::Busy))?;
        let mail = stored(accepted);
        let under_way = match self.register.begin(&mail)? {
            Begun::Known(seq) => {
                return Ok(Kept {
                    seq,
                    duplicate: true,
                });
            }
            Begun::Fresh(under_way) => under_way,
        };
        let payload = wire::encode(&mail);
        let (answer, verdict) = oneshot::channel();
        let ended = move |outcome: Result<u64, JournalError>| {
            let verdict = outcome.map_err(|error| refused(&error)).map(|seq| {
                under_way.durable(seq);
                place.send(Stored { seq, mail });
                Kept {
                    seq,
                    duplicate: false,
                }
            });
            // A session that has gone does not hear it; its client will send again and be recognised.
            let _ = answer.send(verdict);
        };
        let submitted = self.journal.submit_then(payload, ended).await;
        submitted.map_err(|error| refused(&error))?;
        verdict.await.unwrap_or(Err(Defer::Failed))
    }

    /// A place in the hand-over, once the replay is done.
    async fn place(&self) -> Result<OwnedPermit<Stored>, Defer> {
        let mut open = self.open.clone();
        open.wait_for(|open| *open)
            .await
            .map_err(|_| Defer::Failed)?;
        self.handover
            .clone()
            .reserve_owned()
            .await
            .map_err(|_| Defer::Failed)
    }
}

impl MailSink for JournalSink {
    fn room(&self) -> Result<(), Defer> {
        if self.journal.is_failed() {
            Err(Defer::Failed)
        } else if self.journal.is_full() {
            Err(Defer::Full)
        } else {
            Ok(())
        }
    }

    fn accept(&self, mail: AcceptedMail) -> BoxFuture<'_, Result<Receipt, Defer>> {
        Box::pin(async { self.take(mail).await.map(receipt) })
    }
}

fn receipt(kept: Kept) -> Receipt {
    Receipt {
        id: kept.seq.to_string(),
        duplicate: kept.duplicate,
    }
}

fn refused(error: &JournalError) -> Defer {
    tracing::error!(%error, "a mail was not made durable");
    match error {
        JournalError::Full { .. } => Defer::Full,
        JournalError::TooLarge { .. } | JournalError::Failed { .. } | JournalError::Closed => {
            Defer::Failed
        }
    }
}

/// Hands on again what the last run of the process did not finish.
struct Replay {
    journal: Journal,
    handover: Sender<Stored>,
}

impl Replay {
    async fn run(self) -> Result<(), SinkError> {
        let journal = self.journal;
        let mut records = aside(move || Ok(journal.read_from(journal.processed() + 1)?)).await?;
        loop {
            let (rest, chunk) = aside(move || read_chunk(records)).await?;
            if chunk.is_empty() {
                return Ok(());
            }
            records = rest;
            for Record { seq, payload } in chunk {
                let mail = decode(seq, &payload)?;
                if self.handover.send(Stored { seq, mail }).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// The next records of a replay; none: it is over.
fn read_chunk(mut records: Records) -> Result<(Records, Vec<Record>), SinkError> {
    let mut chunk = Vec::new();
    let mut bytes = 0;
    while bytes < REPLAY_CHUNK {
        let Some(record) = records.next().transpose()? else {
            break;
        };
        bytes += record.payload.len() + 1;
        chunk.push(record);
    }
    Ok((records, chunk))
}

/// As [`recover`]. Where there is but one thread, the journal leaves the waiting for its lock to us: a
/// former door of this very process may have to come to its end first.
async fn recover_patiently(dir: &Path, options: &JournalSinkOptions) -> Result<Found, SinkError> {
    for _ in 1..LOCK_TRIES {
        let (folder, options) = (dir.to_owned(), options.clone());
        match aside(move || recover(&folder, &options)).await {
            Err(SinkError::Journal(OpenError::Locked { .. })) if blocking::on_one_thread() => {
                sleep(LOCK_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
    recover(dir, options)
}

/// What stands in the folder.
struct Found {
    journal: Journal,
    remembered: Remembered,
    replays: Replays,
    recovery: Recovery,
}

fn recover(dir: &Path, options: &JournalSinkOptions) -> Result<Found, SinkError> {
    let (journal, recovery) = Journal::open(dir, options.journal.clone())?;
    let mut remembered = Remembered::new(options.remembered);
    let mut replays = Replays::load(dir).map_err(SinkError::Counters)?;
    for record in journal.read_from(0)? {
        let record = record?;
        let mail = decode(record.seq, &record.payload)?;
        if let Some(identity) = identity(&mail.data) {
            remembered.insert(identity, record.seq);
        }
        if let Some(key) = replay::key(&mail) {
            replays.used(&key);
        }
    }
    Ok(Found {
        journal,
        remembered,
        replays,
        recovery,
    })
}

fn decode(seq: u64, payload: &[u8]) -> Result<StoredMail, SinkError> {
    StoredMail::read(payload).map_err(|source| SinkError::Record { seq, source })
}

fn stored(AcceptedMail { mail, end_of_data }: AcceptedMail) -> StoredMail {
    let counter = mail.counter;
    let device = mail.identity.map(|identity| KnownDevice {
        id: DeviceId::new(identity.device),
        proof: identity.proof,
        counter,
    });
    StoredMail {
        reverse_path: mail.reverse_path.map(|path| path.as_str().to_owned()),
        forward_paths: mail
            .forward_paths
            .iter()
            .map(|path| path.as_str().to_owned())
            .collect(),
        helo: mail.helo,
        peer: mail.peer,
        tls: mail.tls,
        profile: mail.profile,
        end_of_data,
        data: mail.data,
        device,
    }
}

async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SinkError> + Send + 'static,
) -> Result<T, SinkError> {
    blocking::aside(work)
        .await
        .unwrap_or_else(|error| Err(SinkError::Task(error.to_string())))
}
