//! OTP's documented behaviour as a table, and properties that hold for every history.

mod dynamic;
#[path = "otp/rows.rs"]
mod rows;

use super::*;
use proptest::prelude::{Just, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use rows::{Event, Row, rows};
use std::time::Duration;

const TEN_IN_TEN: Intensity = Intensity::new(10, Duration::from_secs(10));

fn flags(strategy: Strategy, intensity: Intensity) -> Flags {
    Flags {
        strategy,
        intensity,
        auto_shutdown: AutoShutdown::Never,
    }
}

fn specs(restarts: &[Restart]) -> Vec<ChildSpec> {
    let spec = |(number, restart): (usize, &Restart)| ChildSpec {
        name: format!("c{number}"),
        restart: *restart,
        significant: false,
    };
    restarts.iter().enumerate().map(spec).collect()
}

/// A supervisor whose starts succeed at once as long as the child is not broken, and whose own
/// messages come back when nothing else is left to do.
struct Bench {
    machine: Supervision,
    /// How many further starts of a child fail.
    broken: Vec<u32>,
    trace: Vec<Output>,
    story: Vec<String>,
}

impl Bench {
    fn new(flags: Flags, specs: Vec<ChildSpec>) -> Self {
        Self {
            broken: vec![0; specs.len()],
            machine: Supervision::new(flags, specs).unwrap(),
            trace: vec![],
            story: vec![],
        }
    }

    /// Puts in `input` and answers until the machine asks for nothing more. `+n` start, `?n`
    /// failed start, `-n` stop, `.` shut down, `!` ended by itself.
    fn put(&mut self, now: Instant, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = vec![];
            self.machine.handle(now, input, &mut out);
            for output in out {
                let word = match &output {
                    Output::Start(child) if self.broken[*child] > 0 => {
                        self.broken[*child] -= 1;
                        inputs.push_front(Input::StartFailed(*child));
                        format!("?{child}")
                    }
                    Output::Start(child) => {
                        inputs.push_front(Input::Started(*child));
                        format!("+{child}")
                    }
                    Output::Stop(child) => format!("-{child}"),
                    Output::TryAgain(child) => {
                        inputs.push_back(Input::TryAgain(*child));
                        String::new()
                    }
                    Output::Finish(Finish::ShutDown) => ".".to_owned(),
                    Output::Finish(Finish::Auto { .. } | Finish::Escalate(_)) => "!".to_owned(),
                };
                self.story.extend((!word.is_empty()).then_some(word));
                self.trace.push(output);
            }
        }
    }

    fn story(&mut self) -> String {
        std::mem::take(&mut self.story).join(" ")
    }
}

fn of_row(row: &Row) -> Bench {
    let flags = Flags {
        strategy: match row.strategy {
            "one_for_one" => Strategy::OneForOne,
            "one_for_all" => Strategy::OneForAll,
            "rest_for_one" => Strategy::RestForOne,
            other => panic!("{other}"),
        },
        intensity: row
            .intensity
            .map(|(restarts, period)| Intensity::new(restarts, period))
            .unwrap_or_default(),
        auto_shutdown: match row.auto_shutdown {
            "never" => AutoShutdown::Never,
            "any_significant" => AutoShutdown::AnySignificant,
            "all_significant" => AutoShutdown::AllSignificant,
            other => panic!("{other}"),
        },
    };
    let spec = |(number, kid): (usize, &rows::Kid)| ChildSpec {
        name: format!("c{number}"),
        restart: match kid.restart {
            "perm" => Restart::Permanent,
            "tran" => Restart::Transient,
            "temp" => Restart::Temporary,
            other => panic!("{other}"),
        },
        significant: kid.significant,
    };
    Bench::new(flags, row.children.iter().enumerate().map(spec).collect())
}

fn exit(word: &str) -> Exit {
    match word {
        "normal" => Exit::Normal,
        "shutdown" | "shutdown:term" => Exit::Shutdown,
        "fail" => Exit::Abnormal,
        "killed" => Exit::Killed,
        other => panic!("{other}"),
    }
}

#[test]
fn every_row_of_otps_table_holds() {
    for row in rows() {
        let mut bench = of_row(&row);
        let mut now = Instant::ZERO;
        let mut told = vec![];
        for event in &row.events {
            let input = match event {
                Event::Start => Input::Begin,
                Event::Exit(child, reason) => Input::Exited(*child, exit(reason)),
                Event::Stop => Input::Shutdown,
                Event::Broken(child, times) => {
                    bench.broken[*child] = *times;
                    continue;
                }
                Event::Wait(time) => {
                    now = now + *time;
                    continue;
                }
            };
            bench.put(now, input);
            told.push(bench.story());
        }
        assert_eq!(told, row.story, "{}", row.rule);
    }
}

