use super::{ALIGN_MAX, HEADER, MAX_ENCODED, Member};

/// Why bytes are not a value of the type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XcdrError {
    /// Another representation.
    #[error("the first bytes are {found:02x?} instead of {HEADER:02x?} (DELIMITED_CDR2_LE)")]
    Header {
        /// What they are.
        found: Vec<u8>,
    },
    /// Over [`MAX_ENCODED`].
    #[error("{len} bytes are over the limit of {MAX_ENCODED}")]
    TooLarge {
        /// Length found.
        len: usize,
    },
    /// A member ends behind the end of what it is in.
    #[error("{wanted} bytes at {at} reach over the end at {end}")]
    Short {
        /// Where it begins.
        at: usize,
        /// Its length.
        wanted: usize,
        /// Where its surrounding ends.
        end: usize,
    },
    /// More items than bytes for them.
    #[error("a sequence of {count} items in {left} bytes")]
    Sequence {
        /// Items claimed.
        count: usize,
        /// Bytes left.
        left: usize,
    },
    /// Not 0 or 1.
    #[error("a boolean of {found}")]
    Boolean {
        /// The byte.
        found: u8,
    },
    /// Not one of the IDL's.
    #[error("{found} is no {of}")]
    Enumerator {
        /// The enumeration.
        of: &'static str,
        /// The number.
        found: i32,
    },
    /// Not UTF-8, or not closed by its only NUL.
    #[error("the string at {at} is not UTF-8 with one NUL at its end")]
    Text {
        /// Where it begins.
        at: usize,
    },
    /// Something follows.
    #[error("{count} bytes too many")]
    Trailing {
        /// How many.
        count: usize,
    },
}

/// Reads members from bytes of strangers: never behind the end, and never more memory than input.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the structure that is being read ends.
    end: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, XcdrError> {
        let len = bytes.len();
        if len > MAX_ENCODED {
            return Err(XcdrError::TooLarge { len });
        }
        let header = &bytes[..len.min(HEADER.len())];
        // The options' padding count is the last byte's lowest two bits; the rest is not ours to read.
        let [id @ .., options] = header else {
            return Err(XcdrError::Header { found: Vec::new() });
        };
        let padding = usize::from(options & 3);
        let padded = bytes.len().checked_sub(padding);
        let (true, Some(end)) = (
            *id == HEADER[..3],
            padded.filter(|end| *end >= HEADER.len()),
        ) else {
            return Err(XcdrError::Header {
                found: header.to_vec(),
            });
        };
        Ok(Self {
            bytes,
            at: HEADER.len(),
            end,
        })
    }

    pub(super) fn finish(self) -> Result<(), XcdrError> {
        match self.end - self.at {
            0 => Ok(()),
            count => Err(XcdrError::Trailing { count }),
        }
    }

    fn take(&mut self, wanted: usize) -> Result<&'a [u8], XcdrError> {
        let (at, end) = (self.at, self.end);
        let to = at.checked_add(wanted).filter(|to| *to <= end);
        let to = to.ok_or(XcdrError::Short { at, wanted, end })?;
        self.at = to;
        Ok(&self.bytes[at..to])
    }

    fn align(&mut self, size: usize) -> Result<(), XcdrError> {
        let to = self.at.next_multiple_of(size.min(ALIGN_MAX));
        self.take(to - self.at).map(drop)
    }

    pub(super) fn number<const N: usize>(&mut self) -> Result<[u8; N], XcdrError> {
        self.align(N)?;
        let mut number = [0; N];
        number.copy_from_slice(self.take(N)?);
        Ok(number)
    }

    fn length(&mut self) -> Result<usize, XcdrError> {
        let length = u32::from_le_bytes(self.number()?);
        Ok(usize::try_from(length).unwrap_or(usize::MAX))
    }

    pub(super) fn string(&mut self) -> Result<&'a str, XcdrError> {
        let length = self.length()?;
        let at = self.at;
        let bytes = self.take(length)?;
        let text = match bytes {
            [text @ .., 0] if !text.contains(&0) => std::str::from_utf8(text).ok(),
            _ => None,
        };
        text.ok_or(XcdrError::Text { at })
    }

    pub(super) fn sequence<T: Member>(&mut self) -> Result<Vec<T>, XcdrError> {
        let count = self.length()?;
        let left = self.end - self.at;
        if count > left / T::LEAST.max(1) {
            return Err(XcdrError::Sequence { count, left });
        }
        // Grows with what is there: a claim costs nothing.
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(T::get(self)?);
        }
        Ok(items)
    }

    /// The next member of a structure; its default where the writer's structure ended before it.
    pub(crate) fn member<T: Member>(&mut self) -> Result<T, XcdrError> {
        if self.at == self.end {
            return Ok(T::default());
        }
        T::get(self)
    }

    fn enter(&mut self) -> Result<usize, XcdrError> {
        let length = self.length()?;
        let (at, outer) = (self.at, self.end);
        let end = at.checked_add(length).filter(|end| *end <= outer);
        self.end = end.ok_or(XcdrError::Short {
            at,
            wanted: length,
            end: outer,
        })?;
        Ok(outer)
    }

    /// Reads what stands behind its length, and passes over members that are newer than this reader.
    pub(crate) fn delimited<T>(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<T, XcdrError>,
    ) -> Result<T, XcdrError> {
        let outer = self.enter()?;
        let value = body(self)?;
        self.at = self.end;
        self.end = outer;
        Ok(value)
    }

    /// As [`delimited`](Self::delimited), for sequences, which have nothing to grow by.
    pub(super) fn delimited_exactly<T>(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<T, XcdrError>,
    ) -> Result<T, XcdrError> {
        let outer = self.enter()?;
        let value = body(self)?;
        match self.end - self.at {
            0 => self.end = outer,
            count => return Err(XcdrError::Trailing { count }),
        }
        Ok(value)
    }
}
