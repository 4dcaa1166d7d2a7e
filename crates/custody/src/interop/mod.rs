//! mls-rs, the other implementation of MLS in Rust, in one group with our nodes.

mod algorithms;
mod peer;

use crate::{
    Custodian, EpochSecrets, Input, KeyGroup, Membership, Output, Roster, group::JoinInfo,
};
use ed25519_dalek::SigningKey;
use machine::{Instant, Machine};
use peer::Peer;
use std::sync::Arc;
use wire::{Act, GroupCommitKind, KeyEpoch, NodeId, Round};

const JOINED: GroupCommitKind = GroupCommitKind::Joined;
const ROTATED: GroupCommitKind = GroupCommitKind::Rotated { round: Round(1) };
/// The number that the ledger gives to an epoch is part of the exporter's context.
const EPOCH: KeyEpoch = KeyEpoch(9);

fn key(name: &str) -> Arc<SigningKey> {
    let mut seed = [0; 32];
    seed[..name.len()].copy_from_slice(name.as_bytes());
    Arc::new(SigningKey::from_bytes(&seed))
}

fn roster(names: &[&str]) -> Roster {
    let known = |name: &&str| (NodeId::from(*name), key(name).verifying_key().to_bytes());
    Roster::new(names.iter().map(known))
}

fn removed(node: &str) -> GroupCommitKind {
    let nodes = vec![node.into()];
    GroupCommitKind::Removed { nodes }
}

/// `names` are members, `gone` has to be removed.
fn without(names: &[&str], gone: &str) -> Membership {
    Membership {
        roster: roster(names),
        to_remove: [gone.into()].into(),
    }
}

fn ours(group: &KeyGroup) -> EpochSecrets {
    group.secrets(EPOCH).unwrap()
}

/// Our a and b, mls-rs' p, which came last, by external commit.
fn mixed() -> (KeyGroup, KeyGroup, Peer, Membership) {
    let all = Membership::of(roster(&["a", "b", "p"]));
    let mut a = KeyGroup::create(b"mixed", &"a".into(), key("a"), [1; 32]).unwrap();
    let info = a.group_info().unwrap();
    let b = KeyGroup::external_join(&info, &"b".into(), key("b"), &all.roster, [2; 32]).unwrap();
    a.process_commit(&b.commit, &"b".into(), &JOINED, &all)
        .unwrap();
    let mut b = b.group;
    let (p, commit) = Peer::join("p", &a.group_info().unwrap());
    for group in [&mut a, &mut b] {
        group
            .process_commit(&commit, &"p".into(), &JOINED, &all)
            .unwrap();
        assert_eq!(ours(group), p.secrets(EPOCH));
    }
    (a, b, p, all)
}

#[test]
fn a_peer_of_the_other_kind_joins_our_group_and_all_rotate() {
    let (mut a, mut b, mut p, all) = mixed();
    assert_eq!(a.members(), ["a", "b", "p"].map(NodeId::from).into());
    let mut seen = vec![ours(&a)];
    for round in 0..2 {
        let commit = a.rotate().unwrap();
        a.merge_own_pending().unwrap();
        b.process_commit(&commit, &"a".into(), &ROTATED, &all)
            .unwrap();
        p.follow(&commit);
        assert_eq!(ours(&a), p.secrets(EPOCH), "ours, round {round}");

        let commit = p.rotate();
        for group in [&mut a, &mut b] {
            group
                .process_commit(&commit, &"p".into(), &ROTATED, &all)
                .unwrap();
            assert_eq!(ours(group), p.secrets(EPOCH), "theirs, round {round}");
        }
        assert!(!seen.contains(&ours(&a)));
        seen.push(ours(&a));
    }
}

#[test]
fn our_removal_of_one_of_ours_is_followed_by_the_other_kind() {
    let (mut a, mut b, mut p, _) = mixed();
    let gone = without(&["a", "p"], "b");
    let commit = a.remove(&gone.to_remove).unwrap();
    a.merge_own_pending().unwrap();
    assert!(p.follow(&commit), "it stays");
    assert_eq!(ours(&a), p.secrets(EPOCH));
    assert_eq!(p.members(), ["a", "p"]);
    let refused = b.process_commit(&commit, &"a".into(), &removed("b"), &gone);
    assert!(refused.is_err());
    assert_ne!(ours(&b), p.secrets(EPOCH));
}

