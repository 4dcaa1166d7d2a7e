//! Committed offsets, kept as a journal of lines.

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
    file: Option<File>,
}

impl Offsets {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut committed = BTreeMap::new();
        match std::fs::read_to_string(path) {
            Ok(text) => text.lines().filter_map(parse).for_each(|(key, value)| {
                committed.insert(key, value);
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // Written anew at each start: the journal grows with commits, what counts is the last of each.
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(path)?;
        for (key, value) in &committed {
            file.write_all(line(key, value).as_bytes())?;
        }
        Ok(Self {
            committed,
            file: Some(file),
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
        if let Some(file) = &mut self.file {
            file.write_all(line(&key, &value).as_bytes())?;
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
