//! Aggregators and participants of three nodes around one ledger; frames are lost, duplicated and
//! reordered, leaders change, nodes crash.
//!
//! Invariants:
//! * `FEDERATION-1` a round has at most one model, and it is published only when closed with it.
//! * `FEDERATION-2` an update counts once: a closed round's participants are distinct, and its
//!   examples are exactly theirs.
//! * `FEDERATION-3` a participant trains at most once for a round in one life.
//! * `FEDERATION-4` nobody is asked to train for a round that the ledger has not opened.
//! * `FEDERATION-5` in a secure round no update travels in clear, and the model is what the plain sum
//!   of its participants' updates makes; in a private one up to the noise.
//! * `FEDERATION-6` nobody reveals both shares of one member in a round.
//! * `FEDERATION-7` among honest nodes nobody finds the protocol broken, whatever the network does.
//! * `FEDERATION-8` in a private round nobody reveals a share before the ledger has its cost, and it closes with
//!   exactly those who were charged, once.
//! * `FEDERATION-12` in rounds of SCAFFOLD the server's variate is the mean of those that the members keep, whoever
//!   crashes when, and nobody takes a variate for lost that has its disk.
//! * `FEDERATION-13` in rounds that take updates as they come, what training made counts at most once, by the age of
//!   the model that it started from.

mod cases;
mod checks;
mod running;

pub(super) use cases::step;

use super::super::*;
use crate::compression::{Codec, Rounding};
use crate::fedbuff::{self, Bases};
use crate::memory::Memory;
use crate::model_digest;
use crate::participant::{Participant, ParticipantInput, ParticipantOutput, Remembered};
use crate::privacy::Mechanism;
use crate::privacy::budget::{Accounts, Budget};
use crate::robust::Rule;
use crate::scaffold::{self, Carried, Lineage, Standing};
use crate::secagg::{Charge, Member, NoiseBy, Terms, Treatment};
use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use std::collections::BTreeMap;
use wire::secure::Secret;
use wire::{Frame, SecureStep};

/// In plain rounds.
pub(super) const NODES: usize = 3;
/// In secure ones: two thirds of five are four, so one may drop out.
pub(super) const SECURE_NODES: usize = 5;
/// Three groups of three: each has to be whole, and the median stands one that is not what it should be.
pub(super) const GROUPED_NODES: usize = 9;
/// z in thousandths: little noise, so that it shows where the model goes.
const NOISE_MILLI: u32 = 2;
/// C: longer than any update here.
const BOUND: f64 = 64.0;

/// How the rounds of a world are run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    Plain,
    Secure,
    /// With noise by the participants.
    Private,
    /// With noise by the aggregator, to the sum.
    CentrallyPrivate,
    /// Sums of groups, and the median between them.
    Groups,
}

impl Mode {
    fn is_secure(self) -> bool {
        self != Self::Plain
    }

    fn noise(self) -> Option<NoiseBy> {
        match self {
            Self::Private => Some(NoiseBy::Participants),
            Self::CentrallyPrivate => Some(NoiseBy::Aggregator),
            Self::Plain | Self::Secure | Self::Groups => None,
        }
    }

    fn terms(self) -> Terms {
        let mechanism = Mechanism::new(BOUND, f64::from(NOISE_MILLI) / 1_000.0).unwrap();
        let private = |noise| Treatment::Private { mechanism, noise };
        Terms {
            groups: if self == Self::Groups { 3 } else { 1 },
            treatment: self.noise().map(private).unwrap_or_default(),
        }
    }

    fn config(self) -> Config {
        let rule = if self == Self::Groups {
            Rule::Median
        } else {
            Rule::Mean
        };
        Config {
            rule,
            liars: usize::from(self == Self::Groups),
            privacy: self.noise().map(|noise| Privacy {
                noise_milli: NOISE_MILLI,
                bound: BOUND,
                adaptive: None,
                noise,
                budget: Budget {
                    epsilon: 1e12,
                    delta: 1e-5,
                },
            }),
            ..Config::default()
        }
    }
}

