//! Two of the three nodes are one tenant's: what they tell is on one account, and when that bears no more, training stops,
//! whoever leads.

use super::start_with;
use crate::world::{LIMIT, LOOK, NAMES, Node, World, until};
use node::probe::Probe;
use std::path::Path;
use std::time::Duration;
use tokio::time::sleep;
use wire::control::{AccountEntry, Answer, Ask};

/// Owner of the data of the first nodes, so many.
pub(crate) const TENANT: &str = "hospital";
pub(crate) const TENANTS_NODES: usize = 2;
/// Noise of the rounds over their clipping bound, in thousandths.
const NOISE_MILLI: u32 = 2;
/// Several rounds' time.
const LONG: Duration = Duration::from_secs(15);

/// All rounds were charged to the tenant as one with two nodes each, by the ledger of each node.
pub(crate) fn pays_for_both(probes: &[Probe]) {
    for probe in probes {
        let rounds = &probe.ledger().state().rounds;
        let alone = rounds.spent[&NAMES[2].into()][&NOISE_MILLI];
        assert_eq!(rounds.tenants[TENANT][&NOISE_MILLI], 4 * alone);
    }
}

async fn account(probe: &Probe) -> AccountEntry {
    let answer = probe.ask(Ask::Rounds { last: 1 }).await;
    let Answer::Rounds { learning } = answer else {
        panic!("{answer:?}");
    };
    let of = |account: &AccountEntry| account.tenant && account.holder == TENANT;
    learning.accounts.into_iter().find(of).unwrap()
}

/// The owner lowers the budget on one of its nodes, to what is spent: no round opens any more, also under the next leader. When
/// it raises it again, rounds open.
pub(crate) async fn budget_ends(world: &World, dir: &Path, mut nodes: Vec<Node>) -> Vec<Node> {
    let first = |nodes: &[Node]| {
        let is = |node: &Node| node.probe.me().as_str() == NAMES[0];
        nodes.iter().position(is).unwrap()
    };
    let before = account(&nodes[0].probe).await;
    assert_eq!(before.nodes, [NAMES[0].into(), NAMES[1].into()]);
    assert!(before.spent > 0.0 && before.left() > 0.0, "{before:?}");

    let at = first(&nodes);
    let spent = before.spent;
    restart(world, dir, &mut nodes, at, spent).await;
    let probes: Vec<Probe> = nodes.iter().map(|node| node.probe.clone()).collect();
    let lowered = |probe: &Probe| {
        let state = probe.ledger().state();
        state.tenant_budget(TENANT).map(|(epsilon, _)| epsilon) == Some(spent)
    };
    until("the tenant's budget is lowered", || {
        probes.iter().all(lowered)
    })
    .await;
    stands_still(&probes).await;
    let now = account(&probes[1]).await;
    assert!(now.left() == 0.0 && now.spent >= spent, "{now:?}");

    // The next leader finds the same accounts.
    let leader = probes[0].ledger().leader().borrow().leader.clone().unwrap();
    let is = |node: &Node| *node.probe.me() == leader;
    let at = nodes.iter().position(is).unwrap();
    let epsilon = if at == first(&nodes) { spent } else { 1e12 };
    let index = stop(&mut nodes, at).await;
    let leads = |node: &Node| {
        let now = node.probe.ledger().leader().borrow().leader.clone();
        now.is_some_and(|now| now != leader)
    };
    until("another one leads again", || nodes.iter().all(leads)).await;
    nodes.insert(at, start_with(world, dir, index, epsilon).await);
    let probes: Vec<Probe> = nodes.iter().map(|node| node.probe.clone()).collect();
    until("all three are up", || {
        let up = |probe: &Probe| probe.ledger().state().up().count() == 3;
        probes.iter().all(up) && nodes.iter().all(leads)
    })
    .await;
    stands_still(&probes).await;
    for probe in &probes {
        assert_eq!(account(probe).await.spent, now.spent);
    }

    let at = first(&nodes);
    restart(world, dir, &mut nodes, at, 1e12).await;
    // Those that have started anew have nothing to learn from yet: rounds open, and have no model.
    let opened = || {
        let rounds = &nodes[1].probe.ledger().state().rounds;
        rounds.last.0 + u64::from(rounds.open.is_some())
    };
    let stood = opened();
    until("rounds open with a higher budget", || opened() > stood).await;
    nodes
}

/// Gives the number of its name.
async fn stop(nodes: &mut Vec<Node>, at: usize) -> usize {
    let gone = nodes.remove(at);
    let name = gone.probe.me().clone();
    gone.stop().await;
    NAMES.iter().position(|of| *of == name.as_str()).unwrap()
}

async fn restart(world: &World, dir: &Path, nodes: &mut Vec<Node>, at: usize, epsilon: f64) {
    let index = stop(nodes, at).await;
    nodes.insert(at, start_with(world, dir, index, epsilon).await);
}

/// A round that was open ends, and none is opened after it.
async fn stands_still(probes: &[Probe]) {
    let open = || {
        let mut states = probes.iter().map(|probe| probe.ledger().state());
        states.any(|state| state.rounds.open.is_some())
    };
    let mut waited = Duration::ZERO;
    while open() {
        assert!(waited < LIMIT, "a round stays open");
        waited += LOOK;
        sleep(LOOK).await;
    }
    let last = || probes[0].ledger().state().rounds.last;
    let before = last();
    sleep(LONG).await;
    assert_eq!((last(), open()), (before, false));
}
