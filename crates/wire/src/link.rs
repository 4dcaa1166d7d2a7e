//! What two nodes tell each other on a link: who they are, and the wrapping of frames and calls
//! between their gateways.

use crate::{Call, DecodeError, Frame, Level, NodeId, bulk, codec};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;

/// A secret that one end of a link hands to the other inside the handshake. Mail that carries it
/// came over that link: nobody else knows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Capability(pub [u8; 16]);

impl std::fmt::Debug for Capability {
    /// Never shows the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Capability(…)")
    }
}

/// What a certificate says: this static key is used by that node during that incarnation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CertificateBody {
    /// Name of the cluster.
    pub cluster: String,
    /// The node.
    pub node: NodeId,
    /// Grows with each start of the node's process.
    pub incarnation: u64,
    /// The node's ed25519 identity key.
    pub identity: [u8; 32],
    /// The x25519 static key of this incarnation.
    pub static_key: [u8; 32],
}

/// A certificate body and the identity key's signature over it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Certificate {
    /// What is certified.
    pub body: CertificateBody,
    /// ed25519, 64 bytes, over [`Certificate::signed_bytes`].
    #[serde(with = "serde_bytes")]
    pub signature: Vec<u8>,
}

impl Certificate {
    /// The bytes a signature is over: a domain of their own, then the encoded body.
    pub fn signed_bytes(body: &CertificateBody) -> Vec<u8> {
        let mut bytes = b"glasshouse link certificate v1\0".to_vec();
        bytes.extend(crate::encode(body));
        bytes
    }
}

/// Payload of the second and third handshake message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// Who speaks.
    pub certificate: Certificate,
    /// What the other end must show with every frame and call on this link.
    pub capability: Capability,
}

/// Between gateways, one way.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Cast {
    /// A frame.
    Frame {
        /// The sender's capability at the receiver.
        capability: Capability,
        /// Counts the sender's frames on this link, from 1.
        number: u64,
        /// The frame.
        frame: Box<Frame>,
    },
    /// The receiver has handled all frames up to this number: they no longer count against the
    /// sender's window.
    Credit {
        /// The sender's capability at the receiver (of this credit).
        capability: Capability,
        /// Number of the last frame handled.
        through: u64,
    },
    /// Whatever frames were waiting, and the credit that was due: one message for all of it. From
    /// [`Level::BATCHES`](crate::Level::BATCHES) on.
    Batch {
        /// The sender's capability at the receiver.
        capability: Capability,
        /// As in `Credit`; 0: none yet.
        through: u64,
        /// Number of the first frame; the others follow without a gap.
        first: u64,
        /// The frames, in the order in which they are to be handled; [`Batch::MAX_FRAMES`] at most.
        #[serde(deserialize_with = "bounded")]
        frames: Vec<Frame>,
    },
}

impl Cast {
    /// An encoded [`Cast::Frame`], of a frame that stays with the caller.
    pub fn encode_frame(capability: Capability, number: u64, frame: &Frame) -> Vec<u8> {
        let message = codec::begin(Vec::with_capacity(Batch::HEAD + bulk::room(frame)));
        let message = codec::extend(&(FRAME_VARIANT, capability, number), message);
        bulk::put(frame, message)
    }

    /// The same of a frame that is encoded already.
    pub fn of_encoded(capability: Capability, number: u64, frame: &EncodedFrame) -> Vec<u8> {
        let message = codec::begin(Vec::with_capacity(Batch::HEAD + frame.bytes.len()));
        let mut message = codec::extend(&(FRAME_VARIANT, capability, number), message);
        message.extend_from_slice(&frame.bytes);
        message
    }

    /// As [`decode`](crate::decode), and faster where there are parameters of a model in it.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let body = codec::body(bytes)?;
        let (cast, rest) = match body.first() {
            Some(&FRAME_VARIANT) => Self::take_frame(body)?,
            Some(&BATCH_VARIANT) => Self::take_batch(body)?,
            Some(_) | None => codec::take(body)?,
        };
        codec::end(rest)?;
        Ok(cast)
    }

    fn take_frame(body: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        type Head = (u8, Capability, u64);
        let ((_, capability, number), rest): (Head, _) = codec::take(body)?;
        let (frame, rest) = bulk::take(rest)?;
        let frame = Box::new(frame);
        let cast = Self::Frame {
            capability,
            number,
            frame,
        };
        Ok((cast, rest))
    }

    fn take_batch(body: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        type Head = (u8, Capability, u64, u64, usize);
        let ((_, capability, through, first, count), mut rest): (Head, _) = codec::take(body)?;
        if count > Batch::MAX_FRAMES {
            let most = Batch::MAX_FRAMES;
            let why = format!("{count} frames in a batch, which has {most} at most");
            return Err(DecodeError::Malformed(why));
        }
        let mut frames = Vec::new();
        for _ in 0..count {
            let frame;
            (frame, rest) = bulk::take(rest)?;
            frames.push(frame);
        }
        let cast = Self::Batch {
            capability,
            through,
            first,
            frames,
        };
        Ok((cast, rest))
    }
}

