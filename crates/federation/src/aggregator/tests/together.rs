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

impl Variates {
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            disks: BTreeMap::new(),
            lost: BTreeSet::new(),
            lineage: Lineage::default(),
            standing: vec![vec![0.0; WEIGHTS]; nodes],
            next: BTreeMap::new(),
            fresh: true,
            anew: Vec::new(),
        }
    }

    fn opened(&mut self, round: Round, model: Digest) {
        self.fresh = self.lineage.opened(round, model).fresh;
        if self.fresh {
            self.anew.push(round);
        }
    }

    /// Against `FEDERATION-12`.
    fn closed(&mut self, round: Round, (digest, model): (Digest, &[f32]), participants: &[NodeId]) {
        self.lineage.closed(round, digest, true);
        if self.fresh {
            self.standing.iter_mut().for_each(|own| own.fill(0.0));
        }
        for n in participants.iter().map(number) {
            if let Some(next) = self.next.remove(&(round, n)) {
                self.standing[n] = next;
            }
        }
        let (_, server) = scaffold::split(model).expect("weights and variate");
        for (at, found) in server.iter().enumerate() {
            let sum: f64 = self.standing.iter().map(|own| f64::from(own[at])).sum();
            let expected = sum / self.standing.len() as f64;
            assert!(
                !self.lost.is_empty() || (f64::from(*found) - expected).abs() < 1e-4,
                "FEDERATION-12: round {round}: {found} instead of {expected}"
            );
        }
    }
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

    fn keep(&mut self, n: usize, remembered: Remembered) {
        let (Remembered::Variate(memory), Some(variates)) = (remembered, &mut self.variates) else {
            return;
        };
        if let Some(next) = &memory.next {
            let key = (next.round, n);
            let again = variates.next.insert(key, next.numbers.clone());
            assert_eq!(
                again, None,
                "FEDERATION-12: n{n} answers {} twice",
                next.round
            );
        }
        variates.disks.insert(n, memory);
    }

    fn look_at(&mut self, n: usize, frame: &Frame) {
        match frame {
            Frame::Update { round, .. } | Frame::Packed { round, .. } => {
                assert!(!self.mode.is_secure(), "FEDERATION-5: n{n}, round {round}");
            }
            Frame::Secure(message) => {
                let SecureStep::Reveal(shares) = &message.step else {
                    return;
                };
                let round = self.nodes[n].trained.last().copied().unwrap_or_default();
                assert!(
                    self.mode.noise().is_none() || self.charged.contains_key(&round),
                    "FEDERATION-8: n{n} reveals in round {round}"
                );
                for share in shares {
                    let key = (message.context, n, share.owner);
                    let before = self.revealed.insert(key, share.secret);
                    assert!(
                        before.is_none_or(|before| before == share.secret),
                        "FEDERATION-6: n{n} of member {}",
                        share.owner
                    );
                }
            }
            Frame::Train { .. }
            | Frame::Decline { .. }
            | Frame::Model { .. }
            | Frame::Checkpoint { .. } => {}
        }
    }

    /// Against `FEDERATION-5`: by FedAvg over what the participants' training made.
    fn check_sum(&self, round: Round, model: Digest, participants: &[NodeId]) {
        // What is left out now comes later, and goes by no single round; variates and buffers are looked at by
        // themselves.
        if self.codec.is_some() || self.variates.is_some() || self.bases.is_some() {
            return;
        }
        let made = &self.models[&model];
        let base = &self.models[&self.starts[&round]];
        let parts: Vec<(&Vec<f32>, u64)> = participants
            .iter()
            .map(|node| (&self.deltas[&(round, number(node))], told(number(node))))
            .collect();
        let parts: Vec<_> = match self.mode {
            Mode::Plain | Mode::Secure => parts,
            Mode::Private | Mode::CentrallyPrivate => {
                parts.into_iter().map(|(delta, _)| (delta, 1)).collect()
            }
            // Between the means of groups that only their members know.
            Mode::Groups => return,
        };
        // z·C/n is 0.032 for four; with the parts of all five instead of three honest ones 0.042.
        let bound = if self.mode.noise().is_some() {
            0.3
        } else {
            1e-6
        };
        let total: u64 = parts.iter().map(|(_, weight)| weight).sum();
        for (at, found) in made.iter().enumerate() {
            let sum: f64 = parts
                .iter()
                .map(|(delta, weight)| f64::from(delta[at]) * *weight as f64)
                .sum();
            let expected = f64::from(base[at]) + sum / total as f64;
            assert!(
                // An f32 has seven digits.
                (f64::from(*found) - expected).abs() < bound * expected.abs().max(1.0),
                "FEDERATION-5: round {round}: {found} instead of {expected}"
            );
        }
    }

    /// Against `FEDERATION-13`: some choice of what may count yet, one of each participant and of the age that the ledger
    /// has, makes the model.
    fn check_buffer(
        &mut self,
        (round, model): (Round, Digest),
        participants: &[NodeId],
        ages: &[u32],
    ) {
        let Some(bases) = &self.bases else {
            return;
        };
        let base = &self.models[&self.starts[&round]];
        let start: Vec<f64> = base.iter().map(|w| f64::from(*w)).collect();
        let share = (participants.len() as f64).recip();
        let mut made = vec![start];
        for (n, told) in participants.iter().map(number).zip(ages) {
            // None of them may count again.
            let mine = self.outstanding.remove(&n).unwrap_or_default();
            made = made
                .iter()
                .flat_map(|so_far| {
                    mine.iter().filter_map(|(base, delta)| {
                        let age = bases.age(*base).filter(|age| *age == *told as usize)?;
                        let weight = share * fedbuff::weight(age);
                        let pairs = so_far.iter().zip(delta);
                        Some(pairs.map(|(w, d)| w + weight * f64::from(*d)).collect())
                    })
                })
                .collect();
        }
        let found = &self.models[&model];
        let fits = |made: &Vec<f64>| {
            let mut pairs = made.iter().zip(&**found);
            pairs.all(|(made, found)| (made - f64::from(*found)).abs() < 1e-4)
        };
        assert!(made.iter().any(fits), "FEDERATION-13: round {round}");
    }

    fn perform(&mut self, n: usize, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Propose(mut act) => {
                    if let Some(lie) = &self.lie {
                        (lie.proposing)(&mut act);
                    }
                    self.proposals.push((n, act));
                }
                Output::SendTrain {
                    to,
                    round,
                    model,
                    parameters,
                } => {
                    assert!(round <= self.last.next(), "FEDERATION-4");
                    assert!(
                        round <= self.last || self.open == Some(round),
                        "FEDERATION-4: round {round}"
                    );
                    self.mail.push(Mail(
                        n,
                        number(&to),
                        Frame::Train {
                            round,
                            model,
                            parameters,
                        },
                    ));
                }
                Output::SendSecure { to, message } => {
                    let frame = Frame::Secure(Box::new(message));
                    self.mail.push(Mail(n, number(&to), frame));
                }
                Output::NeedModel(digest) => {
                    let found = self
                        .nodes
                        .iter()
                        .find_map(|node| node.models.get(&digest).cloned());
                    self.feed(
                        n,
                        match found {
                            Some(parameters) => Input::ModelReady { digest, parameters },
                            None => Input::ModelUnavailable { digest },
                        },
                    );
                }
                Output::StageModel {
                    round,
                    digest,
                    parameters,
                } => {
                    self.nodes[n].models.insert(digest, Arc::clone(&parameters));
                    self.models.insert(digest, Arc::clone(&parameters));
                    for to in (0..self.nodes.len()).filter(|to| *to != n) {
                        let parameters = Arc::clone(&parameters);
                        self.mail.push(Mail(
                            n,
                            to,
                            Frame::Model {
                                round,
                                model: digest,
                                parameters,
                            },
                        ));
                    }
                }
                Output::PublishModel { round, digest, .. } => {
                    assert_eq!(self.published.get(&round), Some(&digest), "FEDERATION-1");
                }
                Output::Note(_) => {}
            }
        }
    }

    /// The ledger's fold, in short.
    fn commit(&mut self, i: usize) {
        if i >= self.proposals.len() {
            return;
        }
        let (by, act) = self.proposals.remove(i);
        match &act {
            Act::RoundOpened { round, model, .. }
                if self.open.is_none() && *round == self.last.next() =>
            {
                self.starts.insert(*round, *model);
                if let Some(bases) = &mut self.bases {
                    bases.opened(*model);
                }
                if let Some(variates) = &mut self.variates {
                    variates.opened(*round, *model);
                }
                self.open = Some(*round);
            }
            Act::RoundClosed {
                round,
                model,
                participants,
                examples: sum,
                ..
            }
            | Act::BufferedRoundClosed {
                round,
                model,
                participants,
                examples: sum,
                ..
            } if self.open == Some(*round) => {
                let distinct: BTreeSet<_> = participants.iter().collect();
                assert_eq!(distinct.len(), participants.len(), "FEDERATION-2");
                let weight = |node: &&NodeId| match self.mode.noise() {
                    Some(_) => 1,
                    None if self.mode.is_secure() && self.variates.is_some() => 1,
                    None => told(number(node)),
                };
                let expected: u64 = distinct.iter().map(weight).sum();
                assert_eq!(*sum, expected, "FEDERATION-2");
                if self.mode.noise().is_some() {
                    let charged = self.charged.get(round).into_iter().flatten();
                    assert!(charged.eq(distinct), "FEDERATION-8: round {round}");
                }
                let least = match self.mode {
                    Mode::Plain => 2,
                    Mode::Secure | Mode::Private | Mode::CentrallyPrivate => {
                        self.nodes.len() * 2 / 3 + 1
                    }
                    // The median of one liar among three means.
                    Mode::Groups => GROUPED_NODES,
                };
                assert!(participants.len() >= least, "the minimum cohort");
                self.check_sum(*round, *model, participants);
                let ages = match &act {
                    Act::BufferedRoundClosed { ages, .. } => Some(ages.as_slice()),
                    _ => None,
                };
                assert_eq!(ages.is_some(), self.bases.is_some(), "FEDERATION-13");
                self.check_buffer((*round, *model), participants, ages.unwrap_or_default());
                if let Some(variates) = &mut self.variates {
                    variates.closed(*round, (*model, &self.models[model]), participants);
                }
                assert_eq!(self.published.insert(*round, *model), None, "FEDERATION-1");
                (self.open, self.last, self.model) = (None, *round, Some(*model));
                self.closed += 1;
            }
            Act::RoundAbandoned { round, .. } if self.open == Some(*round) => {
                (self.open, self.last) = (None, *round);
                if let Some(variates) = &mut self.variates {
                    variates.lineage.abandoned(*round);
                }
            }
            Act::VariatesReset { .. } => {
                if let Some(variates) = &mut self.variates {
                    variates.lineage.disturbed();
                }
            }
            Act::PrivacySpent {
                round,
                participants,
                noise_milli,
                ..
            } if self.open == Some(*round) && !self.charged.contains_key(round) => {
                self.spent.charge(participants, *noise_milli);
                let charged = participants.iter().cloned().collect();
                self.charged.insert(*round, charged);
            }
            _ => return,
        }
        self.ledger.push((by, act));
    }

    fn deliver(&mut self, n: usize) -> bool {
        let Some((by, act)) = self.ledger.get(self.nodes[n].cursor).cloned() else {
            return false;
        };
        let terms = self.mode.terms();
        let entry = Digest::of(&self.nodes[n].cursor.to_le_bytes());
        let members = self.nodes.len();
        self.nodes[n].cursor += 1;
        match act {
            Act::RoundOpened {
                round,
                model,
                cohort,
            } => {
                let member = |node: &NodeId| Member {
                    node: node.clone(),
                    identity: identity(number(node)).verifying_key().to_bytes(),
                };
                let secure = self.mode.is_secure().then(|| {
                    Arc::new(SecureRound {
                        cluster: "test".to_owned(),
                        aggregator: name(by),
                        entry,
                        members: cohort.iter().map(member).collect(),
                        missed: self.nodes[n].catching_up,
                        terms,
                        objection: self.objection.clone(),
                    })
                });
                let carried = match &self.variates {
                    None => Carried::AsTheModel,
                    Some(_) => Carried::Joined(Standing {
                        weights: WEIGHTS,
                        members,
                        begin: self.nodes[n].lineage.opened(round, model),
                    }),
                };
                let opened = ParticipantInput::Opened {
                    round,
                    model,
                    cohort: cohort.clone(),
                    secure: secure.clone(),
                    codec: self.codec,
                    carried,
                };
                self.feed_participant(n, opened);
                self.feed(
                    n,
                    Input::Opened {
                        round,
                        model,
                        cohort,
                        by: name(by),
                        secure,
                        carried,
                        ages: true,
                    },
                );
            }
            Act::RoundClosed {
                round,
                model,
                participants,
                ..
            }
            | Act::BufferedRoundClosed {
                round,
                model,
                participants,
                ..
            } => {
                let counted = participants.contains(&name(n));
                self.nodes[n].lineage.closed(round, model, counted);
                self.feed_participant(n, ParticipantInput::Ended { round, counted });
                self.feed(
                    n,
                    Input::Closed {
                        round,
                        model,
                        participants,
                    },
                );
            }
            Act::RoundAbandoned { round, .. } => {
                let counted = false;
                self.nodes[n].lineage.abandoned(round);
                self.feed_participant(n, ParticipantInput::Ended { round, counted });
                self.feed(n, Input::Abandoned { round });
            }
            Act::PrivacySpent {
                round,
                participants,
                noise_milli,
                bound,
                ..
            } => {
                let charge = Charge {
                    participants,
                    noise_milli,
                    bound,
                    overdraws: None,
                };
                self.feed_participant(n, ParticipantInput::Charged { round, charge });
                let (round, spent) = (Some(round), self.spent.clone());
                self.feed(n, Input::Spent { round, spent });
            }
            Act::VariatesReset { .. } => self.nodes[n].lineage.disturbed(),
            other => panic!("not an act of a round: {other:?}"),
        }
        true
    }

    /// One piece of mail arrives; `keep` makes it arrive again later.
    fn arrive(&mut self, i: usize, keep: bool) {
        if i >= self.mail.len() {
            return;
        }
        let Mail(from, to, mut frame) = if keep {
            self.mail[i].clone()
        } else {
            self.mail.swap_remove(i)
        };
        if let Some(lie) = self.lie.as_mut().filter(|_| from == self.leader) {
            let mut more = Vec::new();
            (lie.telling)(to, &mut frame, &mut more);
            self.receive(from, to, frame);
            more.into_iter()
                .for_each(|frame| self.receive(from, to, frame));
            return;
        }
        self.receive(from, to, frame);
    }

    fn receive(&mut self, from: usize, to: usize, frame: Frame) {
        match frame {
            Frame::Train {
                round,
                model,
                parameters,
            } => {
                let from = name(from);
                self.feed_participant(
                    to,
                    ParticipantInput::Train {
                        from,
                        round,
                        model,
                        parameters,
                    },
                );
            }
            frame @ (Frame::Update { .. } | Frame::Packed { .. } | Frame::Decline { .. }) => {
                self.feed_from(from, to, frame);
            }
            Frame::Checkpoint { .. } => unreachable!("no round sends one"),
            Frame::Secure(message) if message.step.is_participants() => {
                self.feed_from(from, to, Frame::Secure(message));
            }
            Frame::Secure(message) => {
                let (from, message) = (name(from), *message);
                self.feed_participant(to, ParticipantInput::Secure { from, message });
            }
            Frame::Model {
                model, parameters, ..
            } => {
                self.nodes[to].models.insert(model, parameters);
            }
        }
    }

    fn feed_from(&mut self, from: usize, to: usize, frame: Frame) {
        let input = Input::from_frame(&name(from), frame).expect("each speaks for itself");
        self.feed(to, input);
    }

    /// The toy learner pulls each parameter half-way towards the node's own number.
    fn train(&mut self, n: usize, works: bool) {
        if self.nodes[n].training.is_empty() || self.slow.contains(&n) {
            return;
        }
        let Training {
            round,
            model,
            parameters,
            correction,
        } = self.nodes[n].training.remove(0);
        let goal = n as f32;
        let delta: Vec<f32> = match (self.liars.contains(&n), &correction) {
            (true, _) => vec![60.0; parameters.len()],
            (false, None) => parameters.iter().map(|p| (goal - p) / 2.0).collect(),
            // The same as one step of gradient descent, of size 1.
            (false, Some(correction)) => {
                let pairs = parameters.iter().zip(&**correction);
                pairs.map(|(p, c)| (goal - p) / 2.0 - c).collect()
            }
        };
        let taken = correction.map(|_| 1.0);
        self.deltas.insert((round, n), delta.clone());
        if works && self.bases.is_some() {
            let made = self.outstanding.entry(n).or_default();
            made.push((model, delta.clone()));
        }
        let loss = parameters.iter().map(|p| f64::from(goal - p).powi(2)).sum();
        self.feed_participant(
            n,
            if works {
                ParticipantInput::Trained {
                    round,
                    delta,
                    examples: examples(n),
                    loss,
                    taken,
                }
            } else {
                ParticipantInput::TrainingFailed {
                    round,
                    reason: "out of memory".to_owned(),
                }
            },
        );
    }

    fn advance(&mut self, by: Duration) {
        self.now = self.now + by;
        for n in 0..self.nodes.len() {
            while self.nodes[n]
                .aggregator
                .deadline()
                .is_some_and(|due| due <= self.now)
            {
                let mut out = Vec::new();
                self.nodes[n].aggregator.tick(self.now, &mut out);
                self.perform(n, out);
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

#[derive(Clone, Debug)]
pub(super) enum Step {
    Deliver(usize),
    Commit(usize),
    LoseProposal(usize),
    Arrive { at: usize, keep: bool },
    LoseMail(usize),
    Train { node: usize, works: bool },
    Crash(usize),
    Lead(usize),
    Advance(u64),
}

pub(super) fn step(nodes: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..nodes).prop_map(Step::Deliver),
        6 => (0..3_usize).prop_map(Step::Commit),
        1 => (0..3_usize).prop_map(Step::LoseProposal),
        10 => (0..6_usize, proptest::bool::weighted(0.2)).prop_map(|(at, keep)| Step::Arrive { at, keep }),
        2 => (0..6_usize).prop_map(Step::LoseMail),
        6 => (0..nodes, proptest::bool::weighted(0.9)).prop_map(|(node, works)| Step::Train { node, works }),
        1 => (0..nodes).prop_map(Step::Crash),
        1 => (0..nodes).prop_map(Step::Lead),
        4 => (1..2_000_u64).prop_map(Step::Advance),
    ]
}

impl World {
    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Deliver(node) => {
                self.deliver(node);
            }
            Step::Commit(at) => self.commit(at),
            Step::LoseProposal(at) if at < self.proposals.len() => {
                let (n, act) = self.proposals.remove(at);
                if let Act::RoundOpened { round, .. }
                | Act::RoundClosed { round, .. }
                | Act::BufferedRoundClosed { round, .. }
                | Act::RoundAbandoned { round, .. }
                | Act::PrivacySpent { round, .. } = act
                {
                    let reason = "no leader".to_owned();
                    self.feed(n, Input::ProposalFailed { round, reason });
                }
            }
            Step::LoseProposal(_) => {}
            Step::Arrive { at, keep } => self.arrive(at, keep),
            Step::LoseMail(at) => {
                if at < self.mail.len() {
                    self.mail.swap_remove(at);
                }
            }
            Step::Train { node, works } => self.train(node, works),
            Step::Crash(node) => self.crash(node),
            Step::Lead(node) => self.change_leader(node),
            Step::Advance(ms) => self.advance(Duration::from_millis(ms)),
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_a_round_has_at_most_one_model_and_rounds_go_on(
        steps in proptest::collection::vec(step(NODES), 1..300)
    ) {
        let mut world = World::new(NODES, Mode::Plain);
        for step in steps {
            world.take(step);
        }
        prop_assert!(world.heal(2), "rounds do not go on after round {}", world.last);
    }


    #[test]
    fn the_same_with_secure_rounds(
        steps in proptest::collection::vec(step(SECURE_NODES), 1..400)
    ) {
        let mut world = World::new(SECURE_NODES, Mode::Secure);
        for step in steps {
            world.take(step);
        }
        prop_assert!(world.heal(2), "rounds do not go on after round {}", world.last);
    }
}

proptest! {
    // Noise takes its time, and what a round does is that of other secure rounds but for the charge.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_with_secure_rounds_that_are_private(
        steps in proptest::collection::vec(step(SECURE_NODES), 1..400), central in any::<bool>(),
    ) {
        let mode = if central { Mode::CentrallyPrivate } else { Mode::Private };
        let mut world = World::new(SECURE_NODES, mode);
        for step in steps {
            world.take(step);
        }
        prop_assert!(world.heal(2), "rounds do not go on after round {}", world.last);
    }
}

