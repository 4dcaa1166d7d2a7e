//! What stands in the mails: plain text for a phone, the sentence first, the reasons under it.

use super::gathered::{Gathered, Group, Tally};
use super::{COLUMNS, Letter, MAX_SUBJECT, Settings, Zone, id_domain, kind, raised_id};
use mail_parser::DateTime;
use wire::{Alert, AlertKind, Severity, UnixMillis};

/// Continued lines stand a little to the right.
const INDENT: &str = "  ";
/// Longest foreign text in characters (a device's own words); the ledger has all of it.
const MAX_WORDS: usize = 500;

pub(super) fn raised(settings: &Settings, leaf: u64, alert: &Alert) -> Letter {
    let mut text = Text::default();
    text.line(&alert.summary);
    text.blank();
    what(&mut text, alert);
    match &alert.kind {
        AlertKind::Anomaly { score, because } => {
            text.line(&format!("Score: {score:.2} (threshold 1.00)"));
            for (metric, share) in because {
                text.line(&format!("- {metric}: {:.0}% of it", share * 100.0));
            }
        }
        AlertKind::Reported { condition: _ } => {}
        AlertKind::Silent { for_ms } => {
            let seconds = *for_ms as f64 / 1_000.0;
            text.line(&format!("Silent for: {seconds:.1} s"));
        }
    }
    text.moment("Since", alert.at, settings.zone);
    text.blank();
    text.line(&format!("Ledger leaf: {leaf}"));
    text.line(&format!("Alert: {}", alert.id));
    let (word, about) = (severity(alert.severity), about(alert));
    Letter {
        subject: subject(&format!("[{word}] {about}")),
        body: text.0,
        id: raised_id(leaf, &settings.cluster),
        in_reply_to: None,
        raised: 1,
        cleared: 0,
    }
}

pub(super) fn cleared(
    settings: &Settings,
    leaf: u64,
    alert: &Alert,
    raised_at: u64,
    at: UnixMillis,
) -> Letter {
    let mut text = Text::default();
    text.line(&format!("Over: {}", alert.summary));
    text.blank();
    what(&mut text, alert);
    text.moment("Since", alert.at, settings.zone);
    text.moment("Over since", at, settings.zone);
    let lasted = at.0.saturating_sub(alert.at.0) as f64 / 1_000.0;
    text.line(&format!("Lasted: {lasted:.1} s"));
    text.blank();
    text.line(&format!("Ledger leaf: {leaf} (raised at {raised_at})"));
    text.line(&format!("Alert: {}", alert.id));
    Letter {
        subject: subject(&format!("[CLEARED] {}", about(alert))),
        body: text.0,
        id: format!("cleared.{leaf}@{}", id_domain(&settings.cluster)),
        in_reply_to: None,
        raised: 0,
        cleared: 1,
    }
}

pub(super) fn digest(settings: &Settings, gathered: &Gathered) -> Letter {
    let (first, last) = gathered.leaves.unwrap_or_default();
    let Tally { raised, over } = gathered.total;
    let mut text = Text::default();
    let place = match (gathered.rooms.first(), gathered.rooms.len()) {
        (Some(room), 1) => format!("in {room}"),
        (_, rooms) => format!("in {rooms} rooms"),
    };
    let headline = match gathered.worst() {
        Some(worst) => {
            text.line(&format!(
                "{} raised {place}; {over} of them over already, {} open.",
                alerts(raised),
                raised.saturating_sub(over)
            ));
            let word = severity(worst);
            format!("[{word}] {} {place}, {over} over", alerts(raised))
        }
        None => format!("[CLEARED] {} over", alerts(gathered.ended_count)),
    };
    if gathered.ended_count > 0 {
        text.line(&format!(
            "{} of earlier mails ended.",
            alerts(gathered.ended_count)
        ));
    }
    the_worst(&mut text, settings, gathered);
    counts(&mut text, gathered);
    ended(&mut text, settings, gathered);
    text.blank();
    text.line(&format!("Ledger leaves: {first} to {last}"));
    Letter {
        subject: subject(&headline),
        body: text.0,
        id: format!("digest.{first}-{last}@{}", id_domain(&settings.cluster)),
        in_reply_to: None,
        raised,
        cleared: over + gathered.ended_count,
    }
}

fn the_worst(text: &mut Text, settings: &Settings, gathered: &Gathered) {
    if gathered.lines.is_empty() {
        return;
    }
    text.blank();
    text.line("The worst:");
    let mut named = 0;
    for line in &gathered.lines {
        named += line.times;
        let times = match line.times {
            1 => String::new(),
            times => format!(", {times} times"),
        };
        let over = line.over.map_or_else(String::new, |at| {
            format!(", over at {}", clock(at, settings.zone))
        });
        text.line(&format!(
            "- {} {}{times}, since {}{over}, leaf {}: {}",
            severity(line.alert.severity),
            about(&line.alert),
            local(line.since, settings.zone),
            line.leaf,
            line.alert.summary
        ));
    }
    let more = gathered.total.raised.saturating_sub(named);
    if more > 0 {
        text.line(&format!("- and {more} more"));
    }
}

