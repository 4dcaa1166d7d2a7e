//! Which optimiser, and with what.

/// The server's step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ServerOptimizer {
    /// The mean itself, maybe with momentum.
    FedAvg {
        /// η; 1.0 takes the participants' mean as it is.
        learning_rate: f64,
        /// β; 0: none, and nothing to remember.
        momentum: f64,
    },
    /// For sparse differences: steps get shorter for good.
    FedAdagrad(Adaptive),
    /// As FedAdam, with second moments that grow fast and shrink slowly.
    FedYogi(Adaptive),
    /// A step of its own for every parameter.
    FedAdam(Adaptive),
}

impl Default for ServerOptimizer {
    fn default() -> Self {
        Self::FedAvg {
            learning_rate: 1.0,
            momentum: 0.0,
        }
    }
}

/// Settings of the adaptive three.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adaptive {
    /// η: about how far a parameter moves in a round.
    pub learning_rate: f64,
    /// β₁: decay of the first moment, below 1.
    pub beta1: f64,
    /// β₂: decay of the second moment, below 1; FedAdagrad has none.
    pub beta2: f64,
    /// τ: how adaptive; differences well below it move their parameter in proportion.
    pub tau: f64,
}

impl Default for Adaptive {
    /// The paper's for β₁, β₂ and τ (§5.2); η it tunes by task, and 0.01 stands in the middle of its
    /// grids.
    fn default() -> Self {
        Self {
            learning_rate: 0.01,
            beta1: 0.9,
            beta2: 0.99,
            tau: 1e-3,
        }
    }
}

/// A setting that makes no optimiser.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{setting} of the server's optimiser is {found}; it must be {rule}")]
pub struct UnusableSetting {
    /// Its name.
    pub setting: &'static str,
    /// As given.
    pub found: f64,
    /// What is allowed.
    pub rule: &'static str,
}

impl ServerOptimizer {
    /// η.
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::FedAvg { learning_rate, .. } => *learning_rate,
            Self::FedAdagrad(settings) | Self::FedYogi(settings) | Self::FedAdam(settings) => {
                settings.learning_rate
            }
        }
    }

    /// Refuses settings out of bounds.
    pub fn check(&self) -> Result<(), UnusableSetting> {
        const POSITIVE: &str = "a finite number above 0";
        const DECAY: &str = "at least 0 and below 1";
        let require = |holds: bool, setting, found, rule| match holds {
            true => Ok(()),
            false => Err(UnusableSetting {
                setting,
                found,
                rule,
            }),
        };
        let positive = |setting, found: f64| {
            require(found > 0.0 && found.is_finite(), setting, found, POSITIVE)
        };
        let decay =
            |setting, found: f64| require((0.0..1.0).contains(&found), setting, found, DECAY);
        match self {
            Self::FedAvg {
                learning_rate,
                momentum,
            } => {
                positive("learning_rate", *learning_rate)?;
                decay("momentum", *momentum)
            }
            Self::FedAdagrad(settings) | Self::FedYogi(settings) | Self::FedAdam(settings) => {
                positive("learning_rate", settings.learning_rate)?;
                decay("beta1", settings.beta1)?;
                decay("beta2", settings.beta2)?;
                positive("tau", settings.tau)
            }
        }
    }
}
