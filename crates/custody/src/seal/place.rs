use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use wire::Digest;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Where on the data space a payload belongs. A payload opens only where it was sealed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// DDS topic.
    pub topic: &'a str,
    /// DDS partition: the room.
    pub partition: &'a str,
    /// The sample's key: the device.
    pub key: &'a str,
}

impl Place<'_> {
    /// The fields, each preceded by its length so that no two places share an encoding.
    pub(super) fn encode(&self, into: &mut Vec<u8>) {
        for field in [self.topic, self.partition, self.key] {
            into.extend_from_slice(&(field.len() as u64).to_be_bytes());
            into.extend_from_slice(field.as_bytes());
        }
    }

    /// The key of this topic and partition, HKDF-SHA256 of the epoch's data key: it opens what is sealed
    /// here, and tells nothing of what is sealed elsewhere.
    pub(super) fn place_key(&self, data_key: &[u8; 32]) -> PlaceKey {
        let mut info = b"glasshouse place 2".to_vec();
        for field in [self.topic, self.partition] {
            info.extend_from_slice(&(field.len() as u64).to_be_bytes());
            info.extend_from_slice(field.as_bytes());
        }
        let mut key = [0; 32];
        Hkdf::<Sha256>::new(None, data_key)
            .expand(&info, &mut key)
            .expect("32 bytes are within HKDF's limit of 255 blocks");
        PlaceKey(key)
    }

    pub(super) fn digest(&self) -> Digest {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        Digest(Sha256::digest(&bytes).into())
    }
}

/// The key of one topic and partition in one epoch. Whoever holds it opens what is sealed there, and,
/// since the cipher is symmetric, can seal there in any writer's name; a signature he cannot make.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PlaceKey(pub [u8; 32]);

impl std::fmt::Debug for PlaceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlaceKey(redacted)")
    }
}