/// A frame can take a few bytes here and a hundred in memory: a peer must not make us allocate
/// many times what it sends.
fn bounded<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Frame>, D::Error> {
    struct Bounded;

    impl<'de> Visitor<'de> for Bounded {
        type Value = Vec<Frame>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "at most {} frames", Batch::MAX_FRAMES)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Vec<Frame>, A::Error> {
            let mut frames = Vec::new();
            while let Some(frame) = from.next_element()? {
                if frames.len() == Batch::MAX_FRAMES {
                    return Err(A::Error::invalid_length(frames.len() + 1, &self));
                }
                frames.push(frame);
            }
            Ok(frames)
        }
    }

    from.deserialize_seq(Bounded)
}

/// Places of [`Cast::Frame`] and [`Cast::Batch`] among the variants.
const FRAME_VARIANT: u8 = 0;
const BATCH_VARIANT: u8 = 2;

/// A frame as it lies in a message: what goes to many peers is encoded once. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncodedFrame {
    level: Level,
    bytes: Arc<Vec<u8>>,
}

impl EncodedFrame {
    /// Encodes `frame`.
    pub fn of(frame: &Frame) -> Self {
        Self {
            level: frame.level(),
            bytes: Arc::new(bulk::put(frame, Vec::with_capacity(bulk::room(frame)))),
        }
    }

    /// The first level that knows this frame.
    pub fn level(&self) -> Level {
        self.level
    }
}

/// Encodes a [`Cast::Batch`] frame by frame, so that a frame is encoded once, when it is cast, and
/// its sender learns its length.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Batch {
    count: usize,
    frames: Vec<u8>,
}

impl Batch {
    /// Most frames in a batch: as many as may be in flight to a peer.
    pub const MAX_FRAMES: usize = 256;

    /// Most bytes before the frames: version, variant, capability, three numbers of ten at most.
    pub const HEAD: usize = 1 + 1 + 16 + 3 * 10;

    /// Adds a frame; gives its encoded length.
    pub fn push(&mut self, frame: &Frame) -> usize {
        let before = self.frames.len();
        self.frames = bulk::put(frame, std::mem::take(&mut self.frames));
        self.count += 1;
        self.frames.len() - before
    }

    /// Adds a frame that is encoded already; gives its length.
    pub fn push_encoded(&mut self, frame: &EncodedFrame) -> usize {
        self.frames.extend_from_slice(&frame.bytes);
        self.count += 1;
        frame.bytes.len()
    }

    /// Takes the last frame off again, into a batch of its own; `len` is what
    /// [`push`](Self::push) gave.
    pub fn split_last(&mut self, len: usize) -> Self {
        let frames = self.frames.split_off(self.frames.len() - len);
        self.count -= 1;
        Self { count: 1, frames }
    }

    /// Frames in it.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Their bytes.
    pub fn bytes(&self) -> usize {
        self.frames.len()
    }

    /// The encoded [`Cast::Batch`].
    pub fn encode(self, capability: Capability, through: u64, first: u64) -> Vec<u8> {
        let head = (capability, through, first);
        let mut message = Self::begin(head, self.count, self.frames.len());
        message.extend_from_slice(&self.frames);
        message
    }

    /// The encoded [`Cast::Batch`] of one frame, with the frame's length: what it would be by
    /// [`push`](Self::push) and [`encode`](Self::encode), written once where it is to lie.
    pub fn of_one(head: (Capability, u64, u64), frame: &Frame) -> (Vec<u8>, usize) {
        let message = Self::begin(head, 1, bulk::room(frame));
        let before = message.len();
        let message = bulk::put(frame, message);
        let len = message.len() - before;
        (message, len)
    }

    /// The same of a frame that is encoded already.
    pub fn of_one_encoded(head: (Capability, u64, u64), frame: &EncodedFrame) -> (Vec<u8>, usize) {
        let mut message = Self::begin(head, 1, frame.bytes.len());
        message.extend_from_slice(&frame.bytes);
        (message, frame.bytes.len())
    }

    fn begin(
        (capability, through, first): (Capability, u64, u64),
        count: usize,
        room: usize,
    ) -> Vec<u8> {
        // Postcard: a sequence is its length and then its elements, one after the other.
        let head = (BATCH_VARIANT, capability, through, first, count);
        codec::extend(&head, codec::begin(Vec::with_capacity(Self::HEAD + room)))
    }
}

