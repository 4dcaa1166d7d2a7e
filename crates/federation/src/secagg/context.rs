//! What a round is about. Its digest is in every key, signature and commitment, so nothing of one
//! round is worth anything in another one.

use super::params::{LARGEST, Parameters};
use super::terms::{self, Terms, Treatment};
use super::{MIN_COHORT, graph};
use crate::combination::MIN_GROUP;
use crate::privacy::Unusable;
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
#[derive(Clone, PartialEq, Debug)]
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
    /// What its participants do to their updates; by the configuration, which has to be the same everywhere.
    pub terms: Terms,
    /// What this node has against it by the ledger, for one that the round would take it or its tenant over the
    /// privacy budget; a sentence.
    pub objection: Option<String>,
}

impl SecureRound {
    /// The round from `model`, which has so many parameters: one context for each group.
    ///
    /// # Errors
    /// See [`Context::new`]; or a group would be too small, or its noise.
    pub fn contexts(
        &self,
        round: Round,
        model: Digest,
        parameters: usize,
    ) -> Result<Vec<Context>, ContextError> {
        let Terms { groups, treatment } = self.terms;
        let of = groups.max(1);
        let found = self.members.len();
        if of > 1 && found / of < MIN_GROUP {
            return Err(ContextError::Groups { found, groups });
        }
        let mut members = self.members.clone();
        members.sort_by(|a, b| a.node.cmp(&b.node));
        let in_groups = terms::groups(found, of, self.entry).into_iter();
        in_groups
            .enumerate()
            .map(|(group, places)| {
                let places = places.into_iter();
                let context = Context::new(
                    &self.cluster,
                    round,
                    self.entry,
                    model,
                    parameters,
                    places.map(|place| members[place].clone()).collect(),
                )?;
                context.under(treatment, (group, of))
            })
            .collect()
    }
}

/// Why there can be no secure round.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
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
    /// The sum of a group would tell too much.
    #[error(
        "{found} participants in {groups} groups leave fewer than {MIN_GROUP} in one; `learning.secure_groups` must be at most a third of `learning.min_cohort`"
    )]
    Groups {
        /// Members asked.
        found: usize,
        /// Groups wanted.
        groups: usize,
    },
    /// A participant's part of the noise would be none.
    #[error(transparent)]
    Noise(#[from] Unusable),
}

/// A round, the same for all who are in it.
#[derive(Clone, PartialEq, Debug)]
pub struct Context {
    round: Round,
    words: usize,
    members: Vec<Member>,
    parameters: Parameters,
    /// By place.
    neighbours: Vec<Vec<u16>>,
    treatment: Treatment,
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
            treatment: Treatment::default(),
            digest: Digest(hash.finalize().into()),
            parameters: protocol,
            members,
        })
    }

    /// The same round for updates that are treated so, in a group of `of`.
    ///
    /// # Errors
    /// The noise does not go with the size of the cohort.
    pub fn under(
        mut self,
        treatment: Treatment,
        (group, of): (usize, usize),
    ) -> Result<Self, ContextError> {
        treatment.check(self.parameters)?;
        let mut hash = Sha256::new();
        hash.update(b"glasshouse secagg terms v1\0");
        hash.update(self.digest.0);
        hash.update((group as u64).to_le_bytes());
        hash.update((of as u64).to_le_bytes());
        hash.update(treatment.bytes());
        self.treatment = treatment;
        self.digest = Digest(hash.finalize().into());
        Ok(self)
    }

    /// What its participants put under their masks.
    pub fn treatment(&self) -> &Treatment {
        &self.treatment
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
