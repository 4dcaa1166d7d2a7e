use super::super::*;
use crate::model_digest;

const T0: Instant = Instant::from_millis(1_000);

fn name(n: usize) -> NodeId {
    NodeId::new(format!("n{n}"))
}

fn base() -> Model {
    let parameters = vec![1.0, 1.0];
    Model {
        digest: model_digest(&parameters),
        parameters: Arc::new(parameters),
    }
}

/// An aggregator with its clock, and what it put out last.
struct Bench {
    aggregator: Aggregator,
    now: Instant,
    out: Vec<Output>,
    /// The proposal under way.
    proposed: Option<Act>,
}

impl Bench {
    fn new() -> Self {
        let aggregator = Aggregator::new(name(0), Config::default());
        Self {
            aggregator,
            now: T0,
            out: Vec::new(),
            proposed: None,
        }
    }

    /// Leading three nodes with the model at hand: the first proposal is out.
    fn leading() -> Self {
        let mut bench = Self::new();
        bench.feed(Input::Members((0..3).map(name).collect()));
        bench.ready(&base());
        bench.feed(Input::Leading {
            next: Round(1),
            open: None,
            model: None,
        });
        bench
    }

    /// Round 1 is open and everybody asked.
    fn collecting() -> Self {
        let mut bench = Self::leading();
        bench.commit();
        bench
    }

    fn feed(&mut self, input: Input) -> Vec<String> {
        self.out.clear();
        self.aggregator.handle(self.now, input, &mut self.out);
        self.shown()
    }

    fn ready(&mut self, model: &Model) -> Vec<String> {
        let parameters = Arc::clone(&model.parameters);
        self.feed(Input::ModelReady {
            digest: model.digest,
            parameters,
        })
    }

    fn at_deadline(&mut self) -> Vec<String> {
        self.out.clear();
        self.now = self
            .now
            .max(self.aggregator.deadline().expect("something is due"));
        self.aggregator.tick(self.now, &mut self.out);
        self.shown()
    }

    /// The ledger takes the last proposal.
    fn commit(&mut self) -> Vec<String> {
        let input = match self.proposed.take().expect("a proposal is out") {
            Act::RoundOpened {
                round,
                model,
                cohort,
            } => Input::Opened {
                round,
                model,
                cohort,
                by: name(0),
                secure: None,
                carried: Default::default(),
                ages: true,
            },
            Act::RoundClosed {
                round,
                model,
                participants,
                ..
            } => Input::Closed {
                round,
                model,
                participants,
            },
            Act::RoundAbandoned { round, .. } => Input::Abandoned { round },
            other => panic!("not an act of an aggregator: {other:?}"),
        };
        self.feed(input)
    }

    fn update(&mut self, n: usize) -> Vec<String> {
        self.feed(Input::Update(update(n)))
    }

    fn decline(&mut self, n: usize) -> Vec<String> {
        let reason = "too few examples".to_owned();
        self.feed(Input::Decline {
            round: Round(1),
            node: name(n),
            reason,
        })
    }

    fn shown(&mut self) -> Vec<String> {
        let proposed = self.out.iter().rev().find_map(|output| match output {
            Output::Propose(act) => Some(act.clone()),
            _ => None,
        });
        self.proposed = proposed.or(self.proposed.take());
        self.out
            .iter()
            .map(|output| match output {
                Output::SendSecure { .. } => panic!("not in a plain round"),
                Output::Propose(Act::RoundOpened { round, cohort, .. }) => {
                    format!("open {round} with {}", cohort.len())
                }
                Output::Propose(Act::RoundClosed {
                    round,
                    participants,
                    examples,
                    ..
                }) => {
                    format!("close {round} by {} on {examples}", participants.len())
                }
                Output::Propose(Act::RoundAbandoned { round, reason }) => {
                    format!("abandon {round}: {reason}")
                }
                Output::Propose(act) => panic!("not an act of an aggregator: {act:?}"),
                Output::SendTrain { to, round, .. } => format!("train {to} for {round}"),
                Output::NeedModel(_) => "need model".to_owned(),
                Output::StageModel { round, .. } => format!("stage {round}"),
                Output::PublishModel { round, .. } => format!("publish {round}"),
                Output::Note(_) => "note".to_owned(),
            })
            .collect()
    }
}

