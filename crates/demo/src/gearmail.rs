//! The gear: one task per device that mails what its script says, to its own mailbox first and to
//! the others when that one does not answer, as gear with several MX records would.

use crate::inventory::{ROWS_PER_MAIL, ROWS_PER_SECOND, Script};
use crate::labels::Segment;
use edge::mailer::{Mailer, MailerConfig, MailerError, Security};
use gear::fault::Injection;
use gear::host::HostSampler;
use gear::smd::Machine;
use gear::{Device, Fault, Injector, Kind, Mail, Row, State};
use runtime::clock;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Real gear gives up on a mailbox after twenty seconds; ours asks the next one much earlier.
const CALL_LIMIT: Duration = Duration::from_secs(4);
/// Longest time for one mail over all mailboxes. An election and a restart fit into it.
const MAIL_LIMIT: Duration = Duration::from_secs(30);
/// Pause after all mailboxes failed.
const PAUSE: Duration = Duration::from_millis(300);
/// Period of a generated device's reports: its day passes in a quarter of a second.
const REPORT_PERIOD: Duration = Duration::from_millis(250);
/// Samples of this host in one mail, a twentieth of a second apart.
const HOST_ROWS: usize = 5;
const HOST_PERIOD: Duration = Duration::from_millis(50);

/// What the gear has seen.
#[derive(Default, Debug)]
pub(crate) struct GearCounts {
    pub(crate) sent: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) given_up: AtomicU64,
    pub(crate) failed_over: AtomicU64,
}

/// Shared by all devices.
pub(crate) struct Post {
    pub(crate) mailboxes: Vec<SocketAddr>,
    pub(crate) roots: String,
    pub(crate) counts: GearCounts,
    pub(crate) segments: Mutex<Vec<Segment>>,
}

/// A device's connections.
struct Sender {
    post: Arc<Post>,
    mailers: Vec<Mailer>,
    stop: watch::Receiver<bool>,
}