/// Between gateways, answered by an encoded [`crate::Reply`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The caller's capability at the callee.
    pub capability: Capability,
    /// The call.
    pub call: Call,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Frame, Reply, Round, decode, encode};

    /// Bytes that nodes of different builds exchange; a change here needs a new version.
    #[test]
    fn encodings_are_pinned() {
        let capability = Capability([0xc; 16]);
        let body = CertificateBody {
            cluster: "house".to_owned(),
            node: "a".into(),
            incarnation: 300,
            identity: [1; 32],
            static_key: [2; 32],
        };
        let frame = Box::new(Frame::Decline {
            round: Round(5),
            node: "b".into(),
            reason: "no".to_owned(),
        });
        let (one, two, cap) = ("01".repeat(32), "02".repeat(32), "0c".repeat(16));
        let mut batch = Batch::default();
        for reason in ["no", ""] {
            let reason = reason.to_owned();
            batch.push(&Frame::Decline {
                round: Round(5),
                node: "b".into(),
                reason,
            });
        }
        let pinned: [(Vec<u8>, String); 7] = [
            (
                encode(&Hello {
                    certificate: Certificate {
                        body,
                        signature: vec![3; 3],
                    },
                    capability,
                }),
                format!("0105686f757365{}ac02{one}{two}03030303{cap}", "0161"),
            ),
            (
                encode(&Cast::Frame {
                    capability,
                    number: 9,
                    frame,
                }),
                format!("0100{cap}0902050162026e6f"),
            ),
            (
                encode(&Cast::Credit {
                    capability,
                    through: 128,
                }),
                format!("0101{cap}8001"),
            ),
            (
                batch.encode(capability, 128, 300),
                format!("0102{cap}8001ac020202050162026e6f0205016200"),
            ),
            (
                Batch::default().encode(capability, 128, 1),
                format!("0102{cap}80010100"),
            ),
            (
                encode(&Request {
                    capability,
                    call: Call::Consensus(vec![7, 8]),
                }),
                format!("01{cap}00020708"),
            ),
            (
                encode(&Reply::Consensus(vec![7, 8])),
                "0100020708".to_owned(),
            ),
        ];
        for (bytes, expected) in pinned {
            assert_eq!(hex::encode(bytes), expected);
        }
    }

    /// What is put together by hand is what the derived encoding says.
    #[test]
    fn frames_and_batches_are_encoded_as_their_casts_are() {
        let frame = |n: usize| Frame::Decline {
            round: Round(n as u64),
            node: "b".into(),
            reason: "x".repeat(n),
        };
        for count in [0, 1, 2, 127, 128, Batch::MAX_FRAMES] {
            let frames: Vec<Frame> = (0..count).map(frame).collect();
            let mut batch = Batch::default();
            let bytes: usize = frames.iter().map(|frame| batch.push(frame)).sum();
            let mut other = Batch::default();
            let encoded = frames.iter().map(EncodedFrame::of);
            let same: usize = encoded.map(|frame| other.push_encoded(&frame)).sum();
            assert_eq!((same, &other), (bytes, &batch));
            let last = batch.push(&frame(999));
            assert_eq!(batch.split_last(last).bytes(), last);
            assert_eq!((batch.count(), batch.bytes()), (count, bytes));
            let (capability, through, first) = (Capability([7; 16]), u64::MAX, 1 << 40);
            for frame in &frames {
                let cast = Cast::Frame {
                    capability,
                    number: first,
                    frame: Box::new(frame.clone()),
                };
                assert!(encode(&cast) == Cast::encode_frame(capability, first, frame));
                let encoded = EncodedFrame::of(frame);
                assert!(encode(&cast) == Cast::of_encoded(capability, first, &encoded));
            }
            let encoded = batch.encode(capability, through, first);
            let cast = Cast::Batch {
                capability,
                through,
                first,
                frames,
            };
            assert!(encode(&cast) == encoded, "{count} frames");
            assert!(decode::<Cast>(&encoded).unwrap() == cast, "{count} frames");
        }
    }

    #[test]
    fn a_batch_of_more_frames_than_fit_a_window_is_refused() {
        let mut batch = Batch::default();
        for _ in 0..=Batch::MAX_FRAMES {
            batch.push(&Frame::Checkpoint {
                note: String::new(),
            });
        }
        let error = decode::<Cast>(&batch.encode(Capability([7; 16]), 0, 1)).unwrap_err();
        assert!(matches!(error, crate::DecodeError::Malformed(_)), "{error}");
    }

    #[test]
    fn vectors_of_bytes_have_one_encoding() {
        // Plain vectors of bytes and serde_bytes are the same on the wire.
        let plain: Vec<u8> = decode(&encode(&vec![7_u8, 8])).unwrap();
        assert_eq!(plain, [7, 8]);
    }
}
