//! The mailbox: the SMTP door, and the way from its journal to the data space.
//!
//! A mail is answered 250 when the journal has it; the journal's mark moves when its reports are
//! on the data space *and* its digest is on the ledger. A crash in between repeats both, and both
//! are recognised: reports by their origin, digests by the ledger's last position for this node.

use crate::at_rest::JournalKeys;
use crate::board::Board;
use crate::formats::{Accepted, Formats};
use crate::hatch::Hatch;
use crate::ingest::{self, IngestLog};
use crate::numbering::Numbering;
use crate::postman;
use crate::quarantine::Quarantine;
use crate::space::{Entered, SealedSpace};
use crate::surroundings::MailDoor;
use edge::smtp::{Devices, JournalSink, JournalSinkOptions, SmtpConfig, SmtpCounts, Stored};
use machine::mistakes::{self, Mistake};
use replica::{Ledger, View};
use runtime::blocking;
use runtime::journal::JournalOptions;
use runtime::service::{ServiceError, StopSignal};
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use telemetry::alertmail::bounce;
use telemetry::directory::Directory;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use wire::{Act, DeviceId, NodeId, Quarantined, Report, Source, StoredMail, UnixMillis};

/// Counts of the doors of former runs of this service, and the running one.
type Reader = Box<dyn Fn() -> (SmtpCounts, u64) + Send>;

/// What the status shows of the door; outlives restarts of the service.
#[derive(Default)]
pub struct DoorCounts(Mutex<(SmtpCounts, Option<Reader>)>);

impl DoorCounts {
    /// Counts over all runs, and the mails waiting.
    pub fn read(&self) -> (SmtpCounts, u64) {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, pending) = guard
            .1
            .as_ref()
            .map_or_else(Default::default, |read| read());
        (sum(guard.0, now), pending)
    }

    fn attach(self: &Arc<Self>, reader: Reader) -> Attached {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guard.1 = Some(reader);
        Attached(self.clone())
    }
}

/// A door's counts are read until this goes; what they were then is kept. The reader holds the
/// journal, which the next start of the service has to open.
struct Attached(Arc<DoorCounts>);

impl Drop for Attached {
    fn drop(&mut self) {
        let mut guard = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = guard.1.take() {
            guard.0 = SmtpCounts {
                open: 0,
                ..sum(guard.0, read().0)
            };
        }
    }
}

fn sum(a: SmtpCounts, b: SmtpCounts) -> SmtpCounts {
    SmtpCounts {
        sessions: a.sessions + b.sessions,
        open: b.open,
        turned_away: a.turned_away + b.turned_away,
        handshakes_failed: a.handshakes_failed + b.handshakes_failed,
        accepted: a.accepted + b.accepted,
        duplicates: a.duplicates + b.duplicates,
        rejected: a.rejected + b.rejected,
        deferred: a.deferred + b.deferred,
        errors: a.errors + b.errors,
        plaintext_payload_bytes: a.plaintext_payload_bytes + b.plaintext_payload_bytes,
        logins_failed: a.logins_failed + b.logins_failed,
        injections: a.injections + b.injections,
    }
}

/// Reports of waiting mails that are decoded before any goes on: a sample's worth for each of two busy
/// devices, and a few milliseconds of decoding, which the first of them waits.
const TOGETHER: usize = 2 * wire::payload::MAX_REPORTS;
/// Nor are more mails taken together than this many bytes, which are all in memory.
const TOGETHER_BYTES: usize = 1 << 20;