/// Everything up to the moment before the `nth` message of a kind is delivered.
fn until(world: &mut World, arrives: impl Fn(&Frame) -> bool) {
    for _ in 0..100_000 {
        while !world.proposals.is_empty() {
            world.commit(0);
        }
        for n in 0..world.nodes.len() {
            while world.deliver(n) {}
            world.train(n, true);
        }
        match world.mail.first() {
            Some(Mail(_, _, frame)) if arrives(frame) => return,
            Some(_) => world.arrive(0, false),
            None => world.advance(Duration::from_millis(50)),
        }
    }
    panic!("such a message never came");
}

fn step_of(frame: &Frame) -> Option<&SecureStep> {
    match frame {
        Frame::Secure(message) => Some(&message.step),
        Frame::Train { .. }
        | Frame::Update { .. }
        | Frame::Packed { .. }
        | Frame::Decline { .. }
        | Frame::Model { .. }
        | Frame::Checkpoint { .. } => None,
    }
}

/// For each kind of message: the leader dies when the first of them is under way.
#[test]
fn a_leader_dies_in_each_phase_and_the_next_one_opens_the_round_anew() {
    let kinds: [fn(&SecureStep) -> bool; 9] = [
        |step| matches!(step, SecureStep::Advertise(_)),
        |step| matches!(step, SecureStep::Keys(_)),
        |step| matches!(step, SecureStep::Shares(_)),
        |step| matches!(step, SecureStep::Inbox(_)),
        |step| matches!(step, SecureStep::Masked(_)),
        |step| matches!(step, SecureStep::Survivors(_)),
        |step| matches!(step, SecureStep::Consent(_)),
        |step| matches!(step, SecureStep::Unmask(_)),
        |step| matches!(step, SecureStep::Reveal(_)),
    ];
    let modes = [Mode::Secure, Mode::Private];
    let all = modes.map(|mode| kinds.map(|kind| (mode, kind)));
    for (at, (mode, kind)) in all.into_iter().flatten().enumerate() {
        let mut world = World::new(SECURE_NODES, mode);
        until(&mut world, |frame| step_of(frame).is_some_and(kind));
        let (round, before) = (world.open.expect("a round is open"), world.ledger.len());
        world.leader = 1;
        world.crash(0);
        world.lead(1);
        let died = world.now;
        assert!(world.heal(1), "{at}");
        let reasons: Vec<String> = world.ledger[before..]
            .iter()
            .filter_map(|(_, act)| match act {
                Act::RoundAbandoned { reason, .. } => Some(reason.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(
            reasons,
            ["the leader that opened it was replaced by n1"],
            "{at}"
        );
        assert_eq!(world.last, round.next(), "{at}");
        // No pause, and nobody is waited for: everybody is there.
        assert!(world.now < died + Duration::from_millis(500), "{at}");
    }
}

/// Two of seven die when the first message of a kind is under way, once participants of a secure round.
#[test]
fn participants_die_in_each_phase_and_the_round_closes_without_them() {
    /// Which message, and how many updates are counted then.
    type Phase = (fn(&SecureStep) -> bool, usize);
    let kinds: [Phase; 4] = [
        (|step| matches!(step, SecureStep::Keys(_)), 5),
        (|step| matches!(step, SecureStep::Inbox(_)), 5),
        (|step| matches!(step, SecureStep::Survivors(_)), 7),
        (|step| matches!(step, SecureStep::Unmask(_)), 7),
    ];
    for (at, (kind, counted)) in kinds.into_iter().enumerate() {
        let mut world = World::new(7, Mode::Secure);
        until(&mut world, |frame| step_of(frame).is_some_and(kind));
        let round = world.open.expect("a round is open");
        for dead in [3, 5] {
            world.crash(dead);
            world
                .mail
                .retain(|Mail(from, to, _)| *from != dead && *to != dead);
        }
        assert!(world.heal(1), "{at}");
        let closed = world.ledger.iter().find_map(|(_, act)| match act {
            Act::RoundClosed {
                round,
                participants,
                ..
            } => Some((*round, participants.len())),
            _ => None,
        });
        assert_eq!(closed, Some((round, counted)), "{at}");
    }
}

#[test]
fn on_a_good_network_the_model_settles_where_the_weights_say() {
    for mode in [Mode::Plain, Mode::Secure] {
        settles(mode);
    }
}

/// As whole updates do: what one leaves out is in the next.
#[test]
fn with_smaller_updates_the_model_settles_in_the_same_place() {
    let quantised = Codec::Quantised {
        bits: 2,
        rounding: Rounding::Nearest,
    };
    for codec in [Codec::TopK { keep: 1 }, quantised] {
        let mut world = World::new(NODES, Mode::Plain);
        world.codec = Some(codec);
        // It circles its goal: each sends its two coordinates in turn.
        settles_in(world, 40, 0.2);
    }
}

fn settles(mode: Mode) {
    settles_in(World::new(NODES, mode), 30, 1e-3);
}

fn settles_in(mut world: World, rounds: u64, within: f64) {
    assert!(world.heal(rounds));
    let model = &world.nodes[0].models[&world.model.expect("30 rounds closed")];
    let total: u64 = (0..NODES).map(examples).sum();
    let expected = (0..NODES)
        .map(|n| n as f64 * examples(n) as f64)
        .sum::<f64>()
        / total as f64;
    assert!(
        (f64::from(model[0]) - expected).abs() < within,
        "{} instead of {expected}",
        model[0]
    );
}