fn counts(text: &mut Text, gathered: &Gathered) {
    // One group is told by the first line.
    if gathered.groups.len() < 2 {
        return;
    }
    text.blank();
    text.line("By severity, room and kind:");
    for (
        Group {
            severity: bad,
            room,
            kind,
        },
        Tally { raised, over },
    ) in &gathered.groups
    {
        let bad = severity(bad.0);
        text.line(&format!("- {bad} {room} {kind}: {raised}, {over} over"));
    }
    let Tally { raised, over } = gathered.others;
    if raised > 0 {
        text.line(&format!("- all others: {raised}, {over} over"));
    }
}

fn ended(text: &mut Text, settings: &Settings, gathered: &Gathered) {
    if gathered.ended.is_empty() {
        return;
    }
    text.blank();
    text.line("Over, of earlier mails:");
    for ended in &gathered.ended {
        text.line(&format!(
            "- {}, at {}, leaf {}",
            about(&ended.alert),
            local(ended.at, settings.zone),
            ended.leaf
        ));
    }
    let more = gathered.ended_count - gathered.ended.len() as u64;
    if more > 0 {
        text.line(&format!("- and {more} more"));
    }
}

fn what(text: &mut Text, alert: &Alert) {
    text.line(&format!("Device: {}", alert.device));
    text.line(&format!("Room: {}", alert.room));
    text.line(&format!("What: {}", kind(&alert.kind)));
    text.line(&format!("Severity: {}", severity(alert.severity)));
}

fn about(alert: &Alert) -> String {
    format!("{} {}: {}", alert.room, alert.device, kind(&alert.kind))
}

fn alerts(count: u64) -> String {
    match count {
        1 => "1 alert".to_owned(),
        count => format!("{count} alerts"),
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "INFO",
        Severity::Warning => "WARNING",
        Severity::Critical => "CRITICAL",
    }
}

fn subject(text: &str) -> String {
    shortened(text, MAX_SUBJECT)
}

/// On one line, without control characters, and no longer than `most` characters.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let line = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    let mut short: String = line.chars().take(most - 1).collect();
    short.push('…');
    short
}

/// `2026-11-28 23:15:02 +01:00`.
fn local(at: UnixMillis, zone: Zone) -> String {
    let minutes = zone(at);
    let (sign, of) = if minutes < 0 {
        ('-', -minutes)
    } else {
        ('+', minutes)
    };
    let civil = civil(at, minutes);
    format!("{civil} {sign}{:02}:{:02}", of / 60, of % 60)
}

fn clock(at: UnixMillis, zone: Zone) -> String {
    let civil = civil(at, zone(at));
    civil
        .split_once(' ')
        .map_or(civil.clone(), |(_, clock)| clock.to_owned())
}

fn civil(at: UnixMillis, east: i32) -> String {
    let seconds = i64::try_from(at.0 / 1_000).unwrap_or_default() + i64::from(east) * 60;
    let date = DateTime::from_timestamp(seconds);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        date.year, date.month, date.day, date.hour, date.minute, date.second
    )
}

/// Lines of at most [`COLUMNS`] columns.
#[derive(Default)]
struct Text(String);

impl Text {
    fn blank(&mut self) {
        self.0.push('\n');
    }

    /// A line, broken between words where it is too long; a word that is too long is broken anywhere.
    fn line(&mut self, text: &str) {
        let text = shortened(text, MAX_WORDS);
        let mut column = 0;
        for word in text.split(' ') {
            let mut rest: Vec<char> = word.chars().collect();
            if column > 0 && column + 1 + rest.len() > COLUMNS {
                column = self.turn();
            } else if column > 0 {
                self.0.push(' ');
                column += 1;
            }
            while column + rest.len() > COLUMNS {
                let fits = rest.drain(..COLUMNS - column);
                self.0.extend(fits);
                column = self.turn();
            }
            column += rest.len();
            self.0.extend(rest);
        }
        self.0.push('\n');
    }

    fn turn(&mut self) -> usize {
        self.0.push('\n');
        self.0.push_str(INDENT);
        INDENT.len()
    }

    fn moment(&mut self, label: &str, at: UnixMillis, zone: Zone) {
        let utc = civil(at, 0);
        let local = local(at, zone);
        if zone(at) == 0 {
            self.line(&format!("{label}: {utc} UTC"));
        } else {
            self.line(&format!("{label}: {local} ({utc} UTC)"));
        }
    }
}
