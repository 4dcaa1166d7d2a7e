//! Custodians around the real ledger's fold and a most imperfect everything else.
//!
//! Invariants, checked at every output:
//! * `CUSTODY-1` a node's epochs only grow.
//! * `CUSTODY-2` whoever holds the secrets of an epoch holds the same ones.
//! * `CUSTODY-3` no epoch starts at a node before the ledger told it so.
//! * `CUSTODY-4` what a node serves belongs to the epoch it announced last.
//! * `CUSTODY-5` whoever holds the secrets of an epoch was a member where the ledger opened it.
//! * `CUSTODY-6` a node is told that it is no member only by a roster that does not name it.
//! * `CUSTODY-7` whoever was not a member there cannot derive them, with a former member's whole
//!   state and all commits ever made.

use super::super::*;
use super::log::Log;
use crate::EpochSecrets;
use std::collections::{BTreeMap, VecDeque};
use wire::Act;

pub(super) struct Node {
    pub(super) custodian: Custodian,
    /// How often this name has been admitted; each time under another identity key.
    pub(super) admission: u8,
    /// Leaves seen.
    pub(super) cursor: usize,
    pub(super) serves: Option<Vec<u8>>,
    /// Started epochs of this life.
    pub(super) started: Vec<KeyEpoch>,
    /// A question under way.
    pub(super) asking: bool,
    pub(super) notes: Vec<String>,
    pub(super) retired: Vec<KeyEpoch>,
    /// How often it was told that it is no member.
    pub(super) removed: usize,
}

/// The group state of a node that was thrown out, in the hands of a thief.
struct Stolen {
    from: usize,
    admission: u8,
    group: KeyGroup,
    epoch: KeyEpoch,
}

pub(super) struct World {
    stolen: Vec<Stolen>,
    pub(super) nodes: Vec<Node>,
    pub(super) log: Log,
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
    key_of(node, 0)
}

/// Of the node's `admission`th life as a member.
pub(super) fn key_of(node: usize, admission: u8) -> SigningKey {
    let mut seed = [node as u8 + 1; 32];
    seed[0] = admission;
    SigningKey::from_bytes(&seed)
}

pub(super) fn roster(nodes: usize) -> Roster {
    Roster::new((0..nodes).map(|n| (name(n), key(n).verifying_key().to_bytes())))
}

impl World {
    pub(super) fn new(nodes: usize) -> Self {
        let mut world = Self {
            stolen: Vec::new(),
            nodes: Vec::new(),
            log: Log::new(
                (0..nodes)
                    .map(|n| (name(n), key(n).verifying_key().to_bytes()))
                    .collect(),
            ),
            round: Round(0),
            proposals: VecDeque::new(),
            leader: 0,
            now: Instant::ZERO,
            secrets: BTreeMap::new(),
            lives: 0,
        };
        for n in 0..nodes {
            let node = world.born(n, 0);
            world.nodes.push(node);
        }
        for n in 0..nodes {
            world.start(n);
        }
        world
    }

