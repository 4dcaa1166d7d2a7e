//! One partition: record batches of version 2, kept as the bytes they came in.

use crate::codec::Code;
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes of a batch before its records.
const HEADER: usize = 61;
/// Bytes that the batch length does not count.
const LENGTH_END: usize = 12;
/// Where the checksummed part begins.
const CRC_END: usize = 21;

#[derive(Debug)]
struct Batch {
    base: i64,
    last: i64,
    max_timestamp: i64,
    data: Bytes,
}

/// The batches of a partition, the oldest first.
#[derive(Debug)]
pub(crate) struct Log {
    batches: VecDeque<Batch>,
    bytes: usize,
    retention: usize,
    next: i64,
    file: Option<LogFile>,
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: File,
    /// Bytes of whole batches.
    bytes: usize,
    /// An append failed and may have left a piece behind them.
    torn: bool,
}

impl Log {
    pub(crate) fn in_memory(retention: usize) -> Self {
        Self {
            batches: VecDeque::new(),
            bytes: 0,
            retention,
            next: 0,
            file: None,
        }
    }

    /// Reads what a former process wrote; a tail that is not a whole good batch is cut off.
    pub(crate) fn open(path: PathBuf, retention: usize) -> io::Result<Self> {
        let mut log = Self::in_memory(retention);
        let mut rest = match std::fs::read(&path) {
            Ok(data) => Bytes::from(data),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Bytes::new(),
            Err(error) => return Err(error),
        };
        let mut good = 0;
        while let Ok(batch) = split(&mut rest) {
            log.next = batch.base;
            log.push(batch);
            good = log
                .batches
                .back()
                .map_or(good, |batch| good + batch.data.len());
        }
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        file.set_len(good as u64)?;
        log.file = Some(LogFile {
            path,
            file,
            bytes: good,
            torn: false,
        });
        log.retain();
        Ok(log)
    }

    /// The oldest offset.
    pub(crate) fn start(&self) -> i64 {
        self.batches.front().map_or(self.next, |batch| batch.base)
    }

    /// The offset that the next record gets.
    pub(crate) fn end(&self) -> i64 {
        self.next
    }

    /// Appends a record set and returns the first record's offset. All of it is good or none is kept.
    pub(crate) fn append(&mut self, mut set: Bytes) -> Result<i64, Code> {
        let first = self.next;
        let mut batches = Vec::new();
        let mut next = first;
        while !set.is_empty() {
            let batch = place(split(&mut set)?, next);
            next = batch.last + 1;
            batches.push(batch);
        }
        if let Some(log_file) = &mut self.file
            && let Err(error) = log_file.append(&batches)
        {
            tracing::warn!(path = %log_file.path.display(), %error, "a record set is refused");
            return Err(Code::StorageError);
        }
        batches.into_iter().for_each(|batch| self.push(batch));
        self.retain();
        Ok(first)
    }

    /// Whole batches from the one that holds `offset`, `max` bytes of them but at least one.
    pub(crate) fn read(&self, offset: i64, max: usize) -> BytesMut {
        let first = self.batches.partition_point(|batch| batch.last < offset);
        let mut out = BytesMut::new();
        for batch in self.batches.range(first..) {
            if !out.is_empty() && out.len() + batch.data.len() > max {
                break;
            }
            out.extend_from_slice(&batch.data);
        }
        out
    }

    /// Timestamp and base offset of the first batch with a record at or after `time`.
    pub(crate) fn find(&self, time: i64) -> Option<(i64, i64)> {
        let found = self
            .batches
            .iter()
            .find(|batch| batch.max_timestamp >= time);
        found.map(|batch| (batch.max_timestamp, batch.base))
    }

