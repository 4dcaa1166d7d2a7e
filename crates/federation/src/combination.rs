//! What goes with what. Secure aggregation shows sums and no updates; privacy needs a bound on what
//! one participant changes; robust rules need to see what they compare. Not all of that can be had
//! at once, and a combination that only looks as if it worked is refused with what to do instead.
//!
//! | | seen in clear | one secure sum | secure sums of groups |
//! |---|---|---|---|
//! | mean | yes | yes | yes |
//! | norm-clip | yes, by the aggregator | yes, by the participants | yes, by the participants |
//! | medians, trimmed mean, Krum, Bulyan | yes | refused | over the groups' means, of which f may be spoilt |
//! | central noise | yes | yes | refused: made for one sum |
//! | distributed noise | refused | yes | refused: made for one sum |
//! | quantisation | yes | refused | refused |
//! | top-k | yes | refused | refused |
//! | buffered rounds, mean only | yes | refused | refused |
//! | control variates (SCAFFOLD), mean only | yes | yes | yes |
//!
//! With control variates go neither other rules, noise, compression nor a proximal term: each of them would make the
//! server's variate something else than the mean of the participants'.
//!
//! Groups: a liar spoils the sum of its own group only, so a rule over the sums of g groups needs of g
//! what it needs of n (Velicheti, Xia, Koyejo 2021, *Secure Byzantine-Robust Distributed Learning via
//! Clustering*; Karimireddy, He, Jaggi, ICLR 2022, on bucketing).

use crate::robust::{RobustError, Rule};

/// Fewest participants behind a sum that the aggregator sees: with two, each of them knows the other's
/// update from it, and an aggregator that trains knows it with one.
pub const MIN_GROUP: usize = 3;

/// What the aggregator sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregation {
    /// Every update.
    #[default]
    Clear,
    /// Sums only.
    Secure {
        /// Of how many groups, as equal in size as they can be; 1: one sum of all.
        groups: usize,
    },
}

/// Who adds the noise of differential privacy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Noise {
    /// Nobody: updates are not private.
    #[default]
    None,
    /// The aggregator, to the sum.
    Central,
    /// Every participant its part.
    Distributed,
}

/// How updates are made smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// Every coordinate to a few bits.
    Quantised,
    /// The largest coordinates only.
    TopK,
}

/// What is to be used together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Combination {
    /// The rule.
    pub rule: Rule,
    /// f: liars it must withstand.
    pub liars: usize,
    /// Fewest updates that make a model.
    pub cohort: usize,
    /// What the aggregator sees.
    pub aggregation: Aggregation,
    /// Who adds noise.
    pub noise: Noise,
    /// How updates travel.
    pub compression: Compression,
    /// Updates are taken as they come, from earlier models, too (`fedbuff`).
    pub buffered: bool,
    /// Part of the members are asked in a round.
    pub selected: bool,
    /// Participants and server have control variates (`scaffold`).
    pub variates: bool,
    /// FedProx pulls local steps to the base.
    pub proximal: bool,
}

