//! The desk where an operator looks through the quarantine: what is understood now goes the way of
//! every mail, the rest stays with its reason.

use crate::formats::{Accepted, Formats};
use crate::mailbox::proven;
use crate::quarantine::{Quarantine, QuarantineError};
use crate::space::SealedSpace;
use base64::Engine as _;
use edge::smtp::Devices;
use runtime::{blocking, clock};
use std::sync::Arc;
use telemetry::directory::Directory;
use wire::control::{Answer, QuarantineItem, QuarantineJob};
use wire::{NodeId, Quarantined, Report, Source};

/// Items in one answer: some hundred kilobytes, and no long stop on the disk.
const PAGE: usize = 200;
/// Items tried again by one command, so that it answers in time; the next one goes on behind.
const MOST_RETRIED: usize = 1_000;

/// Everything it needs.
#[derive(Clone)]
pub struct Desk {
    /// This node.
    pub me: NodeId,
    /// Known devices.
    pub directory: Arc<Directory>,
    /// Who has to show who it is.
    pub devices: Arc<Devices>,
    /// The operator's own formats.
    pub formats: Arc<Formats>,
    /// What was set aside.
    pub quarantine: Arc<Quarantine>,
    /// Where reports go.
    pub space: Arc<SealedSpace>,
}

impl Desk {
    /// Does a job.
    pub(crate) async fn answer(&self, job: QuarantineJob) -> Answer {
        match job {
            QuarantineJob::Retry { id } => self.retry(id).await,
            other => blocking::in_place(|| at_the_shelf(&self.quarantine, &other)),
        }
    }

    async fn retry(&self, id: Option<u64>) -> Answer {
        // Who retries has usually just written a pattern file.
        if let Err(error) = blocking::in_place(|| self.formats.reload()) {
            return refused(&error);
        }
        if let Some(id) = id {
            return match self.retry_one(id).await {
                Ok(Outcome::Understood(reports)) => done(format!(
                    "Item {id} is understood now: {} of {}. It has left the quarantine.",
                    plural(reports.len(), "report"),
                    devices(&reports)
                )),
                Ok(Outcome::Stays(reason)) => Answer::Refused {
                    text: format!("item {id} stays: {reason}"),
                },
                Err(error) => Answer::Refused { text: error },
            };
        }
        let ids = self.quarantine.ids(0);
        let (mut understood, mut stay, mut first) = (0, 0, None);
        for id in ids.iter().take(MOST_RETRIED) {
            match self.retry_one(*id).await {
                Ok(Outcome::Understood(_)) => understood += 1,
                Ok(Outcome::Stays(reason)) => {
                    stay += 1;
                    first.get_or_insert(format!(" The first: item {id}: {reason}"));
                }
                Err(error) => {
                    let text = format!("{error} (item {id}; {understood} were taken before it)");
                    return Answer::Refused { text };
                }
            }
        }
        let more = ids.len().saturating_sub(MOST_RETRIED);
        let more = match more {
            0 => String::new(),
            _ => format!(" {more} newer ones were not tried; discard what is of no use first."),
        };
        let first = first.unwrap_or_default();
        done(format!(
            "{} understood now, {stay} stay.{first}{more}",
            plural(understood, "item")
        ))
    }

    /// `Err`: nothing is known about the item, for the reason said.
    async fn retry_one(&self, id: u64) -> Result<Outcome, String> {
        let read = blocking::in_place(|| self.quarantine.read(id));
        let mut item = read.map_err(|error| error.to_string())?;
        let seq = match (item.source, item.position.parse::<u64>()) {
            (Source::Mail, Ok(seq)) => seq,
            (Source::Mail, Err(_)) | (Source::Kafka, _) => {
                return Ok(Outcome::Stays(
                    "only mails can be tried again; a record's window is closed. Correct the copybook and have the record sent anew".into(),
                ));
            }
        };
        match self.decoded(seq, &item) {
            Ok(reports) => {
                // The same origin as the first time: whoever has seen it takes it for a repetition.
                for report in &reports {
                    let now = clock::unix_now_ns();
                    let published = self.space.publish(report.clone(), now).await;
                    published.map_err(|error| format!("the report was not published: {error}"))?;
                }
                let gone = blocking::in_place(|| self.quarantine.discard(id));
                gone.map_err(|error| error.to_string())?;
                tracing::info!(
                    "mail {seq} has left the quarantine, with {} reports",
                    reports.len()
                );
                Ok(Outcome::Understood(reports))
            }
            Err(reason) => {
                if item.reason != reason {
                    item.reason.clone_from(&reason);
                    let restated = blocking::in_place(|| self.quarantine.restate(id, &item));
                    restated.map_err(|error| error.to_string())?;
                }
                Ok(Outcome::Stays(reason))
            }
        }
    }

    fn decoded(&self, seq: u64, item: &Quarantined) -> Result<Vec<Report>, String> {
        let accepted = Accepted {
            node: &self.me,
            seq,
            arrival: item.at,
            sender: &item.sender,
            raw: &item.raw,
        };
        let reports = self
            .formats
            .decode(&self.directory, accepted)
            .map_err(|refused| refused.to_string())?;
        // An operator who tries it again vouches for its format, not for its sender.
        proven(item.shown.as_ref(), &reports, &self.devices)?;
        Ok(reports)
    }
}

