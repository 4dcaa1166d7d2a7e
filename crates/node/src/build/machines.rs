//! The pure machines of a node as children of its tree: each start of one is a fresh machine with the
//! effects it acts by.

use super::Parts;
use crate::effects::{AggregatorEffects, CustodianEffects, MonitorEffects, ParticipantEffects};
use crate::remembered::Shelf;
use custody::Custodian;
use federation::{Aggregator, Participant};
use learn::{Optimizer, TrainConfig};
use runtime::entropy;
use runtime::supervisor::ChildSpec;
use std::sync::Arc;
use std::time::Duration;
use telemetry::monitor::Monitor;

/// Rows per training step: small enough for several steps on a young window.
const BATCH: usize = 64;

impl Parts {
    /// How models are trained here.
    pub(super) fn training(&self) -> TrainConfig {
        let learning = &self.config.learning;
        TrainConfig {
            epochs: u32::try_from(learning.local_epochs).unwrap_or(1),
            batch: BATCH,
            optimizer: Optimizer::Adam,
            learning_rate: learning.adam_learning_rate(),
            seed: 0,
            proximal: (learning.proximal_mu > 0.0).then_some(learning.proximal_mu),
            ..TrainConfig::default()
        }
    }

    /// How they are where gradients are corrected.
    fn corrected_training(&self) -> TrainConfig {
        TrainConfig {
            optimizer: Optimizer::Sgd,
            learning_rate: self.config.learning.sgd_learning_rate(),
            ..self.training()
        }
    }

    /// The custodian, fresh at each start: its group state is never taken up again after a crash.
    pub fn custodian(&self) -> ChildSpec {
        let (me, identity) = (self.me.clone(), self.identity.clone());
        let (ledger, cluster, epochs, space, served) = (
            self.ledger.clone(),
            self.cluster.clone(),
            self.epochs.clone(),
            self.space.clone(),
            self.served.clone(),
        );
        ChildSpec::machine(self.letters.custodian.clone(), move || {
            let effects = CustodianEffects {
                ledger: ledger.clone(),
                cluster: cluster.clone(),
                epochs: epochs.clone(),
                space: space.clone(),
                served: served.clone(),
            };
            let (me, identity) = (me.clone(), identity.clone());
            async move {
                Ok((
                    // The tail tells it the roster.
                    Custodian::new(me, identity, custody::Roster::default(), entropy::bytes()),
                    effects,
                ))
            }
        })
    }

    /// The participant.
    pub fn participant(&self) -> ChildSpec {
        let (me, cluster, aggregator, learner, windows) = (
            self.me.clone(),
            self.cluster.clone(),
            self.letters.aggregator.clone(),
            self.learner.clone(),
            self.windows.clone(),
        );
        let (training, min_examples) = (self.training(), self.config.learning.min_examples);
        let (updates, corrected) = (self.updates.clone(), self.corrected_training());
        let (buffer, takes) = (self.config.learning.buffer(), self.takes);
        let shelf = Shelf::of(&self.config.node.data_dir);
        let (identity, ledger) = (self.identity.clone(), self.ledger.clone());
        ChildSpec::machine(self.letters.participant.clone(), move || {
            let effects = ParticipantEffects {
                me: me.clone(),
                cluster: cluster.clone(),
                ledger: ledger.clone(),
                aggregator: aggregator.clone(),
                sent: updates.clone(),
                made: Arc::default(),
                learner: learner.clone(),
                windows: windows.clone(),
                config: training,
                corrected,
                shelf: shelf.clone(),
                takes,
                min_examples,
            };
            // Fresh at each start: what was said in a secure round is forgotten, and the round with it.
            let participant = Participant::new(me.clone()).with_identity(
                Arc::new(identity.clone()),
                entropy::bytes(),
                federation::Config::default().max_norm,
            );
            // But not what its updates have left behind in the models.
            let remembered = runtime::blocking::in_place(|| shelf.load());
            let participant = remembered.into_iter().fold(participant, Participant::with);
            let participant = match buffer {
                Some(buffer) => participant.buffered(buffer),
                None => participant,
            };
            async move { Ok((participant, effects)) }
        })
    }

    /// The aggregator.
    pub fn aggregator(&self) -> ChildSpec {
        let (me, ledger, cluster, models, participant) = (
            self.me.clone(),
            self.ledger.clone(),
            self.cluster.clone(),
            self.models.clone(),
            self.letters.participant.clone(),
        );
        let learning = self.config.learning.clone();
        ChildSpec::machine(self.letters.aggregator.clone(), move || {
            let (rule, liars) = learning.rule();
            let config = federation::Config {
                optimizer: learning.server_optimizer(),
                rule,
                liars,
                selection: learning.selection(),
                buffer: learning.buffer(),
                privacy: learning.privacy(),
                min_cohort: learning.min_cohort,
                deadline: Duration::from_millis(learning.round_timeout_ms),
                pause: Duration::from_millis(learning.pause_ms),
                resend: Duration::from_millis(learning.resend_ms),
                ..federation::Config::default()
            };
            let effects = AggregatorEffects {
                me: me.clone(),
                ledger: ledger.clone(),
                cluster: cluster.clone(),
                models: models.clone(),
                participant: participant.clone(),
                asked: None,
            };
            let private = config.privacy.is_some();
            let mut aggregator = Aggregator::new(me.clone(), config);
            if private {
                // New with every start: noise that was drawn twice could be taken off again.
                aggregator = aggregator.with_noise(entropy::bytes());
            }
            async move { Ok((aggregator, effects)) }
        })
    }

    /// The monitor.
    pub fn monitor(&self) -> ChildSpec {
        let (ledger, board) = (self.ledger.clone(), self.board.clone());
        ChildSpec::machine(self.letters.monitor.clone(), move || {
            let effects = MonitorEffects {
                ledger: ledger.clone(),
                board: board.clone(),
            };
            async move { Ok((Monitor::new(), effects)) }
        })
    }
}