/// Everything the service needs; cloned for each start.
#[derive(Clone)]
pub struct Mailbox {
    /// This node.
    pub me: NodeId,
    /// Name of the cluster, by which its own alert mails are known when they come back.
    pub cluster: String,
    /// Grows with each start of the process.
    pub incarnation: u64,
    /// Who opens the door.
    pub door: Arc<dyn MailDoor>,
    /// What is taken at it.
    pub config: Arc<dyn Fn() -> SmtpConfig + Send + Sync>,
    /// The journal's folder.
    pub dir: PathBuf,
    /// Keys that the journal is sealed with.
    pub keys: Arc<JournalKeys>,
    /// Known devices.
    pub directory: Arc<Directory>,
    /// The operator's own formats.
    pub formats: Arc<Formats>,
    /// Where reports go.
    pub space: Arc<SealedSpace>,
    /// Where digests go.
    pub ledger: Ledger,
    /// Where the rest goes.
    pub quarantine: Arc<Quarantine>,
    /// Is this node a former member? Nothing that it takes then would be accounted for.
    pub removed: watch::Receiver<bool>,
    /// Counters.
    pub board: Arc<Board>,
    /// The door's counters.
    pub counts: Arc<DoorCounts>,
    /// For what comes in without a connection.
    pub hatch: Arc<Hatch>,
}

impl Mailbox {
    /// Runs until stopped.
    pub async fn run(self, mut stop: StopSignal) -> Result<(), ServiceError> {
        let (sink, mut stored, recovery) =
            JournalSink::open(&self.dir, self.sealed_journal()).await?;
        if let Some(torn) = recovery.torn_tail {
            tracing::warn!(
                "the mail journal ended in an unfinished record, which was never acknowledged: {torn:?}"
            );
        }
        let config = (self.config)();
        let devices = Arc::clone(&config.policy.devices);
        let server = self.door.open(config, sink.clone()).await?;
        let (counters, pending) = (server.counters(), sink.clone());
        let attached = self
            .counts
            .attach(Box::new(move || (counters.read(), pending.pending())));
        tracing::info!("gear delivers at {}", server.local_addr());
        let mut removed = self.removed.clone();
        let outcome = tokio::select! {
            outcome = self.work_off(&sink, &mut stored, &devices, &mut stop) => Some(outcome),
            Ok(_) = removed.wait_for(|removed| *removed) => None,
        };
        // A session holds the journal; the next start needs it.
        server.shutdown().await;
        drop(attached);
        match outcome {
            Some(outcome) => outcome,
            None => {
                tracing::info!("this node is removed: its door for gear is closed");
                stop.stopped().await;
                Ok(())
            }
        }
    }

    fn sealed_journal(&self) -> JournalSinkOptions {
        JournalSinkOptions {
            journal: JournalOptions {
                cipher: Some(self.keys.clone()),
                ..JournalOptions::default()
            },
            ..JournalSinkOptions::default()
        }
    }

