//! SCAFFOLD (Karimireddy, Kale, Mohri, Reddi, Stich, Suresh, ICML 2020): control variates that take
//! back how a participant's own data pull it away from the others.
//!
//! ```text
//! participant i, K steps of step size ηₗ:   y ← y − ηₗ·(gᵢ(y) − cᵢ + c)
//!                          (option II)      cᵢ⁺ = cᵢ − c + (w − y) / (K·ηₗ)
//! server, S of N participants:              w' = w + ηg·mean(y − w)      c' = c + (S/N)·mean(cᵢ⁺ − cᵢ)
//! ```
//! Means over the round's participants, each counting once. Local steps are plain gradient descent:
//! with another optimiser `(w − y) / (K·ηₗ)` is no gradient.
//!
//! # How the variates travel
//! The server's c stands behind the parameters in one vector ([`join`], [`split`]), and a participant
//! answers with both differences in one. So the digest on the ledger covers c, it is staged and fetched
//! with the model when a leader dies, and sums of updates (secure ones, too) need nothing new. Models may
//! then have half of [`MAX_PARAMETERS`](crate::MAX_PARAMETERS).
//!
//! # A variate that is lost
//! c is the mean of all cᵢ only while every participant keeps its own. One that lost its variate and starts
//! from zero biases the optimum for good (a test shows by how much). It has to say so, and the server starts
//! all of them anew: [`reset`] on its side, [`Participant::reset`] on theirs.

#[cfg(test)]
mod tests;

/// Parameters and the server's variate as one vector; `None`: they differ in length.
pub fn join(parameters: &[f32], variate: &[f32]) -> Option<Vec<f32>> {
    (parameters.len() == variate.len()).then(|| [parameters, variate].concat())
}

/// The two halves of a joined vector; `None`: it has no halves.
pub fn split(joined: &[f32]) -> Option<(&[f32], &[f32])> {
    joined
        .len()
        .is_multiple_of(2)
        .then(|| joined.split_at(joined.len() / 2))
}

/// The joined vector with a server's variate of zero.
pub fn reset(parameters: &[f32]) -> Vec<f32> {
    let mut joined = parameters.to_vec();
    joined.resize(2 * parameters.len(), 0.0);
    joined
}

/// Why a step was not taken.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ScaffoldError {
    /// Vectors of one model have one length.
    #[error("a vector of {found} numbers where the model with its variate has {expected}")]
    Length {
        /// Of the vector at hand.
        expected: usize,
        /// Of the other one.
        found: usize,
    },
    /// A variate is a mean over steps.
    #[error("no variate follows from {steps} steps of size {step_size}")]
    Steps {
        /// K.
        steps: u32,
        /// ηₗ.
        step_size: f64,
    },
    /// More than there are, or none.
    #[error("{participants} participants of {members} members make no round")]
    Participants {
        /// S.
        participants: usize,
        /// N.
        members: usize,
    },
}

/// The server's step: `joined` is model and variate, `mean` the mean of joined differences of
/// `participants` out of `members`, each counting once.
pub fn step(
    joined: &[f32],
    mean: &[f64],
    (participants, members): (usize, usize),
    learning_rate: f64,
) -> Result<Vec<f32>, ScaffoldError> {
    if joined.len() != mean.len() || !joined.len().is_multiple_of(2) {
        return Err(ScaffoldError::Length {
            expected: joined.len(),
            found: mean.len(),
        });
    }
    if participants == 0 || participants > members {
        return Err(ScaffoldError::Participants {
            participants,
            members,
        });
    }
    let share = participants as f64 / members as f64;
    let half = joined.len() / 2;
    Ok(joined
        .iter()
        .zip(mean)
        .enumerate()
        .map(|(at, (value, mean))| {
            let factor = if at < half { learning_rate } else { share };
            (f64::from(*value) + factor * mean) as f32
        })
        .collect())
}

/// What a participant keeps from round to round.
#[derive(Clone, Debug, PartialEq)]
pub struct Participant {
    variate: Vec<f32>,
    /// Of a round that has not ended.
    next: Option<Vec<f32>>,
}

impl Participant {
    /// Before its first round, for a model of `parameters`.
    pub fn new(parameters: usize) -> Self {
        Self {
            variate: vec![0.0; parameters],
            next: None,
        }
    }

    /// The server has started all variates anew.
    pub fn reset(&mut self) {
        *self = Self::new(self.variate.len());
    }

    /// `c − cᵢ`: to be added to the gradient in each local step.
    pub fn correction(&self, server: &[f32]) -> Result<Vec<f32>, ScaffoldError> {
        self.fits(server)?;
        Ok(server
            .iter()
            .zip(&self.variate)
            .map(|(server, own)| server - own)
            .collect())
    }

    /// After training: the joined difference that goes to the server. `delta` is `y − w` after `steps`
    /// corrected steps of `step_size`. The variate itself changes when the round ends
    /// ([`ended`](Self::ended)).
    pub fn answer(
        &mut self,
        server: &[f32],
        delta: &[f32],
        steps: u32,
        step_size: f64,
    ) -> Result<Vec<f32>, ScaffoldError> {
        self.fits(server)?;
        self.fits(delta)?;
        if steps == 0 || !(step_size > 0.0 && step_size.is_finite()) {
            return Err(ScaffoldError::Steps { steps, step_size });
        }
        let taken = f64::from(steps) * step_size;
        let next: Vec<f32> = self
            .variate
            .iter()
            .zip(server)
            .zip(delta)
            .map(|((own, server), delta)| {
                (f64::from(*own) - f64::from(*server) - f64::from(*delta) / taken) as f32
            })
            .collect();
        let mut joined = delta.to_vec();
        joined.extend(next.iter().zip(&self.variate).map(|(new, old)| new - old));
        self.next = Some(next);
        Ok(joined)
    }

    /// The round ended; `counted`: it was closed, and this participant's update is in it. Only then does the
    /// server's variate have what the own one becomes.
    pub fn ended(&mut self, counted: bool) {
        if let Some(next) = self.next.take()
            && counted
        {
            self.variate = next;
        }
    }

    fn fits(&self, vector: &[f32]) -> Result<(), ScaffoldError> {
        let (expected, found) = (self.variate.len(), vector.len());
        match expected == found {
            true => Ok(()),
            false => Err(ScaffoldError::Length { expected, found }),
        }
    }
}
