//! A member that has turned bad: beside what its node sends, it sends poisoned updates to the aggregator,
//! and models that are not what they are called to everybody, as an aggregator that lies would.
//!
//! Its link is its own and its frames are well-formed: what others hold against it is what they check in them
//! (docs/simulation.md).

use super::Failure;
use crate::lockstep::guest::see;
use crate::lockstep::protocol::Seen;
use federation::Config;
use learn::{Model, Shape};
use ledger::Applied;
use node::probe::Probe;
use std::sync::Arc;
use wire::{Act, Digest, Frame, NodeId, Round};

/// Examples it claims for its poison: as many as several honest nodes have.
const CLAIMED: u64 = 1_000;
/// So far below the largest update that is taken.
const WITHIN: f64 = 0.99;

/// For ever.
pub(super) async fn lie(probe: Probe) -> Result<(), Failure> {
    let parameters = Model::initial(Shape::default(), 0)?.parameters().len();
    let ledger = probe.ledger().clone();
    let mut log = ledger.subscribe(ledger.size_and_root().0);
    while let Ok(committed) = log.next().await {
        if committed.applied != Applied::Effective {
            continue;
        }
        let act = &committed.record.act;
        if let Act::RoundOpened { round, model, .. } = act {
            poison(&probe, *round, *model, parameters);
            to_all(&probe, || Frame::Train {
                round: *round,
                model: *model,
                parameters: garbage(parameters),
            });
        } else if let Act::RoundClosed { round, model, .. }
        | Act::BufferedRoundClosed { round, model, .. } = act
        {
            to_all(&probe, || Frame::Model {
                round: *round,
                model: *model,
                parameters: garbage(parameters),
            });
        }
    }
    Ok(())
}

/// Three updates in a row, before its node is done with its own: one that is no number, one that is beyond
/// all bounds, and the worst that is within them.
fn poison(probe: &Probe, round: Round, base: Digest, parameters: usize) {
    let Some(leader) = probe.ledger().leader().borrow().leader.clone() else {
        return;
    };
    let worst = WITHIN * Config::default().max_norm / (parameters as f64).sqrt();
    for value in [f32::NAN, 1e30, -worst as f32] {
        let update = Frame::Update {
            round,
            node: probe.me().clone(),
            base,
            delta: Arc::new(vec![value; parameters]),
            examples: CLAIMED,
            loss: 0.0,
        };
        // The leader may be this node itself, or gone.
        let _ = probe.cluster().cast(&leader, update);
    }
    see(Seen::Update {
        round: round.0,
        examples: CLAIMED,
        moves: None,
        variate: None,
    });
}

fn garbage(parameters: usize) -> Arc<Vec<f32>> {
    Arc::new(vec![f32::INFINITY; parameters])
}

fn to_all(probe: &Probe, frame: impl Fn() -> Frame) {
    let peers: Vec<NodeId> = probe.cluster().links().into_keys().collect();
    for peer in peers {
        // A link that has just ended is one lie less.
        let _ = probe.cluster().cast(&peer, frame());
    }
}
