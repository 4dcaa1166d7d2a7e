use super::{ALIGN_MAX, HEADER, Member};

/// Room that saves most values from growing piece by piece.
const SMALL: usize = 256;

/// Appends members, aligned to the start of the value.
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// With the encapsulation header.
    pub(super) fn new() -> Self {
        let mut bytes = Vec::with_capacity(SMALL);
        bytes.extend_from_slice(&HEADER);
        Self { bytes }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// The header has four bytes, so an alignment to it is one to the value's start.
    fn align(&mut self, size: usize) {
        let step = size.min(ALIGN_MAX);
        self.bytes
            .resize(self.bytes.len().next_multiple_of(step), 0);
    }

    pub(super) fn number<const N: usize>(&mut self, bytes: &[u8; N]) {
        self.align(N);
        self.bytes.extend_from_slice(bytes);
    }

    /// Lengths fit: what is encoded is checked against a sample's limit, far below four gigabytes.
    pub(super) fn length(&mut self, length: usize) {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.number(&length.to_le_bytes());
    }

    /// A NUL inside cannot be carried by an IDL string: what follows it is cut off, as C would.
    pub(super) fn string(&mut self, text: &str) {
        let text = text.split('\0').next().unwrap_or_default();
        self.length(text.len() + 1);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    pub(super) fn sequence<T: Member>(&mut self, items: &[T]) {
        self.length(items.len());
        for item in items {
            item.put(self);
        }
    }

    /// `body` behind its length.
    pub(crate) fn delimited(&mut self, body: impl FnOnce(&mut Self)) {
        self.length(0);
        let start = self.bytes.len();
        body(self);
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.bytes[start - 4..start].copy_from_slice(&length.to_le_bytes());
    }
}
