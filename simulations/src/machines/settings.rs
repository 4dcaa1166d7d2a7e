//! What a run's rounds are like, drawn from its seed.

use super::rng::Dice;
use super::rounds::Rounds;
use super::world::Scenario;
use federation::fedbuff::Buffer;
use federation::optimizer::ServerOptimizer;
use federation::{Config, Participant};

/// So many nodes are slow where rounds take updates as they come: the last ones.
const SLOW: usize = 1;
/// Between two rounds that close at once lies a second: a slow training lasts some of them.
const SLOW_MS: (u64, u64) = (1_500, 7_000);
const QUICK_MS: (u64, u64) = (30, 400);

/// The same for all nodes of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) nodes: usize,
    pub(crate) rounds: Rounds,
    /// Where rounds take updates as they come.
    pub(crate) buffer: Buffer,
    /// η of the server's step.
    pub(crate) rate: f64,
    /// ηₗ of the toy learner's steps of plain gradient descent.
    pub(crate) local_rate: f32,
}

impl Settings {
    /// With dice of its own, so that kinds of rounds that have nothing to draw are what they were.
    pub(crate) fn draw(seed: u64, scenario: Scenario, nodes: usize) -> Self {
        let mut dice = Dice::new(seed ^ 0x7365_7474_696e_6773);
        let enough = Config::default().min_cohort.min(nodes);
        let more = (nodes - SLOW.min(nodes)).saturating_sub(enough);
        Self {
            nodes,
            rounds: scenario.rounds,
            buffer: Buffer {
                size: enough + dice.index(more + 1),
                max_staleness: 1 + dice.index(3),
            },
            rate: [1.0, 0.5][dice.index(2)],
            local_rate: [0.1, 0.25, 0.4][dice.index(3)],
        }
    }

    /// How rounds of this kind are run.
    pub(crate) fn configure(&self, config: &mut Config) {
        self.rounds.configure(config);
        let plain = ServerOptimizer::FedAvg {
            learning_rate: self.rate,
            momentum: 0.0,
        };
        match self.rounds {
            Rounds::Mixed | Rounds::Private | Rounds::Compressed => {}
            Rounds::Scaffold => config.optimizer = plain,
            Rounds::Buffered => {
                config.optimizer = plain;
                config.buffer = Some(self.buffer);
            }
        }
    }

    /// One that answers such rounds.
    pub(crate) fn participate(&self, participant: Participant) -> Participant {
        match self.rounds {
            Rounds::Mixed | Rounds::Private | Rounds::Compressed | Rounds::Scaffold => participant,
            Rounds::Buffered => participant.buffered(self.buffer),
        }
    }

    /// How long a node trains, in milliseconds: least and most.
    pub(crate) fn training_ms(&self, n: usize) -> (u64, u64) {
        let slow = self.rounds == Rounds::Buffered && n + SLOW >= self.nodes;
        if slow { SLOW_MS } else { QUICK_MS }
    }
}
