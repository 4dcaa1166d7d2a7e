//! What goes into a participant and what comes out of it.

use crate::compression::Codec;
use crate::memory::Memory;
use crate::scaffold::Carried;
use crate::secagg::{Charge, SecureRound};
use std::sync::Arc;
use wire::{Act, Digest, Frame, NodeId, Round, SecureMessage};

/// What can happen to a participant.
#[derive(Clone, Debug, PartialEq)]
pub enum ParticipantInput {
    /// `Act::RoundOpened` took effect, by the ledger's fold.
    Opened {
        /// The round.
        round: Round,
        /// The model it starts from.
        model: Digest,
        /// Who is asked.
        cohort: Vec<NodeId>,
        /// What it takes to aggregate it securely; `None`: updates are sent in clear.
        secure: Option<Arc<SecureRound>>,
        /// How an update in clear is made smaller; `None`: it is not.
        codec: Option<Codec>,
        /// What its vectors are.
        carried: Carried,
    },
    /// A round was closed or abandoned, by the ledger's fold.
    Ended {
        /// The round.
        round: Round,
        /// It has a model, and this node's update is in it.
        counted: bool,
    },
    /// `Act::PrivacySpent` took effect: the ledger has what a private round costs.
    Charged {
        /// The round.
        round: Round,
        /// It.
        charge: Charge,
    },
    /// `Act::ModelRolledBack` took effect: a round that was open is over.
    RolledBack,
    /// `wire::Frame::Train` came in.
    Train {
        /// From whom; gets the answer.
        from: NodeId,
        /// The round.
        round: Round,
        /// Digest of the parameters, by the sender.
        model: Digest,
        /// The model.
        parameters: Arc<Vec<f32>>,
    },
    /// `wire::Frame::Secure` came in.
    Secure {
        /// From whom.
        from: NodeId,
        /// What.
        message: SecureMessage,
    },
    /// The learner finished.
    Trained {
        /// The round it trained for.
        round: Round,
        /// Trained parameters minus base parameters.
        delta: Vec<f32>,
        /// Examples used.
        examples: u64,
        /// Mean loss of the base model on them.
        loss: f64,
        /// Steps of plain gradient descent times their size; `None`: another optimiser took them.
        taken: Option<f64>,
    },
    /// The learner gave up.
    TrainingFailed {
        /// The round it trained for.
        round: Round,
        /// A sentence: too few examples, for one.
        reason: String,
    },
}

/// What a participant asks of its node. To be done in order.
#[derive(Clone, Debug, PartialEq)]
pub enum ParticipantOutput {
    /// Train from this model; answer with `Trained` or `TrainingFailed`.
    StartTraining {
        /// The round.
        round: Round,
        /// Digest of the model; checked.
        model: Digest,
        /// What to train: the model, without what stands behind its weights.
        parameters: Arc<Vec<f32>>,
        /// To be added to the gradient in every step of plain gradient descent; `None`: train as usual.
        correction: Option<Arc<Vec<f32>>>,
    },
    /// Have this on the disk before what comes next: it is handed to the next process.
    Keep(Remembered),
    /// The result for this round is not wanted any more; stop if it is not done.
    CancelTraining {
        /// The round.
        round: Round,
    },
    /// Append this to the ledger: somebody breaks the protocol of a secure round, or this node has lost its
    /// variate.
    Propose(Act),
    /// Send this frame (`Update`, `Decline` or `Secure`).
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        frame: Frame,
    },
    /// For the node's log.
    Note(String),
}

/// What a participant hands to the process that comes after it.
#[derive(Clone, Debug, PartialEq)]
pub enum Remembered {
    /// Its control variate.
    Variate(Memory),
    /// What smaller updates have left out.
    LeftOut(Memory),
}
