use custody::OpenError;

/// Why a sample from the data space was dropped; each is counted for itself, since each says something else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Refused {
    /// No sealed payload at all: a stranger's, or another program's on our topic.
    NotSealed,
    /// Sealed under an epoch from before this node's time.
    UnknownEpoch,
    /// Sealed under an epoch that did not come here in time.
    EpochAhead,
    /// Its key epoch's grace is over.
    Retired,
    /// Changed, moved to another place, or sealed by somebody without the key.
    NotAuthentic,
    /// Seen before, or too far behind.
    Replayed,
    /// Too many streams, or too many samples held back.
    Crowded,
    /// Its topic asks for the writer's signature.
    Unsigned,
    /// Not signed by the member that it names.
    Forged,
    /// Opened, and not of the topic's type.
    NotTyped,
    /// Opened, and speaks of another device or room than its key and partition.
    Misplaced,
}

impl Refused {
    /// As the status names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotSealed => "not_sealed",
            Self::UnknownEpoch => "unknown_epoch",
            Self::EpochAhead => "epoch_ahead",
            Self::Retired => "retired",
            Self::NotAuthentic => "not_authentic",
            Self::Replayed => "replayed",
            Self::Crowded => "crowded",
            Self::Unsigned => "unsigned",
            Self::Forged => "forged",
            Self::NotTyped => "not_typed",
            Self::Misplaced => "misplaced",
        }
    }

    /// Of a payload that did not open.
    pub const fn of(error: &OpenError) -> Self {
        match error {
            OpenError::UnknownEpoch { .. } => Self::UnknownEpoch,
            OpenError::Retired { .. } => Self::Retired,
            OpenError::Tampered { .. } => Self::NotAuthentic,
            OpenError::Replayed { .. } => Self::Replayed,
            OpenError::Unsigned { .. } => Self::Unsigned,
            OpenError::Forged { .. } => Self::Forged,
            OpenError::Crowded { .. } => Self::Crowded,
            OpenError::Malformed { .. } => Self::NotSealed,
        }
    }
}
