//! What the participants of a secure round do to their updates before they are masked, and whose sums the
//! aggregator sees. All of a cohort go by the same terms: they are in the digest of the round.

use super::params::Parameters;
use crate::privacy::{Mechanism, Unusable};
use crate::random::SplitMix;
use sha2::{Digest as _, Sha256};
use wire::{Digest, NodeId};

/// What a round goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Terms {
    /// Sums that the aggregator sees, each of a group of its own; 0 and 1: one of all.
    pub groups: usize,
    /// What becomes of an update.
    pub treatment: Treatment,
}

/// What a participant puts under its masks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Treatment {
    /// n·Δ: the sum gives the mean weighted by examples.
    #[default]
    Weighted,
    /// Δ, scaled down to this L2 norm where it is longer; each counts once.
    Clipped {
        /// The norm.
        bound: f64,
    },
    /// Δ on the grid of differential privacy; each counts once, and neither examples nor loss is told.
    Private {
        /// Clipping and noise of the round.
        mechanism: Mechanism,
        /// Who adds the noise.
        noise: NoiseBy,
    },
}

/// What the ledger says that a private round costs, and whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Charge {
    /// On whose accounts.
    pub participants: Vec<NodeId>,
    /// Standard deviation of the noise over `bound`, in thousandths.
    pub noise_milli: u32,
    /// Norm that updates are clipped to.
    pub bound: f64,
    /// Whom of this participant's it took over the budget, by the ledger; a sentence. Somebody has changed hands since the
    /// round was opened, or it should not have been.
    pub overdraws: Option<String>,
}

impl Charge {
    /// Whether it is for updates that are treated so.
    pub(super) fn is_for(&self, treatment: &Treatment) -> bool {
        let charged = Mechanism::new(self.bound, f64::from(self.noise_milli) / 1_000.0);
        match treatment {
            Treatment::Weighted | Treatment::Clipped { .. } => true,
            Treatment::Private {
                mechanism,
                noise: _,
            } => charged.is_ok_and(|charged| charged == *mechanism),
        }
    }
}

/// Who adds the noise of a private round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoiseBy {
    /// The aggregator, to the sum.
    Aggregator,
    /// Every participant its part: the aggregator never sees a sum without noise.
    Participants,
}

impl Treatment {
    /// Whether what the sum tells is to be on the ledger before the masks come off.
    pub const fn is_private(&self) -> bool {
        match self {
            Self::Weighted | Self::Clipped { .. } => false,
            Self::Private { .. } => true,
        }
    }

    /// Refuses parts of the noise that are too small for a cohort of this size.
    ///
    /// # Errors
    /// They are.
    pub fn check(&self, parameters: Parameters) -> Result<(), Unusable> {
        match self {
            Self::Private {
                mechanism,
                noise: NoiseBy::Participants,
            } => mechanism.check_share(parameters.honest()),
            Self::Weighted | Self::Clipped { .. } | Self::Private { .. } => Ok(()),
        }
    }

    /// For the digest of the round.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let tagged = |tag: u8, numbers: &[u64]| {
            let mut bytes = vec![tag];
            bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            bytes
        };
        match self {
            Self::Weighted => tagged(0, &[]),
            Self::Clipped { bound } => tagged(1, &[bound.to_bits()]),
            Self::Private { mechanism, noise } => {
                let tag = match noise {
                    NoiseBy::Aggregator => 2,
                    NoiseBy::Participants => 3,
                };
                tagged(tag, &[mechanism.bound().to_bits(), mechanism.variance()])
            }
        }
    }
}

/// Places of a cohort of `n` in `groups`, as equal in size as they can be. The order comes of the ledger
/// entry that opened the round, so a liar does not choose whom it is summed with, and is with others in
/// every round.
pub(crate) fn groups(n: usize, groups: usize, entry: Digest) -> Vec<Vec<usize>> {
    let mut hash = Sha256::new();
    hash.update(b"glasshouse secagg groups v1\0");
    hash.update(entry.0);
    let digest: [u8; 32] = hash.finalize().into();
    let seed = u64::from_le_bytes(*digest.first_chunk().expect("a digest has 32 bytes"));
    let mut order: Vec<usize> = (0..n).collect();
    crate::random::shuffle(&mut order, &mut SplitMix::new(seed));
    let groups = groups.max(1);
    let cut = |at: usize| at * n / groups;
    (0..groups)
        .map(|at| {
            let mut group = order[cut(at)..cut(at + 1)].to_vec();
            group.sort_unstable();
            group
        })
        .collect()
}
