//! A world small enough to run thousands of times a second, with one real mistake: a register,
//! replicated by naive rules. Followers acknowledge a write before it is on their disk, so a crash
//! of one of them while another is cut off can lose what was acknowledged.

mod world;

use crate::outcome::{Kind, Outcome};
use crate::plan::{CrashPoint, Fault, Plan, What};
use crate::story::plans::{self, Outline};
use crate::story::{RunError, Runner};
use std::sync::atomic::{AtomicU64, Ordering};

/// The toy; counts its runs.
#[derive(Default)]
pub(crate) struct Toy {
    pub(crate) runs: AtomicU64,
    /// Fails outside of the world from this run on, if not zero.
    pub(crate) breaks_at: u64,
}

impl Toy {
    pub(crate) fn go(&self, plan: &Plan, tell: bool) -> Outcome {
        self.run(plan, tell).expect("the toy runs")
    }
}

impl Runner for Toy {
    fn run(&self, plan: &Plan, tell: bool) -> Result<Outcome, RunError> {
        let run = self.runs.fetch_add(1, Ordering::Relaxed) + 1;
        if self.breaks_at != 0 && run >= self.breaks_at {
            return Err(RunError("the toy box is empty".into()));
        }
        Ok(world::World::new(plan, tell).run())
    }

    /// Nothing of the toy's takes time to heal.
    fn fresh(&self, outline: &Outline, seed: u64) -> Plan {
        let mut plan = plans::fresh(outline, seed);
        plan.calm_ms = 1_000;
        plan
    }

    /// Losing a whole disk breaks more than the toy promises.
    fn lawful(&self, plan: &Plan) -> bool {
        plan.faults
            .iter()
            .all(|fault| !matches!(fault.what, What::Crash { disk: Some(_), .. }))
    }
}

fn fault(at_ms: u64, what: What) -> Fault {
    Fault { at_ms, what }
}

fn crash(node: u8, down_ms: u64) -> What {
    What::Crash {
        node,
        point: CrashPoint::Send(2),
        down_ms,
        disk: None,
    }
}

/// A plan that brings the mistake to light, with some ballast that has nothing to do with it.
pub(crate) fn deadly() -> Plan {
    let split = What::Split {
        from: vec![2],
        to: vec![0, 1],
        both: true,
        for_ms: 5_000,
    };
    Plan {
        seed: 5,
        scenario: "toy".into(),
        nodes: 3,
        faults_ms: 60_000,
        calm_ms: 5_000,
        faults: vec![
            fault(
                2_000,
                What::Pause {
                    node: 1,
                    for_ms: 700,
                },
            ),
            fault(4_000, What::BrokerCrash { down_ms: 900 }),
            fault(10_000, split),
            fault(11_000, What::ClockJump { node: 0, by_ms: 77 }),
            fault(14_910, crash(1, 200)),
            fault(14_915, crash(0, 9_000)),
            fault(30_000, What::Poison { node: 2 }),
            fault(
                40_000,
                What::Kill {
                    node: 1,
                    down_ms: 50,
                },
            ),
        ],
        bugs: Vec::new(),
    }
}

#[test]
fn the_mistake_shows_with_crash_and_split_together_only() {
    let toy = Toy::default();
    let plan = deadly();
    let ids = |outcome: &Outcome| {
        outcome
            .violations
            .iter()
            .map(|v| v.id.clone())
            .collect::<Vec<_>>()
    };
    let outcome = toy.go(&plan, true);
    assert_eq!(ids(&outcome), ["TOY-1"]);
    assert!(
        outcome
            .story
            .iter()
            .any(|h| matches!(h.what, Kind::Sent { .. }))
    );
    assert_eq!(toy.go(&plan, true), outcome, "deterministic");
    for without in [2, 4, 5] {
        let mut plan = plan.clone();
        plan.faults.remove(without);
        assert_eq!(
            ids(&toy.go(&plan, false)),
            [""; 0],
            "without fault {without}"
        );
    }
}
