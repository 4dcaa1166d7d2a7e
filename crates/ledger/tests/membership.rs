//! Who belongs to the cluster: one table per subject, `(who proposes, act, what it does)`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use ledger::invariants::{Step, check};
use ledger::{Applied, MAX_INVITATIONS, MAX_MEMBERS, State};
use wire::{
    Act, Digest, GroupCommitKind, KeyEpoch, Level, NodeId, ProposalId, Record, Removal, Role,
    StoreId, UnixMillis,
};

/// Expected outcome; the text is part of the reason.
#[derive(Debug)]
enum Is {
    Done,
    Lost,
    Not(&'static str),
}
use Is::{Done, Lost, Not};

fn run(mut state: State, acts: Vec<(&str, Act, Is)>) -> State {
    for (proposer, act, is) in acts {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&state.size.to_be_bytes());
        let record = Record {
            id: ProposalId(id),
            proposer: proposer.into(),
            time: UnixMillis(state.size),
            act,
        };
        let before = state.clone();
        let applied = state.apply(before.size, &record);
        check(Step {
            before: &before,
            after: &state,
            applied: &applied,
        })
        .unwrap();
        let fits = match (&is, &applied) {
            (Done, Applied::Effective) | (Lost, Applied::Lost { .. }) => true,
            (Not(part), Applied::Ignored { reason }) => reason.contains(part),
            _ => false,
        };
        assert!(fits, "{record:?} should be {is:?}, was {applied:?}");
    }
    state
}

fn genesis() -> Act {
    let key = |name: &&str| ((*name).into(), [name.as_bytes()[0]; 32]);
    Act::Genesis {
        cluster: "demo".into(),
        roster: ["a", "b", "c"].iter().map(key).collect(),
    }
}

fn raise(level: u16) -> Act {
    Act::LevelRaised {
        level: Level(level),
    }
}

fn founded() -> State {
    run(
        State::new(),
        vec![("a", genesis(), Done), ("a", raise(1), Done)],
    )
}

fn invite(secret: u8, node: Option<&str>, expires: u64) -> Act {
    Act::Invited {
        invitation: Digest([secret; 32]),
        node: node.map(NodeId::from),
        expires: UnixMillis(expires),
    }
}

fn admit(node: &str, key: u8, secret: u8) -> Act {
    Act::Admitted {
        node: node.into(),
        identity: [key; 32],
        address: format!("{node}:7201"),
        invitation: Digest([secret; 32]),
    }
}

fn evict(node: &str) -> Act {
    Act::Removed {
        node: node.into(),
        cause: Removal::Evicted {
            reason: "key stolen".into(),
        },
    }
}

fn leave(node: &str) -> Act {
    Act::Removed {
        node: node.into(),
        cause: Removal::Left,
    }
}

fn introduce(node: &str, store: u64) -> Act {
    Act::Introduced {
        node: node.into(),
        address: format!("{node}:7202"),
        store: StoreId(store),
    }
}

fn commit(epoch: u64, kind: GroupCommitKind) -> Act {
    Act::GroupCommit {
        epoch: KeyEpoch(epoch),
        committer: "a".into(),
        kind,
        commit: Vec::new(),
    }
}

fn removed(nodes: &[&str]) -> GroupCommitKind {
    GroupCommitKind::Removed {
        nodes: nodes.iter().map(|node| NodeId::from(*node)).collect(),
    }
}

#[test]
fn levels_rise_one_by_one_and_open_their_acts() {
    let state = run(
        State::new(),
        vec![
            ("a", genesis(), Done),
            (
                "a",
                invite(1, None, 99),
                Not("level 1, the ledger has level 0"),
            ),
            ("a", raise(2), Not("the next level is 1, not 2")),
            ("a", raise(1), Done),
            ("a", raise(1), Not("the next level is 2, not 1")),
            ("a", invite(1, None, 99), Done),
        ],
    );
    assert_eq!(state.level, Level(1));
}

#[test]
fn entering_takes_an_invitation_that_is_good_once() {
    let state = run(
        founded(),
        vec![
            ("a", admit("d", 9, 1), Not("unknown, used or expired")),
            ("a", invite(1, None, 2), Not("expired before it was made")),
            ("a", invite(1, Some("b"), 99), Not("b is a member already")),
            ("a", invite(1, Some("d"), 99), Done),
            ("b", invite(1, None, 99), Not("open already")),
            ("z", admit("d", 9, 1), Not("z is not a member")),
            ("a", admit("e", 9, 1), Not("for d, not for e")),
            ("a", admit("d", b'b', 1), Not("b has the same identity key")),
            ("b", admit("d", 9, 1), Done),
            ("b", admit("e", 8, 1), Not("unknown, used or expired")),
            ("b", invite(2, None, 14), Done),
            ("b", admit("d", 9, 2), Not("d is a member already")),
            ("b", admit("e", 8, 2), Not("expired")),
        ],
    );
    let member = &state.members[&"d".into()];
    assert_eq!(member.address.as_deref(), Some("d:7201"));
    assert_eq!((member.store, member.up), (None, false));
    assert_eq!(member.admitted, Some(10));
}

