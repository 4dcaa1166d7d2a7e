//! Decides which mails there are and when they go.

use super::gathered::Gathered;
use super::queue::{About, Queue};
use super::{Answer, Event, Letter, Progress, Settings, Subject, raised_id, text};
use machine::{Instant, Machine};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use wire::{Alert, AlertKind, Severity, UnixMillis};

/// Longest a digest gathers in a storm that does not end: an operator who hears nothing for longer
/// takes it for over.
const MAX_WINDOW: Duration = Duration::from_secs(15 * 60);
/// Leaves mailed alone while a digest is not through. A relay that takes everything but the digest
/// could otherwise make the kept progress grow for days.
const MAX_APART: usize = 256;
/// Kinds of alerts of devices remembered as told: some for each of a thousand devices. Beyond
/// them a repetition is mailed like a first one.
const MAX_TOLD: usize = 4_096;

/// What the postman learns.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// A leaf that took effect, from the first one on, in order.
    Leaf {
        /// Where it stands.
        index: u64,
        /// Whether this node put it there: then its mail is ours to send.
        mine: bool,
        /// What it says of alerts, if anything.
        event: Option<Event>,
    },
    /// What the relay said to the mail that was posted.
    Answered(Answer),
}

/// What the shell must do, in this order.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Make durable, before anything that follows.
    Keep(Progress),
    /// Give to the relay; then tell the [`Input::Answered`]. There is one at a time.
    Post(Letter),
}

/// An open alert; as many as the ledger lets be open.
#[derive(Debug)]
struct Known {
    alert: Alert,
    leaf: u64,
    /// The mail that told it.
    mail: Option<String>,
}

#[derive(Debug)]
struct Gathering {
    content: Gathered,
    since: Instant,
    /// Since when there is something in it that nobody was told before.
    fresh: Option<Instant>,
    /// Repeated alerts in it that are still open.
    again: BTreeSet<String>,
}

/// The postman of one node.
#[derive(Debug)]
pub struct Postman {
    settings: Settings,
    progress: Progress,
    kept: Progress,
    /// The first leaf not seen yet.
    next: u64,
    /// The digest that was under way at the crash ends before this leaf.
    rebuild: Option<u64>,
    known: BTreeMap<String, Known>,
    told: BTreeMap<Subject, (Instant, Severity)>,
    /// When the latest mails were begun.
    begun: VecDeque<Instant>,
    gathering: Option<Gathering>,
    /// Digests in a row, and when the last alert was gathered.
    storm: u32,
    stormy: Option<Instant>,
    queue: Queue,
}

impl Postman {
    /// Goes on from `progress`. `seed` varies the pauses between tries.
    pub fn new(settings: Settings, progress: Progress, seed: u64) -> Self {
        Self {
            settings,
            rebuild: (progress.until > progress.digested).then_some(progress.until),
            kept: progress.clone(),
            progress,
            next: 0,
            known: BTreeMap::new(),
            told: BTreeMap::new(),
            begun: VecDeque::new(),
            gathering: None,
            storm: 0,
            stormy: None,
            queue: Queue::new(seed),
        }
    }

    /// Mails not through yet, a digest that still gathers among them.
    pub fn waiting(&self) -> u64 {
        self.queue.len() as u64 + u64::from(self.gathering.is_some())
    }

    fn leaf(&mut self, now: Instant, index: u64, mine: bool, event: Option<Event>) {
        match event {
            Some(Event::Raised(alert)) => self.raised(now, index, mine, alert),
            Some(Event::Cleared { id, at }) => self.cleared(now, index, mine, &id, at),
            None => {}
        }
        self.next = index + 1;
        if self.rebuild.is_some_and(|until| self.next >= until) {
            self.rebuild = None;
            self.seal(now);
        }
        self.settle();
    }

    /// Whether this leaf needs a mail that is not decided on yet.
    fn is_new(&self, leaf: u64) -> bool {
        leaf >= self.progress.digested
            && !self.progress.apart.contains(&leaf)
            && !self.progress.waiting.contains(&leaf)
    }

