//! `[learning]`: the algorithms by name, and what of them goes together.

use crate::Learning;
use crate::check::Problems;
use federation::cohort::Selection;
use federation::combination::{Aggregation, Combination, Compression, Noise, Refused};
use federation::compression::{Codec, Rounding};
use federation::fedbuff::Buffer;
use federation::optimizer::{Adaptive, ServerOptimizer};
use federation::privacy::Unusable;
use federation::privacy::budget::Budget;
use federation::privacy::clipping::Quantile;
use federation::robust::Rule;
use federation::secagg::params::{LARGEST, Parameters};
use federation::secagg::{NoiseBy, Terms, Treatment};
use serde::{Deserialize, Serialize};

/// What the shared model looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// One row.
    #[default]
    Dense,
    /// The last sixteen rows of a device.
    Temporal,
}

/// How the server turns a round's mean into a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// The mean itself.
    #[default]
    FedAvg,
    /// Steps that get shorter for good.
    FedAdagrad,
    /// A step of its own for every parameter, slow to lengthen.
    FedYogi,
    /// A step of its own for every parameter.
    FedAdam,
    /// The mean itself, with control variates that take back how participants' own data pull them apart.
    Scaffold,
}

/// How updates become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleKind {
    /// Weighted by examples; no defence.
    #[default]
    Mean,
    /// Each scaled down to `bound`.
    NormClip,
    /// Of each coordinate.
    Median,
    /// Of each coordinate, without the f smallest and largest.
    TrimmedMean,
    /// The point with the smallest sum of distances.
    GeometricMedian,
    /// The one whose neighbours are nearest.
    Krum,
    /// The mean of those.
    MultiKrum,
    /// Krum many times, then the middle of each coordinate.
    Bulyan,
}

/// `learning.robust`
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Robust {
    /// The rule.
    pub rule: RuleKind,
    /// How many participants may lie and the rule still holds.
    pub f: usize,
    /// L2 norm that `norm-clip` scales down to.
    pub bound: f64,
}

impl Default for Robust {
    fn default() -> Self {
        Self {
            rule: RuleKind::Mean,
            f: 0,
            bound: 1.0,
        }
    }
}

/// `learning.privacy`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Privacy {
    /// Standard deviation of the noise over `clip`; thousandths count.
    pub noise_multiplier: f64,
    /// L2 norm that updates are clipped to.
    pub clip: f64,
    /// `clip` is where it begins; from there the norm follows the median of the updates'.
    #[serde(default)]
    pub adaptive: bool,
    /// Who adds the noise.
    #[serde(default)]
    pub noise: NoiseKind,
    /// What this node's data, or its tenant's, may tell in all.
    pub epsilon: f64,
    /// The chance that it is more; well below one in the number of participants.
    #[serde(default = "default_delta")]
    pub delta: f64,
    /// Owner of this node's data: nodes with the same one have one budget together, the smallest of theirs.
    #[serde(default)]
    pub tenant: Option<String>,
}

fn default_delta() -> f64 {
    1e-5
}

/// Who adds the noise of differential privacy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NoiseKind {
    /// The aggregator, to the sum.
    #[default]
    Central,
    /// Every participant its part, in secure rounds.
    Distributed,
}

/// `learning.compression`
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "kebab-case")]
pub enum UpdateCompression {
    /// Every coordinate to so many bits.
    Quantised {
        /// 2 to 16.
        bits: u8,
    },
    /// The largest coordinates only.
    TopK {
        /// Which part of all.
        fraction: f64,
    },
}

/// `learning.buffer`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpdateBuffer {
    /// So many updates make a model.
    pub size: usize,
    /// They may start from models that are so much older than the newest.
    pub max_staleness: usize,
}

impl Default for UpdateBuffer {
    fn default() -> Self {
        let Buffer {
            size,
            max_staleness,
        } = Buffer::default();
        Self {
            size,
            max_staleness,
        }
    }
}

/// Most models that are remembered for updates from them: an update from an older one has a tenth of the weight.
const MAX_STALENESS: usize = wire::MAX_AGE as usize;

/// Fewest participants of a secure round.
pub(crate) const MIN_SECURE_COHORT: usize = federation::secagg::MIN_COHORT;

/// Adam's, unless configured.
const ADAM_LEARNING_RATE: f64 = 2e-3;
/// That of plain gradient descent, unless configured: larger, for it has no step of its own for every parameter.
const SGD_LEARNING_RATE: f64 = 0.05;