pub(super) fn name(n: usize) -> NodeId {
    NodeId::new(format!("n{n}"))
}

fn number(node: &NodeId) -> usize {
    node.as_str()[1..].parse().expect("names are n0, n1, …")
}

fn identity(n: usize) -> SigningKey {
    SigningKey::from_bytes(&[n as u8 + 1; 32])
}

pub(super) struct Node {
    pub(super) aggregator: Aggregator,
    participant: Participant,
    cursor: usize,
    models: BTreeMap<Digest, Arc<Vec<f32>>>,
    /// Rounds whose training was started in this life.
    trained: Vec<Round>,
    /// Trainings under way.
    training: Vec<Training>,
    /// Where the variates stand, by the ledger.
    lineage: Lineage,
    /// It reads what was decided before it was there.
    catching_up: bool,
}

struct Training {
    round: Round,
    model: Digest,
    parameters: Arc<Vec<f32>>,
    correction: Option<Arc<Vec<f32>>>,
}

/// How an aggregator that has turned bad changes what it says, on its way to somebody.
type Telling = Box<dyn FnMut(usize, &mut Frame, &mut Vec<Frame>)>;

/// What the aggregator of a world lies about.
pub(super) struct Lie {
    telling: Telling,
    proposing: fn(&mut Act),
}

impl Lie {
    /// What it makes of a message to somebody.
    pub(super) fn telling(mut on: impl FnMut(usize, &mut Frame) + 'static) -> Self {
        Self::telling_more(move |to, frame, _| on(to, frame))
    }

    /// The same, and what it says besides.
    pub(super) fn telling_more(
        on: impl FnMut(usize, &mut Frame, &mut Vec<Frame>) + 'static,
    ) -> Self {
        Self {
            telling: Box::new(on),
            proposing: |_| {},
        }
    }

    /// What it makes of an act.
    pub(super) fn proposing(change: fn(&mut Act)) -> Self {
        Self {
            telling: Box::new(|_, _, _| {}),
            proposing: change,
        }
    }
}

/// A frame under way: sender, receiver, content.
#[derive(Clone)]
struct Mail(usize, usize, Frame);

pub(super) struct World {
    mode: Mode,
    config: Config,
    pub(super) nodes: Vec<Node>,
    /// Effective acts with their proposers.
    pub(super) ledger: Vec<(usize, Act)>,
    pub(super) open: Option<Round>,
    pub(super) last: Round,
    model: Option<Digest>,
    proposals: Vec<(usize, Act)>,
    mail: Vec<Mail>,
    leader: usize,
    pub(super) now: Instant,
    /// Whose training takes for ever.
    pub(super) slow: BTreeSet<usize>,
    /// Who pushes as far as an update may be long.
    pub(super) liars: BTreeSet<usize>,
    /// What the leader's aggregator lies about.
    pub(super) lie: Option<Lie>,
    /// What everybody has against secure rounds.
    pub(super) objection: Option<String>,
    /// What participants said to their logs.
    pub(super) notes: Vec<String>,
    /// How updates in clear travel.
    pub(super) codec: Option<Codec>,
    /// Whose account each private round was on, and what all have spent.
    charged: BTreeMap<Round, BTreeSet<NodeId>>,
    spent: Accounts,
    published: BTreeMap<Round, Digest>,
    closed: u64,
    lives: u64,
    /// All that there ever were.
    models: BTreeMap<Digest, Arc<Vec<f32>>>,
    /// The model that each round starts from.
    starts: BTreeMap<Round, Digest>,
    /// What training made, by round and node; of the last life in which it did.
    deltas: BTreeMap<(Round, usize), Vec<f32>>,
    /// By round, who revealed, and whose share.
    revealed: BTreeMap<(Digest, usize, u16), Secret>,
    /// Rounds have control variates, and participants disks.
    pub(super) variates: Option<Variates>,
    /// What training made that may count yet, by node, with the model that it started from.
    outstanding: BTreeMap<usize, Vec<(Digest, Vec<f32>)>>,
    /// The models that rounds started from, by the whole ledger.
    bases: Option<Bases>,
}

