//! The book of what was acknowledged, and its comparison with the ledger. Pure.
//!
//! A mailbox answers `250` with the number that the mail has in its journal, so the book knows for
//! each node which mail stands under which number. Where an answer was lost, the same mail is sent
//! to the same mailbox again at the end: it is recognised there and answered with its number, or it
//! is taken now. Either way no number is left that nobody was told of, and every digest on the
//! ledger can be computed from the book.

use ledger::Applied;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use wire::{Act, Digest, Record, Source};

/// Complaints of one kind that are told one by one; the rest are counted.
const TOLD: usize = 3;

/// A mail's place in the book.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct MailId(usize);

impl MailId {
    /// How many were entered before it.
    pub(crate) fn index(self) -> usize {
        self.0
    }
}

/// What the senders know.
#[derive(Default)]
pub(crate) struct Book {
    mails: Vec<MailEntry>,
    /// Node and number → mail.
    numbers: BTreeMap<(u8, u64), MailId>,
    /// Where on the topic → digest of the record's value.
    records: BTreeMap<Place, Digest>,
    complaints: Vec<String>,
}

struct MailEntry {
    digest: Digest,
    acknowledged: bool,
    /// Mailboxes that may have it without our knowing.
    uncertain: BTreeSet<u8>,
}

impl Book {
    /// A mail with these bytes is going to be sent.
    pub(crate) fn send(&mut self, raw: &[u8]) -> MailId {
        self.mails.push(MailEntry {
            digest: Digest::of(raw),
            acknowledged: false,
            uncertain: BTreeSet::new(),
        });
        MailId(self.mails.len() - 1)
    }

    /// The mailbox of `node` said 250 and gave it `number`.
    pub(crate) fn acknowledged(&mut self, mail: MailId, node: u8, number: u64) {
        let entry = &mut self.mails[mail.0];
        entry.acknowledged = true;
        entry.uncertain.remove(&node);
        let before = self.numbers.insert((node, number), mail);
        if before.is_some_and(|before| before != mail) {
            self.complaints
                .push(format!("node-{node} gave the number {number} to two mails"));
        }
    }

    /// No answer came from `node`; it may have the mail.
    pub(crate) fn uncertain(&mut self, mail: MailId, node: u8) {
        self.mails[mail.0].uncertain.insert(node);
    }

    /// Mails to ask about, and at whose mailbox.
    pub(crate) fn questions(&self) -> Vec<(MailId, u8)> {
        let of = |(index, entry): (usize, &MailEntry)| {
            let nodes: Vec<u8> = entry.uncertain.iter().copied().collect();
            nodes.into_iter().map(move |node| (MailId(index), node))
        };
        self.mails.iter().enumerate().flat_map(of).collect()
    }

    /// Mails that were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.mails.len() as u64
    }

    /// Mails that some mailbox has answered with 250.
    pub(crate) fn mails_acknowledged(&self) -> u64 {
        let acknowledged = self.mails.iter().filter(|entry| entry.acknowledged);
        acknowledged.count() as u64
    }

    /// The broker acknowledged a batch that begins at `first`.
    pub(crate) fn produced(&mut self, partition: i32, first: i64, values: &[Digest]) {
        for (offset, value) in (first..).zip(values) {
            if self.records.insert((partition, offset), *value).is_some() {
                self.complaints.push(format!(
                    "the broker gave the offset {offset} of partition {partition} to two records"
                ));
            }
        }
    }

    /// Records that the broker acknowledged.
    pub(crate) fn records_acknowledged(&self) -> u64 {
        self.records.len() as u64
    }
}

/// What a comparison found.
#[derive(Default, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Audit {
    /// Acknowledged mails or records.
    pub(crate) acknowledged: u64,
    /// Places on the ledger for them: journal entries of all nodes, records of the topic.
    pub(crate) accounted: u64,
    /// Accepted by two mailboxes, since the first one's answer was lost; or counted twice from the topic.
    pub(crate) repeated: u64,
    /// What is wrong.
    pub(crate) complaints: Vec<String>,
}

impl Audit {
    fn complain(&mut self, found: Vec<String>) {
        let more = found.len().saturating_sub(TOLD);
        self.complaints.extend(found.into_iter().take(TOLD));
        if more > 0 {
            self.complaints
                .push(format!("… and {more} more of this kind"));
        }
    }
}

/// An `Ingested` act about mails that counts.
struct Ingest {
    node: String,
    first: u64,
    last: u64,
    count: u64,
    digest: Digest,
}

/// A place on the topic: partition and offset.
pub(crate) type Place = (i32, i64);

/// How far an act says that a partition was read.
struct Advance {
    node: String,
    partition: i32,
    /// From the first offset up to the one before the second.
    offsets: Range<i64>,
    count: u64,
    digest: Digest,
}

fn advances(acts: &[(Record, Applied)]) -> Vec<Advance> {
    let effective = acts
        .iter()
        .filter(|(_, applied)| matches!(applied, Applied::Effective));
    let told = effective.filter_map(|(record, _)| match &record.act {
        Act::FeedAdvanced { node, advances, .. } => Some((node, advances)),
        _ => None,
    });
    let each = told.flat_map(|(node, advances)| advances.iter().map(move |one| (node, one)));
    each.map(|(node, one)| Advance {
        node: node.to_string(),
        partition: i32::try_from(one.partition).unwrap_or(i32::MAX),
        offsets: i64::try_from(one.from).unwrap_or(i64::MAX)
            ..i64::try_from(one.to).unwrap_or(i64::MAX),
        count: one.count,
        digest: one.digest,
    })
    .collect()
}