    async fn work_off(
        &self,
        sink: &Arc<JournalSink>,
        stored: &mut mpsc::Receiver<Stored>,
        devices: &Devices,
        stop: &mut StopSignal,
    ) -> Result<(), ServiceError> {
        let mut log = IngestLog::new(self.me.clone(), Source::Mail);
        let recorded = tokio::select! {
            () = stop.stopped() => return Ok(()),
            recorded = self.recorded() => recorded?,
        };
        let begun = sink.journal().processed() > 0;
        let numbers = blocking::in_place(|| Numbering::of(&self.dir, begun, recorded))?;
        let _hatch = self.hatch.open(sink.clone(), numbers);
        let (acts, recording) = mpsc::channel::<(Act, u64)>(1);
        // Ends with this function, however that ends: it holds the journal.
        let mut recorder = JoinSet::new();
        recorder.spawn(record(self.ledger.clone(), sink.clone(), recording));
        let mut last = 0;
        let mut period = tokio::time::interval(ingest::PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.stopped() => return Ok(()),
                _ = period.tick() => {
                    if sink.journal().is_failed() {
                        // A sync failed for another reason than a full disk: only reading the files
                        // anew tells what is safe. The supervisor restarts us.
                        return Err("the mail journal failed and must be opened again".into());
                    }
                    // One act is under way at most; while it waits for the ledger the batch grows.
                    if let Ok(permit) = acts.try_reserve()
                        && let Some(act) = log.take()
                    {
                        permit.send((act, last));
                    }
                }
                mail = stored.recv() => {
                    let Some(mail) = mail else { return Err("the mail journal has closed its hand-over".into()) };
                    let (mut reports, mut bytes, mut next) = (Vec::new(), 0, Some(mail));
                    // A single mail goes on at once; what has queued up behind it goes along.
                    while let Some(mail) = next.take() {
                        last = mail.seq;
                        let number = numbers.number(mail.seq);
                        if number > recorded {
                            log.add(number, &mail.mail.data);
                        }
                        bytes += mail.mail.data.len();
                        self.process(number, mail.mail, devices, &mut reports)?;
                        if reports.len() < TOGETHER && bytes < TOGETHER_BYTES {
                            next = stored.try_recv().ok();
                        }
                    }
                    self.space.publish_all(reports).await?;
                }
            }
        }
    }

    /// Up to where the ledger knows this journal already: that must not be counted again. Known
    /// for certain only once this very start of the node is on the ledger, behind everything that
    /// the former one proposed. Mail is accepted meanwhile. If what the ledger knows is a greater
    /// number, this start has no place there and ends ([`crate::incarnation`]).
    async fn recorded(&self) -> Result<u64, ServiceError> {
        let mut views = self.ledger.watch();
        let up = |view: &View| {
            view.state
                .members
                .get(&self.me)
                .is_some_and(|member| member.incarnation == self.incarnation)
        };
        let view = views.wait_for(up).await?;
        Ok(view
            .state
            .ingest
            .get(&(self.me.clone(), Source::Mail))
            .map_or(0, |total| total.last))
    }

    /// As whose the mail is read: who has shown to be whom needs no address to say so.
    fn sender<'a>(&'a self, mail: &'a StoredMail) -> &'a str {
        mail.device
            .as_ref()
            .and_then(|shown| self.directory.get(&shown.id))
            .and_then(|device| device.addresses.first())
            .or(mail.reverse_path.as_ref())
            .map_or("<>", String::as_str)
    }

    /// Decodes a mail into `reports`, or puts it into quarantine.
    fn process(
        &self,
        seq: u64,
        mail: StoredMail,
        devices: &Devices,
        reports: &mut Vec<Entered>,
    ) -> Result<(), ServiceError> {
        if mail.reverse_path.is_none()
            && let Some(notification) = bounce::read(&mail.data, &self.cluster)
        {
            postman::returned(&self.board, notification);
            return Ok(());
        }
        let arrival = UnixMillis(mail.end_of_data.0 / 1_000);
        let sender = self.sender(&mail);
        let accepted = Accepted {
            node: &self.me,
            seq,
            arrival,
            sender,
            raw: &mail.data,
        };
        let decoded = self
            .formats
            .decode(&self.directory, accepted)
            .map_err(|refused| refused.to_string())
            .and_then(|reports| proven(shown(&mail), &reports, devices).map(|()| reports));
        match decoded {
            Ok(decoded) => {
                let at_ns =
                    i64::try_from(mail.end_of_data.0.saturating_mul(1_000)).unwrap_or(i64::MAX);
                reports.extend(decoded.into_iter().map(|report| Entered { report, at_ns }));
            }
            Err(refused) => {
                tracing::info!("mail {seq} from {sender} goes to quarantine: {refused}");
                let item = Quarantined {
                    at: arrival,
                    source: Source::Mail,
                    position: seq.to_string(),
                    sender: sender.to_owned(),
                    reason: refused,
                    shown: shown(&mail).cloned(),
                    raw: mail.data,
                };
                self.quarantine.put(item)?;
                // Counted is only what can be looked at.
                self.board.count.mail_quarantined.fetch_add(1, Relaxed);
            }
        }
        Ok(())
    }
}

