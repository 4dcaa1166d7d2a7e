use super::*;
use crate::problem::{DIMENSIONS, Problem};
use proptest::prelude::*;

fn name(n: usize) -> NodeId {
    NodeId::new(format!("n{n}"))
}

fn feed(server: &mut FedBuff, input: Input) -> Vec<Output> {
    let mut out = Vec::new();
    server.handle(Instant::ZERO, input, &mut out);
    out
}

fn update(n: usize, delta: &[f32]) -> Input {
    Input::Update {
        node: name(n),
        delta: delta.to_vec(),
    }
}

fn config(buffer: usize, concurrency: usize) -> Config {
    Config {
        buffer,
        concurrency,
        ..Config::default()
    }
}

#[test]
fn steps_by_hand() {
    let mut server = FedBuff::new(vec![1.0], config(2, 3));
    for n in 0..3 {
        feed(&mut server, Input::Ready(name(n)));
    }
    assert_eq!(feed(&mut server, update(0, &[2.0])), []);
    // Both fresh: 1 + (2 + 4)/2.
    let stepped = Output::Stepped {
        version: 1,
        parameters: Arc::new(vec![4.0]),
        from: vec![(name(0), 0), (name(1), 0)],
    };
    assert_eq!(feed(&mut server, update(1, &[4.0])), [stepped]);
    // The third still has version 0: its weight is 1/√2. The first has version 1.
    feed(&mut server, Input::Ready(name(0)));
    feed(&mut server, update(2, &[2.0]));
    let out = feed(&mut server, update(0, &[1.0]));
    let Some(Output::Stepped {
        parameters, from, ..
    }) = out.first()
    else {
        panic!("no step: {out:?}");
    };
    assert_eq!(*from, [(name(2), 1), (name(0), 0)]);
    let expected = 4.0 + (2.0 / 2.0_f64.sqrt() + 1.0) / 2.0;
    assert!((f64::from(parameters[0]) - expected).abs() < 1e-6);
}

#[test]
fn what_does_not_count() {
    let mut server = FedBuff::new(
        vec![0.0],
        Config {
            max_staleness: 1,
            ..config(1, 2)
        },
    );
    let refused = |out: Vec<Output>| match out.as_slice() {
        [Output::Refused { why, .. }] => why.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(feed(&mut server, update(0, &[1.0]))),
        Refusal::NotAsked
    );
    let mut asked = |n, delta: &[f32]| {
        feed(&mut server, Input::Ready(name(n)));
        feed(&mut server, update(n, delta))
    };
    let length = Refusal::Length {
        expected: 1,
        found: 2,
    };
    assert_eq!(refused(asked(0, &[1.0, 1.0])), length);
    for bad in [f32::NAN, f32::INFINITY, 101.0] {
        assert!(matches!(refused(asked(0, &[bad])), Refusal::Norm { .. }));
    }
    // One is given version 0 and answers when version 2 is there.
    feed(&mut server, Input::Ready(name(9)));
    for _ in 0..2 {
        feed(&mut server, Input::Ready(name(0)));
        feed(&mut server, update(0, &[1.0]));
    }
    let stale = Refusal::Stale { age: 2, most: 1 };
    assert_eq!(refused(feed(&mut server, update(9, &[1.0]))), stale);
    // A second answer to one question.
    assert_eq!(
        refused(feed(&mut server, update(9, &[1.0]))),
        Refusal::NotAsked
    );
}

#[test]
fn no_more_work_at_a_time_than_configured() {
    let mut server = FedBuff::new(vec![0.0], config(10, 2));
    let asked = |out: Vec<Output>| -> Vec<NodeId> {
        let of = |output| match output {
            Output::Train { to, .. } => Some(to),
            Output::Stepped { .. } | Output::Refused { .. } => None,
        };
        out.into_iter().filter_map(of).collect()
    };
    assert_eq!(asked(feed(&mut server, Input::Ready(name(0)))), [name(0)]);
    assert_eq!(asked(feed(&mut server, Input::Ready(name(1)))), [name(1)]);
    assert_eq!(asked(feed(&mut server, Input::Ready(name(2)))), []);
    assert_eq!(asked(feed(&mut server, Input::Ready(name(2)))), []);
    assert_eq!(asked(feed(&mut server, update(0, &[1.0]))), [name(2)]);
    feed(&mut server, Input::Ready(name(3)));
    assert_eq!(asked(feed(&mut server, Input::Gone(name(1)))), [name(3)]);
    // Its model was lost on the way: it is asked again.
    assert_eq!(asked(feed(&mut server, Input::Ready(name(3)))), [name(3)]);
}

/// The slowest participant takes thirteen times as long as the fastest.
#[test]
fn participants_of_all_speeds_find_the_optimum() {
    let problem = Problem::new(8, 0.1, 3);
    let mut server = FedBuff::new(
        vec![0.0; DIMENSIONS],
        Config {
            learning_rate: 0.5,
            ..config(4, 8)
        },
    );
    let period = |n: usize| [1, 2, 2, 3, 3, 5, 7, 13][n];
    // (done at, who, from what)
    let mut work: Vec<(usize, usize, Arc<Vec<f32>>)> = Vec::new();
    let mut versions = 0;
    let mut oldest = 0;
    for time in 0..400 {
        let mut inputs: Vec<Input> = Vec::new();
        if time == 0 {
            inputs.extend((0..8).map(|n| Input::Ready(name(n))));
        }
        for (_, n, base) in work.extract_if(.., |(due, ..)| *due <= time) {
            inputs.push(update(n, &problem.participants[n].train(&base, 3)));
            inputs.push(Input::Ready(name(n)));
        }
        for output in inputs
            .into_iter()
            .flat_map(|input| feed(&mut server, input))
        {
            match output {
                Output::Train { to, parameters, .. } => {
                    let n = to.as_str()[1..].parse().unwrap();
                    work.push((time + period(n), n, parameters));
                }
                Output::Stepped { from, .. } => {
                    versions += 1;
                    oldest = oldest.max(from.iter().map(|(_, age)| *age).max().unwrap());
                }
                Output::Refused { why, .. } => panic!("{why}"),
            }
        }
    }
    assert!(versions > 200, "{versions}");
    assert!(oldest >= 5, "nobody was late: {oldest}");
    let excess = problem.excess(server.parameters());
    assert!(excess < 0.05, "{excess}");
}

proptest! {
    /// Whatever comes: never more at work than allowed, and every update asked for is in one step, in the
    /// buffer, or refused.
    #[test]
    fn every_update_is_accounted_for(steps in proptest::collection::vec((0..3_u8, 0..6_usize), 1..200)) {
        let mut server = FedBuff::new(vec![0.0], config(3, 2));
        let (mut sent, mut counted, mut refused) = (0, 0, 0);
        for (kind, n) in steps {
            let input = match kind {
                0 => Input::Ready(name(n)),
                1 => { sent += 1; update(n, &[0.1]) }
                _ => Input::Gone(name(n)),
            };
            for output in feed(&mut server, input) {
                match output {
                    Output::Stepped { from, .. } => counted += from.len(),
                    Output::Refused { .. } => refused += 1,
                    Output::Train { .. } => {}
                }
            }
            prop_assert!(server.working.len() <= 2);
            prop_assert_eq!(sent, counted + refused + server.buffered.len());
        }
    }
}