#[test]
fn a_member_speaks_for_itself() {
    let state = run(
        founded(),
        vec![
            ("a", introduce("b", 7), Not("only b itself")),
            ("b", introduce("b", 7), Done),
            ("b", introduce("b", 7), Not("has said so already")),
            ("c", leave("b"), Not("only b itself can leave")),
            ("b", leave("b"), Done),
            ("b", introduce("b", 8), Not("b is not a member")),
        ],
    );
    assert!(!state.members.contains_key(&"b".into()));
    assert_eq!(state.removed[&"b".into()].cause, Removal::Left);
}

#[test]
fn whoever_goes_loses_roles_and_leaves_the_last_one_behind() {
    let up = |node: &str| Act::NodeUp {
        node: node.into(),
        incarnation: 1,
    };
    let role = Act::RoleAssigned {
        role: Role::Room("r".into()),
        node: "b".into(),
    };
    let state = run(
        founded(),
        vec![
            ("a", up("b"), Done),
            ("a", role, Done),
            ("a", evict("z"), Not("z is not a member")),
            ("a", evict("b"), Done),
            ("a", evict("a"), Done), // A leader may have to go, too.
            ("c", leave("c"), Not("last member")),
        ],
    );
    assert!(state.roles.is_empty());
    assert!(state.keys.to_remove.is_empty(), "there was no key group");
}

#[test]
fn after_a_removal_only_the_commit_that_removes_wins() {
    let created = GroupCommitKind::Created { group: vec![1] };
    let rotated = GroupCommitKind::Rotated {
        round: wire::Round(1),
    };
    let state = run(
        founded(),
        vec![
            ("a", commit(1, created.clone()), Done),
            ("a", commit(2, removed(&["c"])), Lost),
            ("a", commit(2, removed(&[])), Lost),
            ("a", evict("c"), Done),
            ("a", evict("b"), Done),
            ("a", commit(2, GroupCommitKind::Joined), Lost),
            ("a", commit(2, rotated.clone()), Lost),
            ("a", commit(2, removed(&["c"])), Lost),
            ("a", invite(1, None, 99), Done),
            (
                "a",
                admit("c", 9, 1),
                Not("still being removed from the key group"),
            ),
            ("a", commit(2, removed(&["b", "c"])), Done),
            ("a", commit(3, rotated), Done),
            ("a", admit("c", 9, 1), Done),
            ("a", evict("c"), Done),
            ("a", commit(4, created), Done), // A new group has nobody to remove.
        ],
    );
    assert_eq!(state.keys.epoch, KeyEpoch(4));
    assert!(state.keys.to_remove.is_empty());
}

#[test]
fn functions_are_versioned_without_gaps() {
    let deploy = |version| Act::FunctionDeployed {
        name: "decode".into(),
        version,
        module: Digest([version as u8; 32]),
    };
    let state = run(
        founded(),
        vec![
            (
                "a",
                deploy(2),
                Not("the next version of function decode is 1, not 2"),
            ),
            ("a", deploy(1), Done),
            ("b", deploy(1), Not("is 2, not 1")),
            ("b", deploy(2), Done),
        ],
    );
    assert_eq!(state.functions["decode"].version, 2);
}

#[test]
fn members_and_invitations_have_limits() {
    let mut acts = Vec::new();
    for n in 0..MAX_INVITATIONS as u8 {
        acts.push(("a", invite(n, None, 9_999), Done));
    }
    acts.push(("a", invite(255, None, 9_999), Not("which is the limit")));
    let free = MAX_MEMBERS as u8 - 3;
    let names: Vec<String> = (0..=free).map(|n| format!("n{n}")).collect();
    for (name, n) in names.iter().zip(0..free) {
        acts.push(("a", admit(name, n, n), Done));
    }
    let last = admit(&names[usize::from(free)], free, free);
    acts.push(("a", last, Not("64 members, which is the limit")));
    // Expired invitations make room.
    let mut state = run(founded(), acts);
    state
        .invitations
        .values_mut()
        .for_each(|open| open.expires = UnixMillis(1));
    let state = run(state, vec![("a", invite(254, None, 9_999), Done)]);
    assert_eq!(state.invitations.len(), 1);
}
