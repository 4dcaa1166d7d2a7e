//! How records lie in what arrives: one after the other, or each behind its length.
//!
//! z/OS DFSMS Using Data Sets, "Variable-length record formats": a record descriptor word (RDW) holds
//! the length of record and word in two bytes and, in two more, nothing but for spanned records; a block
//! descriptor word (BDW) the same for a block of records.

use super::{Copybook, RecordError, Row};
use crate::ebcdic::CodePage;

/// Bytes of a descriptor word.
const WORD: usize = 4;
/// In a BDW: the length has 31 bits.
const LARGE_BLOCK: u8 = 0x80;

/// How records are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Framing {
    /// By the copybook's length, or where the tables of a record end.
    #[default]
    Fixed,
    /// By a record descriptor word before each.
    Rdw,
    /// By record descriptor words, in blocks with a block descriptor word before each.
    Bdw,
}

/// A name of a framing that is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("framing {0:?} is unknown; known are \"fixed\", \"rdw\" and \"bdw\"")]
pub struct UnknownFraming(pub String);

impl std::str::FromStr for Framing {
    type Err = UnknownFraming;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "fixed" => Ok(Self::Fixed),
            "rdw" => Ok(Self::Rdw),
            "bdw" => Ok(Self::Bdw),
            _ => Err(UnknownFraming(text.to_owned())),
        }
    }
}

/// Where a record stands in what arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Which record, from 1.
    pub record: usize,
    /// Its first byte (behind the descriptor word), from 0.
    pub offset: usize,
    /// Its bytes, as far as they are there.
    pub len: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "record {} at byte {}", self.record, self.offset)
    }
}

/// Why a record could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// The copybook refuses it.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// There is nothing.
    #[error("there are no bytes")]
    Empty,
    /// Too few bytes for a descriptor word.
    #[error(
        "{found} bytes are left, too few for a descriptor word of 4; what follows cannot be read"
    )]
    Cut {
        /// How many.
        found: usize,
    },
    /// A length that cannot be.
    #[error(
        "the descriptor word says {length} bytes, itself included, and {left} are left; what follows cannot be read"
    )]
    Length {
        /// What it says.
        length: usize,
        /// What there is.
        left: usize,
    },
    /// A segment of a spanned record.
    #[error(
        "the record descriptor word has segment bits X'{bits:02X}': spanned records are not supported; write the data set as VB"
    )]
    Spanned {
        /// Third byte of the word.
        bits: u8,
    },
}

/// Reads every record of `bytes` and hands it to `each`, in order: the row if it could be read, the
/// reason otherwise. After a broken record of known length the next one is read; where the length is not
/// known, the rest is the broken one.
pub fn read_all(
    copybook: &Copybook,
    page: CodePage,
    framing: Framing,
    bytes: &[u8],
    row: &mut Row,
    each: &mut dyn FnMut(Place, Result<&Row, FrameError>),
) {
    let mut walk = Walk {
        copybook,
        page,
        row,
        each,
        record: 0,
    };
    match framing {
        _ if bytes.is_empty() => walk.refuse(0, 0, FrameError::Empty),
        Framing::Fixed => walk.bare(bytes),
        Framing::Rdw => walk.described(bytes, 0),
        Framing::Bdw => walk.blocks(bytes),
    }
}

struct Walk<'a> {
    copybook: &'a Copybook,
    page: CodePage,
    row: &'a mut Row,
    each: &'a mut dyn FnMut(Place, Result<&Row, FrameError>),
    record: usize,
}

impl Walk<'_> {
    fn place(&mut self, offset: usize, len: usize) -> Place {
        self.record += 1;
        Place {
            record: self.record,
            offset,
            len,
        }
    }

    fn refuse(&mut self, offset: usize, len: usize, error: FrameError) {
        let place = self.place(offset, len);
        (self.each)(place, Err(error));
    }

    fn whole(&mut self, offset: usize, record: &[u8]) {
        let place = self.place(offset, record.len());
        match self.copybook.read_whole(self.page, record, self.row) {
            Ok(()) => (self.each)(place, Ok(self.row)),
            Err(error) => (self.each)(place, Err(error.into())),
        }
    }

    fn bare(&mut self, bytes: &[u8]) {
        let length = self.copybook.record_len();
        if self.copybook.is_fixed() {
            // What is only a little longer than one record is one that is over-long, not two.
            if bytes.len() < 2 * length {
                return self.whole(0, bytes);
            }
            for (index, record) in bytes.chunks(length).enumerate() {
                self.whole(index * length, record);
            }
            return;
        }
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match self.copybook.read(self.page, rest, self.row) {
                Ok(taken) => {
                    let place = self.place(at, taken);
                    (self.each)(place, Ok(self.row));
                    at += taken;
                }
                // Where the record ends is not known.
                Err(error) => return self.refuse(at, rest.len(), error.into()),
            }
        }
    }

    fn described(&mut self, bytes: &[u8], base: usize) {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let Some(word) = rest.first_chunk::<WORD>() else {
                let found = rest.len();
                return self.refuse(base + at, found, FrameError::Cut { found });
            };
            let length = usize::from(u16::from_be_bytes([word[0], word[1]]));
            let Some(record) = rest.get(WORD..length) else {
                let left = rest.len();
                return self.refuse(base + at, left, FrameError::Length { length, left });
            };
            match word[2] {
                0 => self.whole(base + at + WORD, record),
                bits => self.refuse(base + at + WORD, record.len(), FrameError::Spanned { bits }),
            }
            at += length;
        }
    }

    fn blocks(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let Some(word) = rest.first_chunk::<WORD>() else {
                let found = rest.len();
                return self.refuse(at, found, FrameError::Cut { found });
            };
            let length = match word[0] & LARGE_BLOCK {
                0 => usize::from(u16::from_be_bytes([word[0], word[1]])),
                _ => (u32::from_be_bytes(*word) & 0x7FFF_FFFF) as usize,
            };
            let Some(block) = rest.get(WORD..length) else {
                let left = rest.len();
                return self.refuse(at, left, FrameError::Length { length, left });
            };
            self.described(block, at + WORD);
            at += length;
        }
    }
}
