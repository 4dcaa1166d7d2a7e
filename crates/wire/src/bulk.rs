//! Frames that carry the parameters of a model, put together and taken apart by hand: number by number, serde takes as
//! long for them as the links do to encrypt them. The bytes are those of the derived encoding.

use crate::codec::{self, DecodeError};
use crate::{Digest, Frame, NodeId, Round, SecureStep};
use std::sync::Arc;

/// Places among the variants of [`Frame`].
const TRAIN: u8 = 0;
const UPDATE: u8 = 1;
const MODEL: u8 = 3;

/// Bytes of an f32.
const NUMBER: usize = 4;

/// Numbers that are turned into bytes at a time: they stay in the first cache.
const AT_ONCE: usize = 1024;

/// Room for what is around the bulk of a frame; names and small frames rarely take more.
const AROUND: usize = 128;

/// Bytes that save most frames from growing piece by piece.
pub(crate) fn room(frame: &Frame) -> usize {
    let bulk = match frame {
        Frame::Train { parameters, .. } | Frame::Model { parameters, .. } => {
            NUMBER * parameters.len()
        }
        Frame::Update { delta, .. } => NUMBER * delta.len(),
        Frame::Packed { delta, .. } => delta.len(),
        Frame::Secure(message) => match &message.step {
            SecureStep::Masked(bytes) => bytes.len(),
            SecureStep::Advertise(_)
            | SecureStep::Keys(_)
            | SecureStep::Shares(_)
            | SecureStep::Inbox(_)
            | SecureStep::Survivors(_)
            | SecureStep::Consent(_)
            | SecureStep::Unmask(_)
            | SecureStep::Reveal(_) => 0,
        },
        Frame::Decline { .. } | Frame::Checkpoint { .. } => 0,
    };
    bulk + AROUND
}

/// Appends a frame to a body.
pub(crate) fn put(frame: &Frame, bytes: Vec<u8>) -> Vec<u8> {
    match frame {
        Frame::Train {
            round,
            model,
            parameters,
        } => put_numbers(parameters, codec::extend(&(TRAIN, round, model), bytes)),
        Frame::Update {
            round,
            node,
            base,
            delta,
            examples,
            loss,
        } => {
            let bytes = codec::extend(&(UPDATE, round, node, base), bytes);
            codec::extend(&(examples, loss), put_numbers(delta, bytes))
        }
        Frame::Model {
            round,
            model,
            parameters,
        } => put_numbers(parameters, codec::extend(&(MODEL, round, model), bytes)),
        Frame::Decline { .. }
        | Frame::Checkpoint { .. }
        | Frame::Secure(_)
        | Frame::Packed { .. } => codec::extend(frame, bytes),
    }
}

/// Takes a frame off a body; gives what is left.
pub(crate) fn take(body: &[u8]) -> Result<(Frame, &[u8]), DecodeError> {
    match body.first() {
        Some(&TRAIN) => {
            let (round, model, parameters, rest) = take_model(body)?;
            let frame = Frame::Train {
                round,
                model,
                parameters,
            };
            Ok((frame, rest))
        }
        Some(&UPDATE) => {
            type Head = (u8, Round, NodeId, Digest);
            let ((_, round, node, base), rest): (Head, _) = codec::take(body)?;
            let (delta, rest) = take_numbers(rest)?;
            let ((examples, loss), rest) = codec::take(rest)?;
            let frame = Frame::Update {
                round,
                node,
                base,
                delta,
                examples,
                loss,
            };
            Ok((frame, rest))
        }
        Some(&MODEL) => {
            let (round, model, parameters, rest) = take_model(body)?;
            let frame = Frame::Model {
                round,
                model,
                parameters,
            };
            Ok((frame, rest))
        }
        Some(_) | None => codec::take(body),
    }
}

type Parameters = Arc<Vec<f32>>;

fn take_model(body: &[u8]) -> Result<(Round, Digest, Parameters, &[u8]), DecodeError> {
    type Head = (u8, Round, Digest);
    let ((_, round, model), rest): (Head, _) = codec::take(body)?;
    let (parameters, rest) = take_numbers(rest)?;
    Ok((round, model, parameters, rest))
}

/// Postcard: a sequence is its length and then its elements, an f32 its four bytes, little-endian.
fn put_numbers(numbers: &[f32], bytes: Vec<u8>) -> Vec<u8> {
    let mut bytes = codec::extend(&numbers.len(), bytes);
    bytes.reserve(NUMBER * numbers.len());
    let mut little = [[0; NUMBER]; AT_ONCE];
    for numbers in numbers.chunks(AT_ONCE) {
        for (little, number) in little.iter_mut().zip(numbers) {
            *little = number.to_le_bytes();
        }
        bytes.extend_from_slice(little[..numbers.len()].as_flattened());
    }
    bytes
}

fn take_numbers(body: &[u8]) -> Result<(Parameters, &[u8]), DecodeError> {
    let (count, rest): (usize, _) = codec::take(body)?;
    // So what is allocated is never more than what came.
    let length = count.checked_mul(NUMBER);
    let (numbers, rest) = length
        .and_then(|length| rest.split_at_checked(length))
        .ok_or_else(|| codec::malformed(postcard::Error::DeserializeUnexpectedEnd))?;
    let (numbers, _) = numbers.as_chunks::<NUMBER>();
    let numbers = numbers.iter().map(|number| f32::from_le_bytes(*number));
    Ok((Arc::new(numbers.collect()), rest))
}