impl Learning {
    /// Whether rounds are to be secure, once all members can take part in such.
    pub fn is_secure(&self) -> bool {
        let sums_suffice = self.robust.rule == RuleKind::Mean && self.privacy.is_none();
        let sums_wanted = self.secure_groups > 1 || self.noise() == Noise::Distributed;
        self.secure_aggregation.unwrap_or(
            self.min_cohort >= MIN_SECURE_COHORT
                && self.buffer.is_none()
                && (sums_suffice || sums_wanted),
        )
    }

    fn noise(&self) -> Noise {
        match self.privacy.as_ref().map(|privacy| privacy.noise) {
            None => Noise::None,
            Some(NoiseKind::Central) => Noise::Central,
            Some(NoiseKind::Distributed) => Noise::Distributed,
        }
    }

    /// What participants of secure rounds do to their updates.
    ///
    /// # Errors
    /// Privacy has no mechanism; a configuration that was checked has one.
    pub fn terms(&self) -> Result<Terms, Unusable> {
        let treatment = match (self.privacy(), self.rule().0) {
            (Some(privacy), _) => Treatment::Private {
                mechanism: privacy.mechanism(privacy.bound)?,
                noise: privacy.noise,
            },
            (None, Rule::NormClip { bound }) => Treatment::Clipped { bound },
            (
                None,
                Rule::Mean
                | Rule::Median
                | Rule::TrimmedMean
                | Rule::GeometricMedian
                | Rule::Krum
                | Rule::MultiKrum
                | Rule::Bulyan,
            ) => Treatment::Weighted,
        };
        Ok(Terms {
            groups: self.secure_groups,
            treatment,
        })
    }

    /// How updates of so many parameters are made smaller.
    pub fn codec(&self, parameters: usize) -> Option<Codec> {
        self.compression.map(|compression| match compression {
            UpdateCompression::Quantised { bits } => Codec::Quantised {
                bits,
                // What is left out is sent later, and that needs the smaller error.
                rounding: Rounding::Nearest,
            },
            UpdateCompression::TopK { fraction } => Codec::TopK {
                keep: ((fraction * parameters as f64).ceil() as usize).max(1),
            },
        })
    }

    /// The server's step.
    pub fn server_optimizer(&self) -> ServerOptimizer {
        let adaptive = |momentum| Adaptive {
            learning_rate: self
                .server_learning_rate
                .unwrap_or(Adaptive::default().learning_rate),
            beta1: self.server_momentum.unwrap_or(momentum),
            ..Adaptive::default()
        };
        let usual = Adaptive::default().beta1;
        match self.optimizer {
            OptimizerKind::FedAvg | OptimizerKind::Scaffold => ServerOptimizer::FedAvg {
                learning_rate: self.server_learning_rate.unwrap_or(1.0),
                momentum: self.server_momentum.unwrap_or(0.0),
            },
            // Without momentum, as its authors ran it (Reddi et al. 2021, §5.2).
            OptimizerKind::FedAdagrad => ServerOptimizer::FedAdagrad(adaptive(0.0)),
            OptimizerKind::FedYogi => ServerOptimizer::FedYogi(adaptive(usual)),
            OptimizerKind::FedAdam => ServerOptimizer::FedAdam(adaptive(usual)),
        }
    }

    /// Whether rounds are to have control variates, once all members can take part in such.
    pub fn has_variates(&self) -> bool {
        match self.optimizer {
            OptimizerKind::Scaffold => true,
            OptimizerKind::FedAvg
            | OptimizerKind::FedAdagrad
            | OptimizerKind::FedYogi
            | OptimizerKind::FedAdam => false,
        }
    }

    /// Step size of Adam, by which rounds train that have no control variates, and a node makes a model its own.
    pub fn adam_learning_rate(&self) -> f64 {
        let configured = self.learning_rate.filter(|_| !self.has_variates());
        configured.unwrap_or(ADAM_LEARNING_RATE)
    }

    /// Step size of plain gradient descent, by which rounds train that have control variates.
    pub fn sgd_learning_rate(&self) -> f64 {
        self.learning_rate.unwrap_or(SGD_LEARNING_RATE)
    }

