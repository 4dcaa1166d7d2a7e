/// Largest sealed payload, in bytes. A batch of a few thousand readings fits; RTPS fragments it.
/// It bounds what one accepted sample can cost in every queue between writer and reader.
pub const SEALED_MAX: usize = 1 << 20;

/// Longest key or writer name, in bytes: names of devices, alerts and nodes are far shorter.
pub(crate) const NAME_MAX: usize = 512;

/// One sample, as in `idl/glasshouse.idl`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sample {
    /// The instance it belongs to: a device, an alert. No NUL, at most 512 bytes.
    pub key: String,
    /// The node that sealed it.
    pub writer: String,
    /// Counts up per writer and topic.
    pub sequence: u64,
    /// The key epoch whose data key opens it.
    pub key_epoch: u64,
    /// The writer's clock in nanoseconds since the Unix epoch.
    pub source_time_ns: i64,
    /// Ciphertext with its tag, at most [`SEALED_MAX`] bytes.
    pub sealed: Vec<u8>,
}

/// What a subscription delivers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// A sample.
    Sample(Sample),
    /// A writer disposed of the key: the instance is over.
    Disposed {
        /// The key.
        key: String,
    },
}

impl Delivery {
    /// The key it is about.
    pub fn key(&self) -> &str {
        match self {
            Self::Sample(sample) => &sample.key,
            Self::Disposed { key } => key,
        }
    }
}