/// Of the members.
pub(super) struct Variates {
    /// What each has on its disk.
    pub(super) disks: BTreeMap<usize, Memory>,
    /// Who may take its variate for lost.
    pub(super) lost: BTreeSet<usize>,
    /// By the whole ledger, as it is committed.
    lineage: Lineage,
    /// Those that stand, and what each becomes if its round counts.
    standing: Vec<Vec<f32>>,
    next: BTreeMap<(Round, usize), Vec<f32>>,
    /// Whether the open round is a fresh one.
    fresh: bool,
    /// Rounds that began from zero.
    pub(super) anew: Vec<Round>,
}

/// Of the toy model.
const WEIGHTS: usize = 2;

fn examples(node: usize) -> u64 {
    10_u64.pow(node as u32)
}

/// More are not told under masks; only nodes of secure rounds have so many.
fn told(node: usize) -> u64 {
    examples(node).min(crate::secagg::fixed::MAX_EXAMPLES)
}

impl World {
    pub(super) fn new(nodes: usize, mode: Mode) -> Self {
        Self::with(nodes, mode, mode.config())
    }

    pub(super) fn with(nodes: usize, mode: Mode, config: Config) -> Self {
        let mut world = Self {
            mode,
            nodes: (0..nodes).map(|n| born(n, 0, config.clone())).collect(),
            config,
            slow: BTreeSet::new(),
            liars: BTreeSet::new(),
            lie: None,
            objection: None,
            notes: Vec::new(),
            codec: None,
            charged: BTreeMap::new(),
            spent: Accounts::default(),
            ledger: Vec::new(),
            open: None,
            last: Round(0),
            model: None,
            proposals: Vec::new(),
            mail: Vec::new(),
            leader: 0,
            now: Instant::ZERO,
            published: BTreeMap::new(),
            closed: 0,
            lives: 0,
            models: BTreeMap::new(),
            starts: BTreeMap::new(),
            deltas: BTreeMap::new(),
            revealed: BTreeMap::new(),
            variates: None,
            outstanding: BTreeMap::new(),
            bases: None,
        };
        world.bases = world.config.buffer.map(Bases::new);
        for n in 0..nodes {
            world.start(n);
        }
        world
    }

    fn start(&mut self, n: usize) {
        let everybody = (0..self.nodes.len()).map(name).collect();
        self.feed(n, Input::Members(everybody));
        let initial = Arc::new(vec![0.0_f32, 0.0]);
        let digest = model_digest(&initial);
        self.nodes[n].models.insert(digest, Arc::clone(&initial));
        self.models.insert(digest, Arc::clone(&initial));
        self.feed(
            n,
            Input::ModelReady {
                digest,
                parameters: initial,
            },
        );
        if n == self.leader {
            self.lead(n);
        }
    }

    /// State as of this node's own replica.
    fn lead(&mut self, n: usize) {
        while self.deliver(n) {}
        let spent = self.spent.clone();
        self.feed(n, Input::Spent { round: None, spent });
        self.feed(
            n,
            Input::Leading {
                next: self.last.next(),
                open: self.open,
                model: self.model,
            },
        );
    }

    pub(super) fn change_leader(&mut self, n: usize) {
        let old = std::mem::replace(&mut self.leader, n);
        if old != n {
            self.feed(old, Input::NotLeading);
            self.lead(n);
        }
    }

