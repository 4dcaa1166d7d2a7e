//! How far a replica has come with taking part.

use std::fmt;
use wire::NodeId;

/// What a replica is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its directory was empty: it asks the others whether there is a cluster already.
    Founding {
        /// Those it has not heard.
        waiting_for: Vec<NodeId>,
    },
    /// Its directory was damaged: it looks for a majority that holds the log.
    Repairing {
        /// What is wrong.
        damage: String,
        /// Those it has not heard.
        waiting_for: Vec<NodeId>,
    },
    /// It takes part, or waits to be let in, and fetches what it has missed.
    CatchingUp,
    /// It has a vote and had all that was committed when it got there.
    Ready,
    /// It cannot take part; a sentence that says why and what to do.
    Refused(String),
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Founding { waiting_for } if waiting_for.is_empty() => {
                f.write_str("the ledger is empty and asks the others whether there is a cluster")
            }
            Self::Founding { waiting_for } => write!(
                f,
                "the ledger is empty and waits to hear {} before it founds a cluster",
                names(waiting_for)
            ),
            Self::Repairing {
                damage,
                waiting_for,
            } => write!(
                f,
                "the ledger is damaged ({damage}) and waits to hear {}",
                names(waiting_for)
            ),
            Self::CatchingUp => f.write_str("the ledger is catching up"),
            Self::Ready => f.write_str("the ledger is ready"),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

/// Names in a row.
pub(super) fn names<'a>(nodes: impl IntoIterator<Item = &'a NodeId>) -> String {
    nodes
        .into_iter()
        .map(NodeId::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
