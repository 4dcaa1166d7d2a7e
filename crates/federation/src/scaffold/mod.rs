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
//! # When the variates start anew
//! c is the mean of all cᵢ only while every participant keeps its own and the participants are the same. One that
//! lost its variate and starts from zero biases the optimum for good (a test shows by how much). So all start from
//! zero then: [`Lineage`] says when, from the leaves of the ledger, and whoever has lost its own puts that there.
//! It costs a round without correction; after it every variate is a mean of gradients again, and of nothing older.

mod carried;
mod lineage;
#[cfg(test)]
mod tests;

pub use carried::{Carried, Standing};
pub use lineage::{Begin, Lineage};

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
    #[error(
        "no variate follows from steps of {taken} together; it takes plain gradient descent of at least one step"
    )]
    Steps {
        /// K·ηₗ.
        taken: f64,
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

/// `c − cᵢ`: to be added to the gradient in each local step.
pub fn correction(own: &[f32], server: &[f32]) -> Result<Vec<f32>, ScaffoldError> {
    fits(server.len(), own)?;
    let pairs = server.iter().zip(own);
    Ok(pairs.map(|(server, own)| server - own).collect())
}

/// After training: the joined difference that goes to the server, and what the own variate becomes if the round
/// counts; only then does the server's variate have it. `delta` is `y − w` after corrected steps whose sizes make
/// `taken` together, K·ηₗ.
pub fn answer(
    own: &[f32],
    server: &[f32],
    delta: &[f32],
    taken: f64,
) -> Result<(Vec<f32>, Vec<f32>), ScaffoldError> {
    fits(server.len(), own)?;
    fits(server.len(), delta)?;
    if !(taken > 0.0 && taken.is_finite()) {
        return Err(ScaffoldError::Steps { taken });
    }
    let next: Vec<f32> = own
        .iter()
        .zip(server)
        .zip(delta)
        .map(|((own, server), delta)| {
            (f64::from(*own) - f64::from(*server) - f64::from(*delta) / taken) as f32
        })
        .collect();
    let mut joined = delta.to_vec();
    joined.extend(next.iter().zip(own).map(|(new, old)| new - old));
    Ok((joined, next))
}

fn fits(expected: usize, vector: &[f32]) -> Result<(), ScaffoldError> {
    match vector.len() {
        found if found == expected => Ok(()),
        found => Err(ScaffoldError::Length { expected, found }),
    }
}