    fn raised(&mut self, now: Instant, leaf: u64, mine: bool, alert: Alert) {
        let mail = Some(raised_id(leaf, &self.settings.cluster));
        let subject = Subject::of(&alert);
        if mine && self.progress.waiting.contains(&leaf) {
            // Decided on before a crash.
            self.alone(leaf, text::raised(&self.settings, leaf, &alert));
        } else if mine && self.is_new(leaf) {
            let again = self.was_told(now, &subject, alert.severity);
            if !again && self.rebuild.is_none() && self.may_go_alone(now) {
                self.tell(now, subject, alert.severity);
                self.begun.push_back(now);
                self.alone(leaf, text::raised(&self.settings, leaf, &alert));
            } else {
                if !again {
                    self.tell(now, subject, alert.severity);
                }
                let gathering = self.gather(now, !again);
                gathering.content.raised(leaf, &alert);
                if again {
                    gathering.again.insert(alert.id.clone());
                }
            }
        }
        let id = alert.id.clone();
        self.known.insert(id, Known { alert, leaf, mail });
    }

    fn cleared(&mut self, now: Instant, leaf: u64, mine: bool, id: &str, at: UnixMillis) {
        let known = self.known.remove(id).unwrap_or_else(|| stranger(id, at));
        let held = self.gathering.as_ref();
        let held = held.is_some_and(|gathering| gathering.content.holds(id));
        if mine && self.progress.waiting.contains(&leaf) {
            self.alone(leaf, self.all_clear(leaf, &known, at));
        } else if held && self.is_new(leaf) {
            // Both in one line, whoever cleared it.
            let gathering = self.gather(now, false);
            gathering.content.cleared(leaf, &known.alert, at);
            gathering.again.remove(id);
        } else if mine && self.is_new(leaf) {
            if self.rebuild.is_none() && self.may_go_alone(now) {
                self.begun.push_back(now);
                self.alone(leaf, self.all_clear(leaf, &known, at));
            } else {
                let gathering = self.gather(now, true);
                gathering.content.cleared(leaf, &known.alert, at);
            }
        }
    }

    fn all_clear(&self, leaf: u64, known: &Known, at: UnixMillis) -> Letter {
        let letter = text::cleared(&self.settings, leaf, &known.alert, known.leaf, at);
        Letter {
            in_reply_to: known.mail.clone(),
            ..letter
        }
    }

    /// A mail of its own.
    fn alone(&mut self, leaf: u64, letter: Letter) {
        self.progress.waiting.insert(leaf);
        if leaf >= self.progress.digested {
            self.progress.apart.insert(leaf);
        }
        self.queue.push(About::Leaf(leaf), letter);
    }

    /// Few enough mails lately, and no storm about.
    fn may_go_alone(&mut self, now: Instant) -> bool {
        let window = self.settings.digest_window;
        let gathering = self.gathering.as_ref();
        let fresh = gathering.is_some_and(|gathering| gathering.fresh.is_some());
        if fresh || self.stormy.is_some_and(|last| now.since(last) < window) {
            return false;
        }
        self.storm = 0;
        let over = |begun: &Instant| now.since(*begun) >= window;
        while self.begun.front().is_some_and(over) {
            self.begun.pop_front();
        }
        let most = self.settings.digest_after;
        self.begun.len() < most && self.queue.len() < most && self.progress.apart.len() < MAX_APART
    }

    fn was_told(&self, now: Instant, subject: &Subject, severity: Severity) -> bool {
        // Worse than what was told is news.
        self.told
            .get(subject)
            .is_some_and(|(at, worst)| now.since(*at) < self.settings.repeat && severity <= *worst)
    }

    fn tell(&mut self, now: Instant, subject: Subject, severity: Severity) {
        if self.told.len() >= MAX_TOLD {
            let repeat = self.settings.repeat;
            self.told.retain(|_, (at, _)| now.since(*at) < repeat);
        }
        if self.told.len() < MAX_TOLD || self.told.contains_key(&subject) {
            self.told.insert(subject, (now, severity));
        }
    }

