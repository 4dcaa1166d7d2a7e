//! Records: what is encrypted, under which key, in which order. No I/O here.

use super::LinkError;
use super::cipher::{Forged, RecordCipher};
use super::ratchet::Ratchet;
use super::resolver::TAG;
use wire::KeyEpoch;

/// Largest ciphertext: the length field has 16 bits (Noise §3).
pub(super) const MAX_CIPHERTEXT: usize = u16::MAX as usize;
/// Most data in one record.
pub(super) const MAX_DATA: usize = MAX_CIPHERTEXT - TAG - 1;
/// Bytes of the length field.
pub(super) const HEADER: usize = 2;

const DATA: u8 = 0;
const HEARTBEAT: u8 = 1;
const HAVE: u8 = 2;
const MOVED: u8 = 3;
/// From level 1 on.
const DISMISSED: u8 = 4;

/// Most bytes of a dismissal's reason: a few sentences.
pub(super) const MAX_WHY: usize = 1024;

/// What a record says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Record<'a> {
    /// Bytes of the stream above.
    Data(&'a [u8]),
    /// The sender lives.
    Heartbeat,
    /// The sender holds this epoch's link secret and can read records under it.
    Have(KeyEpoch),
    /// The last record under the present key: the next one is under this epoch's.
    Moved(KeyEpoch),
    /// The receiver is no member in the sender's eyes, and why; the last record. Not sent below
    /// [`wire::Level::MEMBERSHIP`].
    Dismissed(&'a str),
}

/// Encrypts one direction.
pub(super) struct Sealer {
    cipher: RecordCipher,
    counter: u64,
    ratchet: Ratchet,
}

impl Sealer {
    pub(super) fn new(split_key: &[u8; 32], ratchet: Ratchet) -> Self {
        Self {
            cipher: RecordCipher::new(split_key),
            counter: 0,
            ratchet,
        }
    }

    /// Appends header and ciphertext to `out`. `Data` must not exceed [`MAX_DATA`].
    pub(super) fn seal(&mut self, record: Record<'_>, out: &mut Vec<u8>) -> Result<(), LinkError> {
        let counter = self.counter;
        self.counter = counter.checked_add(1).ok_or(LinkError::Exhausted)?;
        let start = out.len() + HEADER;
        out.extend([0; HEADER]);
        match record {
            Record::Data(data) => {
                assert!(data.len() <= MAX_DATA, "callers cut data to records");
                out.push(DATA);
                out.extend_from_slice(data);
            }
            Record::Heartbeat => out.push(HEARTBEAT),
            Record::Have(epoch) => control(HAVE, epoch, out),
            Record::Moved(epoch) => control(MOVED, epoch, out),
            Record::Dismissed(why) => {
                out.push(DISMISSED);
                let end = why.floor_char_boundary(MAX_WHY);
                out.extend_from_slice(&why.as_bytes()[..end]);
            }
        }
        let tag = self.cipher.seal(counter, &mut out[start..]);
        out.extend_from_slice(&tag);
        let length = u16::try_from(out.len() - start).expect("MAX_DATA keeps it within 16 bits");
        out[start - HEADER..start].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// Says `Moved` under the old key and goes on under the new one.
    pub(super) fn advance(
        &mut self,
        epoch: KeyEpoch,
        secret: &[u8; 32],
        out: &mut Vec<u8>,
    ) -> Result<(), LinkError> {
        self.seal(Record::Moved(epoch), out)?;
        self.cipher = RecordCipher::new(&self.ratchet.step(epoch, secret));
        self.counter = 0;
        Ok(())
    }
}

fn control(kind: u8, epoch: KeyEpoch, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend(epoch.0.to_be_bytes());
}

/// Decrypts one direction.
pub(super) struct Opener {
    cipher: RecordCipher,
    counter: u64,
    ratchet: Ratchet,
}

impl Opener {
    pub(super) fn new(split_key: &[u8; 32], ratchet: Ratchet) -> Self {
        Self {
            cipher: RecordCipher::new(split_key),
            counter: 0,
            ratchet,
        }
    }

    /// Decrypts one ciphertext (without its header) in place. After an error the link is dead.
    pub(super) fn open<'a>(&mut self, sealed: &'a mut [u8]) -> Result<Record<'a>, LinkError> {
        let length = sealed.len();
        if length < TAG + 1 {
            return Err(LinkError::Short { len: length });
        }
        let body = match self.cipher.open(self.counter, sealed) {
            Ok(body) => &*body,
            Err(Forged) => {
                return Err(LinkError::Decrypt {
                    number: self.counter,
                    epoch: self.ratchet.epoch(),
                });
            }
        };
        self.counter = self.counter.checked_add(1).ok_or(LinkError::Exhausted)?;
        let (kind, rest) = (body[0], &body[1..]);
        match kind {
            DATA => Ok(Record::Data(rest)),
            HEARTBEAT => Ok(Record::Heartbeat),
            HAVE => Ok(Record::Have(epoch(kind, rest)?)),
            MOVED => Ok(Record::Moved(epoch(kind, rest)?)),
            DISMISSED => match std::str::from_utf8(rest) {
                Ok(why) if why.len() <= MAX_WHY => Ok(Record::Dismissed(why)),
                Ok(_) | Err(_) => Err(LinkError::BadBody {
                    kind,
                    len: rest.len(),
                }),
            },
            _ => Err(LinkError::UnknownKind { kind }),
        }
    }

    /// Whether the peer may move to `epoch` now.
    pub(super) fn check_move(&self, to: KeyEpoch) -> Result<(), LinkError> {
        let current = self.ratchet.epoch();
        if to > current {
            Ok(())
        } else {
            Err(LinkError::Backwards { current, to })
        }
    }

    /// Goes on under the key that the peer moved to.
    pub(super) fn advance(&mut self, epoch: KeyEpoch, secret: &[u8; 32]) {
        self.cipher = RecordCipher::new(&self.ratchet.step(epoch, secret));
        self.counter = 0;
    }
}

fn epoch(kind: u8, body: &[u8]) -> Result<KeyEpoch, LinkError> {
    let bytes = body.try_into().map_err(|_| LinkError::BadBody {
        kind,
        len: body.len(),
    })?;
    Ok(KeyEpoch(u64::from_be_bytes(bytes)))
}
