//! Minor versions of what nodes say to each other and write on the ledger.
//!
//! The major version is the first byte of every encoded value ([`crate::codec::VERSION`]); a
//! change of it needs the whole cluster to stop. A **level** only adds: new acts, frames and
//! calls, as new last variants of their enums. Two nodes speak at the lower of their two levels.
//! The ledger has a level of its own, raised by an act once every member speaks it, so that no
//! member ever meets a leaf it cannot read. That is how one node at a time can be upgraded.

use crate::{Act, Call, Frame, GroupCommitKind, Role};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A minor version.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
pub struct Level(pub u16);

impl Level {
    /// What the first release spoke: everything without a level of its own.
    pub const FIRST: Self = Self(0);
    /// Membership by acts, cosigned checkpoints, linearizable reads, opinions about peers,
    /// versions of functions.
    pub const MEMBERSHIP: Self = Self(1);
    /// Frames in batches between gateways ([`crate::Batch`]).
    pub const BATCHES: Self = Self(2);
    /// A topic's partitions in shares, each with its holder, and the place of each partition on the ledger.
    pub const FEEDS: Self = Self(3);
    /// Samples on the data space hold the IDL's types, sealed under a key of their topic and partition; the
    /// topics besides the readings; reader keys.
    pub const TYPED: Self = Self(4);
    /// Learning that can be answered for: models that people choose, rounds whose aggregator sees the sum of the
    /// updates only ([`SecureMessage`](crate::SecureMessage)), and what a private round tells of its participants.
    pub const LEARNING: Self = Self(5);
    /// Models with a control variate behind their weights (SCAFFOLD), and what a member says that has lost its own;
    /// budgets of privacy on the ledger, and whose data a node has: several nodes may be one tenant's; how old the
    /// updates of a buffered round are.
    pub const VARIATES_AND_TENANTS: Self = Self(6);
    /// What this build speaks.
    pub const NEWEST: Self = Self::VARIATES_AND_TENANTS;
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Act {
    /// The first level that knows this act.
    pub fn level(&self) -> Level {
        match self {
            Self::Genesis { .. }
            | Self::NodeUp { .. }
            | Self::NodeDown { .. }
            | Self::RoundOpened { .. }
            | Self::RoundClosed { .. }
            | Self::RoundAbandoned { .. }
            | Self::Ingested { .. }
            | Self::AlertRaised(_)
            | Self::AlertCleared { .. } => Level::FIRST,
            Self::RoleAssigned { role, .. } => role.level(),
            Self::GroupCommit { kind, .. } => match kind {
                GroupCommitKind::Created { .. }
                | GroupCommitKind::Joined
                | GroupCommitKind::Rotated { .. } => Level::FIRST,
                GroupCommitKind::Removed { .. } => Level::MEMBERSHIP,
            },
            Self::LevelRaised { .. }
            | Self::Invited { .. }
            | Self::Admitted { .. }
            | Self::Removed { .. }
            | Self::Introduced { .. }
            | Self::FunctionDeployed { .. } => Level::MEMBERSHIP,
            Self::FeedAdvanced { .. } => Level::FEEDS,
            Self::ReaderKeyGranted { .. } => Level::TYPED,
            Self::ModelPinned { .. }
            | Self::ModelUnpinned { .. }
            | Self::ModelRolledBack { .. }
            | Self::PrivacySpent { .. } => Level::LEARNING,
            Self::VariatesReset { .. }
            | Self::BudgetDeclared { .. }
            | Self::BufferedRoundClosed { .. } => Level::VARIATES_AND_TENANTS,
        }
    }
}

impl Role {
    /// The first level that knows this role.
    pub fn level(&self) -> Level {
        match self {
            Self::Room(_) | Self::Feed(_) => Level::FIRST,
            Self::FeedShare(_) => Level::FEEDS,
        }
    }
}

impl Frame {
    /// The first level that knows this frame.
    pub fn level(&self) -> Level {
        match self {
            Self::Train { .. }
            | Self::Update { .. }
            | Self::Decline { .. }
            | Self::Model { .. } => Level::FIRST,
            Self::Checkpoint { .. } => Level::MEMBERSHIP,
            Self::Secure(_) | Self::Packed { .. } => Level::LEARNING,
        }
    }
}

impl Call {
    /// The first level that knows this call.
    pub fn level(&self) -> Level {
        match self {
            Self::Consensus(_) | Self::Propose(_) | Self::GroupInfo | Self::Model(_) => {
                Level::FIRST
            }
            Self::Cosign { .. } | Self::ReadIndex | Self::Holdings | Self::Opinion(_) => {
                Level::MEMBERSHIP
            }
        }
    }
}
