//! Custodians around a perfect, totally ordered ledger and a most imperfect everything else.
//!
//! Invariants, checked at every output:
//! * `CUSTODY-1` a node's epochs only grow.
//! * `CUSTODY-2` whoever holds the secrets of an epoch holds the same ones.
//! * `CUSTODY-3` no epoch starts at a node before the ledger told it so.
//! * `CUSTODY-4` what a node serves belongs to the epoch it announced last.

use super::super::*;
use crate::EpochSecrets;
use std::collections::{BTreeMap, VecDeque};
use wire::Act;

/// An entry of the ledger, as the fold judged it.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Won {
        epoch: KeyEpoch,
        committer: NodeId,
        kind: GroupCommitKind,
        commit: Vec<u8>,
    },
    Lost {
        epoch: KeyEpoch,
        committer: NodeId,
        kind: GroupCommitKind,
        commit: Vec<u8>,
    },
    RoundClosed(Round),
}

pub(super) struct Node {
    pub(super) custodian: Custodian,
    /// Ledger entries seen.
    pub(super) cursor: usize,
    pub(super) serves: Option<Vec<u8>>,
    /// Started epochs of this life.
    pub(super) started: Vec<KeyEpoch>,
    /// A question under way.
    pub(super) asking: bool,
    pub(super) notes: Vec<String>,
    pub(super) retired: Vec<KeyEpoch>,
}

pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    pub(super) ledger: Vec<Entry>,
    pub(super) epoch: KeyEpoch,
    pub(super) round: Round,
    /// Proposed and neither committed nor dropped: (proposer, act).
    pub(super) proposals: VecDeque<(usize, Act)>,
    pub(super) leader: usize,
    pub(super) now: Instant,
    /// By epoch, whatever any node ever started.
    pub(super) secrets: BTreeMap<KeyEpoch, EpochSecrets>,
    lives: u64,
}

pub(super) fn name(node: usize) -> NodeId {
    NodeId::new(format!("n{node}"))
}

pub(super) fn key(node: usize) -> SigningKey {
    SigningKey::from_bytes(&[node as u8 + 1; 32])
}

pub(super) fn roster(nodes: usize) -> Roster {
    Roster::new((0..nodes).map(|n| (name(n), key(n).verifying_key().to_bytes())))
}

impl World {
    pub(super) fn new(nodes: usize) -> Self {
        let mut world = Self {
            nodes: Vec::new(),
            ledger: Vec::new(),
            epoch: KeyEpoch(0),
            round: Round(0),
            proposals: VecDeque::new(),
            leader: 0,
            now: Instant::ZERO,
            secrets: BTreeMap::new(),
            lives: 0,
        };
        for n in 0..nodes {
            let node = world.born(n, nodes);
            world.nodes.push(node);
        }
        for n in 0..nodes {
            world.start(n);
        }
        world
    }