/// What needs no more than the folder, also when the node does not run.
pub(crate) fn at_the_shelf(quarantine: &Quarantine, job: &QuarantineJob) -> Answer {
    match job {
        QuarantineJob::List { after } => list(quarantine, *after),
        QuarantineJob::Show { id } => match quarantine.read(*id) {
            Ok(item) => Answer::Quarantine {
                items: vec![shown(*id, &item, true)],
            },
            Err(error) => refused(&error),
        },
        QuarantineJob::Discard { id: Some(id) } => match quarantine.discard(*id) {
            Ok(()) => done(format!("Item {id} is removed.")),
            Err(error) => refused(&error),
        },
        QuarantineJob::Discard { id: None } => discard_all(quarantine),
        QuarantineJob::Retry { .. } => refused(
            &"an item can be tried again only by the running node, which has the keys of the data space; start it first",
        ),
    }
}

/// A damaged item must not hide the others.
fn list(quarantine: &Quarantine, after: u64) -> Answer {
    let ids = quarantine.ids(after).into_iter().take(PAGE);
    let items = ids.filter_map(|id| match quarantine.read(id) {
        Ok(item) => Some(shown(id, &item, false)),
        // Made room for a newer one meanwhile.
        Err(QuarantineError::Unknown { .. }) => None,
        Err(error) => Some(QuarantineItem {
            id,
            at: wire::UnixMillis(0),
            source: Source::Mail,
            position: "?".into(),
            sender: "?".into(),
            reason: error.to_string(),
            bytes: 0,
            raw: None,
        }),
    });
    Answer::Quarantine {
        items: items.collect(),
    }
}

fn discard_all(quarantine: &Quarantine) -> Answer {
    match quarantine.discard_all() {
        Ok(removed) => done(format!("{} removed.", plural(removed, "item"))),
        Err(error) => refused(&error),
    }
}

/// What became of a second try.
enum Outcome {
    Understood(Vec<Report>),
    Stays(String),
}

fn shown(id: u64, item: &Quarantined, whole: bool) -> QuarantineItem {
    QuarantineItem {
        id,
        at: item.at,
        source: item.source,
        position: item.position.clone(),
        sender: item.sender.clone(),
        reason: item.reason.clone(),
        bytes: item.raw.len() as u64,
        raw: whole.then(|| base64::engine::general_purpose::STANDARD.encode(&item.raw)),
    }
}

fn devices(reports: &[Report]) -> String {
    let mut names: Vec<&str> = reports
        .iter()
        .map(|report| report.device.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

fn plural(count: usize, word: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {word}{s}")
}

fn done(text: String) -> Answer {
    Answer::Done { text }
}

fn refused(error: &impl std::fmt::Display) -> Answer {
    Answer::Refused {
        text: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::UnixMillis;

    #[test]
    fn the_shelf_answers_without_a_node() {
        let dir = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::for_tests(dir.path().join("q"));
        for number in 1..=PAGE as u64 + 1 {
            let item = Quarantined {
                at: UnixMillis(number),
                source: Source::Mail,
                position: number.to_string(),
                sender: "a@b".to_owned(),
                reason: format!("reason {number}"),
                raw: b"raw".to_vec(),
                shown: None,
            };
            quarantine.put(item).unwrap();
        }
        let items = |job| match at_the_shelf(&quarantine, &job) {
            Answer::Quarantine { items } => items,
            other => panic!("{other:?}"),
        };
        let first = items(QuarantineJob::List { after: 0 });
        assert_eq!((first.len(), first[0].id, &first[0].raw), (PAGE, 1, &None));
        let rest = items(QuarantineJob::List {
            after: first[PAGE - 1].id,
        });
        assert_eq!(rest.len(), 1);
        assert!(items(QuarantineJob::List { after: rest[0].id }).is_empty());
        let whole = items(QuarantineJob::Show { id: 7 });
        assert_eq!(whole[0].raw.as_deref(), Some("cmF3"));
        std::fs::write(dir.path().join("q/0000000002.item"), b"junk").unwrap();
        let damaged = items(QuarantineJob::List { after: 1 });
        assert!(damaged[0].reason.contains("damaged"), "{:?}", damaged[0]);
        for (job, said) in [
            (QuarantineJob::Show { id: 9_999 }, "no item 9999"),
            (QuarantineJob::Discard { id: Some(1) }, "Item 1 is removed"),
            (QuarantineJob::Discard { id: Some(1) }, "no item 1"),
            (QuarantineJob::Retry { id: None }, "running node"),
            (QuarantineJob::Discard { id: None }, "200 items removed"),
        ] {
            match at_the_shelf(&quarantine, &job) {
                Answer::Done { text } | Answer::Refused { text } => {
                    assert!(text.contains(said), "{text}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(items(QuarantineJob::List { after: 0 }).is_empty());
    }
}