impl Sender {
    fn new(
        post: &Arc<Post>,
        device: &Device,
        first: usize,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, MailerError> {
        let mut mailers = Vec::new();
        for index in 0..post.mailboxes.len() {
            let to = post.mailboxes[(first + index) % post.mailboxes.len()];
            mailers.push(Mailer::new(MailerConfig {
                host: "localhost".into(),
                port: to.port(),
                security: Security::StartTls {
                    roots: post.roots.clone(),
                },
                helo: "gear.glasshouse.example".into(),
                from: device.address.clone(),
                to: vec![device.mailbox.clone()],
                limit: CALL_LIMIT,
            })?);
        }
        Ok(Self {
            post: post.clone(),
            mailers,
            stop,
        })
    }

    /// Whether the demo has ended: a mail that was begun is still finished.
    fn is_done(&self) -> bool {
        *self.stop.borrow()
    }

    /// Delivers one mail to the first mailbox that takes it.
    async fn send(&self, mail: &Mail) {
        let counts = &self.post.counts;
        counts.sent.fetch_add(1, Relaxed);
        let deadline = Instant::now() + MAIL_LIMIT;
        while Instant::now() < deadline {
            for (index, mailer) in self.mailers.iter().enumerate() {
                match mailer
                    .send_raw(&mail.from, std::slice::from_ref(&mail.to), &mail.raw)
                    .await
                {
                    Ok(()) => {
                        counts.accepted.fetch_add(1, Relaxed);
                        counts.failed_over.fetch_add(u64::from(index > 0), Relaxed);
                        return;
                    }
                    Err(error) if error.is_transient() => {}
                    Err(error) => {
                        tracing::warn!("a mail of {} was refused: {error}", mail.from);
                        counts.rejected.fetch_add(1, Relaxed);
                        return;
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        counts.given_up.fetch_add(1, Relaxed);
    }
}

/// Plays a device until its script or the demo ends. `place` spreads devices over mailboxes.
pub(crate) async fn play(
    device: Device,
    script: Script,
    place: usize,
    span: Duration,
    post: Arc<Post>,
    stop: watch::Receiver<bool>,
) -> Played {
    let sender = Sender::new(&post, &device, place, stop)?;
    match script {
        Script::Host => host(&device, &sender, span).await,
        Script::Generated { kind, fails } => {
            generated(&device, kind, fails, place as u64, &sender, span).await
        }
        Script::Recorded(machine) => recorded(&device, &machine, &sender).await,
    }
}

type Played = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// When generated gear reports trouble, as shares of the span.
const REPORTED_TROUBLE: Range<f64> = 0.62..0.78;
/// When this host misbehaves: late, so that also a node that took its room over half-way has seen
/// enough of it to know what is normal.
const HOST_TROUBLE: Range<f64> = 0.82..0.97;

fn is_within(shares: &Range<f64>, elapsed: Duration, span: Duration) -> bool {
    shares.contains(&(elapsed.as_secs_f64() / span.as_secs_f64()))
}

async fn host(device: &Device, sender: &Sender, span: Duration) -> Played {
    let started = Instant::now();
    let mut sampler = HostSampler::start(clock::unix_now())?;
    let spike = |metric: &str, size: f64| Injection {
        metric: metric.into(),
        rows: 0..u64::MAX,
        fault: Fault::Spike { size },
    };
    let mut fault = Injector::new(
        vec![spike("forks_per_s", 5_000.0), spike("cpu.iowait", 60.0)],
        1,
    );
    let mut tick = interval(HOST_PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut rows: Vec<Row> = Vec::new();
    while started.elapsed() < span && !sender.is_done() {
        tick.tick().await;
        let mut row = sampler.sample(clock::unix_now())?;
        if is_within(&HOST_TROUBLE, started.elapsed(), span) {
            fault.apply(&mut row.metrics);
        }
        rows.push(row);
        if rows.len() == HOST_ROWS {
            sender.send(&gear::mail::senml_mail(device, &rows)).await;
            rows.clear();
        }
    }
    Ok(())
}

async fn generated(
    device: &Device,
    kind: Kind,
    fails: bool,
    seed: u64,
    sender: &Sender,
    span: Duration,
) -> Played {
    let started = Instant::now();
    let mut tick = interval(REPORT_PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed = false;
    let mut number = seed << 32;
    while started.elapsed() < span && !sender.is_done() {
        tick.tick().await;
        number += 1;
        let faulty = fails && is_within(&REPORTED_TROUBLE, started.elapsed(), span);
        let state = if faulty {
            State::Failing
        } else if failed {
            State::Recovered
        } else {
            State::Normal
        };
        failed = faulty;
        sender
            .send(&gear::render(
                kind,
                device,
                clock::unix_now(),
                state,
                number,
            ))
            .await;
    }
    Ok(())
}

async fn recorded(device: &Device, machine: &Machine, sender: &Sender) -> Played {
    let period = Duration::from_secs_f64(ROWS_PER_MAIL as f64 / ROWS_PER_SECOND as f64);
    let mut tick = interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let step_ms = 1_000 / ROWS_PER_SECOND as u64;
    for rows in machine.train.chunks(ROWS_PER_MAIL) {
        tick.tick().await;
        if sender.is_done() {
            return Ok(());
        }
        for mail in gear::smd::mails(device, rows, clock::unix_now(), step_ms, ROWS_PER_MAIL) {
            sender.send(&mail).await;
        }
    }
    let mut open: Vec<Option<u64>> = vec![None; machine.segments.len()];
    for (index, rows) in machine.test.chunks(ROWS_PER_MAIL).enumerate() {
        tick.tick().await;
        if sender.is_done() {
            return Ok(());
        }
        let (first, last) = (index * ROWS_PER_MAIL, index * ROWS_PER_MAIL + rows.len());
        let before = clock::unix_now().0;
        for mail in gear::smd::mails(device, rows, clock::unix_now(), step_ms, ROWS_PER_MAIL) {
            sender.send(&mail).await;
        }
        for (segment, open) in machine.segments.iter().zip(&mut open) {
            if segment.start < last && segment.end > first {
                let from_ms = *open.get_or_insert(before);
                note(
                    &sender.post,
                    Segment {
                        device: device.id.to_string(),
                        from_ms,
                        to_ms: clock::unix_now().0,
                    },
                );
            }
        }
    }
    Ok(())
}

/// A segment grows while its rows are mailed.
fn note(post: &Post, segment: Segment) {
    let mut segments = post.segments.lock().unwrap_or_else(PoisonError::into_inner);
    let known = segments
        .iter_mut()
        .find(|known| known.device == segment.device && known.from_ms == segment.from_ms);
    match known {
        Some(known) => known.to_ms = segment.to_ms,
        None => segments.push(segment),
    }
}