    pub(crate) fn delete(self) {
        if let Some(LogFile { path, file, .. }) = self.file {
            drop(file);
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "log of a deleted topic stays");
            }
        }
    }

    fn push(&mut self, batch: Batch) {
        self.next = batch.last + 1;
        self.bytes += batch.data.len();
        self.batches.push_back(batch);
    }

    fn retain(&mut self) {
        while self.bytes > self.retention && self.batches.len() > 1 {
            if let Some(oldest) = self.batches.pop_front() {
                self.bytes -= oldest.data.len();
            }
        }
        // The file is rewritten when half of it is dead: each byte is copied about once.
        if let Some(log_file) = &mut self.file
            && log_file.bytes > 2 * self.bytes.max(self.retention)
            && let Err(error) = log_file.rewrite(&self.batches)
        {
            tracing::warn!(path = %log_file.path.display(), %error, "log is not compacted");
        }
    }
}

impl LogFile {
    /// All of them or none: behind a piece of a batch nothing would be found again, and offsets
    /// of a set that was refused are given to the next one.
    fn append(&mut self, batches: &[Batch]) -> io::Result<()> {
        self.cut_back()?;
        let whole: Vec<&[u8]> = batches.iter().map(|batch| &*batch.data).collect();
        let whole = whole.concat();
        if let Err(error) = self.file.write_all(&whole) {
            self.torn = true;
            // If this fails too, the next append tries again before it writes.
            let _ = self.cut_back();
            return Err(error);
        }
        self.bytes += whole.len();
        Ok(())
    }

    fn cut_back(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.bytes as u64)?;
            self.torn = false;
        }
        Ok(())
    }

    fn rewrite(&mut self, batches: &VecDeque<Batch>) -> io::Result<()> {
        let path = self.path.with_extension("new");
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(&path)?;
        for batch in batches {
            file.write_all(&batch.data)?;
        }
        // Opened before it has its name: what is appended to the former file would be lost.
        let file = OpenOptions::new().append(true).open(&path)?;
        std::fs::rename(&path, &self.path)?;
        self.file = file;
        self.bytes = batches.iter().map(|batch| batch.data.len()).sum();
        self.torn = false;
        Ok(())
    }
}

/// Takes one good batch off a record set.
fn split(set: &mut Bytes) -> Result<Batch, Code> {
    if set.len() < HEADER {
        return Err(Code::CorruptMessage);
    }
    if set[16] != 2 {
        return Err(Code::UnsupportedForMessageFormat);
    }
    let length =
        usize::try_from((&set[8..LENGTH_END]).get_i32()).map_err(|_| Code::CorruptMessage)?;
    if length < HEADER - LENGTH_END || set.len() - LENGTH_END < length {
        return Err(Code::CorruptMessage);
    }
    let data = set.split_to(LENGTH_END + length);
    if crc32c::crc32c(&data[CRC_END..]) != (&data[17..CRC_END]).get_u32() {
        return Err(Code::CorruptMessage);
    }
    let (last_delta, count) = ((&data[23..27]).get_i32(), (&data[57..HEADER]).get_i32());
    let base = (&data[0..8]).get_i64();
    if count < 1 || last_delta != count - 1 || !(0..=i64::MAX / 2).contains(&base) {
        return Err(Code::InvalidRecord);
    }
    Ok(Batch {
        base,
        last: base + i64::from(last_delta),
        max_timestamp: (&data[35..43]).get_i64(),
        data,
    })
}

/// Gives a batch its offsets. Base offset and leader epoch lie before the checksummed part.
fn place(batch: Batch, base: i64) -> Batch {
    let mut data = BytesMut::from(&batch.data[..]);
    data[0..8].copy_from_slice(&base.to_be_bytes());
    data[12..16].copy_from_slice(&0i32.to_be_bytes());
    Batch {
        base,
        last: base + (batch.last - batch.base),
        max_timestamp: batch.max_timestamp,
        data: data.freeze(),
    }
}

/// `{topic}-{partition}.log`, as Kafka names its folders.
pub(crate) fn file_name(dir: &Path, topic: &str, partition: usize) -> PathBuf {
    dir.join(format!("{topic}-{partition}.log"))
}
