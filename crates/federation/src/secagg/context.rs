//! What a round is about. Its digest is in every key, signature and commitment, so nothing of one
//! round is worth anything in another one.

use super::params::{LARGEST, Parameters};
use super::{MIN_COHORT, graph};
use sha2::{Digest as _, Sha256};
use wire::secure::Places;
use wire::{Digest, NodeId, Round};

/// Most parameters of a model: at eight bytes each they fit a frame (`wire::codec::MAX_ENCODED`) with room
/// for what is around them.
const MOST_PARAMETERS: usize = 2_000_000;

/// A member of the cohort.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its name.
    pub node: NodeId,
    /// Its ed25519 identity key, by the ledger.
    pub identity: [u8; 32],
}

/// What the ledger says of a round that is to be aggregated securely.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecureRound {
    /// Name of the cluster.
    pub cluster: String,
    /// Who opened the round, and nobody else, aggregates it.
    pub aggregator: NodeId,
    /// Digest of the entry that opened the round.
    pub entry: Digest,
    /// The cohort with its identities as they were then.
    pub members: Vec<Member>,
    /// It was opened before this process was there to follow it: a process that starts again has lost
    /// its secrets and what it has said, and takes no part in the round.
    pub missed: bool,
}

impl SecureRound {
    /// The round from `model`, which has so many parameters.
    ///
    /// # Errors
    /// See [`Context::new`].
    pub fn context(
        &self,
        round: Round,
        model: Digest,
        parameters: usize,
    ) -> Result<Context, ContextError> {
        Context::new(
            &self.cluster,
            round,
            self.entry,
            model,
            parameters,
            self.members.clone(),
        )
    }
}

/// Why there can be no secure round.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// The sum would tell too much, or does not fit.
    #[error("a secure round is for {MIN_COHORT} to {LARGEST} participants, not for {found}")]
    Cohort {
        /// Members asked.
        found: usize,
    },
    /// A masked update has to fit a frame.
    #[error(
        "a secure round is for models of at most {MOST_PARAMETERS} parameters, this one has {found}"
    )]
    Parameters {
        /// The model's.
        found: usize,
    },
    /// A name stands for one participant.
    #[error("{node} is in the cohort twice")]
    Twice {
        /// Who.
        node: NodeId,
    },
}

/// A round, the same for all who are in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Context {
    round: Round,
    words: usize,
    members: Vec<Member>,
    parameters: Parameters,
    /// By place.
    neighbours: Vec<Vec<u16>>,
    digest: Digest,
}

impl Context {
    /// The round that the ledger's entry `entry` opened in `cluster` from `model`, for updates of so
    /// many parameters.
    ///
    /// # Errors
    /// The cohort is too small, too large, or names somebody twice; or the model is too large.
    pub fn new(
        cluster: &str,
        round: Round,
        entry: Digest,
        model: Digest,
        parameters: usize,
        mut members: Vec<Member>,
    ) -> Result<Self, ContextError> {
        members.sort_by(|a, b| a.node.cmp(&b.node));
        if let Some(pair) = members.windows(2).find(|pair| pair[0].node == pair[1].node) {
            return Err(ContextError::Twice {
                node: pair[0].node.clone(),
            });
        }
        if parameters > MOST_PARAMETERS {
            return Err(ContextError::Parameters { found: parameters });
        }
        let found = members.len();
        let protocol = Parameters::of(found).ok_or(ContextError::Cohort { found })?;
        let mut hash = Sha256::new();
        hash.update(b"glasshouse secagg context v1\0");
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(cluster.as_bytes());
        part(&round.0.to_le_bytes());
        part(&entry.0);
        part(&model.0);
        part(&(parameters as u64).to_le_bytes());
        part(&(protocol.degree as u64).to_le_bytes());
        part(&(protocol.threshold as u64).to_le_bytes());
        for member in &members {
            part(member.node.as_str().as_bytes());
            part(&member.identity);
        }
        Ok(Self {
            round,
            words: parameters + super::fixed::EXTRA,
            neighbours: graph::neighbours(protocol, entry),
            digest: Digest(hash.finalize().into()),
            parameters: protocol,
            members,
        })
    }

    /// The round.
    pub fn round(&self) -> Round {
        self.round
    }

    /// Stands for all of it.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Degree and thresholds.
    pub fn parameters(&self) -> Parameters {
        self.parameters
    }

    /// Words of an encoded update.
    pub fn words(&self) -> usize {
        self.words
    }

    /// The member at a place, if there is one.
    pub fn member(&self, place: u16) -> Option<&Member> {
        self.members.get(usize::from(place))
    }

    /// Where a node stands in the cohort.
    pub fn place(&self, node: &NodeId) -> Option<u16> {
        let found = self
            .members
            .binary_search_by(|member| member.node.cmp(node));
        found.ok().and_then(|place| u16::try_from(place).ok())
    }

    /// Everybody.
    pub fn everybody(&self) -> Places {
        (0..self.members.len())
            .filter_map(|place| u16::try_from(place).ok())
            .collect()
    }

    /// A name for a reason; a number for a place that there is not.
    pub fn name(&self, place: u16) -> NodeId {
        match self.member(place) {
            Some(member) => member.node.clone(),
            None => NodeId::new(format!("place {place}")),
        }
    }

    pub(super) fn neighbours(&self, place: u16) -> &[u16] {
        self.neighbours
            .get(usize::from(place))
            .map_or(&[], Vec::as_slice)
    }

    /// Neighbours and oneself, in ascending order.
    pub(super) fn holders(&self, place: u16) -> Vec<u16> {
        let mut holders = self.neighbours(place).to_vec();
        let at = holders.partition_point(|other| *other < place);
        holders.insert(at, place);
        holders
    }

    /// A set in which nobody stands who is not in the cohort, in the one form that sets have.
    pub(super) fn is_sound(&self, set: &Places) -> bool {
        set.is_canonical()
            && set
                .iter()
                .last()
                .is_none_or(|last| usize::from(last) < self.members.len())
    }
}
