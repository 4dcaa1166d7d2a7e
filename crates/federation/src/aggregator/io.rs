use super::private::Privacy;
use crate::cohort::Selection;
use crate::compression::DecodeError;
use crate::fedbuff::Buffer;
use crate::optimizer::ServerOptimizer;
use crate::privacy::budget::Accounts;
use crate::robust::Rule;
use crate::scaffold::Carried;
use crate::secagg::SecureRound;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use wire::{Act, Digest, Frame, NodeId, Round, SecureMessage};

/// How rounds are run.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Fewest participants whose updates make a model. With two, each of them still learns the
    /// other's update from the mean; more is better.
    pub min_cohort: usize,
    /// From `RoundOpened` until the round ends with what came in.
    pub deadline: Duration,
    /// Between the end of a round and the opening of the next.
    pub pause: Duration,
    /// A participant that has not answered is asked again after this.
    pub resend: Duration,
    /// Largest L2 norm of an update. Bounds what one participant can do to the model.
    pub max_norm: f64,
    /// The server's step.
    pub optimizer: ServerOptimizer,
    /// How updates become one.
    pub rule: Rule,
    /// f: how many participants may lie and the rule still holds.
    pub liars: usize,
    /// Who is asked.
    pub selection: Selection,
    /// Updates are taken as they come, from earlier models, too; `None`: each belongs to one round.
    pub buffer: Option<Buffer>,
    /// Noise, and what participants may spend; `None`: rounds are not private.
    pub privacy: Option<Privacy>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            min_cohort: 2,
            deadline: Duration::from_secs(10),
            pause: Duration::from_secs(1),
            resend: Duration::from_secs(3),
            max_norm: 100.0,
            optimizer: ServerOptimizer::default(),
            rule: Rule::Mean,
            liars: 0,
            selection: Selection::default(),
            buffer: None,
            privacy: None,
        }
    }
}

/// A participant's answer, as `wire::Frame::Update` brings it.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The round.
    pub round: Round,
    /// Who trained; the shell has checked it against the link it came by.
    pub node: NodeId,
    /// The model it started from.
    pub base: Digest,
    /// Trained parameters minus base parameters.
    pub delta: Vec<f32>,
    /// Examples used.
    pub examples: u64,
    /// Mean loss of the base model on them.
    pub loss: f64,
}

/// A participant's answer, as `wire::Frame::Packed` brings it.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedUpdate {
    /// The round.
    pub round: Round,
    /// Who trained; the shell has checked it against the link it came by.
    pub node: NodeId,
    /// The model it started from.
    pub base: Digest,
    /// Trained parameters minus base parameters, encoded.
    pub delta: Vec<u8>,
    /// Examples used.
    pub examples: u64,
    /// Mean loss of the base model on them.
    pub loss: f64,
}

/// What can happen to an aggregator. `Opened`, `Closed` and `Abandoned` are told as the ledger's
/// fold accepted them, in its order, to every node's aggregator, leading or not.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// This node leads; the rounds as the fold has them at this moment.
    Leading {
        /// The number of the next round to open.
        next: Round,
        /// The open round, if any; it is a former leader's.
        open: Option<Round>,
        /// The model of the last closed round; `None` before the first.
        model: Option<Digest>,
    },
    /// It does not any more.
    NotLeading,
    /// The nodes that are up, by the ledger.
    Members(BTreeSet<NodeId>),
    /// A model is at hand: the initial one, or the answer to [`Output::NeedModel`].
    ModelReady {
        /// Its digest; the shell has checked it.
        digest: Digest,
        /// Its parameters.
        parameters: Arc<Vec<f32>>,
    },
    /// The answer to [`Output::NeedModel`] is that no reachable peer has it.
    ModelUnavailable {
        /// Its digest.
        digest: Digest,
    },
    /// `Act::RoundOpened` took effect.
    Opened {
        /// The round.
        round: Round,
        /// The model it starts from.
        model: Digest,
        /// Who is asked.
        cohort: Vec<NodeId>,
        /// Who proposed it.
        by: NodeId,
        /// What it takes to aggregate it securely; `None`: updates come in clear.
        secure: Option<Arc<SecureRound>>,
        /// What its vectors are.
        carried: Carried,
        /// Whether the ledger has a place for the ages of updates that are taken as they come.
        ages: bool,
    },
    /// `Act::RoundClosed` or `Act::BufferedRoundClosed` took effect.
    Closed {
        /// The round.
        round: Round,
        /// The model it made.
        model: Digest,
        /// Whose updates are in it.
        participants: Vec<NodeId>,
    },
    /// `Act::RoundAbandoned` took effect.
    Abandoned {
        /// The round.
        round: Round,
    },
    /// `Act::ModelRolledBack` took effect: a round that was open is over, the next starts from here.
    RolledBack {
        /// The model.
        model: Digest,
    },
    /// An update came in.
    Update(Update),
    /// A smaller update came in.
    Packed(PackedUpdate),
    /// A step of a secure round came in.
    Secure {
        /// From whom; the shell has checked it against the link it came by.
        node: NodeId,
        /// What.
        message: SecureMessage,
    },
    /// A participant declined.
    Decline {
        /// The round.
        round: Round,
        /// Who.
        node: NodeId,
        /// Its reason.
        reason: String,
    },
    /// The accounts of participants and tenants by the ledger, once its level knows of them: when this node comes to
    /// lead (before `Leading`), and whenever `Act::PrivacySpent` or `Act::BudgetDeclared` took effect. Without them no
    /// private round opens.
    Spent {
        /// The round of that act.
        round: Option<Round>,
        /// Of everybody, that round included.
        spent: Accounts,
    },
    /// The last proposal for this round was refused, or its fate is unknown.
    ProposalFailed {
        /// The round in the proposed act.
        round: Round,
        /// A sentence.
        reason: String,
    },
}

