//! The load: gear that mails without end, and a mainframe that produces; both write down in the book
//! what they were told.

use crate::book::{Book, MailId};
use crate::brokers::PARTITIONS;
use crate::ways::{Doors, Sender, Way, sealed};
use edge::kafka::{ClientConfig, Codec, NewRecord, Producer};
use edge::mailer::MailerError;
use gear::mainframe::{Encoder, Mainframe, MainframeConfig};
use gear::{Device, Kind, State};
use runtime::clock;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use wire::Digest;

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Pause after all mailboxes failed.
const PAUSE: Duration = Duration::from_millis(200);
/// Each device mails this often: together some twenty-five mails a second by STARTTLS, and half as many by
/// the other ways.
const MAIL_PERIOD: Duration = Duration::from_millis(400);
const OTHER_PERIOD: Duration = Duration::from_millis(1_200);
/// Records go out in batches of what happened since the last one.
const RECORD_PERIOD: Duration = Duration::from_millis(200);
/// Longest time for the mails that are under way when the load ends.
const LAST_WORDS: Duration = Duration::from_secs(60);
/// What the mailbox says before a mail's number.
const STORED_AS: &str = "stored as ";

/// A device, what kind it is of, and how it reports.
#[derive(Clone)]
pub(crate) struct Gear {
    pub(crate) device: Device,
    pub(crate) kind: Kind,
    pub(crate) way: Way,
}

/// The devices, five a room.
pub(crate) fn devices(rooms: u8) -> Vec<Gear> {
    let all = [
        ("sensor", Kind::Sensor, Way::StartTls),
        ("ups", Kind::ApcUps, Way::StartTls),
        ("pdu", Kind::PlanetPdu, Way::Login),
        ("host", Kind::Sensor, Way::Lmtp),
        ("meter", Kind::Sensor, Way::Sealed),
    ];
    (1..=rooms)
        .flat_map(|room| {
            all.map(|(word, kind, way)| {
                let id = format!("{word}-{room}");
                let address = format!("{id}@gear.glasshouse.example");
                Gear {
                    device: Device::new(&id, &address, word, &format!("room-{room}")),
                    kind,
                    way,
                }
            })
        })
        .collect()
}

/// A mail as it is sent, for asking about it again.
#[derive(Clone)]
struct Posted {
    device: String,
    from: String,
    to: String,
    way: Way,
    raw: Vec<u8>,
}

/// What all senders share.
pub(crate) struct Post {
    /// By node number, from 1.
    pub(crate) doors: Vec<Doors>,
    pub(crate) roots: String,
    pub(crate) book: Mutex<Book>,
    /// Mails that were refused for good, which none should be.
    pub(crate) refused: Mutex<Vec<String>>,
    posted: Mutex<Vec<Posted>>,
}

impl Post {
    pub(crate) fn new(doors: Vec<Doors>, roots: String) -> Self {
        Self {
            doors,
            roots,
            book: Mutex::default(),
            refused: Mutex::default(),
            posted: Mutex::default(),
        }
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sender(
        &self,
        node: u8,
        way: Way,
        device: &str,
        path: (&str, &str),
    ) -> Result<Sender, MailerError> {
        let doors = &self.doors[usize::from(node) - 1];
        Sender::new(way, device, path, doors, &self.roots)
    }

    fn posted(&self, mail: MailId) -> Posted {
        let posted = self.posted.lock().unwrap_or_else(PoisonError::into_inner);
        posted[mail.index()].clone()
    }

    /// One attempt; true: acknowledged.
    async fn attempt(&self, sender: &Sender, node: u8, mail: MailId) -> bool {
        let posted = self.posted(mail);
        let answer = sender.deliver(&posted.from, &posted.to, &posted.raw).await;
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

    /// `kept`: what a mailbox stores of it.
    fn enter(&self, posted: Posted, kept: &[u8]) -> MailId {
        // Both under the book's lock, so that their places agree.
        let mut book = self.book();
        let mail = book.send(kept);
        let mut all = self.posted.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(posted);
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
                let posted = self.posted(mail);
                let path = (posted.from.as_str(), posted.to.as_str());
                let sender = self.sender(node, posted.way, &posted.device, path)?;
                self.attempt(&sender, node, mail).await;
                sender.close().await;
                if Instant::now() >= deadline {
                    break;
                }
            }
        }
    }
}

/// Plays a device until told to stop. Each mail is sent until somebody has taken it: to the node
/// `first`, and when that one does not take it, to the others if they can.
pub(crate) async fn gear(
    gear: Gear,
    first: u8,
    post: Arc<Post>,
    stop: watch::Receiver<bool>,
) -> Result<(), Fault> {
    let Gear { device, kind, way } = gear;
    let id = device.id.as_str();
    let count = u8::try_from(post.doors.len())?;
    let mut senders = Vec::new();
    for step in 0..if way.is_for_all() { count } else { 1 } {
        let node = (first - 1 + step) % count + 1;
        let path = (device.address.as_str(), device.mailbox.as_str());
        senders.push((node, post.sender(node, way, id, path)?));
    }
    let mut tick = interval(match way {
        Way::StartTls => MAIL_PERIOD,
        Way::Login | Way::Lmtp | Way::Sealed => OTHER_PERIOD,
    });
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = u64::from(first) << 32;
    while !*stop.borrow() {
        tick.tick().await;
        number += 1;
        let now = clock::unix_now();
        let mail = gear::render(kind, &device, now, State::Normal, number);
        // With an id a repeated mail can be recognised (RFC 5322 §3.6.4).
        let name = format!("Message-ID: <{id}.{number}@gear.glasshouse.example>\r\n");
        let kept = [name.as_bytes(), &mail.raw].concat();
        let raw = match way {
            Way::StartTls | Way::Login | Way::Lmtp => kept.clone(),
            Way::Sealed => {
                let date = gear::mail::rfc5322(now);
                let header = format!("From: <{}>\r\nDate: {date}\r\n", mail.from);
                let doors = &post.doors[usize::from(first) - 1];
                sealed(id, doors, number, &header, &kept)?
            }
        };
        let posted = Posted {
            device: id.to_owned(),
            from: mail.from,
            to: mail.to,
            way,
            raw,
        };
        let entry = post.enter(posted, &kept);
        deliver(&post, &senders, entry, &stop).await;
    }
    for (_, sender) in &senders {
        sender.close().await;
    }
    Ok(())
}

async fn deliver(
    post: &Post,
    senders: &[(u8, Sender)],
    mail: MailId,
    stop: &watch::Receiver<bool>,
) {
    let mut stopped: Option<Instant> = None;
    loop {
        for (node, sender) in senders {
            if post.attempt(sender, *node, mail).await {
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
