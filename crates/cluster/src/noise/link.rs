//! A running link: two tasks between the connection and a plain in-process stream.

use super::LinkError;
use super::epochs::{EpochTable, LinkSecret};
use super::ratchet::{Direction, Ratchet};
use super::record::{HEADER, MAX_DATA, Opener, Record, Sealer};
use crate::detect::Pulse;
use crate::idle::IdleLimit;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, DuplexStream,
    ReadHalf, WriteHalf,
};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};
use wire::KeyEpoch;

/// A peer that takes nothing for so long is of no use, however alive.
pub const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// A peer that is sent away is told so at once, or not at all: the link must be gone well within
/// a second.
pub const DISMISS_LIMIT: Duration = Duration::from_millis(200);

/// Plain bytes between a link and the session above, each way. Back-pressure starts here.
const PIPE: usize = 64 << 10;

/// Epochs a peer may have offered and that we remember; beyond them the oldest are forgotten.
const MAX_OFFERED: usize = 16;

/// Epochs we announced and whose secret the link keeps until it has moved past them. More than
/// [`MAX_OFFERED`], so that a peer can never move to one that is forgotten here unless it is 48
/// announcements late; then the link ends and a new one begins.
const MAX_ANNOUNCED: usize = 64;

/// The two directions' first keys.
pub struct LinkKeys {
    pub(super) sealer: Sealer,
    pub(super) opener: Opener,
}

impl LinkKeys {
    /// From Noise's `Split()`: `first` is the initiator's sending key, `second` the responder's.
    pub(super) fn new(
        first: &[u8; 32],
        second: &[u8; 32],
        hash: [u8; 32],
        initiator: bool,
    ) -> Self {
        let from_initiator = Ratchet::new(first, hash, Direction::FromInitiator);
        let from_responder = Ratchet::new(second, hash, Direction::FromResponder);
        if initiator {
            Self {
                sealer: Sealer::new(first, from_initiator),
                opener: Opener::new(second, from_responder),
            }
        } else {
            Self {
                sealer: Sealer::new(second, from_responder),
                opener: Opener::new(first, from_initiator),
            }
        }
    }
}

/// What both tasks and the outside know of a link.
struct Shared {
    epochs: Mutex<Epochs>,
    /// The peer's offers have changed.
    offered: Notify,
    /// Why the peer is to be sent away.
    dismissal: watch::Sender<Option<String>>,
    /// Why the peer sent us away.
    dismissed: OnceLock<String>,
    /// Why the link ended.
    end: watch::Sender<Option<String>>,
    since: Instant,
}

#[derive(Default)]
struct Epochs {
    announced: BTreeMap<KeyEpoch, LinkSecret>,
    offered: BTreeSet<KeyEpoch>,
    sending: KeyEpoch,
    receiving: KeyEpoch,
}

impl Epochs {
    /// Forgets what neither direction can come to use.
    fn prune(&mut self) {
        let past = self.sending.min(self.receiving);
        self.announced.retain(|epoch, _| *epoch > past);
        while self.announced.len() > MAX_ANNOUNCED {
            self.announced.pop_first();
        }
        self.offered.retain(|epoch| *epoch > self.sending);
        while self.offered.len() > MAX_OFFERED {
            self.offered.pop_first();
        }
    }

    /// The newest epoch that both ends hold, if that is news for our direction.
    fn next(&self) -> Option<(KeyEpoch, LinkSecret)> {
        self.offered
            .iter()
            .rev()
            .find_map(|epoch| Some((*epoch, self.announced.get(epoch)?.clone())))
            .filter(|(epoch, _)| *epoch > self.sending)
    }
}

impl Shared {
    fn epochs(&self) -> MutexGuard<'_, Epochs> {
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, reason: impl Into<String>) {
        self.end.send_if_modified(|end| {
            let first = end.is_none();
            if first {
                *end = Some(reason.into());
            }
            first
        });
    }
}

/// Watches and ends a link.
#[derive(Clone)]
pub struct LinkHandle(Arc<Shared>);

impl LinkHandle {
    /// Ends the link. The first reason given stays.
    pub fn close(&self, reason: impl Into<String>) {
        self.0.end(reason);
    }