    fn born(&mut self, n: usize, admission: u8) -> Node {
        self.lives += 1;
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.lives.to_be_bytes());
        Node {
            // Who belongs to the cluster, it learns from the ledger.
            custodian: Custodian::new(name(n), key_of(n, admission), Roster::default(), seed),
            admission,
            cursor: 0,
            serves: None,
            started: Vec::new(),
            asking: false,
            notes: Vec::new(),
            retired: Vec::new(),
            removed: 0,
        }
    }

    /// Replay the ledger to a fresh process, then let it act.
    fn start(&mut self, n: usize) {
        while self.deliver(n) {}
        let epoch = self.epoch();
        self.feed(n, Input::CaughtUp { epoch });
        self.feed(n, Input::Leader(n == self.leader));
    }

    /// The process dies and comes back with nothing but its identity.
    pub(super) fn crash(&mut self, n: usize) {
        self.nodes[n] = self.born(n, self.nodes[n].admission);
        self.start(n);
    }

    /// The ledger's key epoch.
    pub(super) fn epoch(&self) -> KeyEpoch {
        self.log.state.keys.epoch
    }

    pub(super) fn is_member(&self, n: usize) -> bool {
        self.log.is_member(&name(n))
    }

    /// Others throw it out. Its process lives on, and may even go on hearing the ledger.
    pub(super) fn evict(&mut self, n: usize) {
        self.log.evict(&name(n));
    }

    /// The same, but somebody has taken its memory before it noticed.
    pub(super) fn evict_stolen(&mut self, n: usize) {
        let was_member = self.is_member(n);
        self.evict(n);
        if !was_member || self.is_member(n) {
            return;
        }
        let node = &mut self.nodes[n];
        if let Some(group) = node.custodian.group.take() {
            self.stolen.push(Stolen {
                from: n,
                admission: node.admission,
                epoch: node.custodian.epoch,
                group,
            });
        }
    }

    /// `CUSTODY-7`: each thief goes through all commits, and is bound by no rule of ours.
    pub(super) fn thieves_get_nothing(&mut self) {
        for thief in &mut self.stolen {
            let key = key_of(thief.from, thief.admission).verifying_key();
            for (epoch, committer, commit) in self.log.won(thief.epoch) {
                let own = committer == name(thief.from) && thief.group.has_pending();
                if !own || thief.group.merge_own_pending().is_err() {
                    let _ = thief.group.force(&commit);
                }
                let entitled = self.log.entitled[&epoch].knows(&name(thief.from), key.as_bytes());
                if let (false, Some(real), Ok(theirs)) = (
                    entitled,
                    self.secrets.get(&epoch),
                    thief.group.secrets(epoch),
                ) {
                    assert!(theirs != *real, "CUSTODY-7 n{}, {epoch}", thief.from);
                }
            }
        }
    }

    pub(super) fn leave(&mut self, n: usize) {
        self.log.leave(&name(n));
    }

    /// A former member comes back as a new process under a new identity key, if the ledger lets it.
    pub(super) fn readmit(&mut self, n: usize) -> bool {
        let admission = self.nodes[n].admission + 1;
        let identity = key_of(n, admission).verifying_key().to_bytes();
        let admitted = !self.is_member(n) && self.log.admit(&name(n), identity);
        if admitted {
            self.nodes[n] = self.born(n, admission);
            self.start(n);
        }
        admitted
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
                    let key = key_of(n, node.admission).verifying_key();
                    assert!(
                        self.log.entitled[&epoch].knows(&name(n), key.as_bytes()),
                        "CUSTODY-5 at n{n}, key epoch {epoch}"
                    );
                    let first = self.secrets.entry(epoch).or_insert_with(|| secrets.clone());
                    assert!(*first == secrets, "CUSTODY-2 at n{n}, key epoch {epoch}");
                }
                Output::EpochRetired(epoch) => self.nodes[n].retired.push(epoch),
                Output::Removed => {
                    let node = &mut self.nodes[n];
                    node.removed += 1;
                    assert!(!node.custodian.is_member(), "CUSTODY-6 at n{n}");
                    assert!(!node.custodian.in_group(), "CUSTODY-6 at n{n}");
                }
                Output::Note(note) => self.nodes[n].notes.push(note),
            }
        }
    }

    /// The ledger takes proposal `i`, and its fold judges it. The proposal stays proposed if
    /// `twice`: a retry of the transport that arrives again later.
    pub(super) fn commit(&mut self, i: usize, twice: bool) {
        let Some((n, act)) = self.proposals.get(i).cloned() else {
            return;
        };
        if !twice {
            self.proposals.remove(i);
        }
        assert!(matches!(act, Act::GroupCommit { .. }), "{act:?}");
        self.log.append(&name(n), act);
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

    /// The next leaf reaches node `n`.
    pub(super) fn deliver(&mut self, n: usize) -> bool {
        let Some(leaf) = self.log.leaves.get(self.nodes[n].cursor) else {
            return false;
        };
        let told = leaf.told.clone();
        self.nodes[n].cursor += 1;
        for input in told {
            self.feed(n, input);
        }
        true
    }

    /// All leaves reach node `n`.
    pub(super) fn catch_up(&mut self, n: usize) {
        while self.deliver(n) {}
    }

    /// Node `n` hears from the peers in the bit set `reachable`, and that this was all.
    pub(super) fn answer(&mut self, n: usize, reachable: u8) {
        if !std::mem::take(&mut self.nodes[n].asking) {
            return;
        }
        // Links are between members only.
        let linked = |peer: &usize| {
            *peer != n && reachable >> peer & 1 == 1 && self.is_member(n) && self.is_member(*peer)
        };
        for peer in (0..self.nodes.len()).filter(linked).collect::<Vec<_>>() {
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
        self.round = self.log.close_round();
    }

    /// Everything works from here on; true when all is quiet within `steps`.
    pub(super) fn settle(&mut self, steps: usize) -> bool {
        if !self.is_member(self.leader)
            && let Some(heir) = (0..self.nodes.len()).find(|n| self.is_member(*n))
        {
            self.lead(heir);
        }
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
            && self.log.state.keys.to_remove.is_empty()
            && self.nodes.iter().enumerate().all(|(n, node)| {
                node.cursor == self.log.leaves.len()
                    && if self.is_member(n) {
                        node.custodian.in_group()
                            && node.started.last() == Some(&self.epoch())
                            && node.custodian.rotated >= self.round
                            && node.custodian.members() == self.members()
                    } else {
                        !node.custodian.in_group()
                            && node.serves.is_none()
                            && node.removed == 1
                            && node.custodian.deadline().is_none()
                    }
            })
    }

    pub(super) fn members(&self) -> std::collections::BTreeSet<NodeId> {
        self.log.state.members.keys().cloned().collect()
    }

    /// Why it is not.
    pub(super) fn describe(&self) -> String {
        let mut text = format!(
            "ledger at key epoch {}, round {}, members {:?}, to remove {:?}\n",
            self.epoch(),
            self.round,
            self.members(),
            self.log.state.keys.to_remove
        );
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
