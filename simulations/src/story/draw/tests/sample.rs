//! A made-up run of some minutes, as large as a page takes: for the limits, and for eyes.

use crate::machines::rng::Dice;
use crate::outcome::{Happening, Kind, Outcome, Violation};
use crate::plan::{CrashPoint, Fault, Plan, What};
use std::collections::BTreeSet;

const NODES: u8 = 5;
const END_MS: u64 = 240_000;

/// Rafts of five nodes, with mail and a broker: `messages` of them.
pub(super) fn sample(messages: u64) -> Outcome {
    let mut dice = Dice::new(1);
    let mut story = Vec::new();
    let mut tell = |at_ms, lane: &str, what| {
        story.push(Happening {
            at_ms,
            lane: lane.into(),
            what,
        })
    };
    let name = |n: u64| format!("node-{}", n + 1);
    let leaders = [(0, 0), (42_000, 2), (101_500, 1), (163_000, 4)];
    let leader = |at: u64| {
        leaders
            .iter()
            .rev()
            .find(|(from, _)| *from <= at)
            .map_or(0, |l| l.1)
    };
    for n in 0..u64::from(NODES) {
        tell(10 + n, &name(n), Kind::Process("started".into()));
        tell(60 + n, &name(n), Kind::KeyEpoch(0));
    }
    for (term, (at, who)) in (1..).zip(leaders) {
        for n in 0..u64::from(NODES) {
            let at = at + 300 + dice.below(80);
            tell(at, &name(n), Kind::Leader { leader: None, term });
            let leader = Some(name(who));
            tell(at + 150, &name(n), Kind::Leader { leader, term });
        }
    }
    for (index, at) in (0..messages).map(|k| (k, k * END_MS / messages)) {
        let (from, to) = match dice.below(8) {
            0 => ("gear".to_owned(), name(dice.below(5))),
            1 => ("broker".to_owned(), name(dice.below(5))),
            2..=4 => (name(leader(at)), name(dice.below(5))),
            _ => (name(dice.below(5)), name(leader(at))),
        };
        let lost = dice.percent(2)
            || (60_000..72_000).contains(&at) && (from == "node-3" || to == "node-3");
        let arrives_ms = (!lost).then(|| at + 1 + dice.below(30));
        let bytes = 40 + dice.below(4_000);
        if from != to {
            tell(
                at,
                &from,
                Kind::Sent {
                    to,
                    bytes,
                    arrives_ms,
                },
            );
        }
        if index % 40 == 0 {
            let n = dice.below(5);
            let text = format!(
                "replica: appended up to {} in {} µs, {} of 5 hold it",
                index / 8,
                dice.below(900),
                3 + dice.below(3)
            );
            tell(at, &name(n), Kind::Log(text));
        }
        if index % 160 == 0 {
            for n in 0..5 {
                tell(
                    at + n,
                    &name(n),
                    Kind::Ledger {
                        size: index / 16,
                        root: format!("{index:016x}"),
                    },
                );
            }
            tell(
                at,
                "gear",
                Kind::Edge(format!("250 2.0.0 queued as {index:08x}")),
            );
        }
    }
    for round in 1..16 {
        let at = round * 15_000;
        tell(
            at - 9_000,
            "",
            Kind::Round(format!("round {round} opened, cohort of 5")),
        );
        tell(
            at,
            "",
            Kind::Round(format!("round {round} closed, ε 0.{round:02}")),
        );
        for n in 0..5 {
            tell(at + 200 + dice.below(500), &name(n), Kind::KeyEpoch(round));
        }
    }
    for (at, up, n) in [
        (100_000, 108_000, 2),
        (131_000, 133_500, 0),
        (162_500, 171_000, 1),
    ] {
        tell(
            at,
            &name(n),
            Kind::Process("power lost within disk operation 17".into()),
        );
        tell(up, &name(n), Kind::Process("started".into()));
    }
    tell(180_000, "", Kind::Fault("the faults end".into()));
    story.sort_by_key(|happening| happening.at_ms);
    outcome(story)
}

fn outcome(story: Vec<Happening>) -> Outcome {
    let split = |from: &[u8], to: &[u8], for_ms| What::Split {
        from: from.to_vec(),
        to: to.to_vec(),
        both: true,
        for_ms,
    };
    let crash = |node, down_ms| What::Crash {
        node,
        point: CrashPoint::DiskOperation(17),
        down_ms,
        disk: None,
    };
    let faults = [
        (
            20_000,
            What::Pause {
                node: 4,
                for_ms: 3_000,
            },
        ),
        (60_000, split(&[2], &[0, 1, 3, 4], 12_000)),
        (88_000, What::BrokerCrash { down_ms: 7_000 }),
        (100_000, crash(2, 8_000)),
        (
            120_000,
            What::ClockJump {
                node: 3,
                by_ms: -3_600_000,
            },
        ),
        (
            125_000,
            What::DiskSlow {
                node: 3,
                sync_ms: 90,
                for_ms: 15_000,
            },
        ),
        (131_000, crash(0, 2_500)),
        (162_500, crash(1, 8_500)),
    ];
    Outcome {
        plan: Plan {
            seed: u64::MAX,
            scenario: "factory".into(),
            nodes: NODES,
            faults_ms: 180_000,
            calm_ms: 60_000,
            faults: faults.map(|(at_ms, what)| Fault { at_ms, what }).into(),
            bugs: Vec::new(),
        },
        trace: "5f".repeat(32),
        wire: "a0".repeat(32),
        events: story.len() as u64,
        virtual_ms: END_MS,
        violations: vec![Violation {
            id: "LEDGER-1".into(),
            says: "replicas that folded the same leaves have the same tree and state".into(),
            at_ms: 172_345,
            detail: "node-2 and node-5 differ from leaf 11832 on".into(),
        }],
        coverage: BTreeSet::new(),
        story,
    }
}