    /// Ends the link and tells the peer why, if it takes that within [`DISMISS_LIMIT`].
    pub fn dismiss(&self, why: impl Into<String>) {
        let why = why.into();
        self.0.dismissal.send_replace(Some(why.clone()));
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut end = shared.end.subscribe();
            let ended = end.wait_for(Option::is_some);
            if tokio::time::timeout(DISMISS_LIMIT, ended).await.is_err() {
                shared.end(why);
            }
        });
    }

    /// What the peer said if it sent us away.
    pub fn dismissed(&self) -> Option<&str> {
        self.0.dismissed.get().map(String::as_str)
    }

    /// Returns when the link has ended, with the reason.
    pub async fn closed(&self) -> String {
        let mut end = self.0.end.subscribe();
        let reason = end
            .wait_for(Option::is_some)
            .await
            .map(|reason| reason.clone());
        reason.ok().flatten().unwrap_or_default()
    }

    /// Epoch under which we send; 0: the handshake's key.
    pub fn sending_epoch(&self) -> KeyEpoch {
        self.0.epochs().sending
    }

    /// Epoch under which the peer sends; 0: the handshake's key.
    pub fn receiving_epoch(&self) -> KeyEpoch {
        self.0.epochs().receiving
    }

    /// How many secrets and how many offers of the peer the link keeps.
    #[cfg(test)]
    pub(super) fn kept_epochs(&self) -> (usize, usize) {
        let epochs = self.0.epochs();
        (epochs.announced.len(), epochs.offered.len())
    }

    /// Time since the handshake.
    pub fn age(&self) -> Duration {
        self.0.since.elapsed()
    }
}

/// Life signs of a link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// We show life this often.
    pub(crate) heartbeat: Duration,
    /// The link ends when the peer is silent for so long.
    pub(crate) silence_limit: Duration,
    /// The peer understands [`Record::Dismissed`].
    pub(crate) dismisses: bool,
}

/// A link: the plain stream for the session above, and a handle.
pub struct Link {
    /// Reads and writes plain bytes; ends when the link does, and ends it when dropped.
    pub stream: DuplexStream,
    /// The handle.
    pub handle: LinkHandle,
}

impl Link {
    /// Runs the record layer over `connection` on two tasks of its own.
    pub(crate) fn start<S>(
        connection: S,
        keys: LinkKeys,
        table: &EpochTable,
        pace: Pace,
        pulse: Pulse,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (stream, inside) = tokio::io::duplex(PIPE);
        let (plain_in, plain_out) = tokio::io::split(inside);
        let (reader, writer) = tokio::io::split(connection);
        let shared = Arc::new(Shared {
            epochs: Mutex::default(),
            offered: Notify::new(),
            dismissal: watch::Sender::new(None),
            dismissed: OnceLock::new(),
            end: watch::Sender::new(None),
            since: Instant::now(),
        });
        let sender = Sender {
            shared: Arc::clone(&shared),
            sealer: keys.sealer,
            out: Vec::new(),
            writer,
            pace,
        };
        let receiver = Receiver {
            shared: Arc::clone(&shared),
            opener: keys.opener,
            reader: BufReader::new(IdleLimit::new(reader, pace.silence_limit)),
            plain: plain_out,
            pulse,
        };
        let (handle, table) = (LinkHandle(Arc::clone(&shared)), table.clone());
        spawn_until_end(Arc::clone(&shared), sender.run(plain_in, table));
        spawn_until_end(shared, receiver.run());
        Self { stream, handle }
    }
}

/// Runs one direction until it ends or the other one has; either way the link is at its end.
fn spawn_until_end(
    shared: Arc<Shared>,
    direction: impl Future<Output = Result<(), LinkError>> + Send + 'static,
) {
    tokio::spawn(async move {
        let mut end = shared.end.subscribe();
        let reason = tokio::select! {
            _ = end.wait_for(Option::is_some) => return,
            result = direction => match result {
                Ok(()) => "closed".to_owned(),
                Err(error) => error.to_string(),
            },
        };
        shared.end(reason);
    });
}

struct Sender<S> {
    shared: Arc<Shared>,
    sealer: Sealer,
    /// Records sealed and not yet written.
    out: Vec<u8>,
    writer: WriteHalf<S>,
    pace: Pace,
}