fn ingests(acts: &[(Record, Applied)]) -> Vec<Ingest> {
    let effective = acts
        .iter()
        .filter(|(_, applied)| matches!(applied, Applied::Effective));
    effective
        .filter_map(|(record, _)| match &record.act {
            Act::Ingested {
                node,
                source: Source::Mail,
                first,
                last,
                count,
                digest,
            } => Some(Ingest {
                node: node.to_string(),
                first: *first,
                last: *last,
                count: *count,
                digest: *digest,
            }),
            _ => None,
        })
        .collect()
}

/// The digest that an act must carry which covers messages with these digests.
fn together<'a>(parts: impl Iterator<Item = &'a Digest>) -> Digest {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.0);
    }
    Digest(hasher.finalize().into())
}

/// Every acknowledged mail stands on the ledger, under the number it was acknowledged with, exactly
/// once, with its digest; and nothing stands there that was not sent.
pub(crate) fn audit_mails(book: &Book, acts: &[(Record, Applied)]) -> Audit {
    let mut audit = Audit {
        acknowledged: book.mails_acknowledged(),
        ..Audit::default()
    };
    audit.complain(book.complaints.clone());
    let mut covered: BTreeMap<String, u64> = BTreeMap::new();
    let (mut gaps, mut unknown, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for act in ingests(acts) {
        let Ingest {
            node,
            first,
            last,
            count,
            digest,
        } = act;
        let before = covered.insert(node.clone(), last).unwrap_or(0);
        if first != before + 1 || count != (last + 1).saturating_sub(first) {
            gaps.push(format!(
                "{node}: an act covers {count} mails from {first} to {last}, behind {before}"
            ));
        }
        audit.accounted += count;
        let number = node
            .strip_prefix("node-")
            .and_then(|text| text.parse().ok());
        let number: u8 = number.unwrap_or(0);
        let known: Option<Vec<&Digest>> = (first..=last)
            .map(|seq| Some(&book.mails[book.numbers.get(&(number, seq))?.0].digest))
            .collect();
        match known {
            None => unknown.push(format!(
                "{node}: mails {first} to {last} include one that no sender was told of"
            )),
            Some(known) if together(known.iter().copied()) != digest => wrong.push(format!(
                "{node}: the digest of mails {first} to {last} is not that of what was sent"
            )),
            Some(_) => {}
        }
    }
    let missing = book
        .numbers
        .keys()
        .filter(|(node, number)| {
            covered
                .get(&format!("node-{node}"))
                .is_none_or(|last| number > last)
        })
        .map(|(node, number)| {
            format!("node-{node}: mail {number} was acknowledged and is not on the ledger")
        })
        .collect();
    for found in [gaps, unknown, wrong, missing] {
        audit.complain(found);
    }
    audit.repeated = (book.numbers.len() as u64).saturating_sub(audit.acknowledged);
    let open = book
        .mails
        .iter()
        .filter(|entry| !entry.acknowledged)
        .count();
    if open > 0 {
        audit.complaints.push(format!(
            "{open} mails were never acknowledged, however often they were sent"
        ));
    }
    audit
}

/// Every acknowledged record is on the topic at its place; the ledger covers every place of the topic
/// exactly once, whoever held the share; and each digest is that of the records it covers.
pub(crate) fn audit_records(
    book: &Book,
    topic: &BTreeMap<Place, Digest>,
    acts: &[(Record, Applied)],
) -> Audit {
    let mut audit = Audit {
        acknowledged: book.records_acknowledged(),
        ..Audit::default()
    };
    let named = |(partition, offset): &Place| format!("record {offset} of partition {partition}");
    let lost = book
        .records
        .iter()
        .filter(|(place, value)| topic.get(place) != Some(value))
        .map(|(place, _)| format!("{} was acknowledged and is not on the topic", named(place)))
        .collect();
    let mut covered = BTreeSet::new();
    let (mut twice, mut wrong) = (Vec::new(), Vec::new());
    for act in advances(acts) {
        let Advance {
            node,
            partition,
            offsets,
            count,
            digest,
        } = act;
        let places = (partition, offsets.start)..(partition, offsets.end.max(offsets.start));
        let range = topic.range(places.clone());
        if count != range.clone().count() as u64
            || together(range.map(|(_, value)| value)) != digest
        {
            wrong.push(format!(
                "{node}: {count} records of partition {partition} from {} to {} have another digest than on the topic",
                offsets.start, offsets.end
            ));
        }
        let again = topic
            .range(places)
            .filter(|(place, _)| !covered.insert(**place));
        twice.extend(again.map(|(place, _)| format!("{node}: {} counts twice", named(place))));
    }
    audit.accounted = covered.len() as u64;
    audit.repeated = twice.len() as u64;
    let uncovered = topic
        .keys()
        .filter(|place| !covered.contains(place))
        .map(|place| format!("{} is on the topic and not on the ledger", named(place)))
        .collect();
    for found in [lost, wrong, uncovered, twice] {
        audit.complain(found);
    }
    audit
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
