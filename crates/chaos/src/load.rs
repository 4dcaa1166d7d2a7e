//! The load: gear that mails without end, and a mainframe that produces; both write down in the book
//! what they were told.

use crate::book::{Book, MailId};
use crate::brokers::PARTITIONS;
use edge::kafka::{ClientConfig, Codec, NewRecord, Producer};
use edge::mailer::{Mailer, MailerConfig, MailerError, Security};
use gear::mainframe::{Encoder, Mainframe, MainframeConfig};
use gear::{Device, Kind, State};
use runtime::clock;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use wire::Digest;

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// A mailbox that takes longer is asked no more; the next one is.
const CALL_LIMIT: Duration = Duration::from_secs(4);
/// Pause after all mailboxes failed.
const PAUSE: Duration = Duration::from_millis(200);
/// Each device mails this often: together some twenty mails a second.
const MAIL_PERIOD: Duration = Duration::from_millis(400);
/// Records go out in batches of what happened since the last one.
const RECORD_PERIOD: Duration = Duration::from_millis(200);
/// Longest time for the mails that are under way when the load ends.
const LAST_WORDS: Duration = Duration::from_secs(60);
/// What the mailbox says before a mail's number.
const STORED_AS: &str = "stored as ";

/// The devices, two a room.
pub(crate) fn devices(rooms: u8) -> Vec<(Device, Kind)> {
    let kinds = [Kind::Sensor, Kind::ApcUps];
    (1..=rooms)
        .flat_map(|room| {
            kinds.map(|kind| {
                let word = match kind {
                    Kind::Sensor => "sensor",
                    _ => "ups",
                };
                let id = format!("{word}-{room}");
                let address = format!("{id}@gear.glasshouse.example");
                (
                    Device::new(&id, &address, word, &format!("room-{room}")),
                    kind,
                )
            })
        })
        .collect()
}

/// What all senders share.
pub(crate) struct Post {
    /// By node number, from 1.
    pub(crate) mailboxes: Vec<SocketAddr>,
    pub(crate) roots: String,
    pub(crate) book: Mutex<Book>,
    /// Mails that were refused for good, which none should be.
    pub(crate) refused: Mutex<Vec<String>>,
    /// A mail's bytes, for asking about it again.
    raw: Mutex<Vec<(String, String, Vec<u8>)>>,
}

impl Post {
    pub(crate) fn new(mailboxes: Vec<SocketAddr>, roots: String) -> Self {
        Self {
            mailboxes,
            roots,
            book: Mutex::default(),
            refused: Mutex::default(),
            raw: Mutex::default(),
        }
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mailer(&self, node: u8, from: &str, to: &str) -> Result<Mailer, MailerError> {
        let address = self.mailboxes[usize::from(node) - 1];
        let host = if address.ip().is_loopback() {
            "localhost".to_owned()
        } else {
            address.ip().to_string()
        };
        Mailer::new(MailerConfig {
            host,
            port: address.port(),
            security: Security::StartTls {
                roots: self.roots.clone(),
            },
            helo: "gear.glasshouse.example".into(),
            from: from.to_owned(),
            to: vec![to.to_owned()],
            limit: CALL_LIMIT,
        })
    }

    /// One attempt; true: acknowledged.
    async fn attempt(&self, mailer: &Mailer, node: u8, mail: MailId) -> bool {
        let (from, to, raw) = {
            let raw = self.raw.lock().unwrap_or_else(PoisonError::into_inner);
            raw[mail.index()].clone()
        };
        let answer = mailer.deliver(&from, std::slice::from_ref(&to), &raw).await;
        match answer {
            Ok(text) => match text
                .split_once(STORED_AS)
                .map(|(_, number)| number.trim().parse())
            {
                Some(Ok(number)) => {
                    self.book().acknowledged(mail, node, number);
                    true
                }
                _ => {
                    self.refuse(format!(
                        "node-{node} took a mail and said {text:?} instead of its number"
                    ));
                    false
                }
            },
            Err(error @ MailerError::NotNow { .. }) => {
                tracing::debug!("node-{node}: {error}");
                false
            }
            Err(error @ (MailerError::BrokeOff { .. } | MailerError::TooSlow { .. })) => {
                tracing::debug!("node-{node}: {error}");
                self.book().uncertain(mail, node);
                false
            }
            Err(
                error @ (MailerError::Address { .. }
                | MailerError::Roots(_)
                | MailerError::Build(_)
                | MailerError::Refused { .. }),
            ) => {
                self.refuse(error.to_string());
                false
            }
        }
    }

    fn refuse(&self, text: String) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.push(text);
    }