    /// How updates become one, and how many of them may be lies.
    pub fn rule(&self) -> (Rule, usize) {
        let rule = match self.robust.rule {
            RuleKind::Mean => Rule::Mean,
            RuleKind::NormClip => Rule::NormClip {
                bound: self.robust.bound,
            },
            RuleKind::Median => Rule::Median,
            RuleKind::TrimmedMean => Rule::TrimmedMean,
            RuleKind::GeometricMedian => Rule::GeometricMedian,
            RuleKind::Krum => Rule::Krum,
            RuleKind::MultiKrum => Rule::MultiKrum,
            RuleKind::Bulyan => Rule::Bulyan,
        };
        (rule, self.robust.f)
    }

    /// How updates are taken as they come; `None`: each belongs to one round.
    pub fn buffer(&self) -> Option<Buffer> {
        self.buffer.map(|buffer| Buffer {
            size: buffer.size,
            max_staleness: buffer.max_staleness,
        })
    }

    /// Who is asked.
    pub fn selection(&self) -> Selection {
        Selection {
            fraction: self.cohort_fraction,
            size: self.cohort_size,
            over_selection: self.over_selection,
        }
    }

    /// Noise and budget of private rounds.
    pub fn privacy(&self) -> Option<federation::Privacy> {
        self.privacy.as_ref().map(|privacy| federation::Privacy {
            // Rounded down: what is accounted for is not more than what is added.
            noise_milli: (privacy.noise_multiplier * 1_000.0) as u32,
            bound: privacy.clip,
            noise: match privacy.noise {
                NoiseKind::Central => NoiseBy::Aggregator,
                NoiseKind::Distributed => NoiseBy::Participants,
            },
            adaptive: privacy
                .adaptive
                .then(|| Quantile::for_cohort(self.min_cohort)),
            budget: Budget {
                epsilon: privacy.epsilon,
                delta: privacy.delta,
            },
        })
    }

    /// Whose the node's data are, if not its own.
    pub fn tenant(&self) -> Option<&String> {
        self.privacy.as_ref()?.tenant.as_ref()
    }

    pub(super) fn check_algorithms(&self, found: &mut Problems) {
        found.require(
            self.cohort_fraction > 0.0 && self.cohort_fraction <= 1.0,
            "learning.cohort_fraction",
            self.cohort_fraction,
            "above 0 and at most 1",
        );
        found.require(
            self.cohort_size.is_none_or(|size| size >= self.min_cohort),
            "learning.cohort_size",
            self.cohort_size,
            "at least learning.min_cohort, or no round would close",
        );
        found.require(
            (1.0..=10.0).contains(&self.over_selection),
            "learning.over_selection",
            self.over_selection,
            "between 1 (ask as many as are wanted) and 10 times as many",
        );
        found.require(
            self.proximal_mu >= 0.0 && self.proximal_mu.is_finite(),
            "learning.proximal_mu",
            self.proximal_mu,
            "a finite number, at least 0",
        );
        if let Err(unusable) = self.server_optimizer().check() {
            let key = match unusable.setting {
                "learning_rate" => "learning.server_learning_rate",
                _ => "learning.server_momentum",
            };
            found.require(false, key, unusable.found, unusable.rule);
        }
        let (rule, liars) = self.rule();
        let combination = Combination {
            rule,
            liars,
            cohort: self.min_cohort,
            aggregation: match self.is_secure() {
                true => Aggregation::Secure {
                    groups: self.secure_groups,
                },
                false => Aggregation::Clear,
            },
            noise: self.noise(),
            compression: match self.compression {
                None => Compression::None,
                Some(UpdateCompression::Quantised { .. }) => Compression::Quantised,
                Some(UpdateCompression::TopK { .. }) => Compression::TopK,
            },
            buffered: self.buffer.is_some(),
            selected: self.selection() != Selection::default(),
            variates: self.has_variates(),
            proximal: self.proximal_mu > 0.0,
        };
        if let Err(refused) = combination.check() {
            let (key, value) = self.to_blame(&refused);
            found.add(
                key.to_owned(),
                value,
                format!(
                    "one that goes with learning.min_cohort = {} and the rest: {refused}",
                    self.min_cohort
                ),
            );
        }
        found.require(
            self.secure_groups == 1 || self.is_secure(),
            "learning.secure_groups",
            self.secure_groups,
            "1 where rounds are not secure: updates are compared one by one there",
        );
        found.require(
            !self.has_variates() || self.server_momentum.unwrap_or(0.0) == 0.0,
            "learning.server_momentum",
            self.server_momentum.unwrap_or_default(),
            "0 or absent with optimizer = \"scaffold\": momentum would not survive a change of the leader, as the variates do",
        );
        if let Some(buffer) = self.buffer {
            found.require(
                buffer.size >= self.min_cohort,
                "learning.buffer.size",
                buffer.size,
                "at least learning.min_cohort, or no round would close",
            );
            found.require(
                buffer.max_staleness <= MAX_STALENESS,
                "learning.buffer.max_staleness",
                buffer.max_staleness,
                "at most 100 models",
            );
        }
        self.check_compression(found);
        self.check_privacy(found);
    }

