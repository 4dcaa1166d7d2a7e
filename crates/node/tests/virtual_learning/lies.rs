//! A leader that has turned bad: beside what its aggregator says, which is the truth, it says something else in its name.

use super::{all_start, deliver, follower, rounds};
use crate::world::{LIMIT, NAMES, Node, World, until};
use ledger::RoundOutcome;
use node::effects::{Contribution, Sent};
use node::probe::Probe;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{sleep, timeout};
use wire::secure::Places;
use wire::{Digest, Frame, NodeId, SecureMessage, SecureStep};

const SECURE: &str = "min_cohort = 3\nsecure_aggregation = true";
/// A lie comes before the truth or after it; it is told so often, with so much time between.
const TELLINGS: usize = 3;
const BETWEEN: Duration = Duration::from_millis(1);

/// By what the next round's messages are known, once this node has sent its masked update in it.
async fn masked(contributions: &mut Receiver<Contribution>) -> Digest {
    let next = async {
        loop {
            match contributions.recv().await {
                Ok(Contribution::Update {
                    sent: Sent::Masked(context),
                    ..
                }) => return context,
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => panic!("the leader has ended"),
            }
        }
    };
    timeout(LIMIT, next).await.expect("a secure round")
}

/// One of three is told that it is not among those whose updates are in the sum.
async fn tell(leader: &Probe, to: &NodeId, context: Digest) {
    let place = NAMES.iter().position(|name| *name == to.as_str()).unwrap();
    let others = (0..NAMES.len()).filter(|of| *of != place);
    let others: Places = others.map(|of| u16::try_from(of).unwrap()).collect();
    for _ in 0..TELLINGS {
        let step = SecureStep::Survivors(others.clone());
        let frame = Frame::Secure(Box::new(SecureMessage { context, step }));
        leader.cluster().cast(to, frame).unwrap();
        sleep(BETWEEN).await;
    }
}

/// It is found by whom it is told to, and the round ends with that on the ledger. Of a former round it is nothing: frames may
/// be late.
pub(super) async fn another_set_of_survivors_ends_the_round_and_an_old_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    let nodes = all_start(&world, dir.path(), SECURE).await;
    deliver(&world, 0).await;
    rounds(&nodes[0], 1).await;
    let leads = nodes[0].probe.ledger().leader().borrow().leader.clone();
    let leader = nodes
        .iter()
        .find(|node| Some(node.probe.me()) == leads.as_ref());
    let leader = &leader.unwrap().probe;
    let told = nodes[follower(&nodes)].probe.me().clone();
    let mut contributions = leader.contributions();

    let context = masked(&mut contributions).await;
    tell(leader, &told, context).await;
    let found = |node: &Node| {
        let state = node.probe.ledger().state();
        let reasons = state
            .rounds
            .history
            .iter()
            .filter_map(|ended| match &ended.outcome {
                RoundOutcome::Abandoned(reason) => Some(reason.clone()),
                RoundOutcome::Closed { .. } => None,
            });
        let accuses = format!("{told} found: ");
        reasons
            .into_iter()
            .find(|reason| reason.starts_with(&accuses))
    };
    until("the lie is on every ledger", || {
        nodes.iter().all(|node| found(node).is_some())
    })
    .await;
    let reason = found(&nodes[0]).unwrap();
    println!("{reason}");
    let expected = [
        "2 took part in the set of survivors, 3 are needed",
        "a second set of survivors",
    ];
    assert!(expected.iter().any(|of| reason.contains(of)), "{reason}");

    // Rounds go on, whatever is said of that one.
    let abandoned = nodes[0].probe.ledger().state().rounds.abandoned;
    for _ in 0..2 {
        masked(&mut contributions).await;
        tell(leader, &told, context).await;
    }
    rounds(&nodes[0], 1).await;
    let state = nodes[0].probe.ledger().state();
    assert_eq!(
        state.rounds.abandoned, abandoned,
        "{:?}",
        state.rounds.history
    );
    for node in nodes {
        node.stop().await;
    }
}
