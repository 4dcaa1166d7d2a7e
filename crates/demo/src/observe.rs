//! What the nodes say of themselves, polled once a second and added up over restarts: a killed
//! node's counters start again from zero, the house's do not.

use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use wire::status::Status;

/// A status page on loopback answers within milliseconds; one that does not is busy dying.
const ASK_LIMIT: Duration = Duration::from_secs(2);

/// Counters that are added up over nodes and over a node's lives.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub(crate) struct Totals {
    pub(crate) mails_accepted: u64,
    pub(crate) mails_rejected: u64,
    pub(crate) mails_quarantined: u64,
    pub(crate) kafka_records: u64,
    pub(crate) kafka_quarantined: u64,
    pub(crate) published: u64,
    pub(crate) received: u64,
    pub(crate) received_remote: u64,
    pub(crate) refused: u64,
    pub(crate) readings: u64,
    pub(crate) raised: u64,
    pub(crate) cleared: u64,
    pub(crate) mailed: u64,
    pub(crate) scored: u64,
    pub(crate) plaintext_payload_bytes: u64,
}

impl Totals {
    fn of(status: &Status) -> Self {
        Self {
            mails_accepted: status.mail.accepted,
            mails_rejected: status.mail.rejected,
            mails_quarantined: status.mail.quarantined,
            kafka_records: status.kafka.records,
            kafka_quarantined: status.kafka.quarantined,
            published: status.dds.published,
            received: status.dds.received,
            received_remote: status.dds.received_remote,
            refused: status.dds.refused,
            readings: status.dds.readings,
            raised: status.alerts.raised,
            cleared: status.alerts.cleared,
            mailed: status.alerts.mailed,
            scored: status.learning.scored,
            plaintext_payload_bytes: status.plaintext_payload_bytes,
        }
    }

    fn add(&mut self, other: Self) {
        self.mails_accepted += other.mails_accepted;
        self.mails_rejected += other.mails_rejected;
        self.mails_quarantined += other.mails_quarantined;
        self.kafka_records += other.kafka_records;
        self.kafka_quarantined += other.kafka_quarantined;
        self.published += other.published;
        self.received += other.received;
        self.received_remote += other.received_remote;
        self.refused += other.refused;
        self.readings += other.readings;
        self.raised += other.raised;
        self.cleared += other.cleared;
        self.mailed += other.mailed;
        self.scored += other.scored;
        self.plaintext_payload_bytes += other.plaintext_payload_bytes;
    }
}

struct Life {
    former: Vec<Status>,
    current: Option<Status>,
    answers: bool,
}

/// The observed house.
pub(crate) struct Observer {
    nodes: Vec<(String, SocketAddr)>,
    lives: BTreeMap<String, Life>,
}

impl Observer {
    /// Over nodes and their status addresses.
    pub(crate) fn new(nodes: Vec<(String, SocketAddr)>) -> Self {
        let lives = nodes
            .iter()
            .map(|(name, _)| {
                (
                    name.clone(),
                    Life {
                        former: Vec::new(),
                        current: None,
                        answers: false,
                    },
                )
            })
            .collect();
        Self { nodes, lives }
    }

    /// Asks every node once.
    pub(crate) async fn poll(&mut self) {
        let asks = self
            .nodes
            .clone()
            .into_iter()
            .map(|(name, address)| async move {
                let answer = tokio::task::spawn_blocking(move || ask(address))
                    .await
                    .ok()
                    .flatten();
                (name, answer)
            });
        for (name, answer) in futures::future::join_all(asks).await {
            self.note(&name, answer);
        }
    }

    fn note(&mut self, name: &str, answer: Option<Status>) {
        let Some(life) = self.lives.get_mut(name) else {
            return;
        };
        life.answers = answer.is_some();
        if let Some(status) = answer {
            if let Some(before) = life
                .current
                .take_if(|before| status.uptime_s < before.uptime_s)
            {
                life.former.push(before);
            }
            life.current = Some(status);
        }
    }

    /// The last status of each node that answers right now.
    pub(crate) fn answering(&self) -> impl Iterator<Item = (&str, &Status)> {
        self.lives
            .iter()
            .filter(|(_, life)| life.answers)
            .filter_map(|(name, life)| Some((name.as_str(), life.current.as_ref()?)))
    }

    /// Every status ever seen last in a life.
    pub(crate) fn all_lives(&self) -> impl Iterator<Item = &Status> {
        self.lives
            .values()
            .flat_map(|life| life.former.iter().chain(&life.current))
    }

    /// Sums over nodes and lives.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.all_lives()
            .for_each(|status| totals.add(Totals::of(status)));
        totals
    }

    /// The view of the node that knows most of the ledger.
    pub(crate) fn best(&self) -> Option<&Status> {
        self.answering()
            .map(|(_, status)| status)
            .max_by_key(|status| status.ledger.size)
    }

    /// Latency from mail to data space over all nodes and lives, in milliseconds: (p50, p99).
    pub(crate) fn mail_to_dds_ms(&self) -> Option<(f64, f64)> {
        let mut merged = Histogram::<u64>::new(3).ok()?;
        for status in self.all_lives() {
            for &(micros, count) in &status.dds.mail_to_dds_us {
                merged.record_n(micros, count).ok()?;
            }
        }
        let ms = |quantile| merged.value_at_quantile(quantile) as f64 / 1_000.0;
        (!merged.is_empty()).then(|| (ms(0.5), ms(0.99)))
    }
}

fn ask(address: SocketAddr) -> Option<Status> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(ASK_LIMIT))
        .build()
        .into();
    agent
        .get(format!("http://{address}/status.json"))
        .call()
        .ok()?
        .body_mut()
        .read_json()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(uptime_s: f64, accepted: u64) -> Status {
        let mut status = Status {
            uptime_s,
            ..Status::default()
        };
        status.mail.accepted = accepted;
        status
    }

    #[test]
    fn counters_survive_a_restart_and_a_silent_node_keeps_its_last_word() {
        let mut observer = Observer::new(vec![("a".into(), ([127, 0, 0, 1], 1).into())]);
        observer.note("a", Some(status(1.0, 5)));
        observer.note("a", Some(status(2.0, 8)));
        assert_eq!(observer.totals().mails_accepted, 8);
        observer.note("a", None);
        assert_eq!(observer.totals().mails_accepted, 8);
        assert_eq!(observer.answering().count(), 0);
        observer.note("a", Some(status(0.5, 3)));
        assert_eq!(observer.totals().mails_accepted, 11);
        assert_eq!(observer.answering().count(), 1);
    }

    #[test]
    fn latencies_of_all_lives_are_merged() {
        let mut observer = Observer::new(vec![("a".into(), ([127, 0, 0, 1], 1).into())]);
        assert_eq!(observer.mail_to_dds_ms(), None);
        let mut first = status(5.0, 0);
        first.dds.mail_to_dds_us = vec![(1_000, 99)];
        observer.note("a", Some(first));
        let mut second = status(1.0, 0);
        second.dds.mail_to_dds_us = vec![(50_000, 1)];
        observer.note("a", Some(second));
        let (p50, p99) = observer.mail_to_dds_ms().unwrap();
        assert!((0.99..1.01).contains(&p50), "{p50}");
        assert!(p99 < 2.0, "{p99}");
    }
}
