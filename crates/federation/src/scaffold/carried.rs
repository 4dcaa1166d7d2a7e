//! What the vector of a round is: weights, or weights with a variate behind them.

use super::{Begin, reset, split};
use std::sync::Arc;
use wire::Round;

/// What a round's vectors are, whatever the model that it starts from is. A model of weights becomes one with a
/// variate, and back, in the first round after the configuration says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carried {
    /// What the model is.
    #[default]
    AsTheModel,
    /// So many weights. A variate behind them is of no more use.
    Weights(usize),
    /// Weights and a variate.
    Joined(Standing),
}

/// A round of SCAFFOLD, as the ledger and the configuration have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How many weights.
    pub weights: usize,
    /// N: members of the cluster.
    pub members: usize,
    /// Where the variates stand.
    pub begin: Begin,
}

impl Carried {
    /// From the model to what the round starts from. One of another length is left as it is: whoever trains says
    /// that it does not fit.
    pub fn start(&self, model: &Arc<Vec<f32>>) -> Arc<Vec<f32>> {
        let split = |weights: usize| split(model).filter(|(head, _)| head.len() == weights);
        match self {
            Self::AsTheModel => Arc::clone(model),
            Self::Weights(weights) => match split(*weights) {
                Some((head, _)) => Arc::new(head.to_vec()),
                None => Arc::clone(model),
            },
            Self::Joined(standing) => match split(standing.weights) {
                Some((head, _)) if standing.begin.fresh => Arc::new(reset(head)),
                Some(_) => Arc::clone(model),
                None if model.len() == standing.weights => Arc::new(reset(model)),
                None => Arc::clone(model),
            },
        }
    }

    /// N, where there are variates.
    pub fn members(&self) -> Option<usize> {
        match self {
            Self::Joined(standing) => Some(standing.members),
            Self::AsTheModel | Self::Weights(_) => None,
        }
    }
}

impl Standing {
    /// Which round's variate a participant goes on from, for this model; `None`: from zero.
    pub(crate) fn kept(&self, model: &[f32]) -> Option<Round> {
        let joined = model.len() == 2 * self.weights;
        self.begin.kept.filter(|_| joined && !self.begin.fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_becomes_what_the_round_is_about() {
        let joined = |fresh| {
            Carried::Joined(Standing {
                weights: 2,
                members: 3,
                begin: Begin { fresh, kept: None },
            })
        };
        let check = |carried: Carried, model: &[f32], expected: &[f32]| {
            let model = Arc::new(model.to_vec());
            assert_eq!(*carried.start(&model), expected, "{carried:?} {model:?}");
        };
        let (weights, both) = ([1.0, 2.0], [1.0, 2.0, 3.0, 4.0]);
        check(Carried::AsTheModel, &both, &both);
        check(Carried::Weights(2), &weights, &weights);
        check(Carried::Weights(2), &both, &weights);
        check(Carried::Weights(4), &both, &both);
        check(joined(false), &both, &both);
        check(joined(true), &both, &[1.0, 2.0, 0.0, 0.0]);
        check(joined(false), &weights, &[1.0, 2.0, 0.0, 0.0]);
        // Of another shape altogether.
        check(joined(true), &[1.0; 6], &[1.0; 6]);
        check(joined(true), &[1.0], &[1.0]);
    }
}