/// Why a combination is not to be had; each says what to do instead.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Refused {
    /// The rule's own requirement.
    #[error(transparent)]
    Rule(RobustError),
    /// As the rule's own, of groups.
    #[error(
        "over groups, f of them may be spoilt: {0}; ask for more groups of at least {MIN_GROUP}, or a larger cohort"
    )]
    Groups(RobustError),
    /// A sum hides what the rule compares.
    #[error(
        "{rule} compares updates, and secure aggregation shows their sum only; sum them in groups, or clip norms instead (rule = \"norm-clip\")"
    )]
    NeedsUpdates {
        /// The rule.
        rule: Rule,
    },
    /// A sum of too few hides nothing.
    #[error(
        "{groups} groups of {cohort} participants leave fewer than {MIN_GROUP} in one, whose sum would tell on them; ask for at most {most} groups"
    )]
    GroupTooSmall {
        /// Asked for.
        groups: usize,
        /// To be split.
        cohort: usize,
        /// What it allows.
        most: usize,
    },
    /// Sensitivity is known of a clipped mean only.
    #[error(
        "the noise of differential privacy is made for a clipped mean, not for {rule}; use rule = \"mean\" (privacy clips norms itself)"
    )]
    NoisyRule {
        /// The rule.
        rule: Rule,
    },
    /// A participant's share of noise hides nothing alone.
    #[error(
        "a participant's part of the noise hides its update only in the sum; turn secure aggregation on, or let the aggregator add it (noise = \"central\")"
    )]
    NoiseInClear,
    /// One sum, one noise.
    #[error("the noise of differential privacy is made for one sum; use one group")]
    NoiseInGroups,
    /// Masks cover every coordinate.
    #[error(
        "top-k sends other coordinates from every participant, and masks only cancel where all send all; turn compression off, or aggregate in clear (secure_aggregation = false)"
    )]
    TopKUnderMasks,
    /// Masked words are as wide as the sum needs.
    #[error(
        "a masked coordinate has 64 bits however few its update has, since the sum of all must fit and looks random, so fewer would save nothing and cost exactness; turn compression off, or aggregate in clear (secure_aggregation = false)"
    )]
    QuantisedUnderMasks,
    /// Masks are agreed on by a cohort.
    #[error(
        "masks cancel within one cohort of one round, and a buffered update may be of an earlier one; aggregate in clear (secure_aggregation = false), or take no updates from earlier models (no learning.buffer)"
    )]
    BufferedUnderMasks,
    /// The accountant charges who is asked.
    #[error(
        "the noise of differential privacy is made for a mean in which everyone has the same weight, and buffered updates have less the older they are; turn privacy off, or take no updates from earlier models (no learning.buffer)"
    )]
    BufferedNoise,
    /// A rule compares what is alike.
    #[error(
        "{rule} takes updates that are unlike the others for lies, and those from earlier models are unlike them; use rule = \"mean\", or take no updates from earlier models (no learning.buffer)"
    )]
    BufferedUnderRule {
        /// The rule.
        rule: Rule,
    },
    /// What is left out is in the next update.
    #[error(
        "what a smaller update leaves out is kept by the round that it is for, and a buffered update may count in a later one; turn compression off, or take no updates from earlier models (no learning.buffer)"
    )]
    BufferedCompressed,
    /// Who is late is to be in the round that is open.
    #[error(
        "a buffered update counts in the round that is open when it is made, so everybody has to be asked in every round; leave cohort_fraction, cohort_size and over_selection at their defaults, or take no updates from earlier models (no learning.buffer)"
    )]
    BufferedCohort,
    /// A rule makes another vector of the variates than their mean.
    #[error(
        "the server's control variate of SCAFFOLD is the mean of all participants', and {rule} would make it something else; use rule = \"mean\", or another optimizer"
    )]
    VariatesUnderRule {
        /// The rule.
        rule: Rule,
    },
    /// Noise stays in the server's variate.
    #[error(
        "the noise of differential privacy would stay in the server's control variate of SCAFFOLD and add up there from round to round, and clipping would make it another mean than that of the participants' variates; turn privacy off, or use another optimizer"
    )]
    VariatesUnderNoise,
    /// Halves of different size.
    #[error(
        "weights and control variates of SCAFFOLD differ in size by orders of magnitude, and a smaller update has one scale for both; turn compression off, or use another optimizer"
    )]
    VariatesCompressed,
    /// The steps are no gradients.
    #[error(
        "a control variate of SCAFFOLD is the mean of the gradients of local steps, and a proximal term is in those steps, too; set learning.proximal_mu = 0, SCAFFOLD holds participants together itself"
    )]
    VariatesProximal,
    /// An update's age is that of its variates.
    #[error(
        "an update from an earlier model brings the change of a control variate that the server's has moved on from; run SCAFFOLD in rounds, or use another optimizer"
    )]
    VariatesBuffered,
}

impl Combination {
    /// Refuses what does not go together.
    pub fn check(&self) -> Result<(), Refused> {
        self.check_aggregation()?;
        self.check_noise()?;
        let masked = match self.aggregation {
            Aggregation::Clear => false,
            Aggregation::Secure { groups: _ } => true,
        };
        match self.compression {
            Compression::TopK if masked => return Err(Refused::TopKUnderMasks),
            Compression::Quantised if masked => return Err(Refused::QuantisedUnderMasks),
            Compression::None | Compression::Quantised | Compression::TopK => {}
        }
        if self.buffered {
            self.check_buffered(masked)?;
        }
        self.check_variates()
    }

    /// The rule, where it is another one than the mean of all updates.
    fn rule_beside_mean(&self) -> Option<Rule> {
        match self.rule {
            Rule::Mean => None,
            rule @ (Rule::NormClip { .. }
            | Rule::Median
            | Rule::TrimmedMean
            | Rule::GeometricMedian
            | Rule::Krum
            | Rule::MultiKrum
            | Rule::Bulyan) => Some(rule),
        }
    }

    fn check_buffered(&self, masked: bool) -> Result<(), Refused> {
        if masked {
            return Err(Refused::BufferedUnderMasks);
        }
        if let Some(rule) = self.rule_beside_mean() {
            return Err(Refused::BufferedUnderRule { rule });
        }
        match self.compression {
            Compression::None => {}
            Compression::Quantised | Compression::TopK => return Err(Refused::BufferedCompressed),
        }
        match self.selected {
            true => Err(Refused::BufferedCohort),
            false => Ok(()),
        }
    }

