//! The fuzz target's entry: samples' plaintexts from whoever holds a key.

use super::{Alert, ModelAnnouncement, NodeStatus, Score, decode_reports, encode_reports};
use crate::xcdr::{self, Member};

/// Any bytes, as the payload of each topic.
///
/// # Panics
/// Something that was read is not the same after another encoding.
pub fn payload(bytes: &[u8]) {
    if let Ok(reports) = decode_reports(bytes)
        && bytes.first() == Some(&xcdr::HEADER[0])
    {
        let again = encode_reports(&reports).expect("what was a batch is one");
        assert_eq!(decode_reports(&again), Ok(reports));
    }
    stable::<Score>(bytes);
    stable::<Alert>(bytes);
    stable::<ModelAnnouncement>(bytes);
    stable::<NodeStatus>(bytes);
}

/// By their bytes, since a NaN is not itself.
fn stable<T: Member>(bytes: &[u8]) {
    if let Ok(value) = xcdr::decode::<T>(bytes) {
        let again = xcdr::encode(&value);
        let twice = xcdr::decode::<T>(&again).map(|value| xcdr::encode(&value));
        assert_eq!(twice, Ok(again));
    }
}