impl<S: AsyncWrite + Unpin> Sender<S> {
    async fn run(
        mut self,
        mut plain: ReadHalf<DuplexStream>,
        table: EpochTable,
    ) -> Result<(), LinkError> {
        let mut table = table.subscribe();
        let mut dismissal = self.shared.dismissal.subscribe();
        let mut heartbeat = tokio::time::interval(self.pace.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut data = vec![0; MAX_DATA];
        loop {
            tokio::select! {
                // Control first: keys and signs of life must not wait behind bulk data.
                biased;
                why = wait_for_dismissal(&mut dismissal) => return self.dismiss(why).await,
                () = self.shared.offered.notified() => {}
                changed = table.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let held = table.borrow_and_update().clone();
                    self.announce(held)?;
                }
                _ = heartbeat.tick() => self.sealer.seal(Record::Heartbeat, &mut self.out)?,
                read = plain.read(&mut data) => match read? {
                    0 => {
                        let _ = self.writer.shutdown().await; // closed above; the peer may be gone too
                        return Ok(());
                    }
                    length => self.sealer.seal(Record::Data(&data[..length]), &mut self.out)?,
                },
            }
            self.advance()?;
            self.write().await?;
        }
    }

    /// The last record, if the peer can read it.
    async fn dismiss(&mut self, why: String) -> Result<(), LinkError> {
        if self.pace.dismisses {
            self.sealer.seal(Record::Dismissed(&why), &mut self.out)?;
            self.write().await?;
        }
        let _ = self.writer.shutdown().await; // the peer may be gone
        self.shared.end(why);
        Ok(())
    }

    /// Tells the peer of epochs it has not been told of. From then on records under them can
    /// arrive, so their secrets are kept first.
    fn announce(&mut self, held: BTreeMap<KeyEpoch, LinkSecret>) -> Result<(), LinkError> {
        let mut epochs = self.shared.epochs();
        for (epoch, secret) in held {
            let past = epoch <= epochs.sending.min(epochs.receiving);
            if !past && !epochs.announced.contains_key(&epoch) {
                epochs.announced.insert(epoch, secret);
                self.sealer.seal(Record::Have(epoch), &mut self.out)?;
            }
        }
        epochs.prune();
        Ok(())
    }

    /// Moves our direction to the newest epoch that both ends hold.
    fn advance(&mut self) -> Result<(), LinkError> {
        let mut epochs = self.shared.epochs();
        if let Some((epoch, secret)) = epochs.next() {
            self.sealer.advance(epoch, &secret, &mut self.out)?;
            epochs.sending = self.sealer.epoch();
            epochs.prune();
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), LinkError> {
        let writing = async {
            self.writer.write_all(&self.out).await?;
            self.writer.flush().await
        };
        let limit = WRITE_LIMIT;
        tokio::time::timeout(limit, writing)
            .await
            .map_err(|_| LinkError::Stalled { limit })??;
        self.out.clear();
        Ok(())
    }
}

struct Receiver<S> {
    shared: Arc<Shared>,
    opener: Opener,
    reader: BufReader<IdleLimit<ReadHalf<S>>>,
    plain: WriteHalf<DuplexStream>,
    pulse: Pulse,
}

async fn wait_for_dismissal(dismissal: &mut watch::Receiver<Option<String>>) -> String {
    let why = dismissal.wait_for(Option::is_some).await;
    // The sender lives as long as the link's tasks do.
    why.ok().and_then(|why| why.clone()).unwrap_or_default()
}

impl<S: AsyncRead + AsyncWrite + Unpin> Receiver<S> {
    async fn run(mut self) -> Result<(), LinkError> {
        let mut sealed = Vec::new();
        loop {
            let mut header = [0; HEADER];
            self.reader.read_exact(&mut header).await?;
            sealed.resize(usize::from(u16::from_be_bytes(header)), 0);
            self.reader.read_exact(&mut sealed).await?;
            match self.opener.open(&mut sealed)? {
                Record::Data(data) => {
                    self.pulse.heard();
                    self.plain.write_all(data).await?;
                }
                Record::Heartbeat => self.pulse.heartbeat(),
                Record::Dismissed(why) => {
                    // It goes to the log: one line, whatever the peer put in.
                    let why = why.replace(char::is_control, " ");
                    let _ = self.shared.dismissed.set(why.clone()); // the first one stays
                    return Err(LinkError::Dismissed { why });
                }
                Record::Have(epoch) => {
                    let mut epochs = self.shared.epochs();
                    epochs.offered.insert(epoch);
                    epochs.prune();
                    self.shared.offered.notify_one();
                }
                Record::Moved(epoch) => {
                    self.opener.check_move(epoch)?;
                    let mut epochs = self.shared.epochs();
                    let secret = epochs.announced.get(&epoch).cloned();
                    let secret = secret.ok_or(LinkError::NotAnnounced { to: epoch })?;
                    self.opener.advance(epoch, &secret);
                    epochs.receiving = epoch;
                    epochs.prune();
                }
            }
        }
    }
}
