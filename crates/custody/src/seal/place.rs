use sha2::{Digest as _, Sha256};
use wire::Digest;

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

    pub(super) fn digest(&self) -> Digest {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        Digest(Sha256::digest(&bytes).into())
    }
}