    fn check_variates(&self) -> Result<(), Refused> {
        if !self.variates {
            return Ok(());
        }
        if let Some(rule) = self.rule_beside_mean() {
            return Err(Refused::VariatesUnderRule { rule });
        }
        match self.noise {
            Noise::None => {}
            Noise::Central | Noise::Distributed => return Err(Refused::VariatesUnderNoise),
        }
        match self.compression {
            Compression::None => {}
            Compression::Quantised | Compression::TopK => return Err(Refused::VariatesCompressed),
        }
        match (self.proximal, self.buffered) {
            (true, _) => Err(Refused::VariatesProximal),
            (false, true) => Err(Refused::VariatesBuffered),
            (false, false) => Ok(()),
        }
    }

    fn check_aggregation(&self) -> Result<(), Refused> {
        let Self {
            rule,
            liars,
            cohort,
            ..
        } = *self;
        match self.aggregation {
            Aggregation::Clear => rule.check(cohort, liars).map_err(Refused::Rule),
            Aggregation::Secure { groups } => {
                let most = cohort / MIN_GROUP;
                if groups == 0 || groups > most {
                    return Err(Refused::GroupTooSmall {
                        groups,
                        cohort,
                        most,
                    });
                }
                match rule {
                    Rule::Mean | Rule::NormClip { .. } => {
                        rule.check(cohort, liars).map_err(Refused::Rule)
                    }
                    Rule::Median
                    | Rule::TrimmedMean
                    | Rule::GeometricMedian
                    | Rule::Krum
                    | Rule::MultiKrum
                    | Rule::Bulyan
                        if groups == 1 =>
                    {
                        Err(Refused::NeedsUpdates { rule })
                    }
                    Rule::Median
                    | Rule::TrimmedMean
                    | Rule::GeometricMedian
                    | Rule::Krum
                    | Rule::MultiKrum
                    | Rule::Bulyan => rule.check(groups, liars).map_err(Refused::Groups),
                }
            }
        }
    }