#[test]
fn our_removal_of_the_other_kind_shuts_it_out() {
    let (mut a, mut b, mut p, _) = mixed();
    let gone = without(&["a", "b"], "p");
    let before = p.secrets(EPOCH);
    let commit = a.remove(&gone.to_remove).unwrap();
    a.merge_own_pending().unwrap();
    b.process_commit(&commit, &"a".into(), &removed("p"), &gone)
        .unwrap();
    assert_eq!(ours(&a), ours(&b));
    assert!(!p.follow(&commit), "it sees that it is removed");
    assert_eq!(p.secrets(EPOCH), before, "and gets no further");
    assert_ne!(ours(&a), before);
}

#[test]
fn the_other_kind_s_removal_is_followed_by_ours() {
    let (mut a, mut b, mut p, _) = mixed();
    let gone = without(&["a", "p"], "b");
    let commit = p.remove("b");
    a.process_commit(&commit, &"p".into(), &removed("b"), &gone)
        .unwrap();
    assert_eq!(ours(&a), p.secrets(EPOCH));
    let refused = b.process_commit(&commit, &"p".into(), &removed("b"), &gone);
    assert!(refused.is_err());
}

/// A custodian and the ledger's word for it, in a group that mls-rs has made.
struct Node {
    custodian: Custodian,
    out: Vec<Output>,
}

impl Node {
    fn feed(&mut self, input: Input) {
        self.custodian.handle(Instant::ZERO, input, &mut self.out);
    }

    fn won(&mut self, epoch: u64, committer: &str, kind: GroupCommitKind, commit: &[u8]) {
        self.feed(Input::Committed {
            epoch: KeyEpoch(epoch),
            committer: committer.into(),
            kind,
            commit: commit.to_vec(),
        });
    }

    fn started(&mut self) -> Option<EpochSecrets> {
        let started = self.out.iter().rev().find_map(|output| match output {
            Output::EpochStarted(secrets) => Some(secrets.clone()),
            _ => None,
        });
        self.out.clear();
        started
    }

    fn proposed(&mut self) -> Option<(GroupCommitKind, Vec<u8>)> {
        let proposed = self.out.iter().find_map(|output| match output {
            Output::Propose(Act::GroupCommit { kind, commit, .. }) => {
                Some((kind.clone(), commit.clone()))
            }
            _ => None,
        });
        self.out.clear();
        proposed
    }
}

#[test]
fn our_custodian_lives_in_a_group_that_the_other_kind_has_made() {
    let mut p = Peer::create("p");
    let mut node = Node {
        custodian: Custodian::new("a".into(), (*key("a")).clone(), Roster::default(), [4; 32]),
        out: Vec::new(),
    };
    let roster_of = |names: &[&str], gone: &[&str]| Input::Roster {
        roster: roster(names),
        to_remove: gone.iter().map(|name| NodeId::from(*name)).collect(),
    };
    node.feed(roster_of(&["a", "p", "q"], &[]));
    let group = b"theirs".to_vec();
    node.won(1, "p", GroupCommitKind::Created { group }, b"");
    node.feed(Input::CaughtUp { epoch: KeyEpoch(1) });
    let info = JoinInfo {
        epoch: KeyEpoch(1),
        group_info: p.group_info(),
    };
    node.feed(Input::GroupInfo {
        from: "p".into(),
        answer: Some(info.to_bytes()),
    });
    node.feed(Input::AnswersDone);
    let (kind, commit) = node.proposed().expect("it joins");
    assert_eq!(kind, JOINED);
    assert!(p.follow(&commit));
    node.won(2, "a", kind, &commit);
    assert_eq!(node.started(), Some(p.secrets(KeyEpoch(2))));

    let commit = p.rotate();
    node.won(3, "p", ROTATED, &commit);
    assert_eq!(node.started(), Some(p.secrets(KeyEpoch(3))));

    // A second one of the other kind comes, and has to go again; our node leads and removes it.
    let (mut q, commit) = Peer::join("q", &p.group_info());
    assert!(p.follow(&commit));
    node.won(4, "q", JOINED, &commit);
    assert_eq!(node.started(), Some(q.secrets(KeyEpoch(4))));
    node.feed(Input::Leader(true));
    node.feed(roster_of(&["a", "p"], &["q"]));
    let (kind, commit) = node.proposed().expect("it removes q");
    assert_eq!(kind, removed("q"));
    assert!(p.follow(&commit));
    assert!(!q.follow(&commit));
    node.won(5, "a", kind, &commit);
    node.feed(roster_of(&["a", "p"], &[]));
    assert_eq!(node.started(), Some(p.secrets(KeyEpoch(5))));
    assert_ne!(q.secrets(KeyEpoch(5)), p.secrets(KeyEpoch(5)));
}
