//! Why a mail was set aside. The mail itself stays in the journal; only its decoding stopped.

use wire::DeviceId;

use crate::formats::Format;
use crate::mail::{
    MAX_HEADER_BYTES, MAX_HEADER_LINES, MAX_MAIL_BYTES, MAX_METRICS_PER_ROW, MAX_NAME_BYTES,
    MAX_PARTS, MAX_ROWS_PER_MAIL, MAX_TOP_HEADER_LINES,
};
use crate::unpack::MAX_UNPACKED_BYTES;

/// A mail that gave no report, with the reason for the operator.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Quarantine {
    /// The sender, where the directory knows it.
    pub device: Option<DeviceId>,
    /// Why; its `Display` is one sentence.
    pub reason: Reason,
}

/// Every reason there is.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Reason {
    /// Over [`MAX_MAIL_BYTES`].
    #[error(
        "the mail has {bytes} bytes, over the limit of {MAX_MAIL_BYTES}; have the device send shorter reports"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// No header could be found in it.
    #[error("the message has no mail header (RFC 5322), so neither sender nor content can be told")]
    NotAMail,
    /// Over [`MAX_PARTS`].
    #[error("the mail has {found} MIME parts or more, over the limit of {MAX_PARTS}")]
    TooManyParts {
        /// Parts or boundary lines seen.
        found: usize,
    },
    /// More headers than any device or relay writes.
    #[error(
        "the mail has {lines} lines and {bytes} bytes of headers or more, over the limits of {MAX_TOP_HEADER_LINES} lines in its own header, {MAX_HEADER_LINES} in all, and {MAX_HEADER_BYTES} bytes"
    )]
    HeaderFlood {
        /// Header lines counted.
        lines: usize,
        /// Header bytes counted.
        bytes: usize,
    },
    /// Over `MAX_UNPACKED_BYTES`, or it demands the memory for that.
    #[error(
        "the attachment \"{attachment}\" unpacks to more than the {MAX_UNPACKED_BYTES} bytes that all attachments of a mail may; have the device send shorter logs"
    )]
    UnpacksTooLarge {
        /// Its name or type.
        attachment: String,
    },
    /// Not the gzip or Zstandard that it says it is.
    #[error("the attachment \"{attachment}\" cannot be unpacked: {problem}")]
    BrokenPacking {
        /// Its name or type.
        attachment: String,
        /// What the decoder said.
        problem: String,
    },
    /// A mail within the mail.
    #[error(
        "the mail carries another mail (message/rfc822); a device reports in its own name, so forward nothing"
    )]
    NestedMessage,
    /// Neither the envelope sender nor the From address is in the directory.
    #[error(
        "no device is known by the envelope sender <{envelope}> or the From address <{header}>; add one of them to the device's addresses"
    )]
    UnknownDevice {
        /// Envelope sender.
        envelope: String,
        /// Address of the From header.
        header: String,
    },
    /// Envelope and From belong to different devices.
    #[error(
        "the envelope sender belongs to device {envelope}, the From address to device {header}; one mail cannot speak for both"
    )]
    ConflictingSenders {
        /// Device of the envelope sender.
        envelope: DeviceId,
        /// Device of the From header.
        header: DeviceId,
    },
    /// No decoder recognised the content.
    #[error(
        "no known format fits the mail (subject \"{subject}\", content {content}); describe it in a pattern file, or bring a function (docs/formats.md), and retry it"
    )]
    UnknownFormat {
        /// Subject, shortened.
        subject: String,
        /// Content types of the parts.
        content: String,
    },
    /// Recognised, but broken.
    #[error("the mail looks like {format} but {problem}")]
    Malformed {
        /// The format.
        format: Format,
        /// What is wrong, as the end of a sentence.
        problem: String,
    },
    /// An operator's pattern fits the mail, but not all of it.
    #[error("the pattern {pattern} fits the mail but {problem}")]
    Pattern {
        /// Its name.
        pattern: String,
        /// What is wrong, as the end of a sentence.
        problem: String,
    },
    /// An operator's function failed, or says that the mail cannot be read.
    #[error("the function {function} {problem}")]
    Function {
        /// Its name.
        function: String,
        /// What happened, as the end of a sentence.
        problem: String,
    },
    /// The mail speaks for a device that is not in the directory.
    #[error(
        "the mail speaks for the device \"{name}\", which the configuration does not list; add it there"
    )]
    UnknownName {
        /// The name in the mail, shortened.
        name: String,
    },
    /// NaN or an infinity.
    #[error(
        "the value of \"{metric}\" is not a finite number; a device without a value must leave it out"
    )]
    NotFinite {
        /// Metric name.
        metric: String,
    },
    /// Valid, but without a number or an event.
    #[error("the mail is valid {format} but holds neither a number nor an event")]
    NoReadings {
        /// The format.
        format: Format,
    },
    /// Over [`MAX_ROWS_PER_MAIL`].
    #[error("the mail holds more than {MAX_ROWS_PER_MAIL} rows; send them in several mails")]
    TooManyRows,
    /// Over [`MAX_METRICS_PER_ROW`].
    #[error("one row holds {found} metrics or more, over the limit of {MAX_METRICS_PER_ROW}")]
    TooManyMetrics {
        /// How many were counted.
        found: usize,
    },
    /// Empty, over [`MAX_NAME_BYTES`] or with control characters.
    #[error(
        "the metric name \"{name}\" is not usable: 1 to {MAX_NAME_BYTES} bytes without control characters are"
    )]
    BadName {
        /// The name, shortened.
        name: String,
    },
}