    fn check_noise(&self) -> Result<(), Refused> {
        match (self.noise, self.aggregation) {
            (Noise::None, _) => return Ok(()),
            (Noise::Distributed, Aggregation::Clear) => return Err(Refused::NoiseInClear),
            (Noise::Central, Aggregation::Clear)
            | (Noise::Central | Noise::Distributed, Aggregation::Secure { groups: 1 }) => {}
            (Noise::Central | Noise::Distributed, Aggregation::Secure { groups: _ }) => {
                return Err(Refused::NoiseInGroups);
            }
        }
        match self.rule {
            Rule::Mean => {}
            Rule::NormClip { .. }
            | Rule::Median
            | Rule::TrimmedMean
            | Rule::GeometricMedian
            | Rule::Krum
            | Rule::MultiKrum
            | Rule::Bulyan => return Err(Refused::NoisyRule { rule: self.rule }),
        }
        if self.buffered {
            return Err(Refused::BufferedNoise);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIP: Rule = Rule::NormClip { bound: 1.0 };
    const ONE_SUM: Aggregation = Aggregation::Secure { groups: 1 };

    fn plain() -> Combination {
        Combination {
            rule: Rule::Mean,
            liars: 0,
            cohort: 30,
            aggregation: Aggregation::Clear,
            noise: Noise::None,
            compression: Compression::None,
            buffered: false,
            selected: false,
            variates: false,
            proximal: false,
        }
    }

    #[test]
    fn every_rule_under_every_aggregation() {
        let rules = [
            Rule::Mean,
            CLIP,
            Rule::Median,
            Rule::TrimmedMean,
            Rule::GeometricMedian,
            Rule::Krum,
            Rule::MultiKrum,
            Rule::Bulyan,
        ];
        for rule in rules {
            let compares = !matches!(rule, Rule::Mean | Rule::NormClip { .. });
            let liars = if rule == Rule::Mean { 0 } else { 1 };
            let under = |aggregation| {
                Combination {
                    rule,
                    liars,
                    aggregation,
                    ..plain()
                }
                .check()
            };
            assert_eq!(under(Aggregation::Clear), Ok(()), "{rule}");
            let refused = Err(Refused::NeedsUpdates { rule });
            let one = if compares { refused } else { Ok(()) };
            assert_eq!(under(ONE_SUM), one, "{rule}");
            // Ten groups of three withstand one liar by every rule there is.
            assert_eq!(under(Aggregation::Secure { groups: 10 }), Ok(()), "{rule}");
        }
    }

    #[test]
    fn groups_are_counted_as_the_rule_counts_updates() {
        let over = |groups, liars| {
            Combination {
                rule: Rule::Bulyan,
                liars,
                aggregation: Aggregation::Secure { groups },
                ..plain()
            }
            .check()
        };
        assert_eq!(over(7, 1), Ok(()));
        assert!(matches!(
            over(6, 1),
            Err(Refused::Groups(RobustError::TooFew {
                needed: 7,
                found: 6,
                ..
            }))
        ));
        let too_small = Err(Refused::GroupTooSmall {
            groups: 11,
            cohort: 30,
            most: 10,
        });
        assert_eq!(over(11, 1), too_small);
    }

    #[test]
    fn what_hides_and_what_must_be_seen() {
        let check = |combination: Combination, expected: Result<(), Refused>| {
            assert_eq!(combination.check(), expected, "{combination:?}");
        };
        let noisy = |noise, aggregation| Combination {
            noise,
            aggregation,
            ..plain()
        };
        check(noisy(Noise::Central, Aggregation::Clear), Ok(()));
        check(noisy(Noise::Central, ONE_SUM), Ok(()));
        check(noisy(Noise::Distributed, ONE_SUM), Ok(()));
        check(
            noisy(Noise::Distributed, Aggregation::Clear),
            Err(Refused::NoiseInClear),
        );
        check(
            noisy(Noise::Central, Aggregation::Secure { groups: 2 }),
            Err(Refused::NoiseInGroups),
        );
        check(
            Combination {
                rule: CLIP,
                ..noisy(Noise::Central, Aggregation::Clear)
            },
            Err(Refused::NoisyRule { rule: CLIP }),
        );
        check(
            Combination {
                buffered: true,
                ..noisy(Noise::Central, Aggregation::Clear)
            },
            Err(Refused::BufferedNoise),
        );
        let packed = |compression, aggregation| Combination {
            compression,
            aggregation,
            ..plain()
        };
        check(packed(Compression::TopK, Aggregation::Clear), Ok(()));
        check(
            packed(Compression::TopK, ONE_SUM),
            Err(Refused::TopKUnderMasks),
        );
        check(packed(Compression::Quantised, Aggregation::Clear), Ok(()));
        check(
            packed(Compression::Quantised, ONE_SUM),
            Err(Refused::QuantisedUnderMasks),
        );
        let buffered = |combination: Combination, expected: Result<(), Refused>| {
            let with = Combination {
                buffered: true,
                ..combination
            };
            check(with, expected);
        };
        buffered(plain(), Ok(()));
        buffered(
            packed(Compression::None, ONE_SUM),
            Err(Refused::BufferedUnderMasks),
        );
        buffered(
            packed(Compression::TopK, Aggregation::Clear),
            Err(Refused::BufferedCompressed),
        );
        let clipped = Combination {
            rule: CLIP,
            ..plain()
        };
        buffered(clipped, Err(Refused::BufferedUnderRule { rule: CLIP }));
        let selected = Combination {
            selected: true,
            ..plain()
        };
        buffered(selected, Err(Refused::BufferedCohort));
        check(selected, Ok(()));
    }

    #[test]
    fn control_variates_are_a_mean_and_nothing_else() {
        let check = |combination: Combination, expected: Result<(), Refused>| {
            let with = Combination {
                variates: true,
                ..combination
            };
            assert_eq!(with.check(), expected, "{with:?}");
        };
        check(plain(), Ok(()));
        for groups in [1, 10] {
            let aggregation = Aggregation::Secure { groups };
            check(
                Combination {
                    aggregation,
                    ..plain()
                },
                Ok(()),
            );
        }
        for rule in [CLIP, Rule::Median, Rule::Bulyan] {
            let liars = 1;
            let refused = Err(Refused::VariatesUnderRule { rule });
            check(
                Combination {
                    rule,
                    liars,
                    ..plain()
                },
                refused,
            );
        }
        let noisy = Combination {
            noise: Noise::Central,
            ..plain()
        };
        check(noisy, Err(Refused::VariatesUnderNoise));
        let packed = Combination {
            compression: Compression::Quantised,
            ..plain()
        };
        check(packed, Err(Refused::VariatesCompressed));
        let proximal = Combination {
            proximal: true,
            ..plain()
        };
        check(proximal, Err(Refused::VariatesProximal));
        assert_eq!(proximal.check(), Ok(()), "FedProx alone");
        let buffered = Combination {
            buffered: true,
            ..plain()
        };
        check(buffered, Err(Refused::VariatesBuffered));
    }
}