#[test]
fn the_period_is_counted_to_the_nanosecond() {
    let limit = flags(
        Strategy::OneForOne,
        Intensity::new(2, Duration::from_millis(100)),
    );
    // (moments of the exits in ms, story)
    for (moments, expected) in [
        (vec![0, 50, 100], "+0 +0 !"),
        (vec![0, 50, 101], "+0 +0 +0"),
        (vec![0, 60, 120, 160], "+0 +0 +0 !"),
        (vec![0, 200, 400, 600], "+0 +0 +0 +0"),
    ] {
        let mut bench = Bench::new(limit, specs(&[Restart::Permanent]));
        bench.put(Instant::ZERO, Input::Begin);
        bench.story();
        for moment in &moments {
            let now = Instant::from_millis(*moment);
            bench.put(now, Input::Exited(0, Exit::Abnormal));
        }
        assert_eq!(bench.story(), expected, "{moments:?}");
    }
}

#[test]
fn the_budget_shows_what_counts_right_now() {
    let mut budget = RestartBudget::new(Intensity::new(3, Duration::from_secs(10)));
    for (second, used) in [(0, 1), (5, 2), (11, 2), (30, 1)] {
        let now = Instant::from_millis(1000 * second);
        assert!(budget.spend(now));
        assert_eq!(budget.used(now), used, "at {now:?}");
    }
    assert_eq!(budget.used(Instant::from_millis(100_000)), 0);
    assert_eq!(Intensity::default().restarts, 1);
    assert_eq!(Intensity::default().period, Duration::from_secs(5));
}

#[test]
fn otp_refuses_these_specifications_and_so_do_we() {
    // check_childspecs/2: duplicate_child_name, bad_combination.
    let child = |name: &str, restart, significant| ChildSpec {
        name: name.into(),
        restart,
        significant,
    };
    let (name, any) = ("x".to_owned(), AutoShutdown::AnySignificant);
    let x = |restart, significant| child("x", restart, significant);
    let never = AutoShutdown::Never;
    for (auto_shutdown, specs, expected) in [
        (
            never,
            vec![x(Restart::Permanent, false), x(Restart::Temporary, false)],
            Err(SpecError::DuplicateName {
                child: name.clone(),
            }),
        ),
        (
            any,
            vec![x(Restart::Permanent, true)],
            Err(SpecError::PermanentSignificant {
                child: name.clone(),
            }),
        ),
        (
            never,
            vec![x(Restart::Transient, true)],
            Err(SpecError::SignificantInVain { child: name }),
        ),
        (any, vec![x(Restart::Transient, true)], Ok(())),
        (
            AutoShutdown::AllSignificant,
            vec![x(Restart::Temporary, true)],
            Ok(()),
        ),
        (never, vec![], Ok(())),
    ] {
        let flags = Flags {
            auto_shutdown,
            ..Flags::default()
        };
        let made = Supervision::new(flags, specs.clone()).map(drop);
        assert_eq!(made, expected, "{specs:?}");
    }
}

