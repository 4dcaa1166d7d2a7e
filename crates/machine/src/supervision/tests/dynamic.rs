//! Dynamic children: what `simple_one_for_one` documents and `DynamicSupervisor` adds.

use super::super::*;
use crate::{Instant, Machine};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

struct Bench {
    machine: Dynamic,
    names: BTreeMap<ChildId, String>,
    broken: BTreeMap<String, u32>,
    story: Vec<String>,
}

impl Bench {
    fn new(limit: usize, restarts: u32) -> Self {
        let intensity = Intensity::new(restarts, Duration::from_secs(5));
        Self {
            machine: Dynamic::new(limit, intensity),
            names: BTreeMap::new(),
            broken: BTreeMap::new(),
            story: vec![],
        }
    }

    fn add(&mut self, name: &str, restart: Restart) -> String {
        self.put(DynamicInput::Add(ChildSpec {
            name: name.into(),
            restart,
            significant: false,
        }))
    }

    fn exit(&mut self, name: &str, exit: Exit) -> String {
        let id = self.machine.find(name).unwrap();
        self.put(DynamicInput::Exited(id, exit))
    }

    /// `+` start, `?` failed start, `-` stop (`-a,b`: at once), `~` forgotten, `x` refused.
    fn put(&mut self, input: DynamicInput) -> String {
        let name = match &input {
            DynamicInput::Add(spec) => spec.name.clone(),
            _ => String::new(),
        };
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = vec![];
            self.machine.handle(Instant::ZERO, input, &mut out);
            for output in out {
                let word = match output {
                    DynamicOutput::Start(id) => {
                        let name = self.names.entry(id).or_insert_with(|| name.clone()).clone();
                        let broken = self.broken.entry(name.clone()).or_default();
                        if *broken > 0 {
                            *broken -= 1;
                            inputs.push_front(DynamicInput::StartFailed(id));
                            format!("?{name}")
                        } else {
                            inputs.push_front(DynamicInput::Started(id));
                            format!("+{name}")
                        }
                    }
                    DynamicOutput::Stop(ids) => {
                        let names: Vec<_> = ids.iter().map(|id| self.names[id].clone()).collect();
                        format!("-{}", names.join(","))
                    }
                    DynamicOutput::TryAgain(id) => {
                        inputs.push_back(DynamicInput::TryAgain(id));
                        continue;
                    }
                    DynamicOutput::Forget(id) => format!("~{}", self.names[&id]),
                    DynamicOutput::Refuse(refusal) => format!("x ({refusal})"),
                    DynamicOutput::Finish(Finish::ShutDown) => ".".into(),
                    DynamicOutput::Finish(Finish::Auto { .. } | Finish::Escalate(_)) => "!".into(),
                };
                self.story.push(word);
            }
        }
        std::mem::take(&mut self.story).join(" ")
    }
}

#[test]
fn one_exit_concerns_one_child_and_one_that_ended_for_good_is_forgotten() {
    use Exit::{Abnormal, Killed, Normal, Shutdown};
    use Restart::{Permanent, Temporary, Transient};
    for (restart, exit, expected) in [
        (Permanent, Normal, "+a"),
        (Permanent, Shutdown, "+a"),
        (Permanent, Abnormal, "+a"),
        (Permanent, Killed, "+a"),
        (Transient, Normal, "~a"),
        (Transient, Shutdown, "~a"),
        (Transient, Abnormal, "+a"),
        (Transient, Killed, "+a"),
        (Temporary, Normal, "~a"),
        (Temporary, Abnormal, "~a"),
        (Temporary, Killed, "~a"),
    ] {
        let mut bench = Bench::new(9, 9);
        assert_eq!(bench.add("a", restart), "+a");
        assert_eq!(bench.add("b", Permanent), "+b");
        assert_eq!(bench.exit("a", exit), expected, "{restart:?} {exit:?}");
    }
}

#[test]
fn there_are_never_more_than_the_limit_nor_two_of_a_name() {
    let mut bench = Bench::new(2, 1);
    assert_eq!(bench.add("a", Restart::Permanent), "+a");
    assert_eq!(
        bench.add("a", Restart::Permanent),
        "x (a was not started: a child of this name is here already; end it first)"
    );
    assert_eq!(bench.add("b", Restart::Temporary), "+b");
    assert_eq!(
        bench.add("c", Restart::Permanent),
        "x (c was not started: 2 children are here, and no more are allowed; end one or raise the limit)"
    );
    assert_eq!(bench.exit("b", Exit::Normal), "~b");
    assert_eq!(bench.add("c", Restart::Permanent), "+c");
    let a = bench.machine.find("a").unwrap();
    assert_eq!(bench.put(DynamicInput::Remove(a)), "-a ~a");
    assert_eq!(bench.put(DynamicInput::Remove(a)), "", "it is gone already");
    assert_eq!(bench.add("a", Restart::Permanent), "+a");
}

#[test]
fn a_first_start_that_fails_is_the_requesters_and_a_later_one_is_tried_again() {
    let mut bench = Bench::new(9, 3);
    bench.broken.insert("a".into(), 1);
    assert_eq!(bench.add("a", Restart::Permanent), "?a ~a");
    assert_eq!(bench.add("a", Restart::Permanent), "+a");
    bench.broken.insert("a".into(), 2);
    assert_eq!(bench.exit("a", Exit::Abnormal), "?a ?a +a");
    assert_eq!(bench.add("b", Restart::Permanent), "+b");
    assert_eq!(
        bench.exit("a", Exit::Abnormal),
        "~a -b ~b !",
        "the fourth restart in 5 s"
    );
    assert_eq!(
        bench.add("c", Restart::Permanent),
        "x (c was not started: its supervisor has ended)"
    );
}

#[test]
fn a_child_that_waits_for_a_further_try_can_be_removed() {
    let mut bench = Bench::new(9, 9);
    bench.add("a", Restart::Permanent);
    let id = bench.machine.find("a").unwrap();
    let mut out = vec![];
    for input in [
        DynamicInput::Exited(id, Exit::Killed),
        DynamicInput::StartFailed(id),
        DynamicInput::Remove(id),
        DynamicInput::TryAgain(id),
    ] {
        bench.machine.handle(Instant::ZERO, input, &mut out);
    }
    assert_eq!(
        out,
        [
            DynamicOutput::Start(id),
            DynamicOutput::TryAgain(id),
            DynamicOutput::Forget(id)
        ]
    );
}

#[test]
fn all_are_stopped_at_once() {
    let mut bench = Bench::new(9, 9);
    for name in ["a", "b", "c"] {
        bench.add(name, Restart::Permanent);
    }
    assert_eq!(bench.put(DynamicInput::Shutdown), "-a,b,c ~a ~b ~c .");
}
