//! What windows are kept by.

use super::layout::Transaction;
use wire::DeviceId;

/// What a window is kept per.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Dimension {
    /// The configured key: region or terminal group.
    Key,
    /// Transaction type.
    Kind,
    /// Terminal.
    Terminal,
    /// Response code.
    Response,
}

/// A name of a dimension that is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("windows are kept by \"key\", \"type\", \"terminal\" or \"response\", not by {0:?}")]
pub struct UnknownDimension(pub String);

impl std::str::FromStr for Dimension {
    type Err = UnknownDimension;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL
            .into_iter()
            .find(|dimension| dimension.name() == text);
        found.ok_or_else(|| UnknownDimension(text.to_owned()))
    }
}

impl Dimension {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Key, Self::Kind, Self::Terminal, Self::Response];

    /// As the configuration names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Kind => "type",
            Self::Terminal => "terminal",
            Self::Response => "response",
        }
    }

    pub(super) fn of(self, transaction: &Transaction) -> &str {
        let value = match self {
            Self::Key => &transaction.key,
            Self::Kind => &transaction.kind,
            Self::Terminal => &transaction.terminal,
            Self::Response => &transaction.response,
        };
        if value.is_empty() { BLANK } else { value }
    }

    /// Devices of one class share the meaning of their readings; those of different dimensions do not.
    pub(super) fn class(self) -> String {
        match self {
            Self::Key => "mainframe".to_owned(),
            Self::Kind | Self::Terminal | Self::Response => format!("mainframe-{}", self.name()),
        }
    }

    pub(super) fn device(self, prefix: &str, value: &str) -> DeviceId {
        DeviceId::new(match self {
            Self::Key => format!("{prefix}{value}"),
            Self::Kind | Self::Terminal | Self::Response => {
                format!("{prefix}{}-{value}", self.name())
            }
        })
    }
}

/// Stands for a type, terminal or response code that is blank.
const BLANK: &str = "blank";