#[test]
fn an_exit_during_a_restart_is_handled_after_it_unless_the_child_was_replaced() {
    let flags = flags(Strategy::RestForOne, TEN_IN_TEN);
    let mut bench = Bench::new(flags, specs(&[Restart::Permanent; 3]));
    bench.put(Instant::ZERO, Input::Begin);
    let mut machine = bench.machine;
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

/// supervisor.erl: "Leaving control back to gen_server before trying again. This way other
/// incoming requests for the supervisor can be handled - e.g. a shutdown request".
#[test]
fn between_two_tries_a_supervisor_hears_of_others_and_that_it_shall_stop() {
    let patient = Intensity::new(10, Duration::from_secs(10));
    let broken = |strategy| {
        let mut bench = Bench::new(flags(strategy, patient), specs(&[Restart::Permanent; 2]));
        bench.put(Instant::ZERO, Input::Begin);
        let (mut machine, mut out) = (bench.machine, vec![]);
        machine.handle(
            Instant::ZERO,
            Input::Exited(1, Exit::Abnormal),
            &mut Vec::new(),
        );
        machine.handle(Instant::ZERO, Input::StartFailed(1), &mut out);
        assert_eq!(out.pop(), Some(Output::TryAgain(1)));
        (machine, out)
    };
    let (mut machine, mut out) = broken(Strategy::OneForOne);
    machine.handle(Instant::ZERO, Input::Shutdown, &mut out);
    let told = Output::Finish(Finish::ShutDown);
    assert_eq!(out, [Output::Stop(0), told.clone()]);

    // The sibling's restart starts it too: the further try finds it running.
    let (mut machine, mut out) = broken(Strategy::RestForOne);
    machine.handle(Instant::ZERO, Input::Exited(0, Exit::Killed), &mut out);
    machine.handle(Instant::ZERO, Input::Started(0), &mut out);
    machine.handle(Instant::ZERO, Input::Started(1), &mut out);
    machine.handle(Instant::ZERO, Input::TryAgain(1), &mut out);
    assert_eq!(out, [Output::Start(0), Output::Start(1)]);
}

#[test]
fn the_end_names_the_child_and_the_limit() {
    for (auto_shutdown, restart, significant, expected) in [
        (
            AutoShutdown::Never,
            Restart::Permanent,
            false,
            "c0 had to be restarted more often than 0 times within 5s",
        ),
        (
            AutoShutdown::AnySignificant,
            Restart::Temporary,
            true,
            "c0, which is significant, has ended for good",
        ),
    ] {
        let flags = Flags {
            intensity: Intensity::new(0, Duration::from_secs(5)),
            auto_shutdown,
            ..Flags::default()
        };
        let mut specs = specs(&[restart]);
        specs[0].significant = significant;
        let mut bench = Bench::new(flags, specs);
        bench.put(Instant::ZERO, Input::Begin);
        bench.put(Instant::ZERO, Input::Exited(0, Exit::Abnormal));
        let Some(Output::Finish(finish)) = bench.trace.last() else {
            panic!("no end in {:?}", bench.trace)
        };
        assert_eq!(finish.to_string(), expected);
    }
}

proptest! {
    /// Whatever ends whenever: a child is started only when it does not run, stopped only when it
    /// does, and nothing follows the end.
    #[test]
    fn every_history_is_sane(
        strategy in prop_oneof![
            Just(Strategy::OneForOne), Just(Strategy::OneForAll), Just(Strategy::RestForOne)
        ],
        restarts in prop::collection::vec(
            prop_oneof![Just(Restart::Permanent), Just(Restart::Transient), Just(Restart::Temporary)],
            1..6,
        ),
        exits in prop::collection::vec((0usize..6, any::<bool>(), 0u64..200), 0..40),
        broken in prop::option::of((0usize..6, 1u32..9)),
    ) {
        let intensity = Intensity::new(5, Duration::from_millis(300));
        let mut bench = Bench::new(flags(strategy, intensity), specs(&restarts));
        bench.put(Instant::ZERO, Input::Begin);
        if let Some((child, times)) = broken {
            let count = restarts.len();
            bench.broken[child % count] = times;
        }
        let mut moment = 0;
        let mut alive = vec![true; restarts.len()];
        let mut replayed = bench.story().split_whitespace().count();
        prop_assert_eq!(replayed, restarts.len());
        replayed = 0;
        for (child, abnormal, pause) in exits {
            moment += pause;
            let child = child % restarts.len();
            if !bench.machine.is_running(child) { continue }
            alive[child] = false;
            let exit = if abnormal { Exit::Abnormal } else { Exit::Normal };
            bench.put(Instant::from_millis(moment), Input::Exited(child, exit));
            let words = bench.story.clone();
            for (at, word) in words.iter().enumerate().skip(replayed) {
                let child = word[1..].parse::<usize>().unwrap_or_default();
                match &word[..1] {
                    "+" => {
                        prop_assert!(!alive[child], "second start of {child} in {words:?}");
                        alive[child] = true;
                    }
                    "?" => prop_assert!(!alive[child], "second start of {child} in {words:?}"),
                    "-" => {
                        prop_assert!(alive[child], "stop of a dead {child} in {words:?}");
                        alive[child] = false;
                    }
                    _ => {
                        prop_assert_eq!(at + 1, words.len());
                        prop_assert!(alive.iter().all(|alive| !alive), "left behind: {words:?}");
                    }
                }
            }
            replayed = words.len();
            for (child, alive) in alive.iter().enumerate() {
                prop_assert_eq!(*alive, bench.machine.is_running(child));
            }
        }
    }
}