fn update(n: usize) -> Update {
    Update {
        round: Round(1),
        node: name(n),
        base: base().digest,
        delta: vec![1.0, -1.0],
        examples: 10,
        loss: 0.5,
    }
}

#[test]
fn a_round_from_opening_to_the_next() {
    let mut bench = Bench::leading();
    assert_eq!(bench.shown(), ["open 1 with 3"]);
    assert_eq!(
        bench.commit(),
        ["train n0 for 1", "train n1 for 1", "train n2 for 1"]
    );
    assert_eq!(bench.update(0), [""; 0]);
    assert_eq!(bench.update(2), [""; 0]);
    assert_eq!(
        bench.update(1),
        ["stage 1", "close 1 by 3 on 30"],
        "all answered: no waiting"
    );
    assert_eq!(bench.commit(), ["publish 1"]);
    let before = bench.now;
    assert_eq!(bench.at_deadline(), ["open 2 with 3"]);
    assert_eq!(bench.now, before + Config::default().pause);
    assert_eq!(
        bench
            .aggregator
            .held
            .as_ref()
            .map(|m| (*m.parameters).clone()),
        Some(vec![2.0, 0.0])
    );
}

#[test]
fn nothing_is_sent_on_the_strength_of_a_proposal() {
    let mut bench = Bench::leading();
    assert_eq!(
        bench.at_deadline(),
        ["open 1 with 3"],
        "repeated, not acted upon"
    );
    bench.feed(Input::ProposalFailed {
        round: Round(1),
        reason: "no quorum".to_owned(),
    });
    assert_eq!(bench.at_deadline(), ["open 1 with 3"]);
    bench.commit();
    (0..3).for_each(|n| drop(bench.update(n)));
    assert_eq!(
        bench.at_deadline(),
        ["close 1 by 3 on 30"],
        "the same close, unpublished"
    );
}

#[test]
fn an_opening_with_a_former_member_is_not_repeated() {
    let two = || Input::Members((0..2).map(name).collect());
    // The third is evicted while the opening is under way, which the ledger refuses from then on.
    let mut bench = Bench::leading();
    assert_eq!(bench.feed(two()), [""; 0]);
    assert_eq!(bench.at_deadline(), ["open 1 with 2"]);
    assert_eq!(bench.commit(), ["train n0 for 1", "train n1 for 1"]);

    // Or it is committed all the same, after the next one was proposed: then that is the round.
    let mut bench = Bench::leading();
    bench.feed(two());
    let first = bench.proposed.take();
    assert_eq!(bench.at_deadline(), ["open 1 with 2"]);
    bench.proposed = first;
    assert_eq!(bench.commit().len(), 3);

    // Nobody is left to ask: as before the first round.
    let mut bench = Bench::leading();
    bench.feed(Input::Members([name(0)].into()));
    assert_eq!(bench.at_deadline(), [""; 0]);
    assert_eq!(bench.aggregator.deadline(), None, "an input will wake it");
    assert_eq!(bench.feed(two()), ["open 1 with 2"]);
}

#[test]
fn how_a_round_ends() {
    let mut late = Bench::collecting();
    late.update(0);
    late.update(1);
    assert_eq!(
        late.at_deadline(),
        ["train n2 for 1"],
        "asked again before the end"
    );
    while !late
        .shown()
        .iter()
        .any(|output| output.starts_with("close"))
    {
        late.at_deadline();
    }
    assert_eq!(late.shown(), ["stage 1", "close 1 by 2 on 20"]);
    assert_eq!(late.now, T0 + Config::default().deadline);
    late.update(2);
    late.commit();
    late.update(2);
    assert_eq!(
        late.aggregator.counters().late,
        2,
        "before and after the close is committed"
    );

    let mut declined = Bench::collecting();
    declined.decline(0);
    declined.update(1);
    assert_eq!(declined.update(2), ["stage 1", "close 1 by 2 on 20"]);

    let mut too_few = Bench::collecting();
    too_few.decline(0);
    too_few.decline(1);
    let out = too_few.update(2);
    assert_eq!(out[0], "note");
    assert_eq!(
        out[1],
        "abandon 1: 1 of 3 participants sent an update, 2 are needed; n0 declined: too few examples; n1 declined: too few examples"
    );
    too_few.commit();
    assert_eq!(
        too_few.at_deadline(),
        ["open 2 with 3"],
        "no number is used twice"
    );

    let mut down = Bench::collecting();
    down.update(0);
    down.update(1);
    let out = down.feed(Input::Members((0..2).map(name).collect()));
    assert_eq!(
        out,
        ["stage 1", "close 1 by 2 on 20"],
        "nobody waits for the dead"
    );

    let mut recovering = Bench::collecting();
    recovering.update(0);
    assert_eq!(
        recovering.feed(Input::Members([name(0)].into())),
        [""; 0],
        "they may come back"
    );
}