/// The device that a mail was shown to be from, if that can be trusted.
fn shown(mail: &StoredMail) -> Option<&DeviceId> {
    let device = mail.device.as_ref().filter(|_| mail.is_trusted());
    device.map(|device| &device.id)
}

/// Whoever has to show who it is, and has not, is not believed: the header of a message names whom it
/// likes.
pub(crate) fn proven(
    shown: Option<&DeviceId>,
    reports: &[Report],
    devices: &Devices,
) -> Result<(), String> {
    for report in reports {
        let is_shown = shown.is_some_and(|shown| *shown == report.device);
        if !is_shown && devices.must_prove(report.device.as_str()) {
            return Err(format!(
                "device {} has a password, certificate or key, and this mail came without",
                report.device
            ));
        }
    }
    Ok(())
}

/// Puts one act after the other onto the ledger, then moves the journal's mark.
async fn record(ledger: Ledger, sink: Arc<JournalSink>, mut acts: mpsc::Receiver<(Act, u64)>) {
    while let Some((act, last)) = acts.recv().await {
        if mistakes::on(Mistake::WatermarkEarly) {
            mark(&sink, last).await;
        }
        ingest::record(&ledger, act).await;
        mark(&sink, last).await;
    }
}

async fn mark(sink: &JournalSink, last: u64) {
    if let Err(error) = sink.mark_processed(last).await {
        tracing::warn!("the mail journal's mark stays behind: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{KnownDevice, Proof};

    #[test]
    fn who_has_to_show_who_it_is_is_not_believed_without() {
        let devices = Devices::new([
            edge::smtp::Device {
                id: "ups-1".to_owned(),
                certificate: Some([7; 32]),
                ..Default::default()
            },
            edge::smtp::Device {
                id: "pdu-1".to_owned(),
                ..Default::default()
            },
        ]);
        let report = |device: &str| Report {
            device: device.into(),
            room: "hall".into(),
            class: "ups".to_owned(),
            device_time: None,
            arrival: UnixMillis(1),
            readings: Vec::new(),
            event: None,
            origin: wire::Origin::Mail {
                node: "node-1".into(),
                seq: 1,
                part: 0,
            },
        };
        let shown = |device: &str, proof| {
            Some(KnownDevice {
                id: device.into(),
                proof,
                counter: None,
            })
        };
        let table = [
            (None, "ups-1", false),
            (None, "pdu-1", true),
            (shown("ups-1", Proof::Certificate), "ups-1", true),
            (shown("pdu-1", Proof::Address), "ups-1", false),
            (shown("pdu-1", Proof::Address), "pdu-1", true),
        ];
        for (device, reported, believed) in table {
            let mail = StoredMail {
                reverse_path: None,
                forward_paths: Vec::new(),
                helo: String::new(),
                peer: std::net::Ipv4Addr::LOCALHOST.into(),
                tls: true,
                profile: None,
                end_of_data: wire::UnixMicros(1),
                data: Vec::new(),
                device: device.clone(),
            };
            let verdict = proven(super::shown(&mail), &[report(reported)], &devices);
            assert_eq!(verdict.is_ok(), believed, "{device:?} {reported}");
        }
    }

    #[test]
    fn a_door_that_closed_is_counted_and_lets_go_of_its_journal() {
        let counts = Arc::new(DoorCounts::default());
        for run in 1..=2 {
            let journal = Arc::new(());
            let held = journal.clone();
            let attached = counts.attach(Box::new(move || {
                let _ = &held;
                let door = SmtpCounts {
                    accepted: 3,
                    open: 1,
                    ..SmtpCounts::default()
                };
                (door, 7)
            }));
            let (door, pending) = counts.read();
            assert_eq!((door.accepted, door.open, pending), (3 * run, 1, 7));
            drop(attached);
            let (door, pending) = counts.read();
            assert_eq!((door.accepted, door.open, pending), (3 * run, 0, 0));
            assert_eq!(Arc::strong_count(&journal), 1);
        }
    }
}
