use super::reader::{Malformed, Reader};
use base64::Engine as _;

/// A topic's id (KIP-516): made with the topic, so that one that is deleted and made anew under its name has another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopicId(pub(super) [u8; Self::BYTES]);

impl TopicId {
    const BYTES: usize = 16;

    /// `None` for the id of no topic.
    pub(super) fn known(self) -> Option<Self> {
        (self.0 != [0; Self::BYTES]).then_some(self)
    }

    pub(super) fn read(reader: &mut Reader) -> Result<Self, Malformed> {
        let mut id = [0; Self::BYTES];
        id.copy_from_slice(&reader.take(Self::BYTES, "topic id")?);
        Ok(Self(id))
    }
}

/// As Kafka's own tools show it.
impl std::fmt::Display for TopicId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(self.0);
        f.write_str(&text)
    }
}
