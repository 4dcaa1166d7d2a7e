//! What samples on the data space say, once opened: the types of `crates/dds/idl/payload.idl`, member by
//! member, in XCDR2 ([`crate::xcdr`]). What a member means stands in the IDL and in `docs/dds-types.md`.
//!
//! Nodes before [`Level::TYPED`](crate::Level::TYPED) sealed a [`Report`](crate::Report) in the house's
//! own encoding. Its first byte is [`crate::codec::VERSION`], that of XCDR2 is 0: readers take both.

mod alert;
#[doc(hidden)]
pub mod harness;
mod report;
#[cfg(test)]
mod tests;
mod types;

pub use types::{
    Alert, AlertKind, AlertState, Contribution, DeviceEvent, Door, ModelAnnouncement, NodeStatus,
    Origin, Reading, ReadingBatch, Report, Score, Severity,
};

use crate::codec;
use crate::xcdr::{self, XcdrError};

/// Most reports in one sample. A batch is for a burst that waits already; more of them in one would make
/// readers wait for the last one, and a lost sample cost more.
pub const MAX_REPORTS: usize = 64;

const _: () = assert!(
    xcdr::HEADER[0] != codec::VERSION,
    "the first byte tells the two encodings of readings apart"
);

/// Why a payload is not what its topic carries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Not the type's encoding.
    #[error("not the topic's type: {0}")]
    Type(#[from] XcdrError),
    /// Not the older encoding either.
    #[error(transparent)]
    Former(#[from] codec::DecodeError),
    /// Of the type, and yet without meaning.
    #[error("{0}")]
    Meaning(&'static str),
}

/// The reports of one device in one sample.
pub fn encode_reports(reports: &[crate::Report]) -> Option<Vec<u8>> {
    ReadingBatch::of(reports).map(|batch| xcdr::encode(&batch))
}

/// The reports in a sample of the readings' topic, whichever encoding it has.
pub fn decode_reports(bytes: &[u8]) -> Result<Vec<crate::Report>, PayloadError> {
    if bytes.first() == Some(&codec::VERSION) {
        return Ok(vec![codec::decode(bytes)?]);
    }
    xcdr::decode::<ReadingBatch>(bytes)?.reports()
}
