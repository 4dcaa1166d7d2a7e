//! Federated rounds between processes: an aggregator and its participants, each a process, over the product's own
//! links; beside them Flower.
//!
//! What decides is `federation`'s [`federation::Aggregator`] and [`federation::Participant`], in the runtime's shells
//! and behind the cluster's gateways, as in a node. Two things are left out, on either side:
//! - **Training.** A participant has its update ready. The round is measured, and not what it waits for.
//! - **The ledger's disks.** An act takes effect when a majority of the participants has answered that it has it: one
//!   round trip. What a commit costs besides, `bench ledger` says.
//!
//! How much of a round is the carrying of its bytes, [`bare`] says; what the machines of many participants take without
//! links, [`scale`].
//!
//! A round begins when the act that opens it is sent to the members, and is over when a majority has the act that
//! closes it.

pub mod bare;
mod counted;
pub mod flower;
mod follow;
pub mod house;
mod lead;
mod peer;
pub mod scale;

pub use peer::{Arguments, WORD, run};

use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::time::Duration;
use wire::{Act, NodeId};

/// No call, wait or round here takes so long, on however busy a machine.
const LIMIT: Duration = Duration::from_secs(50);

/// How updates come to be one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Algorithm {
    /// Updates in clear.
    FedAvg,
    /// Secure aggregation.
    Secure,
}

impl Algorithm {
    /// Its name in orders to processes.
    pub const fn word(self) -> &'static str {
        match self {
            Self::FedAvg => "fedavg",
            Self::Secure => "secure",
        }
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "fedavg" => Ok(Self::FedAvg),
            "secure" => Ok(Self::Secure),
            _ => Err(format!("{word:?} is no algorithm")),
        }
    }
}

/// A committed act, as the aggregator's process hands it to a participant's in place of the ledger.
#[derive(Serialize, Deserialize)]
struct Committed {
    act: Act,
    algorithm: Algorithm,
    /// The receiver is to drop out of the round: of one in clear instead of sending its update, of a secure one
    /// when it has dealt its shares, which is where it costs most.
    drops: bool,
}

/// What a process has used since it started.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub struct Used {
    /// Processor time, user and system, in ms.
    pub processor_ms: f64,
    /// Bytes written to sockets.
    pub sent: u64,
    /// Bytes read from them.
    pub received: u64,
}

impl Used {
    fn line(self) -> String {
        format!("{} {} {}", self.processor_ms, self.sent, self.received)
    }

    fn parse(line: &str) -> Result<Self, crate::Failure> {
        match line.split(' ').collect::<Vec<_>>()[..] {
            [processor, sent, received] => Ok(Self {
                processor_ms: processor.parse()?,
                sent: sent.parse()?,
                received: received.parse()?,
            }),
            _ => Err(format!("not what a process has used: {line:?}").into()),
        }
    }

    /// What came to it since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            processor_ms: self.processor_ms - before.processor_ms,
            sent: self.sent - before.sent,
            received: self.received - before.received,
        }
    }
}

/// The aggregator's name. It takes no part in its rounds, as the server of Flower does not.
fn aggregator() -> NodeId {
    NodeId::from("aggregator")
}

/// A participant's name.
fn participant(number: usize) -> NodeId {
    NodeId::new(format!("participant-{number}"))
}

/// The signing key of a node of the benchmark.
fn identity(node: &NodeId) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&wire::Digest::of(node.as_str().as_bytes()).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_survives_a_line() {
        let used = Used {
            processor_ms: 12.25,
            sent: 7,
            received: 1 << 40,
        };
        assert_eq!(Used::parse(&used.line()).unwrap(), used);
        assert!(Used::parse("1 2").is_err());
        for algorithm in [Algorithm::FedAvg, Algorithm::Secure] {
            assert_eq!(algorithm.word().parse(), Ok(algorithm));
        }
    }
}
