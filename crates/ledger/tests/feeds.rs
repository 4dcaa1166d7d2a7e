//! How far a topic was read: only its holder moves a partition, and only on from where it stands.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use ledger::invariants::{Step, check};
use ledger::{Applied, MAX_ADVANCES, State};
use wire::{
    Act, Digest, FeedAdvance, FeedShare, Level, NodeId, ProposalId, Record, Role, UnixMillis,
};

struct Log {
    state: State,
}

impl Log {
    /// Nodes a and b, both up, at the newest level.
    fn new() -> Self {
        let mut log = Self {
            state: State::new(),
        };
        let roster = ["a", "b"]
            .map(|name| (NodeId::from(name), [1; 32]))
            .to_vec();
        let cluster = "demo".to_owned();
        log.done("a", Act::Genesis { cluster, roster });
        for level in 1..=Level::FEEDS.0 {
            let level = Level(level);
            log.done("a", Act::LevelRaised { level });
        }
        for node in ["a", "b"] {
            let act = Act::NodeUp {
                node: node.into(),
                incarnation: 1,
            };
            log.done(node, act);
        }
        log
    }

    fn apply(&mut self, proposer: &str, act: Act) -> Applied {
        let before = self.state.clone();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&before.size.to_be_bytes());
        let record = Record {
            id: ProposalId(id),
            proposer: proposer.into(),
            time: UnixMillis(0),
            act,
        };
        let applied = self.state.apply(before.size, &record);
        check(Step {
            before: &before,
            after: &self.state,
            applied: &applied,
        })
        .unwrap();
        applied
    }

    fn done(&mut self, proposer: &str, act: Act) {
        assert_eq!(
            self.apply(proposer, act.clone()),
            Applied::Effective,
            "{act:?}"
        );
    }

    fn refused(&mut self, proposer: &str, act: Act, part: &str) {
        match self.apply(proposer, act) {
            Applied::Ignored { reason } => assert!(reason.contains(part), "{reason}"),
            other => panic!("expected a refusal about {part:?}, was {other:?}"),
        }
    }
}

fn share(share: u16, of: u16, node: &str) -> Act {
    let topic = "t".to_owned();
    Act::RoleAssigned {
        role: Role::FeedShare(FeedShare { topic, of, share }),
        node: node.into(),
    }
}

fn part(partition: u32, from: u64, to: u64) -> FeedAdvance {
    FeedAdvance {
        partition,
        from,
        to,
        moved: false,
        resume: from,
        watermark: UnixMillis(7),
        count: to.saturating_sub(from),
        digest: Digest([9; 32]),
    }
}

fn read(node: &str, advances: impl Into<Vec<FeedAdvance>>) -> Act {
    Act::FeedAdvanced {
        node: node.into(),
        topic: "t".to_owned(),
        advances: advances.into(),
    }
}

#[test]
fn partitions_move_on_from_where_they_stand() {
    let mut log = Log::new();
    log.refused("a", read("a", [part(0, 0, 5)]), "nobody holds");
    log.done("a", share(0, 2, "a"));
    log.done("a", share(1, 2, "b"));
    // A partition may be met in the middle: retention has eaten its beginning.
    log.done("a", read("a", [part(0, 10, 15), part(2, 0, 3)]));
    log.done("b", read("b", [part(1, 0, 4)]));
    log.refused("a", read("a", [part(0, 10, 15)]), "stands at 15, not at 10");
    log.refused("a", read("a", [part(0, 16, 17)]), "stands at 15, not at 16");
    log.refused("a", read("a", [part(1, 4, 5)]), "is b's to read, not a's");
    log.refused("b", read("a", [part(0, 15, 16)]), "only a itself");
    // One wrong part and none counts.
    log.refused(
        "a",
        read("a", [part(0, 15, 16), part(2, 0, 1)]),
        "stands at 3",
    );
    assert_eq!(log.state.feed_position("t", 0).unwrap().to, 15);
    log.refused("a", read("a", [part(0, 15, 16), part(0, 16, 17)]), "twice");
    log.refused("a", read("a", []), "1 to");
    let many: Vec<_> = (0..=MAX_ADVANCES as u32)
        .map(|n| part(2 * n, 0, 1))
        .collect();
    log.refused("a", read("a", many), "1 to");
    log.refused("a", read("a", [part(0, 15, 14)]), "backwards");
    let too_many = FeedAdvance {
        count: 3,
        ..part(0, 15, 17)
    };
    log.refused("a", read("a", [too_many]), "do not fit");
    assert_eq!(log.state.feed_records(), 5 + 3 + 4);
}

#[test]
fn a_former_holder_moves_nothing() {
    let mut log = Log::new();
    log.done("a", share(0, 1, "a"));
    log.done("a", read("a", [part(0, 0, 10)]));
    log.done("a", share(0, 1, "b"));
    log.refused("a", read("a", [part(0, 10, 20)]), "is b's to read");
    log.done("b", read("b", [part(0, 10, 12)]));
    // Its own share again: what it had in hand before is still no continuation.
    log.done("a", share(0, 1, "a"));
    log.refused("a", read("a", [part(0, 10, 20)]), "stands at 12");
    let position = log.state.feed_position("t", 0).unwrap();
    assert_eq!((position.to, position.records), (12, 12));
    assert_eq!(position.by, NodeId::from("b"));
}

#[test]
fn a_topic_made_anew_begins_anew_and_its_records_add_up() {
    let mut log = Log::new();
    log.done("a", share(0, 1, "a"));
    log.done("a", read("a", [part(0, 0, 100)]));
    let anew = FeedAdvance {
        moved: true,
        ..part(0, 0, 7)
    };
    log.done("a", read("a", [anew]));
    let position = log.state.feed_position("t", 0).unwrap();
    assert_eq!((position.to, position.records), (7, 107));
}

#[test]
fn a_topic_is_divided_in_one_way_at_a_time() {
    let mut log = Log::new();
    log.refused("a", share(2, 2, "a"), "no share 2 of 2");
    log.refused("a", share(0, 1000, "a"), "256 at most");
    let whole = Act::RoleAssigned {
        role: Role::Feed("t".into()),
        node: "a".into(),
    };
    log.refused("a", whole, "in shares since level");
    log.done("a", share(0, 2, "a"));
    log.done("a", share(1, 2, "b"));
    log.done("b", read("b", [part(1, 0, 4)]));
    log.done("a", share(0, 3, "a"));
    assert_eq!(log.state.roles.len(), 1, "{:?}", log.state.roles);
    log.refused("b", read("b", [part(1, 4, 5)]), "nobody holds");
    log.done("a", share(1, 3, "a"));
    log.done("a", read("a", [part(1, 4, 5)]));
}