#[test]
fn updates_that_do_not_count() {
    type Change = fn(&mut Update);
    let cases: [(&str, Change, &str); 9] = [
        (
            "another round",
            |u| u.round = Round(2),
            "no round 2 is open",
        ),
        ("a stranger", |u| u.node = name(9), "not in the cohort"),
        (
            "another base",
            |u| u.base = Digest([7; 32]),
            "starts from model",
        ),
        (
            "too short",
            |u| u.delta.truncate(1),
            "has 1 parameters, the model 2",
        ),
        ("NaN", |u| u.delta[1] = f32::NAN, "parameter 1"),
        (
            "infinite loss",
            |u| u.loss = f64::INFINITY,
            "or the loss, is not finite",
        ),
        ("too far", |u| u.delta[0] = 101.0, "over the bound 100.000"),
        ("no examples", |u| u.examples = 0, "claims 0 examples"),
        (
            "too many",
            |u| u.examples = MAX_EXAMPLES + 1,
            "examples; allowed are 1 to",
        ),
    ];
    for (case, change, expected) in cases {
        let mut bench = Bench::collecting();
        let mut bad = update(1);
        change(&mut bad);
        bench.feed(Input::Update(bad));
        let Some(Output::Note(note)) = bench.out.first() else {
            panic!("{case}: no reason given")
        };
        assert!(note.contains(expected), "{case}: {note}");
        assert_eq!(bench.aggregator.counters().refused, 1, "{case}");
        bench.update(1);
        assert_eq!(
            bench.aggregator.collecting(),
            Some((Round(1), 1, 3)),
            "{case}: a right one still counts"
        );
    }
}

#[test]
fn an_update_counts_once() {
    let mut bench = Bench::collecting();
    (0..4).for_each(|_| drop(bench.update(1)));
    bench.decline(1);
    assert_eq!(bench.aggregator.collecting(), Some((Round(1), 1, 3)));
    assert_eq!(
        bench.aggregator.counters(),
        Counters {
            accepted: 1,
            repeated: 3,
            ..Counters::default()
        }
    );
}

#[test]
fn who_may_open_and_when() {
    let mut alone = Bench::new();
    alone.ready(&base());
    alone.feed(Input::Leading {
        next: Round(5),
        open: None,
        model: Some(base().digest),
    });
    assert_eq!(
        alone.feed(Input::Members([name(0)].into())),
        [""; 0],
        "one is no cohort"
    );
    assert_eq!(alone.aggregator.deadline(), None, "an input will wake it");
    assert_eq!(
        alone.feed(Input::Members([name(0), name(1)].into())),
        ["open 5 with 2"]
    );

    let mut follower = Bench::new();
    follower.ready(&base());
    assert_eq!(
        follower.feed(Input::Members((0..3).map(name).collect())),
        [""; 0]
    );
    assert_eq!(follower.aggregator.deadline(), None);
}

#[test]
fn a_new_leader_ends_what_its_predecessor_left_open() {
    let mut bench = Bench::new();
    bench.feed(Input::Members((0..3).map(name).collect()));
    bench.ready(&base());
    let out = bench.feed(Input::Leading {
        next: Round(4),
        open: Some(Round(4)),
        model: Some(base().digest),
    });
    assert_eq!(
        out,
        [
            "note",
            "abandon 4: the leader that opened it was replaced by n0"
        ]
    );
    bench.commit();
    assert_eq!(bench.at_deadline(), ["open 5 with 3"]);
}

#[test]
fn a_late_round_of_the_former_leader_is_ended_too() {
    let mut bench = Bench::leading();
    let out = bench.feed(Input::Opened {
        round: Round(1),
        model: base().digest,
        cohort: vec![name(1), name(2)],
        by: name(1),
        secure: None,
        carried: Default::default(),
        ages: true,
    });
    assert_eq!(
        out,
        [
            "note",
            "abandon 1: the leader that opened it was replaced by n0"
        ]
    );
}