    pub(super) fn crash(&mut self, n: usize) {
        self.lives += 1;
        self.nodes[n] = born(n, self.lives, self.config.clone());
        if let Some(variates) = &self.variates
            && let Some(memory) = variates.disks.get(&n)
        {
            let former = Participant::new(name(n));
            let born = std::mem::replace(&mut self.nodes[n].participant, former);
            self.nodes[n].participant = born.with(Remembered::Variate(memory.clone()));
        }
        self.nodes[n].catching_up = true;
        while self.deliver(n) {}
        self.nodes[n].catching_up = false;
        self.start(n);
    }

    fn feed(&mut self, n: usize, input: Input) {
        let mut out = Vec::new();
        self.nodes[n].aggregator.handle(self.now, input, &mut out);
        self.perform(n, out);
    }

    fn feed_participant(&mut self, n: usize, input: ParticipantInput) {
        let mut out = Vec::new();
        self.nodes[n].participant.handle(self.now, input, &mut out);
        for output in out {
            match output {
                ParticipantOutput::StartTraining {
                    round,
                    model,
                    parameters,
                    correction,
                } => {
                    let node = &mut self.nodes[n];
                    assert!(
                        !node.trained.contains(&round),
                        "FEDERATION-3: n{n}, round {round}"
                    );
                    node.trained.push(round);
                    node.training.push(Training {
                        round,
                        model,
                        parameters,
                        correction,
                    });
                }
                ParticipantOutput::CancelTraining { round } => {
                    self.nodes[n].training.retain(|of| of.round != round);
                }
                ParticipantOutput::Send { to, frame } => {
                    self.look_at(n, &frame);
                    self.mail.push(Mail(n, number(&to), frame))
                }
                ParticipantOutput::Keep(remembered) => self.keep(n, remembered),
                ParticipantOutput::Propose(act @ Act::VariatesReset { .. }) => {
                    let variates = self.variates.as_ref();
                    let lost = variates.is_some_and(|variates| variates.lost.contains(&n));
                    assert!(lost, "FEDERATION-12: n{n}: {act:?}");
                    self.proposals.push((n, act));
                }
                ParticipantOutput::Propose(act) => {
                    assert!(self.lie.is_some(), "FEDERATION-7: n{n}: {act:?}");
                    self.proposals.push((n, act));
                }
                ParticipantOutput::Note(note) => self.notes.push(note),
            }
        }
    }

    /// The newest model.
    pub(super) fn model(&self) -> &[f32] {
        let model = self.model.expect("a round closed");
        &self.models[&model]
    }

    /// Everything works from here on; rounds must close.
    pub(super) fn heal(&mut self, rounds: u64) -> bool {
        self.heal_within(rounds, 200)
    }

    /// The same within so many quarters of a second.
    pub(super) fn heal_within(&mut self, rounds: u64, quarters: u32) -> bool {
        let goal = self.closed + rounds;
        for _ in 0..quarters {
            // All there is to do before time goes on.
            loop {
                while !self.proposals.is_empty() {
                    self.commit(0);
                }
                for n in 0..self.nodes.len() {
                    while self.deliver(n) {}
                    self.train(n, true);
                }
                if self.closed >= goal || self.mail.is_empty() && self.proposals.is_empty() {
                    break;
                }
                for _ in 0..self.mail.len() {
                    self.arrive(0, false);
                }
            }
            if self.closed >= goal {
                return true;
            }
            self.advance(Duration::from_millis(250));
        }
        false
    }
}

fn born(n: usize, life: u64, config: Config) -> Node {
    let mut seed = [n as u8; 32];
    seed[..8].copy_from_slice(&life.to_le_bytes());
    let max_norm = Config::default().max_norm;
    let participant = Participant::new(name(n));
    let participant = participant.with_identity(Arc::new(identity(n)), seed, max_norm);
    Node {
        participant: match config.buffer {
            None => participant,
            Some(buffer) => participant.buffered(buffer),
        },
        aggregator: Aggregator::new(name(n), config).with_noise(seed),
        cursor: 0,
        models: BTreeMap::new(),
        trained: Vec::new(),
        training: Vec::new(),
        lineage: Lineage::default(),
        catching_up: false,
    }
}
