//! One simulated node: the machines that ship, and what their shells would hold for them.

use super::network::Event;
use super::rng::Dice;
use super::rounds::LeftOut;
use super::settings::Settings;
use custody::{Custodian, EpochSecrets, Grace, Keyring, Parking, Roster, Sealer};
use ed25519_dalek::SigningKey;
use federation::scaffold::Lineage;
use federation::{Aggregator, Config, Participant};
use ledger::State;
use machine::{Instant, Machine};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tlog::Frontier;
use wire::{Digest, NodeId, Round};

pub(crate) const PARKED_FOR: Duration = Duration::from_secs(2);
pub(crate) const GRACE: Grace = Grace {
    epochs: 16,
    time: Duration::from_secs(10),
};

pub(crate) struct Node {
    pub(crate) up: bool,
    /// Grows with each start; the incarnation on the ledger.
    pub(crate) life: u64,
    /// Whether this process believes it leads; after a cut it may be wrong.
    pub(crate) leads: bool,
    pub(crate) aggregator: Aggregator,
    pub(crate) participant: Participant,
    pub(crate) custodian: Custodian,
    pub(crate) replica: State,
    pub(crate) tree: Frontier,
    pub(crate) caught_up: bool,
    pub(crate) models: BTreeMap<Digest, Arc<Vec<f32>>>,
    pub(crate) serves: Option<Vec<u8>>,
    pub(crate) started: Vec<EpochSecrets>,
    pub(crate) keyring: Keyring,
    pub(crate) sealer: Sealer,
    pub(crate) parking: Parking<(usize, Arc<Vec<u8>>)>,
    /// Payloads opened in this life, by digest of the sealed bytes.
    pub(crate) opened: BTreeSet<Digest>,
    pub(super) training: BTreeMap<Round, Training>,
    pub(crate) trained: BTreeSet<Round>,
    /// What its smaller updates have left out.
    pub(super) left_out: LeftOut,
    /// Where the variates stand, by its replica.
    pub(super) lineage: Lineage,
    /// The moment for which a tick is scheduled.
    pub(crate) tick_at: Option<Instant>,
}

/// A training under way.
pub(super) struct Training {
    pub(super) model: Digest,
    pub(super) parameters: Arc<Vec<f32>>,
    pub(super) correction: Option<Arc<Vec<f32>>>,
}

pub(crate) fn name(node: usize) -> NodeId {
    NodeId::new(format!("n{node}"))
}

pub(crate) fn number(node: &NodeId) -> usize {
    node.as_str()
        .trim_start_matches('n')
        .parse()
        .unwrap_or(usize::MAX)
}

pub(crate) fn identity(node: usize) -> SigningKey {
    SigningKey::from_bytes(&[node as u8 + 1; 32])
}

pub(crate) fn roster(nodes: usize) -> Vec<(NodeId, [u8; 32])> {
    (0..nodes)
        .map(|n| (name(n), identity(n).verifying_key().to_bytes()))
        .collect()
}

/// Examples at a node: powers of ten, so that a sum tells who is in it.
pub(crate) fn examples(node: usize) -> u64 {
    10_u64.pow(node as u32)
}

impl Node {
    /// A process with nothing but its identity.
    pub(crate) fn born(n: usize, settings: &Settings, life: u64, dice: &mut Dice) -> Self {
        let mut config = Config {
            deadline: Duration::from_secs(4),
            ..Config::default()
        };
        settings.configure(&mut config);
        let participant = Participant::new(name(n)).with_identity(
            Arc::new(identity(n)),
            dice.bytes(),
            Config::default().max_norm,
        );
        Self {
            up: true,
            life,
            leads: false,
            aggregator: Aggregator::new(name(n), config),
            participant: settings.participate(participant),
            custodian: Custodian::new(
                name(n),
                identity(n),
                Roster::new(roster(settings.nodes)),
                dice.bytes(),
            ),
            replica: State::new(),
            tree: Frontier::new(),
            caught_up: false,
            models: BTreeMap::new(),
            serves: None,
            started: Vec::new(),
            keyring: Keyring::new(GRACE),
            sealer: Sealer::new(name(n), dice.bytes()).expect("names here are short"),
            parking: Parking::new(PARKED_FOR),
            opened: BTreeSet::new(),
            training: BTreeMap::new(),
            trained: BTreeSet::new(),
            left_out: LeftOut::default(),
            lineage: Lineage::default(),
            tick_at: None,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        [
            self.aggregator.deadline(),
            self.participant.deadline(),
            self.custodian.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The tick to schedule, if none is for that moment or earlier.
    pub(crate) fn next_tick(&mut self, n: usize, now: Instant) -> Option<(Instant, Event)> {
        let due = self.deadline()?.max(now);
        if self.tick_at.is_some_and(|at| at <= due) {
            return None;
        }
        self.tick_at = Some(due);
        Some((
            due,
            Event::Tick {
                node: n,
                life: self.life,
            },
        ))
    }
}
