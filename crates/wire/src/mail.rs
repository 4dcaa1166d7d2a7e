//! A mail as the mailbox stored it: the payload of a record in its journal.

use crate::UnixMicros;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// An accepted message with the circumstances of its arrival.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoredMail {
    /// MAIL FROM; `None` is the null path `<>`.
    pub reverse_path: Option<String>,
    /// RCPT TO, at least one.
    pub forward_paths: Vec<String>,
    /// What the client called itself in EHLO; not verified.
    pub helo: String,
    /// Where it connected from.
    pub peer: IpAddr,
    /// Whether it came through TLS.
    pub tls: bool,
    /// Name of the device profile that relaxed a rule for it; trust it accordingly less.
    pub profile: Option<String>,
    /// When the last byte of the message had come.
    pub end_of_data: UnixMicros,
    /// Header and body exactly as sent.
    #[serde(with = "octets")]
    pub data: Vec<u8>,
}

/// Bytes in one piece: the same encoding as a sequence of `u8`, at the speed of a copy.
mod octets {
    use core::fmt;
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        from.deserialize_byte_buf(Octets)
    }

    struct Octets;

    impl Visitor<'_> for Octets {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_bytes_of_a_mail_are_pinned() {
        let mail = StoredMail {
            reverse_path: Some("ups@hall.example".to_owned()),
            forward_paths: vec!["telemetry@house.example".to_owned()],
            helo: "ups-1".to_owned(),
            peer: IpAddr::from([192, 0, 2, 7]),
            tls: true,
            profile: None,
            end_of_data: UnixMicros(1_700_000_000_123_456),
            data: b"Subject: x\r\n\r\n\xff\r\n".to_vec(),
        };
        let bytes = crate::encode(&mail);
        assert_eq!(
            hex::encode(&bytes),
            concat!(
                "01",                                                 // version
                "01107570734068616c6c2e6578616d706c65",               // ups@hall.example
                "011774656c656d6574727940686f7573652e6578616d706c65", // telemetry@house.example
                "057570732d31",                                       // ups-1
                "00c0000207",                                         // IPv4 192.0.2.7
                "01",                                                 // TLS
                "00",                                                 // no profile
                "c0c480c1c1c48203",                                   // 1,700,000,000,123,456 µs
                "115375626a6563743a20780d0a0d0aff0d0a",               // the message
            )
        );
        assert_eq!(crate::decode::<StoredMail>(&bytes), Ok(mail));
    }
}