#[test]
fn a_close_that_outlives_the_leadership_is_published_all_the_same() {
    let mut bench = Bench::collecting();
    (0..3).for_each(|n| drop(bench.update(n)));
    bench.feed(Input::NotLeading);
    assert_eq!(bench.commit(), ["publish 1"]);
    assert_eq!(bench.aggregator.deadline(), None);
}

#[test]
fn a_round_closed_with_another_model_is_not_published_as_ours() {
    let mut bench = Bench::collecting();
    (0..3).for_each(|n| drop(bench.update(n)));
    let other = Digest([4; 32]);
    assert_eq!(
        bench.feed(Input::Closed {
            round: Round(1),
            model: other,
            participants: Vec::new(),
        }),
        [""; 0]
    );
    assert_eq!(
        bench.at_deadline(),
        ["need model"],
        "the ledger's model, not the one made here"
    );
}

#[test]
fn a_missing_model_is_asked_for_and_in_the_end_done_without() {
    let missing = Digest([3; 32]);
    let start = |bench: &mut Bench| {
        bench.feed(Input::Members((0..3).map(name).collect()));
        bench.feed(Input::Leading {
            next: Round(8),
            open: None,
            model: Some(missing),
        })
    };
    let mut found = Bench::new();
    assert_eq!(start(&mut found), ["need model"]);
    let it = Model {
        digest: missing,
        parameters: Arc::new(vec![5.0]),
    };
    assert_eq!(found.ready(&it), ["open 8 with 3"]);

    let mut lost = Bench::new();
    lost.ready(&base());
    assert_eq!(start(&mut lost), ["need model"]);
    lost.feed(Input::ModelUnavailable { digest: missing });
    let mut asked = 1;
    while lost.at_deadline() == ["need model"] {
        asked += 1;
    }
    assert_eq!(asked, MODEL_ATTEMPTS);
    assert_eq!(lost.shown(), ["note", "open 8 with 3"]);
    assert!(lost.out.iter().any(|output| matches!(
        output,
        Output::Propose(Act::RoundOpened { model, .. }) if *model == base().digest
    )));
}

#[test]
fn reasons_on_the_ledger_are_bounded() {
    let mut bench = Bench::collecting();
    for n in 0..3 {
        let reason = "ü".repeat(1_000);
        bench.feed(Input::Decline {
            round: Round(1),
            node: name(n),
            reason,
        });
    }
    let Some(Output::Propose(Act::RoundAbandoned { reason, .. })) = bench.out.last() else {
        panic!("nobody took part")
    };
    assert_eq!(reason.chars().count(), MAX_REASON + 1);
}

#[test]
fn a_roll_back_ends_what_goes_on_and_the_next_round_starts_from_there() {
    let other = {
        let parameters = vec![0.5, 0.5];
        Model {
            digest: model_digest(&parameters),
            parameters: Arc::new(parameters),
        }
    };
    let back = || Input::RolledBack {
        model: other.digest,
    };
    // While updates come in, and while a close is under way.
    for updates in [1, 3] {
        let mut bench = Bench::collecting();
        (0..updates).for_each(|n| drop(bench.update(n)));
        assert_eq!(bench.feed(back()), [""; 0]);
        bench.update(2);
        assert_eq!(bench.aggregator.counters().late, 1, "its round is over");
        let before = bench.now;
        assert_eq!(bench.at_deadline(), ["need model"]);
        assert_eq!(bench.now, before + Config::default().pause);
        assert_eq!(bench.ready(&other), ["open 2 with 3"]);
        bench.commit();
        let Some(Output::SendTrain { model, .. }) = bench.out.first() else {
            panic!("nobody is asked: {:?}", bench.out);
        };
        assert_eq!(*model, other.digest);
    }
    // While an opening is under way: it may still be committed before, and is not after.
    let mut bench = Bench::leading();
    bench.feed(back());
    bench.ready(&other);
    assert_eq!(bench.at_deadline(), ["open 1 with 3"]);
    assert!(
        matches!(&bench.proposed, Some(Act::RoundOpened { model, .. }) if *model == other.digest)
    );
}
