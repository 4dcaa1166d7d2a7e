//! Checksummed frames: how `raft.log`, `leaves` and the small files lie on the disk.
//!
//! A frame is a header of 12 bytes — length, CRC-32C of the payload, CRC-32C over the frame's
//! offset and the first two (all little-endian) — and the payload. The header has a checksum of
//! its own so that a flipped bit in a length is not taken for a torn tail; the offset is in it so
//! that a frame in the wrong place is noticed.

use super::StoreError;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Bytes before the payload.
pub(super) const HEADER: u64 = 12;

/// Longest payload: the longest encoded value of `wire` and room for a log id.
pub(super) const MAX_PAYLOAD: u32 = (wire::codec::MAX_ENCODED + 4096) as u32;

/// What a disk writes at once, at least. A sector of zeros inside a frame was never written.
const SECTOR: u64 = 512;

fn header_crc(offset: u64, len: u32, crc: u32) -> u32 {
    let first = crc32c::crc32c(&offset.to_le_bytes());
    let second = crc32c::crc32c_append(first, &len.to_le_bytes());
    crc32c::crc32c_append(second, &crc.to_le_bytes())
}

/// Appends the frame of `payload`, which will stand at `offset` of the file, to `out`.
pub(super) fn encode(offset: u64, payload: &[u8], out: &mut Vec<u8>) {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    assert!(
        len <= MAX_PAYLOAD,
        "callers bound what they write (MAX_LEAF)"
    );
    let crc = crc32c::crc32c(payload);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&header_crc(offset, len, crc).to_le_bytes());
    out.extend_from_slice(payload);
}

/// A payload and where its frame lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) offset: u64,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    pub(super) fn end(&self) -> u64 {
        self.offset + HEADER + self.payload.len() as u64
    }
}

/// Why there is no further frame.
#[derive(Debug)]
pub(super) enum Stop {
    /// The file ends here.
    End,
    /// The last write was cut off by a crash (or is under way); nothing stands behind it.
    Torn { offset: u64 },
    /// A sector of the frame was never written, yet there is more behind it: a crash while several
    /// writes waited for the disk, or a disk that lost one.
    Hole { offset: u64, what: String },
    /// Bytes were altered.
    Damaged { offset: u64, what: String },
}

/// Reads frames from the start of a file.
pub(super) struct Frames {
    path: PathBuf,
    reader: BufReader<File>,
    offset: u64,
    len: u64,
}

impl Frames {
    /// Frames of the file at `path` up to its present length.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(StoreError::io("open", path))?;
        let len = file.metadata().map_err(StoreError::io("read", path))?.len();
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::with_capacity(1 << 16, file),
            offset: 0,
            len,
        })
    }

    pub(super) fn next(&mut self) -> Result<Result<Frame, Stop>, StoreError> {
        let path = self.path.clone();
        self.step().map_err(StoreError::io("read", &path))
    }

    fn step(&mut self) -> io::Result<Result<Frame, Stop>> {
        let offset = self.offset;
        let left = self.len - offset;
        if left == 0 {
            return Ok(Err(Stop::End));
        }
        if left < HEADER {
            return Ok(Err(Stop::Torn { offset }));
        }
        let mut header = [0; HEADER as usize];
        self.reader.read_exact(&mut header)?;
        let word = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let (len, crc) = (word(0), word(4));
        if word(8) != header_crc(offset, len, crc) || len > MAX_PAYLOAD {
            let what = "the frame's header fails its checksum".to_owned();
            let unwritten = unwritten_piece(offset, &header);
            return Ok(Err(
                if header == [0; HEADER as usize] && self.rest_is_zero()? {
                    // Some file systems extend a file before they write to it.
                    Stop::Torn { offset }
                } else if unwritten {
                    Stop::Hole { offset, what }
                } else {
                    Stop::Damaged { offset, what }
                },
            ));
        }
        if left - HEADER < u64::from(len) {
            return Ok(Err(Stop::Torn { offset }));
        }
        let mut payload = vec![0; len as usize];
        self.reader.read_exact(&mut payload)?;
        let frame = Frame { offset, payload };
        if crc32c::crc32c(&frame.payload) != crc {
            let what = "the frame's content fails its checksum".to_owned();
            return Ok(Err(if !has_unwritten_sector(&frame) {
                Stop::Damaged { offset, what }
            } else if frame.end() == self.len {
                Stop::Torn { offset }
            } else {
                Stop::Hole { offset, what }
            }));
        }
        self.offset = frame.end();
        Ok(Ok(frame))
    }

    fn rest_is_zero(&mut self) -> io::Result<bool> {
        self.reader.seek(SeekFrom::Start(self.offset))?;
        let mut chunk = [0; 4096];
        loop {
            match self.reader.read(&mut chunk)? {
                0 => return Ok(true),
                read if chunk[..read].iter().any(|byte| *byte != 0) => return Ok(false),
                _ => {}
            }
        }
    }
}