    fn gather(&mut self, now: Instant, fresh: bool) -> &mut Gathering {
        if fresh {
            self.stormy = Some(now);
        }
        let gathering = self.gathering.get_or_insert_with(|| Gathering {
            content: Gathered::default(),
            since: now,
            fresh: None,
            again: BTreeSet::new(),
        });
        if fresh {
            gathering.fresh.get_or_insert(now);
        }
        gathering
    }

    fn window(&self) -> Duration {
        let window = self.settings.digest_window;
        let longest = MAX_WINDOW.max(window);
        let doubled = window.saturating_mul(2u32.saturating_pow(self.storm));
        doubled.min(longest)
    }

    /// When the digest is closed. News wait for one window, and so does a repeated alert that is open:
    /// the last mail about it may have said that it is over. What came and went again can wait.
    fn due(&self) -> Option<Instant> {
        if self.queue.has_digest() || self.rebuild.is_some() {
            return None;
        }
        let gathering = self.gathering.as_ref()?;
        let window = self.window();
        let news = gathering.fresh.map(|since| since + window);
        let open = (!gathering.again.is_empty()).then(|| gathering.since + window);
        let latest = gathering.since + self.settings.repeat.max(window);
        [news, open].into_iter().flatten().chain([latest]).min()
    }

    /// The digest is complete: whatever comes now is in the next one.
    fn seal(&mut self, now: Instant) {
        let Some(gathering) = self.gathering.take() else {
            return;
        };
        let content = gathering.content;
        let letter = text::digest(&self.settings, &content);
        for (id, known) in &mut self.known {
            if content.holds(id) {
                known.mail = Some(letter.id.clone());
            }
        }
        for line in &content.lines {
            self.tell(now, Subject::of(&line.alert), line.alert.severity);
        }
        if gathering.fresh.is_some() {
            self.storm = self.storm.saturating_add(1);
        }
        self.begun.push_back(now);
        self.progress.until = self.next;
        self.queue.push(About::Digest, letter);
    }

    /// Where nothing is gathered or on its way, all is dealt with.
    fn settle(&mut self) {
        if self.gathering.is_none() && !self.queue.has_digest() && self.rebuild.is_none() {
            self.progress.advance(self.next);
        }
    }

    fn answered(&mut self, now: Instant, answer: Answer, out: &mut Vec<Output>) {
        match self.queue.answered(now, answer) {
            Some(About::Leaf(leaf)) => {
                self.progress.waiting.remove(&leaf);
            }
            Some(About::Digest) => self.progress.advance(self.progress.until),
            None => return,
        }
        self.settle();
        self.keep(out);
    }

    fn keep(&mut self, out: &mut Vec<Output>) {
        if self.progress != self.kept {
            self.kept = self.progress.clone();
            out.push(Output::Keep(self.progress.clone()));
        }
    }

    fn dispatch(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.due().is_some_and(|due| due <= now) {
            self.seal(now);
        }
        if let Some(letter) = self.queue.next(now).cloned() {
            self.keep(out);
            out.push(Output::Post(letter));
        }
    }
}

/// An alert whose beginning is not on the ledger; its id says whose and what (`device/condition/opened-at`).
fn stranger(id: &str, at: UnixMillis) -> Known {
    let mut words = id.split('/');
    let device = words.next().unwrap_or(id);
    let condition = words.next().unwrap_or("alert").to_owned();
    Known {
        alert: Alert {
            id: id.to_owned(),
            device: device.into(),
            room: "?".into(),
            kind: AlertKind::Reported { condition },
            severity: Severity::Warning,
            at,
            summary: String::new(),
        },
        leaf: 0,
        mail: None,
    }
}

impl Machine for Postman {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Leaf { index, mine, event } => self.leaf(now, index, mine, event),
            Input::Answered(answer) => self.answered(now, answer, out),
        }
        self.dispatch(now, out);
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.dispatch(now, out);
    }

    fn deadline(&self) -> Option<Instant> {
        self.due().into_iter().chain(self.queue.deadline()).min()
    }
}
