//! A mail as the mailbox stored it: the payload of a record in its journal.

use crate::codec::{self, DecodeError};
use crate::{DeviceId, UnixMicros};
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
    /// Header and body exactly as sent; of a sealed message, what was sealed.
    #[serde(with = "octets")]
    pub data: Vec<u8>,
    /// Who it is from, if that was shown.
    pub device: Option<KnownDevice>,
}

/// A device that showed who it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KnownDevice {
    /// Its id.
    pub id: DeviceId,
    /// How we know.
    pub proof: Proof,
    /// Of a sealed message, the counter under which it counts once.
    pub counter: Option<u64>,
}

/// What a device showed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Proof {
    /// It sent from its own network and under its own address, which a neighbour could do, too.
    Address,
    /// It knows its password.
    Sasl,
    /// It holds the key of its certificate.
    Certificate,
    /// It signed the message itself, whoever carried it.
    Sealed,
    /// Nothing: an operator of the node speaks for it, at the control socket.
    Operator,
}

impl StoredMail {
    /// Whether what it says may be believed to be its device's: the device showed a secret, or came
    /// from its place without a rule relaxed for it.
    pub fn is_trusted(&self) -> bool {
        match self.device.as_ref().map(|device| device.proof) {
            Some(Proof::Sasl | Proof::Certificate | Proof::Sealed | Proof::Operator) => true,
            Some(Proof::Address) => self.profile.is_none(),
            None => false,
        }
    }

    /// Reads a journal's record, also one written before devices could show who they are.
    ///
    /// # Errors
    /// It is neither.
    pub fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        // The former record ends where `device` would begin, so that none can pass for the other.
        codec::decode(bytes).or_else(|error| {
            let former: Former = codec::decode(bytes).map_err(|_| error)?;
            Ok(former.into())
        })
    }
}

/// Up to and with version 0.1.
#[derive(Serialize, Deserialize)]
struct Former {
    reverse_path: Option<String>,
    forward_paths: Vec<String>,
    helo: String,
    peer: IpAddr,
    tls: bool,
    profile: Option<String>,
    end_of_data: UnixMicros,
    #[serde(with = "octets")]
    data: Vec<u8>,
}

impl From<Former> for StoredMail {
    fn from(former: Former) -> Self {
        Self {
            reverse_path: former.reverse_path,
            forward_paths: former.forward_paths,
            helo: former.helo,
            peer: former.peer,
            tls: former.tls,
            profile: former.profile,
            end_of_data: former.end_of_data,
            data: former.data,
            device: None,
        }
    }
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

    fn mail() -> StoredMail {
        StoredMail {
            reverse_path: Some("ups@hall.example".to_owned()),
            forward_paths: vec!["telemetry@house.example".to_owned()],
            helo: "ups-1".to_owned(),
            peer: IpAddr::from([192, 0, 2, 7]),
            tls: true,
            profile: None,
            end_of_data: UnixMicros(1_700_000_000_123_456),
            data: b"Subject: x\r\n\r\n\xff\r\n".to_vec(),
            device: None,
        }
    }

    const FORMER: &str = concat!(
        "01",                                                 // version
        "01107570734068616c6c2e6578616d706c65",               // ups@hall.example
        "011774656c656d6574727940686f7573652e6578616d706c65", // telemetry@house.example
        "057570732d31",                                       // ups-1
        "00c0000207",                                         // IPv4 192.0.2.7
        "01",                                                 // TLS
        "00",                                                 // no profile
        "c0c480c1c1c48203",                                   // 1,700,000,000,123,456 µs
        "115375626a6563743a20780d0a0d0aff0d0a",               // the message
    );

    #[test]
    fn the_stored_bytes_of_a_mail_are_pinned() {
        let bytes = crate::encode(&mail());
        assert_eq!(hex::encode(&bytes), format!("{FORMER}00"));
        assert_eq!(StoredMail::read(&bytes), Ok(mail()));
        let known = StoredMail {
            device: Some(KnownDevice {
                id: "ups-1".into(),
                proof: Proof::Sealed,
                counter: Some(300),
            }),
            ..mail()
        };
        let bytes = crate::encode(&known);
        let device = "01057570732d31" /* ups-1 */;
        let proof = "0301ac02" /* sealed, counter 300 */;
        assert_eq!(hex::encode(&bytes), format!("{FORMER}{device}{proof}"));
        assert_eq!(StoredMail::read(&bytes), Ok(known.clone()));
        let spoken_for = StoredMail {
            device: Some(KnownDevice {
                id: "ups-1".into(),
                proof: Proof::Operator,
                counter: None,
            }),
            ..known
        };
        let bytes = crate::encode(&spoken_for);
        assert_eq!(hex::encode(&bytes), format!("{FORMER}{device}0400"));
        assert_eq!(StoredMail::read(&bytes), Ok(spoken_for));
    }

    #[test]
    fn records_of_former_builds_are_read_and_halves_of_records_are_not() {
        let former = hex::decode(FORMER).unwrap();
        assert_eq!(StoredMail::read(&former), Ok(mail()));
        for cut in 0..former.len() {
            assert!(StoredMail::read(&former[..cut]).is_err(), "{cut}");
        }
        let whole = crate::encode(&mail());
        assert!(StoredMail::read(&[whole, vec![0]].concat()).is_err());
    }

    #[test]
    fn trust() {
        let with = |proof: Option<Proof>, profile: Option<&str>| StoredMail {
            profile: profile.map(str::to_owned),
            device: proof.map(|proof| KnownDevice {
                id: "ups-1".into(),
                proof,
                counter: None,
            }),
            ..mail()
        };
        let table = [
            (None, None, false),
            (Some(Proof::Address), None, true),
            (Some(Proof::Address), Some("old"), false),
            (Some(Proof::Sasl), Some("old"), true),
            (Some(Proof::Certificate), None, true),
            (Some(Proof::Sealed), Some("old"), true),
            (Some(Proof::Operator), None, true),
        ];
        for (proof, profile, trusted) in table {
            assert_eq!(
                with(proof, profile).is_trusted(),
                trusted,
                "{proof:?} {profile:?}"
            );
        }
    }
}