/// Is all of the header that lies in one sector zero? No frame has a header of zeros, and where a
/// sector's border cuts one the first piece begins with the length, the second holds a checksum.
fn unwritten_piece(offset: u64, header: &[u8; HEADER as usize]) -> bool {
    let first = (offset.next_multiple_of(SECTOR) - offset).min(HEADER) as usize;
    let (before, behind) = header.split_at(first);
    let zero = |piece: &[u8]| !piece.is_empty() && piece.iter().all(|byte| *byte == 0);
    zero(before) || zero(behind)
}

fn has_unwritten_sector(frame: &Frame) -> bool {
    let start = frame.offset + HEADER;
    let first = start.next_multiple_of(SECTOR);
    (first..frame.end()).step_by(SECTOR as usize).any(|sector| {
        let from = (sector - start) as usize;
        let to = frame.payload.len().min(from + SECTOR as usize);
        frame.payload[from..to].iter().all(|byte| *byte == 0)
    })
}

/// The intact frames in `bytes`, which stand at `offset` of a file, wherever they begin: what is
/// left behind a frame whose length is lost. The offset in a header's checksum keeps bytes of a
/// payload from passing for one.
pub(super) fn intact_among(offset: u64, bytes: &[u8]) -> impl Iterator<Item = Frame> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        while bytes.len() - at >= HEADER as usize {
            match intact_at(offset + at as u64, &bytes[at..]) {
                Some(frame) => {
                    at += (frame.end() - frame.offset) as usize;
                    return Some(frame);
                }
                None => at += 1,
            }
        }
        None
    })
}

fn intact_at(offset: u64, bytes: &[u8]) -> Option<Frame> {
    let (header, rest) = bytes.split_first_chunk::<{ HEADER as usize }>()?;
    let word = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let (len, crc) = (word(0), word(4));
    // The cheap question first: most bytes are no header.
    if len > MAX_PAYLOAD || len as usize > rest.len() || word(8) != header_crc(offset, len, crc) {
        return None;
    }
    let payload = &rest[..len as usize];
    (crc32c::crc32c(payload) == crc).then(|| Frame {
        offset,
        payload: payload.to_vec(),
    })
}

/// One frame at a known place.
pub(super) fn read_at(file: &File, path: &Path, offset: u64) -> Result<Vec<u8>, StoreError> {
    let mut header = [0; HEADER as usize];
    file.read_exact_at(&mut header, offset)
        .map_err(StoreError::io("read", path))?;
    let word = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let (len, crc) = (word(0), word(4));
    if word(8) != header_crc(offset, len, crc) || len > MAX_PAYLOAD {
        return Err(StoreError::damaged(
            path,
            offset,
            "the frame's header fails its checksum",
        ));
    }
    let mut payload = vec![0; len as usize];
    file.read_exact_at(&mut payload, offset + HEADER)
        .map_err(StoreError::io("read", path))?;
    if crc32c::crc32c(&payload) != crc {
        return Err(StoreError::damaged(
            path,
            offset,
            "the frame's content fails its checksum",
        ));
    }
    Ok(payload)
}

/// A file of exactly one frame: the small ones that are replaced as a whole.
pub(super) fn read_single(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    if !path.exists() {
        return Ok(None);
    }
    let mut frames = Frames::open(path)?;
    let frame = match frames.next()? {
        Ok(frame) => frame,
        // Such a file is replaced atomically, so it can be neither empty nor torn.
        Err(Stop::End | Stop::Torn { .. }) => {
            return Err(StoreError::damaged(path, 0, "it is cut off"));
        }
        Err(Stop::Damaged { offset, what } | Stop::Hole { offset, what }) => {
            return Err(StoreError::damaged(path, offset, what));
        }
    };
    match frames.next()? {
        Err(Stop::End) => Ok(Some(frame.payload)),
        Ok(_) | Err(_) => Err(StoreError::damaged(
            path,
            frame.end(),
            "there are bytes too many",
        )),
    }
}
