//! OTP's documented behaviour as a table, and properties that hold for every history.

use super::*;
use proptest::prelude::{Just, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use std::time::Duration;

const TEN_IN_TEN: Intensity = Intensity::new(10, Duration::from_secs(10));

/// A supervisor whose starts succeed at once unless a child is in `broken`.
struct Bench {
    machine: Supervision,
    broken: Vec<usize>,
    trace: Vec<Output>,
}

impl Bench {
    fn new(strategy: Strategy, intensity: Intensity, restarts: &[Restart]) -> Self {
        let specs = restarts
            .iter()
            .enumerate()
            .map(|(n, &restart)| ChildSpec {
                name: format!("c{n}"),
                restart,
            })
            .collect();
        Self {
            machine: Supervision::new(strategy, intensity, specs),
            broken: vec![],
            trace: vec![],
        }
    }

    fn up(strategy: Strategy, intensity: Intensity, restarts: &[Restart]) -> Self {
        let mut bench = Self::new(strategy, intensity, restarts);
        bench.put(0, Input::Begin);
        bench.trace.clear();
        bench
    }

    /// Puts in `input` and answers starts until the machine asks for nothing more.
    fn put(&mut self, millis: u64, input: Input) {
        let now = Instant::from_millis(millis);
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = vec![];
            self.machine.handle(now, input, &mut out);
            for output in out {
                if let Output::Start(child) = output {
                    inputs.push_back(if self.broken.contains(&child) {
                        Input::StartFailed(child)
                    } else {
                        Input::Started(child)
                    });
                }
                self.trace.push(output);
            }
        }
    }

    /// `+n` start, `-n` stop, `.` shut down, `!` escalated.
    fn story(&self) -> String {
        let word = |output: &Output| match output {
            Output::Start(child) => format!("+{child}"),
            Output::Stop(child) => format!("-{child}"),
            Output::Finish(Finish::ShutDown) => ".".to_owned(),
            Output::Finish(Finish::Escalate(_)) => "!".to_owned(),
        };
        self.trace.iter().map(word).collect::<Vec<_>>().join(" ")
    }
}

use Restart::{Permanent as P, Temporary as T, Transient as R};
use Strategy::{OneForAll, OneForOne, RestForOne};

#[test]
fn one_exit_is_answered_as_otp_documents() {
    /// What the documentation says, and the case that shows it.
    type Rule<'a> = (&'a str, Strategy, &'a [Restart], usize, Exit, &'a str);
    let table: &[Rule<'_>] = &[
        (
            "one_for_one: only that process is restarted",
            OneForOne,
            &[P, P, P],
            1,
            Exit::Abnormal,
            "+1",
        ),
        (
            "one_for_all: all other child processes are terminated, then all are restarted",
            OneForAll,
            &[P, P, P],
            1,
            Exit::Abnormal,
            "-2 -0 +0 +1 +2",
        ),
        (
            "rest_for_one: those after it in start order are terminated, then all these restarted",
            RestForOne,
            &[P, P, P],
            1,
            Exit::Abnormal,
            "-2 +1 +2",
        ),
        (
            "rest_for_one: the first takes all with it",
            RestForOne,
            &[P, P, P],
            0,
            Exit::Abnormal,
            "-2 -1 +0 +1 +2",
        ),
        (
            "rest_for_one: the last takes none with it",
            RestForOne,
            &[P, P, P],
            2,
            Exit::Abnormal,
            "+2",
        ),
        (
            "a permanent child is always restarted",
            OneForOne,
            &[P],
            0,
            Exit::Normal,
            "+0",
        ),
        (
            "a transient child is restarted if it ends abnormally",
            OneForOne,
            &[R],
            0,
            Exit::Abnormal,
            "+0",
        ),
        (
            "a transient child is not restarted if it ends normally",
            OneForOne,
            &[R],
            0,
            Exit::Normal,
            "",
        ),
        (
            "a transient child's normal end does not touch the others",
            OneForAll,
            &[P, R],
            1,
            Exit::Normal,
            "",
        ),
        (
            "a temporary child is never restarted",
            OneForOne,
            &[T],
            0,
            Exit::Abnormal,
            "",
        ),
        (
            "a temporary child is never restarted, even when it is the one whose death one_for_all sees",
            OneForAll,
            &[P, T],
            1,
            Exit::Abnormal,
            "",
        ),
        (
            "even when rest_for_one or one_for_all and a sibling's death terminates it",
            OneForAll,
            &[P, T, P],
            0,
            Exit::Abnormal,
            "-2 -1 +0 +2",
        ),
        (
            "… rest_for_one",
            RestForOne,
            &[P, T, P],
            0,
            Exit::Abnormal,
            "-2 -1 +0 +2",
        ),
    ];
    for (rule, strategy, restarts, child, exit, expected) in table {
        let mut bench = Bench::up(*strategy, TEN_IN_TEN, restarts);
        bench.put(1, Input::Exited(*child, *exit));
        assert_eq!(bench.story(), *expected, "{rule}");
    }
}

#[test]
fn children_start_in_order_and_stop_in_reverse() {
    let mut bench = Bench::new(OneForOne, TEN_IN_TEN, &[P, R, T]);
    bench.put(0, Input::Begin);
    bench.put(1, Input::Shutdown);
    assert_eq!(bench.story(), "+0 +1 +2 -2 -1 -0 .");
}

#[test]
fn a_child_that_cannot_start_at_first_ends_the_supervisor() {
    let mut bench = Bench::new(OneForOne, TEN_IN_TEN, &[P, P, P]);
    bench.broken = vec![2];
    bench.put(0, Input::Begin);
    assert_eq!(bench.story(), "+0 +1 +2 -1 -0 !");
}

