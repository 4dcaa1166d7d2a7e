//! Committed offsets, kept as a journal of lines.

use runtime::durable;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Longest metadata of a commit (Kafka's default for offset.metadata.max.bytes).
pub(crate) const MAX_METADATA: usize = 4096;

/// An offset with its committer's note.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) metadata: String,
}

/// By group, topic and partition.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    committed: BTreeMap<(String, String, i32), Committed>,
    file: Option<Journal>,
}

/// The lines on the disk.
#[derive(Debug)]
struct Journal {
    file: File,
    /// Bytes of whole lines.
    bytes: u64,
    /// An append failed and may have left a piece behind them.
    torn: bool,
}

impl Journal {
    /// A whole line or nothing: a piece would become one line with the next, and both be lost.
    fn append(&mut self, line: &str) -> io::Result<()> {
        self.cut_back()?;
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            self.torn = true;
            // If this fails too, the next append tries again before it writes.
            let _ = self.cut_back();
            return Err(error);
        }
        self.bytes += line.len() as u64;
        Ok(())
    }

    fn cut_back(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.bytes)?;
            self.torn = false;
        }
        Ok(())
    }
}

impl Offsets {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut committed = BTreeMap::new();
        match std::fs::read(path) {
            Ok(bytes) => whole_lines(&bytes)
                .lines()
                .filter_map(parse)
                .for_each(|(key, value)| {
                    committed.insert(key, value);
                }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // Written anew at each start: the journal grows with commits, what counts is the last of each.
        let text: String = committed
            .iter()
            .map(|(key, value)| line(key, value))
            .collect();
        durable::replace(path, text.as_bytes())?;
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Self {
            committed,
            file: Some(Journal {
                file,
                bytes: text.len() as u64,
                torn: false,
            }),
        })
    }

    pub(crate) fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.committed
            .get(&(group.to_owned(), topic.to_owned(), partition))
    }

    /// Topics and partitions that a group has offsets for.
    pub(crate) fn of_group(&self, group: &str) -> Vec<(String, Vec<i32>)> {
        let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for (_, topic, partition) in self.committed.keys().filter(|(of, _, _)| of == group) {
            topics.entry(topic.clone()).or_default().push(*partition);
        }
        topics.into_iter().collect()
    }

    pub(crate) fn put(
        &mut self,
        group: &str,
        topic: &str,
        partition: i32,
        value: Committed,
    ) -> io::Result<()> {
        let key = (group.to_owned(), topic.to_owned(), partition);
        if let Some(journal) = &mut self.file {
            journal.append(&line(&key, &value))?;
        }
        self.committed.insert(key, value);
        Ok(())
    }
}

fn line((group, topic, partition): &(String, String, i32), value: &Committed) -> String {
    let escape = |text: &str| {
        text.replace('\\', "\\\\")
            .replace('\t', "\\t")
            .replace('\n', "\\n")
    };
    format!(
        "{}\t{topic}\t{partition}\t{}\t{}\n",
        escape(group),
        value.offset,
        escape(&value.metadata)
    )
}

/// Without what stands behind the last line feed: a line that was cut may read like a whole one.
fn whole_lines(bytes: &[u8]) -> Cow<'_, str> {
    let end = bytes.iter().rposition(|byte| *byte == b'\n');
    String::from_utf8_lossy(&bytes[..end.map_or(0, |at| at + 1)])
}

fn parse(line: &str) -> Option<((String, String, i32), Committed)> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [group, topic, partition, offset, metadata] = fields[..] else {
        return None;
    };
    let key = (unescape(group), topic.to_owned(), partition.parse().ok()?);
    Some((
        key,
        Committed {
            offset: offset.parse().ok()?,
            metadata: unescape(metadata),
        },
    ))
}

fn unescape(text: &str) -> String {
    let mut characters = text.chars();
    let mut out = String::new();
    while let Some(c) = characters.next() {
        match c {
            '\\' => out.push(match characters.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some(other) => other,
                None => '\\',
            }),
            _ => out.push(c),
        }
    }
    out
}
