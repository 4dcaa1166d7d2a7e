//! Live progress: a block that is redrawn in a terminal, one line every few seconds elsewhere.

use crate::observe::Observer;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often a log (not a terminal) gets a line.
const LOG_PERIOD: Duration = Duration::from_secs(5);
/// Width of the loss sparkline.
const SPARKS: usize = 40;
/// Lines are cut here: one that wraps would take two rows and spoil the redrawing.
const COLUMNS: usize = 79;

/// Shows what happens while it happens.
pub(crate) struct Progress {
    terminal: bool,
    drawn: usize,
    started: Instant,
    logged: Option<Instant>,
}

/// What gear and the operator's mailbox have seen so far.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Outside {
    pub(crate) sent: u64,
    pub(crate) accepted: u64,
    pub(crate) failed_over: u64,
    pub(crate) records_sent: u64,
    pub(crate) alert_mails: u64,
    pub(crate) clear_mails: u64,
    pub(crate) wire_packets: u64,
    pub(crate) wire_bytes: u64,
    pub(crate) wire_plaintext: u64,
}

impl Progress {
    /// Starts the clock.
    pub(crate) fn new() -> Self {
        Self {
            terminal: std::io::stdout().is_terminal(),
            drawn: 0,
            started: Instant::now(),
            logged: None,
        }
    }

    /// A lasting line: something worth remembering happened.
    pub(crate) fn say(&mut self, text: &str) {
        self.erase();
        println!("{:>6.1} s  {text}", self.started.elapsed().as_secs_f64());
    }

    /// The moving part.
    pub(crate) fn show(&mut self, observer: &Observer, outside: Outside) {
        if self.terminal {
            let lines = block(observer, outside);
            self.erase();
            let mut out = std::io::stdout().lock();
            for line in &lines {
                // A terminal that went away must not stop the demo.
                let line: String = line.chars().take(COLUMNS).collect();
                let _ = writeln!(out, "\x1b[2K{line}");
            }
            let _ = out.flush();
            self.drawn = lines.len();
        } else if self.logged.is_none_or(|at| at.elapsed() >= LOG_PERIOD) {
            self.logged = Some(Instant::now());
            println!(
                "{:>6.1} s  {}",
                self.started.elapsed().as_secs_f64(),
                line(observer, outside)
            );
        }
    }

    /// Removes the moving part.
    pub(crate) fn erase(&mut self) {
        if self.drawn > 0 {
            print!("\x1b[{}A\x1b[J", self.drawn);
            self.drawn = 0;
        }
    }
}

fn line(observer: &Observer, outside: Outside) -> String {
    let totals = observer.totals();
    let best = observer.best();
    format!(
        "mails {}/{} · records {} · dds {}→{} · rounds {} · key epoch {} · ledger {} · alerts {} ({} mailed)",
        outside.accepted,
        outside.sent,
        totals.kafka_records,
        totals.published,
        totals.received,
        best.map_or(0, |status| status.learning.closed),
        best.map_or(0, |status| status.key_epoch.0),
        best.map_or(0, |status| status.ledger.size),
        best.map_or(0, |status| status.ledger.alerts_raised),
        outside.alert_mails,
    )
}

fn block(observer: &Observer, outside: Outside) -> Vec<String> {
    let totals = observer.totals();
    let best = observer.best();
    let mut lines = vec![String::new()];
    for (name, status) in observer.answering() {
        let roles: Vec<String> = status
            .roles
            .iter()
            .map(|role| match role {
                wire::Role::Room(room) => room.to_string(),
                wire::Role::Feed(_) | wire::Role::FeedShare(_) => "feed".into(),
            })
            .collect();
        let leads = if status
            .leader
            .as_ref()
            .is_some_and(|leader| leader.as_str() == name)
        {
            "leader"
        } else {
            ""
        };
        lines.push(format!(
            "  {name:<8} {leads:<7} key epoch {:<4} links {:<2} roles {}",
            status.key_epoch.0,
            status.links.len(),
            roles.join(", ")
        ));
    }
    lines.push(format!(
        "  mail     {} sent, {} accepted, {} delivered to another node's mailbox",
        outside.sent, outside.accepted, outside.failed_over
    ));
    lines.push(format!(
        "  kafka    {} produced, {} taken",
        outside.records_sent, totals.kafka_records
    ));
    lines.push(format!(
        "  dds      {} published, {} received ({} from other nodes)",
        totals.published, totals.received, totals.received_remote
    ));
    let latency = observer
        .mail_to_dds_ms()
        .map_or(String::new(), |(p50, p99)| {
            format!("; mail → reader p50 {p50:.1} ms, p99 {p99:.1} ms")
        });
    lines.push(format!("           {} readings{latency}", totals.readings));
    if let Some(status) = best {
        let losses: Vec<f64> = status
            .learning
            .losses
            .iter()
            .map(|(_, loss)| *loss)
            .collect();
        lines.push(format!(
            "  learning {} rounds, loss {} {}",
            status.learning.closed,
            losses
                .last()
                .map_or("–".into(), |loss| format!("{loss:.4}")),
            sparkline(&losses)
        ));
        lines.push(format!(
            "  ledger   {} leaves, root {:.16}…",
            status.ledger.size, status.ledger.root
        ));
    }
    lines.push(format!(
        "  alerts   {} raised, {} cleared, {} in the operator's mailbox",
        best.map_or(0, |status| status.ledger.alerts_raised),
        best.map_or(0, |status| status.ledger.alerts_cleared),
        outside.alert_mails
    ));
    lines.push(format!(
        "  wire     {} packets looked at, {} bytes with payload in clear",
        outside.wire_packets,
        outside.wire_plaintext + totals.plaintext_payload_bytes
    ));
    lines
}

/// Values as a row of block characters, the last [`SPARKS`] of them, scaled to their own maximum.
fn sparkline(values: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let tail = &values[values.len().saturating_sub(SPARKS)..];
    let top = tail.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    tail.iter()
        .map(|value| BARS[((value / top * 7.0).round().clamp(0.0, 7.0)) as usize])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::sparkline;

    #[test]
    fn sparklines_scale_to_their_maximum_and_keep_the_tail() {
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&[7.0, 3.5, 0.0]), "█▅▁");
        assert_eq!(sparkline(&vec![1.0; 100]).chars().count(), 40);
    }
}