impl Input {
    /// What a frame from `from` means to an aggregator; `None`: nothing. A participant speaks for itself only: a
    /// frame that names another node is nobody's.
    pub fn from_frame(from: &NodeId, frame: Frame) -> Option<Self> {
        match frame {
            Frame::Update {
                round,
                node,
                base,
                delta,
                examples,
                loss,
            } if node == *from => Some(Self::Update(Update {
                round,
                node,
                base,
                // One that came over a link is nobody else's.
                delta: Arc::unwrap_or_clone(delta),
                examples,
                loss,
            })),
            Frame::Packed {
                round,
                node,
                base,
                delta,
                examples,
                loss,
            } if node == *from => Some(Self::Packed(PackedUpdate {
                round,
                node,
                base,
                delta,
                examples,
                loss,
            })),
            Frame::Decline {
                round,
                node,
                reason,
            } if node == *from => Some(Self::Decline {
                round,
                node,
                reason,
            }),
            Frame::Secure(message) if message.step.is_participants() => Some(Self::Secure {
                node: from.clone(),
                message: *message,
            }),
            Frame::Secure(_)
            | Frame::Update { .. }
            | Frame::Packed { .. }
            | Frame::Decline { .. }
            | Frame::Train { .. }
            | Frame::Model { .. }
            | Frame::Checkpoint { .. } => None,
        }
    }
}

/// What an aggregator asks of its node. To be done in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Append this to the ledger.
    Propose(Act),
    /// Send `wire::Frame::Train` to one participant; the own node included.
    SendTrain {
        /// To whom.
        to: NodeId,
        /// The round, open by the ledger.
        round: Round,
        /// Digest of the parameters.
        model: Digest,
        /// The model.
        parameters: Arc<Vec<f32>>,
    },
    /// Send `wire::Frame::Secure` to one participant; the own node included.
    SendSecure {
        /// To whom.
        to: NodeId,
        /// What.
        message: SecureMessage,
    },
    /// Get this model from any peer; answer with `ModelReady` or `ModelUnavailable`.
    NeedModel(Digest),
    /// Keep this model by its digest and send it to the peers to be kept (`wire::Frame::Model`).
    /// The round's close is proposed next; so the model survives this node if the close is
    /// committed and the node is not heard of again. Not to be used before `PublishModel`, or
    /// before `RoundClosed` names it.
    StageModel {
        /// The round that made it.
        round: Round,
        /// Its digest.
        digest: Digest,
        /// Its parameters.
        parameters: Arc<Vec<f32>>,
    },
    /// The round is closed with this model: put it to use, and send it again to peers that may
    /// have missed it.
    PublishModel {
        /// The round that made it.
        round: Round,
        /// Its digest, as on the ledger.
        digest: Digest,
        /// Its parameters.
        parameters: Arc<Vec<f32>>,
    },
    /// For the node's log.
    Note(String),
}

/// What happened to the updates, since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Updates that count in a round.
    pub accepted: u64,
    /// Updates for a round that had ended.
    pub late: u64,
    /// A second update of one participant for one round.
    pub repeated: u64,
    /// Updates that broke a rule.
    pub refused: u64,
}

/// Why an update does not count.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RefusedUpdate {
    /// No such round yet.
    #[error("no round {round} is open here")]
    NotOpen {
        /// In the update.
        round: Round,
    },
    /// Nobody asked it.
    #[error("{node} is not in the cohort of round {round}")]
    NotInCohort {
        /// Who.
        node: NodeId,
        /// The round.
        round: Round,
    },
    /// It came in clear.
    #[error(
        "{node} sent it in clear, but round {round} is a secure one; `learning.secure_aggregation` must be the same on all nodes"
    )]
    Clear {
        /// Who.
        node: NodeId,
        /// The round.
        round: Round,
    },
    /// The bytes are none.
    #[error("it does not unpack: {0}")]
    Packed(DecodeError),
    /// Trained from another model.
    #[error("it starts from model {found:?}, the round from {expected:?}")]
    WrongBase {
        /// The round's.
        expected: Digest,
        /// The update's.
        found: Digest,
    },
    /// Its base is of no use any more.
    #[error(
        "it starts from model {base:?}, which is none of the last {} that rounds started from (learning.buffer.max_staleness = {most})",
        most + 1
    )]
    Stale {
        /// The update's.
        base: Digest,
        /// τ may be so much.
        most: usize,
    },
    /// It is in a model already.
    #[error("it is of round {of}, and an update of {node} is in the model of round {counted}")]
    Counted {
        /// Whose.
        node: NodeId,
        /// When its training began.
        of: Round,
        /// The last round that counted one of the same participant.
        counted: Round,
    },
    /// Does not fit the model.
    #[error("it has {found} parameters, the model {expected}")]
    WrongLength {
        /// The model's.
        expected: usize,
        /// The update's.
        found: usize,
    },
    /// NaN or infinite.
    #[error("parameter {index} of the difference, or the loss, is not finite")]
    NotFinite {
        /// The first such parameter; the length where it is the loss.
        index: usize,
    },
    /// Too far from the base.
    #[error("its norm {norm:.3} is over the bound {bound:.3}")]
    TooLarge {
        /// L2 norm of the difference.
        norm: f64,
        /// The configured bound.
        bound: f64,
    },
    /// A weight nobody can have.
    #[error("it claims {examples} examples; allowed are 1 to {max}", max = super::MAX_EXAMPLES)]
    Examples {
        /// Claimed.
        examples: u64,
    },
}