#[test]
fn a_child_that_cannot_restart_is_tried_until_the_budget_is_spent() {
    let mut bench = Bench::up(
        OneForOne,
        Intensity::new(3, Duration::from_secs(5)),
        &[P, P],
    );
    bench.broken = vec![1];
    bench.put(1, Input::Exited(1, Exit::Abnormal));
    assert_eq!(bench.story(), "+1 +1 +1 -0 !");
}

#[test]
fn one_for_all_stops_what_it_had_restarted_before_it_tries_again() {
    let mut bench = Bench::up(
        OneForAll,
        Intensity::new(2, Duration::from_secs(5)),
        &[P, P],
    );
    bench.broken = vec![1];
    bench.put(1, Input::Exited(0, Exit::Abnormal));
    assert_eq!(bench.story(), "-1 +0 +1 -0 +0 +1 -0 !");
}

#[test]
fn intensity_counts_restarts_within_the_period_inclusive() {
    let limit = Intensity::new(2, Duration::from_millis(100));
    // (moments of the exits, story)
    for (moments, expected) in [
        (vec![0, 50, 100], "+0 +0 !"),
        (vec![0, 50, 101], "+0 +0 +0"),
        (vec![0, 60, 120, 160], "+0 +0 +0 !"),
        (vec![0, 200, 400, 600], "+0 +0 +0 +0"),
    ] {
        let mut bench = Bench::up(OneForOne, limit, &[P]);
        for moment in &moments {
            bench.put(*moment, Input::Exited(0, Exit::Abnormal));
        }
        assert_eq!(bench.story(), expected, "{moments:?}");
    }
    let mut never = Bench::up(
        OneForOne,
        Intensity::new(0, Duration::from_secs(1)),
        &[P, P],
    );
    never.put(1, Input::Exited(0, Exit::Normal));
    assert_eq!(never.story(), "-1 !");
}

#[test]
fn a_transient_child_that_was_done_comes_back_with_its_siblings() {
    // supervisor.erl keeps its specification; restart_multiple_children starts every one kept.
    let mut bench = Bench::up(OneForAll, TEN_IN_TEN, &[P, R]);
    bench.put(1, Input::Exited(1, Exit::Normal));
    bench.put(2, Input::Exited(0, Exit::Abnormal));
    assert_eq!(bench.story(), "+0 +1");
}

#[test]
fn an_exit_during_a_restart_is_handled_after_it_unless_the_child_was_replaced() {
    let mut machine = Bench::up(RestForOne, TEN_IN_TEN, &[P, P, P]).machine;
    let now = Instant::ZERO;
    let mut out = vec![];
    machine.handle(now, Input::Exited(1, Exit::Abnormal), &mut out);
    machine.handle(now, Input::Exited(2, Exit::Abnormal), &mut out); // stopped already: stale
    machine.handle(now, Input::Exited(0, Exit::Abnormal), &mut out); // must wait
    assert_eq!(out, [Output::Stop(2), Output::Start(1)]);
    out.clear();
    machine.handle(now, Input::Started(1), &mut out);
    machine.handle(now, Input::Started(2), &mut out);
    assert_eq!(
        out,
        [
            Output::Start(2),
            Output::Stop(2),
            Output::Stop(1),
            Output::Start(0)
        ]
    );
}

#[test]
fn escalation_names_the_child_and_the_limit() {
    let mut bench = Bench::up(OneForOne, Intensity::new(0, Duration::from_secs(5)), &[P]);
    bench.put(1, Input::Exited(0, Exit::Abnormal));
    let Some(Output::Finish(Finish::Escalate(escalation))) = bench.trace.last() else {
        panic!("no escalation in {:?}", bench.trace)
    };
    assert_eq!(
        escalation.to_string(),
        "c0 had to be restarted more often than 0 times within 5s"
    );
}

proptest! {
    /// Whatever ends whenever: a child is started only when it does not run, stopped only when it
    /// does, and nothing follows the end.
    #[test]
    fn every_history_is_sane(
        strategy in prop_oneof![Just(OneForOne), Just(OneForAll), Just(RestForOne)],
        restarts in prop::collection::vec(prop_oneof![Just(P), Just(R), Just(T)], 1..6),
        exits in prop::collection::vec((0usize..6, any::<bool>(), 0u64..200), 0..40),
        broken in prop::option::of(0usize..6),
    ) {
        let mut bench = Bench::new(strategy, Intensity::new(5, Duration::from_millis(300)), &restarts);
        bench.put(0, Input::Begin);
        bench.broken = broken.into_iter().collect();
        let mut moment = 0;
        let mut alive = vec![true; restarts.len()];
        let mut replayed = restarts.len();
        for (child, abnormal, pause) in exits {
            moment += pause;
            let child = child % restarts.len();
            if !bench.machine.is_running(child) { continue }
            alive[child] = false;
            bench.put(moment, Input::Exited(child, if abnormal { Exit::Abnormal } else { Exit::Normal }));
            let trace = bench.trace[replayed..].to_vec();
            replayed = bench.trace.len();
            for (at, output) in trace.iter().enumerate() {
                match output {
                    Output::Start(child) => {
                        prop_assert!(!alive[*child], "second start of {child} in {}", bench.story());
                        alive[*child] = !bench.broken.contains(child);
                    }
                    Output::Stop(child) => {
                        prop_assert!(alive[*child], "stop of a dead {child} in {}", bench.story());
                        alive[*child] = false;
                    }
                    Output::Finish(_) => {
                        prop_assert_eq!(at + 1, trace.len());
                        prop_assert!(alive.iter().all(|alive| !alive), "left behind: {}", bench.story());
                    }
                }
            }
            for (child, alive) in alive.iter().enumerate() {
                prop_assert_eq!(*alive, bench.machine.is_running(child));
            }
        }
    }
}
