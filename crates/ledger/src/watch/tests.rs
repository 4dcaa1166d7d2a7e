use super::*;
use wire::{ProposalId, Record, UnixMillis};

/// A cluster of a (which watches), b and c, all up in incarnation 1.
fn state() -> std::sync::Arc<State> {
    let mut state = State::new();
    let roster = ["a", "b", "c"].map(|node| (node.into(), [7; 32])).to_vec();
    let mut acts = vec![Act::Genesis {
        cluster: "demo".into(),
        roster,
    }];
    acts.extend(["a", "b", "c"].map(|node| Act::NodeUp {
        node: node.into(),
        incarnation: 1,
    }));
    for (index, act) in (0u64..).zip(acts) {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&index.to_be_bytes());
        let record = Record {
            id: ProposalId(id),
            proposer: "a".into(),
            time: UnixMillis(0),
            act,
        };
        state.apply(index, &record);
    }
    std::sync::Arc::new(state)
}

const FINE: Sight = Sight {
    incarnation: Some(1),
    suspected: false,
};
const OVERDUE: Sight = Sight {
    incarnation: Some(1),
    suspected: true,
};

struct Bench {
    watch: Watch,
    now: Instant,
    leads: bool,
    state: std::sync::Arc<State>,
}

impl Bench {
    fn new() -> Self {
        Self {
            watch: Watch::new(WatchConfig::default()),
            now: Instant::ZERO + Duration::from_secs(100),
            leads: true,
            state: state(),
        }
    }

    fn look(&mut self, after_ms: u64, b: Option<Sight>) -> Vec<Output> {
        self.now = self.now + Duration::from_millis(after_ms);
        let mut sights = BTreeMap::from([("c".into(), FINE)]);
        sights.extend(b.map(|sight| ("b".into(), sight)));
        let mut out = Vec::new();
        let look = Input::Look {
            state: self.state.clone(),
            me: ("a".into(), 1),
            sights,
            leads: self.leads,
        };
        self.watch.handle(self.now, look, &mut out);
        out
    }

    fn opinion(&mut self, from: &str, hears: bool) {
        let (about, from) = ("b".into(), from.into());
        let opinion = Input::Opinion { about, from, hears };
        self.watch.handle(self.now, opinion, &mut Vec::new());
    }
}

fn asks(out: &[Output]) -> bool {
    matches!(out, [Output::Ask { about, whom }]
        if about.as_str() == "b" && whom.iter().eq([&NodeId::from("c")]))
}

fn reason(out: &[Output]) -> &str {
    match out {
        [Output::Propose(Act::NodeDown { node, reason })] if node.as_str() == "b" => reason,
        other => panic!("expected b to be held for down, got {other:?}"),
    }
}

#[test]
fn a_short_break_of_the_link_is_nobodys_business() {
    let mut bench = Bench::new();
    assert_eq!(bench.look(0, None), []);
    assert_eq!(bench.look(499, None), []);
    assert_eq!(bench.look(1, Some(FINE)), []);
    // The next break starts from zero.
    assert_eq!(bench.look(100, None), []);
    assert_eq!(bench.look(499, None), []);
}

#[test]
fn who_is_silent_to_all_is_down() {
    let mut bench = Bench::new();
    bench.look(0, None);
    assert!(asks(&bench.look(500, None)));
    assert_eq!(bench.look(100, None), [], "c has not answered");
    bench.opinion("c", false);
    let out = bench.look(100, None);
    assert_eq!(
        reason(&out),
        "no link to it for 700 ms; c hear(s) nothing of it either"
    );
}

#[test]
fn no_answer_is_no_objection() {
    let mut bench = Bench::new();
    bench.look(0, Some(OVERDUE));
    let out = bench.look(300, Some(OVERDUE));
    assert_eq!(reason(&out), "its heartbeats are overdue for 300 ms");
}

#[test]
fn a_member_that_others_hear_stays_until_the_dispute_is_over() {
    let mut bench = Bench::new();
    assert!(asks(&bench.look(0, Some(OVERDUE))));
    let mut asked = 0;
    for _ in 0..16 {
        bench.opinion("c", true);
        let out = bench.look(300, Some(OVERDUE));
        asked += u32::from(asks(&out));
        assert!(out.is_empty() || asks(&out), "{out:?}");
    }
    assert!(asked >= 4, "opinions grow stale and are asked for again");
    bench.opinion("c", true);
    let mut last = Vec::new();
    for _ in 0..4 {
        bench.opinion("c", true);
        last = bench.look(200, Some(OVERDUE));
        if !last.is_empty() && !asks(&last) {
            break;
        }
    }
    assert!(reason(&last).ends_with("only c still hear(s) it"));
}

#[test]
fn opinions_of_the_uninvited_and_about_the_unsuspected_count_nothing() {
    let mut bench = Bench::new();
    bench.opinion("c", true);
    bench.look(0, Some(OVERDUE));
    bench.opinion("z", true);
    let out = bench.look(300, Some(OVERDUE));
    assert_eq!(reason(&out), "its heartbeats are overdue for 300 ms");
}

#[test]
fn a_follower_watches_and_keeps_quiet_and_a_new_leader_knows_since_when() {
    let mut bench = Bench::new();
    bench.leads = false;
    bench.look(0, None);
    assert_eq!(bench.look(5_000, None), []);
    bench.leads = true;
    assert!(asks(&bench.look(10, None)), "no need to wait again");
}

#[test]
fn returns_are_told_once_per_incarnation() {
    let mut bench = Bench::new();
    assert_eq!(bench.look(0, Some(FINE)), []);
    let again = Sight {
        incarnation: Some(2),
        suspected: false,
    };
    let out = bench.look(100, Some(again));
    let node: NodeId = "b".into();
    let expected = Act::NodeUp {
        node,
        incarnation: 2,
    };
    assert_eq!(out, [Output::Propose(expected)]);
}

#[test]
fn an_older_start_is_not_told() {
    for up in [true, false] {
        let mut bench = Bench::new();
        let state = std::sync::Arc::make_mut(&mut bench.state);
        let member = state.members.get_mut(&NodeId::from("b")).unwrap();
        (member.up, member.incarnation) = (up, 5);
        assert_eq!(bench.look(100, Some(FINE)), [], "up: {up}");
    }
}