    fn enter(&self, from: &str, to: &str, raw: Vec<u8>) -> MailId {
        // Both under the book's lock, so that their places agree.
        let mut book = self.book();
        let mail = book.send(&raw);
        let mut all = self.raw.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((from.to_owned(), to.to_owned(), raw));
        mail
    }

    /// Asks about every mail of which it is not known whether a mailbox has it, by sending it there
    /// again. Gives how many could not be settled.
    pub(crate) async fn ask_again(&self, limit: Duration) -> Result<usize, Fault> {
        let deadline = Instant::now() + limit;
        loop {
            let questions = self.book().questions();
            if questions.is_empty() || Instant::now() >= deadline {
                return Ok(questions.len());
            }
            for (mail, node) in questions {
                let (from, to) = {
                    let raw = self.raw.lock().unwrap_or_else(PoisonError::into_inner);
                    let (from, to, _) = &raw[mail.index()];
                    (from.clone(), to.clone())
                };
                let mailer = self.mailer(node, &from, &to)?;
                self.attempt(&mailer, node, mail).await;
                mailer.close().await;
                if Instant::now() >= deadline {
                    break;
                }
            }
        }
    }
}

/// Plays a device until told to stop. Each mail is sent until somebody has taken it: to the node
/// `first`, and when that one does not take it, to the others.
pub(crate) async fn gear(
    device: Device,
    kind: Kind,
    first: u8,
    post: Arc<Post>,
    stop: watch::Receiver<bool>,
) -> Result<(), Fault> {
    let count = u8::try_from(post.mailboxes.len())?;
    let mut mailers = Vec::new();
    for step in 0..count {
        let node = (first - 1 + step) % count + 1;
        mailers.push((node, post.mailer(node, &device.address, &device.mailbox)?));
    }
    let mut tick = interval(MAIL_PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = u64::from(first) << 32;
    while !*stop.borrow() {
        tick.tick().await;
        number += 1;
        let mail = gear::render(kind, &device, clock::unix_now(), State::Normal, number);
        // With an id a repeated mail can be recognised (RFC 5322 §3.6.4).
        let id = format!(
            "Message-ID: <{}.{number}@gear.glasshouse.example>\r\n",
            device.id
        );
        let raw = [id.as_bytes(), &mail.raw].concat();
        let entry = post.enter(&mail.from, &mail.to, raw);
        deliver(&post, &mailers, entry, &stop).await;
    }
    for (_, mailer) in &mailers {
        mailer.close().await;
    }
    Ok(())
}

async fn deliver(
    post: &Post,
    mailers: &[(u8, Mailer)],
    mail: MailId,
    stop: &watch::Receiver<bool>,
) {
    let mut stopped: Option<Instant> = None;
    loop {
        for (node, mailer) in mailers {
            if post.attempt(mailer, *node, mail).await {
                return;
            }
        }
        if *stop.borrow() && stopped.get_or_insert_with(Instant::now).elapsed() > LAST_WORDS {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Produces until told to stop.
pub(crate) async fn mainframe(
    client: ClientConfig,
    topic: &str,
    post: Arc<Post>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Fault> {
    let mut from = clock::unix_now();
    let mut mainframe = Mainframe::new(MainframeConfig::default());
    let encoder = Encoder::new()?;
    let mut producer = Producer::new(client, topic);
    let mut partition = 0;
    let mut tick = interval(RECORD_PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        }
        let until = clock::unix_now();
        let mut records = Vec::new();
        for transaction in mainframe.between(from, until) {
            records.push(NewRecord {
                timestamp: i64::try_from(transaction.time.0)?,
                key: Some(transaction.region.clone().into()),
                value: Some(encoder.encode(&transaction)?.into()),
                headers: Vec::new(),
            });
        }
        from = until;
        if records.is_empty() {
            continue;
        }
        let values = records.iter().map(|record| record.value.as_deref());
        let values: Vec<Digest> = values
            .map(|value| Digest::of(value.unwrap_or_default()))
            .collect();
        // A batch whose answer was lost may be on the topic twice. Only what was acknowledged is
        // in the book.
        partition = (partition + 1) % PARTITIONS;
        loop {
            match producer.send(partition, &records, Codec::None).await {
                Ok(first) => {
                    post.book().produced(partition, first, &values);
                    break;
                }
                Err(_) if *stop.borrow() => return Ok(()),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}