    fn born(&mut self, n: usize, nodes: usize) -> Node {
        self.lives += 1;
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.lives.to_be_bytes());
        Node {
            custodian: Custodian::new(name(n), key(n), roster(nodes), seed),
            cursor: 0,
            serves: None,
            started: Vec::new(),
            asking: false,
            notes: Vec::new(),
            retired: Vec::new(),
        }
    }

    /// Replay the ledger to a fresh process, then let it act.
    fn start(&mut self, n: usize) {
        while self.deliver(n) {}
        let epoch = self.epoch;
        self.feed(n, Input::CaughtUp { epoch });
        self.feed(n, Input::Leader(n == self.leader));
    }

    /// The process dies and comes back with nothing but its identity.
    pub(super) fn crash(&mut self, n: usize) {
        let count = self.nodes.len();
        self.nodes[n] = self.born(n, count);
        self.start(n);
    }

    pub(super) fn lead(&mut self, n: usize) {
        if n != self.leader {
            let old = std::mem::replace(&mut self.leader, n);
            self.feed(old, Input::Leader(false));
            self.feed(n, Input::Leader(true));
        }
    }

    pub(super) fn feed(&mut self, n: usize, input: Input) {
        let mut out = Vec::new();
        let now = self.now;
        self.nodes[n].custodian.handle(now, input, &mut out);
        self.perform(n, out);
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now = self.now + by;
        for n in 0..self.nodes.len() {
            while self.nodes[n]
                .custodian
                .deadline()
                .is_some_and(|due| due <= self.now)
            {
                let mut out = Vec::new();
                self.nodes[n].custodian.tick(self.now, &mut out);
                self.perform(n, out);
            }
        }
    }

    fn perform(&mut self, n: usize, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Propose(act) => self.proposals.push_back((n, act)),
                Output::AskGroupInfo => self.nodes[n].asking = true,
                Output::Serve(info) => {
                    let epoch = info
                        .as_ref()
                        .map(|bytes| JoinInfo::from_bytes(bytes).unwrap().epoch);
                    let node = &mut self.nodes[n];
                    if let Some(epoch) = epoch {
                        assert_eq!(Some(&epoch), node.started.last(), "CUSTODY-4 at n{n}");
                    }
                    node.serves = info;
                }
                Output::EpochStarted(secrets) => {
                    let node = &mut self.nodes[n];
                    let epoch = secrets.epoch;
                    assert!(
                        node.started.last().is_none_or(|last| *last < epoch),
                        "CUSTODY-1 at n{n}"
                    );
                    assert_eq!(node.custodian.epoch(), epoch, "CUSTODY-3 at n{n}");
                    node.started.push(epoch);
                    let first = self.secrets.entry(epoch).or_insert_with(|| secrets.clone());
                    assert!(*first == secrets, "CUSTODY-2 at n{n}, key epoch {epoch}");
                }
                Output::EpochRetired(epoch) => self.nodes[n].retired.push(epoch),
                Output::Removed => {}
                Output::Note(note) => self.nodes[n].notes.push(note),
            }
        }
    }

    /// The ledger takes proposal `i` and judges it, as its fold would. The proposal stays proposed
    /// if `twice`: a retry of the transport that arrives again later.
    pub(super) fn commit(&mut self, i: usize, twice: bool) {
        let Some((_, act)) = self.proposals.get(i).cloned() else {
            return;
        };
        if !twice {
            self.proposals.remove(i);
        }
        let Act::GroupCommit {
            epoch,
            committer,
            kind,
            commit,
        } = act
        else {
            panic!("custodians propose group commits only: {act:?}")
        };
        if epoch == self.epoch.next() {
            self.epoch = epoch;
            self.ledger.push(Entry::Won {
                epoch,
                committer,
                kind,
                commit,
            });
        } else {
            self.ledger.push(Entry::Lost {
                epoch,
                committer,
                kind,
                commit,
            });
        }
    }

    pub(super) fn fail(&mut self, i: usize, but_it_arrives: bool) {
        let Some((n, act)) = self.proposals.get(i).cloned() else {
            return;
        };
        let Act::GroupCommit { epoch, .. } = act else {
            return;
        };
        if !but_it_arrives {
            self.proposals.remove(i);
        }
        self.feed(
            n,
            Input::ProposalFailed {
                epoch,
                reason: "no leader".to_owned(),
            },
        );
    }

    /// The next ledger entry reaches node `n`.
    pub(super) fn deliver(&mut self, n: usize) -> bool {
        let Some(entry) = self.ledger.get(self.nodes[n].cursor).cloned() else {
            return false;
        };
        self.nodes[n].cursor += 1;
        let input = match entry {
            Entry::Won {
                epoch,
                committer,
                kind,
                commit,
            } => Input::Committed {
                epoch,
                committer,
                kind,
                commit,
            },
            Entry::Lost {
                epoch,
                committer,
                kind,
                commit,
            } => Input::Lost {
                epoch,
                committer,
                kind,
                commit,
            },
            Entry::RoundClosed(round) => Input::RoundClosed { round },
        };
        self.feed(n, input);
        true
    }

    /// Node `n` hears from the peers in the bit set `reachable`, and that this was all.
    pub(super) fn answer(&mut self, n: usize, reachable: u8) {
        if !std::mem::take(&mut self.nodes[n].asking) {
            return;
        }
        for peer in (0..self.nodes.len()).filter(|peer| *peer != n && reachable >> peer & 1 == 1) {
            let answer = self.nodes[peer].serves.clone();
            self.feed(
                n,
                Input::GroupInfo {
                    from: name(peer),
                    answer,
                },
            );
        }
        self.feed(n, Input::AnswersDone);
    }

    pub(super) fn close_round(&mut self) {
        self.round = self.round.next();
        self.ledger.push(Entry::RoundClosed(self.round));
    }

    /// Everything works from here on; true when all is quiet within `steps`.
    pub(super) fn settle(&mut self, steps: usize) -> bool {
        for _ in 0..steps {
            while !self.proposals.is_empty() {
                self.commit(0, false);
            }
            for n in 0..self.nodes.len() {
                while self.deliver(n) {}
                self.answer(n, u8::MAX);
            }
            if self.settled() {
                return true;
            }
            self.advance(Duration::from_millis(500));
        }
        false
    }

    pub(super) fn settled(&self) -> bool {
        self.proposals.is_empty()
            && self.nodes.iter().all(|node| {
                node.cursor == self.ledger.len()
                    && node.custodian.in_group()
                    && node.started.last() == Some(&self.epoch)
                    && node.custodian.rotated >= self.round
            })
    }

    /// Why it is not.
    pub(super) fn describe(&self) -> String {
        let mut text = format!("ledger at key epoch {}, round {}\n", self.epoch, self.round);
        for (n, node) in self.nodes.iter().enumerate() {
            text.push_str(&format!(
                "n{n}{}: epoch {}, in group {}, rotated {}, notes {:#?}\n",
                if n == self.leader { " (leader)" } else { "" },
                node.custodian.epoch(),
                node.custodian.in_group(),
                node.custodian.rotated,
                node.notes.iter().rev().take(5).collect::<Vec<_>>()
            ));
        }
        text
    }
}