    /// The key that a refusal is about.
    fn to_blame(&self, refused: &Refused) -> (&'static str, String) {
        match refused {
            Refused::Rule(_)
            | Refused::Groups(_)
            | Refused::NeedsUpdates { .. }
            | Refused::NoisyRule { .. } => {
                let (rule, liars) = self.rule();
                ("learning.robust", format!("{rule} with f = {liars}"))
            }
            Refused::GroupTooSmall { .. } | Refused::NoiseInGroups => {
                ("learning.secure_groups", self.secure_groups.to_string())
            }
            Refused::NoiseInClear => ("learning.privacy.noise", "distributed".to_owned()),
            Refused::TopKUnderMasks
            | Refused::QuantisedUnderMasks
            | Refused::VariatesCompressed => {
                ("learning.compression", format!("{:?}", self.compression))
            }
            Refused::BufferedUnderMasks
            | Refused::BufferedNoise
            | Refused::BufferedUnderRule { .. }
            | Refused::BufferedCompressed
            | Refused::BufferedCohort => (
                "learning.buffer",
                format!("{:?}", self.buffer.unwrap_or_default()),
            ),
            Refused::VariatesUnderRule { .. } => {
                let (rule, liars) = self.rule();
                ("learning.robust", format!("{rule} with f = {liars}"))
            }
            Refused::VariatesUnderNoise => {
                let clip = self.privacy.as_ref().map(|privacy| privacy.clip);
                (
                    "learning.privacy",
                    format!("clip = {}", clip.unwrap_or_default()),
                )
            }
            Refused::VariatesProximal => ("learning.proximal_mu", self.proximal_mu.to_string()),
            Refused::VariatesBuffered => ("learning.optimizer", "scaffold".to_owned()),
        }
    }

    fn check_compression(&self, found: &mut Problems) {
        match self.compression {
            None => {}
            Some(UpdateCompression::Quantised { bits }) => found.require(
                (2..=16).contains(&bits),
                "learning.compression.bits",
                bits,
                "between 2 and 16",
            ),
            Some(UpdateCompression::TopK { fraction }) => found.require(
                fraction > 0.0 && fraction <= 1.0,
                "learning.compression.fraction",
                fraction,
                "above 0 and at most 1",
            ),
        }
    }

    fn check_privacy(&self, found: &mut Problems) {
        let Some(privacy) = &self.privacy else {
            return;
        };
        if let Some(mechanism) = self.privacy()
            && let Err(unusable) = mechanism.mechanism(mechanism.bound)
        {
            found.add(
                "learning.privacy".to_owned(),
                format!(
                    "noise_multiplier = {}, clip = {}",
                    privacy.noise_multiplier, privacy.clip
                ),
                format!("one that makes a mechanism: {unusable}"),
            );
        }
        // Parts of the noise get smaller with the cohort.
        if let (Ok(terms), Some(largest)) = (self.terms(), Parameters::of(LARGEST))
            && let Err(unusable) = terms.treatment.check(largest)
        {
            found.add(
                "learning.privacy.noise_multiplier".to_owned(),
                privacy.noise_multiplier.to_string(),
                format!("one that can be made up by a large cohort: {unusable}"),
            );
        }
        found.require(
            !(privacy.adaptive && self.is_secure()),
            "learning.privacy.adaptive",
            privacy.adaptive,
            "false in secure rounds: participants clip before they mask, and to the configured norm, for the aggregator that would move it is the one they hide from",
        );
        found.require(
            privacy.epsilon > 0.0 && privacy.epsilon.is_finite(),
            "learning.privacy.epsilon",
            privacy.epsilon,
            "a finite number above 0",
        );
        found.require(
            privacy.delta > 0.0 && privacy.delta <= 0.01,
            "learning.privacy.delta",
            privacy.delta,
            "above 0 and at most 0.01, for it is the chance that nothing is hid",
        );
        if let Some(tenant) = &privacy.tenant {
            found.require(
                wire::is_tenant_name(tenant),
                "learning.privacy.tenant",
                tenant,
                "1 to 64 letters, digits, dots, dashes and underscores",
            );
        }
    }
}