/// What many hold, encoded as if it were one's own.
pub(crate) mod shared {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::sync::Arc;

    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        value: &Arc<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().serialize(to)
    }

    pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(from).map(Arc::new)
    }
}

/// The same of bytes.
pub(crate) mod shared_bytes {
    use serde::{Deserializer, Serializer};
    use std::sync::Arc;

    pub(crate) fn serialize<S: Serializer>(value: &Arc<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
        serde_bytes::serialize(value.as_slice(), to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Arc<Vec<u8>>, D::Error> {
        serde_bytes::deserialize(from).map(Arc::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capability, Cast, SecureMessage};
    use proptest::prelude::*;

    fn frames() -> impl Strategy<Value = Frame> {
        // Any bits: a NaN is handed on as it is, and refused by whoever reckons with it.
        let numbers = prop::collection::vec(any::<u32>().prop_map(f32::from_bits), 0..2500);
        let digest = any::<[u8; 32]>().prop_map(Digest);
        let head = (any::<u64>(), digest, "[a-z]{0,200}", any::<u64>());
        (0..7_u8, head, numbers, any::<f64>()).prop_map(|(kind, head, numbers, loss)| {
            let (round, digest, name, examples) = head;
            let (round, node) = (Round(round), NodeId::new(name.clone()));
            let bytes = || numbers.iter().map(|number| *number as u8).collect();
            match kind {
                0 => Frame::Train {
                    round,
                    model: digest,
                    parameters: Arc::new(numbers),
                },
                1 => Frame::Update {
                    round,
                    node,
                    base: digest,
                    delta: Arc::new(numbers),
                    examples,
                    loss,
                },
                2 => Frame::Decline {
                    round,
                    node,
                    reason: name,
                },
                3 => Frame::Model {
                    round,
                    model: digest,
                    parameters: Arc::new(numbers),
                },
                4 => Frame::Checkpoint { note: name },
                5 => Frame::Secure(Box::new(SecureMessage {
                    context: digest,
                    step: SecureStep::Masked(Arc::new(bytes())),
                })),
                _ => Frame::Packed {
                    round,
                    node,
                    base: digest,
                    delta: bytes(),
                    examples,
                    loss,
                },
            }
        })
    }

    fn casts() -> impl Strategy<Value = Cast> {
        let head = (any::<[u8; 16]>().prop_map(Capability), any::<u64>());
        let batch = (head, any::<u64>(), prop::collection::vec(frames(), 0..4));
        batch.prop_map(|((capability, number), first, mut frames)| {
            match (frames.len(), frames.pop()) {
                (1, Some(frame)) if number % 2 == 0 => Cast::Frame {
                    capability,
                    number,
                    frame: Box::new(frame),
                },
                (_, None) => Cast::Credit {
                    capability,
                    through: number,
                },
                (_, Some(last)) => {
                    frames.push(last);
                    Cast::Batch {
                        capability,
                        through: number,
                        first,
                        frames,
                    }
                }
            }
        })
    }

    /// Of numbers that are none, too.
    fn same(one: &Cast, other: &Cast) -> bool {
        crate::encode(one) == crate::encode(other)
    }

    proptest! {
        /// What is put together by hand is what the derived encoding says, and means the same to both decoders.
        #[test]
        fn frames_are_encoded_as_they_are_derived(frame in frames()) {
            let derived = codec::extend(&frame, vec![7]);
            prop_assert!(put(&frame, vec![7]) == derived);
            // But for two names of 200 letters.
            prop_assert!(derived.len() <= room(&frame) + 2 * 200);
        }

        #[test]
        fn casts_are_decoded_as_they_are_derived(cast in casts()) {
            let bytes = crate::encode(&cast);
            prop_assert!(same(&Cast::decode(&bytes).unwrap(), &cast));
            prop_assert!(same(&crate::decode(&bytes).unwrap(), &cast));
        }

        /// Of broken bytes neither takes more than the other.
        #[test]
        fn broken_casts_are_refused_as_the_derived_decoder_refuses_them(
            cast in casts(),
            cut in any::<prop::sample::Index>(),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        ) {
            let mut bytes = crate::encode(&cast);
            bytes.truncate(cut.index(bytes.len() + 1));
            let within = bytes.len().min(120);
            for (at, flip) in flips.iter().filter(|_| within > 0) {
                let at = at.index(within);
                bytes[at] ^= flip;
            }
            match (Cast::decode(&bytes), crate::decode::<Cast>(&bytes)) {
                (Ok(one), Ok(other)) => prop_assert!(same(&one, &other)),
                (Err(_), Err(_)) => {}
                (one, other) => prop_assert!(false, "{} and {}", one.is_ok(), other.is_ok()),
            }
        }
    }

    #[test]
    fn a_length_beyond_what_came_is_refused_before_anything_is_allocated() {
        for count in [2_u64, u64::from(u32::MAX), 1 << 62, u64::MAX] {
            let frame = codec::extend(&(TRAIN, Round(1), Digest([0; 32]), count), Vec::new());
            let error = take(&[frame, vec![0; NUMBER]].concat()).unwrap_err();
            assert!(matches!(error, DecodeError::Malformed(_)), "{error}");
        }
    }
}
