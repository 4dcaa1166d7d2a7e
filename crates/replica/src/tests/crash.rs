//! Power that fails while a leader's own disk still writes what the followers have: nothing that
//! was acknowledged is lost, nobody applies what can still be lost, and nobody gives a place twice.

use super::*;
use openraft::Vote;
use openraft::raft::AppendEntriesRequest;
use tokio::task::JoinHandle;

/// Long enough for everything that is under way, far from an election.
const A_WHILE: Duration = Duration::from_millis(60);

/// Three wired up nodes that agree; the leader first.
async fn three() -> (House, Ledger, Vec<Ledger>) {
    let house = House::wired_up("a b c");
    let all = house.start_all().await;
    raise(&all).await;
    let (leader, rest) = leader_and_rest(all).await;
    leader.propose(act("a", 0)).await.unwrap();
    let mut all = vec![leader];
    all.extend(rest);
    converge(&all, 0).await;
    let leader = all.remove(0);
    (house, leader, all)
}

fn last_index(ledger: &Ledger) -> u64 {
    raft(ledger).metrics().borrow().last_log_index.unwrap_or(0)
}

/// Proposes on the leader, whose disk is held up, and waits until these have the entry.
async fn propose_to(
    house: &House,
    leader: &Ledger,
    holders: &[&Ledger],
    n: u64,
) -> JoinHandle<Result<u64, ProposeError>> {
    house.hold_syncs(leader.me().as_str(), true);
    let before = last_index(leader);
    let proposer = leader.clone();
    let proposed = tokio::spawn(async move { proposer.propose(act("a", n)).await });
    for holder in holders {
        let mut metrics = raft(holder).metrics();
        let has = metrics.wait_for(|metrics| metrics.last_log_index > Some(before));
        within("the entry is there", has).await.unwrap();
    }
    tokio::time::sleep(A_WHILE).await;
    proposed
}

#[tokio::test(start_paused = true)]
async fn nobody_hears_of_a_commit_that_the_leaders_disk_does_not_have() {
    let (house, leader, rest) = three().await;
    let size = leader.size_and_root().0;
    let proposed = propose_to(&house, &leader, &[&rest[0], &rest[1]], 1).await;
    assert!(!proposed.is_finished(), "acknowledged too early");
    for ledger in rest.iter().chain([&leader]) {
        assert_eq!(ledger.size_and_root().0, size, "{}", ledger.me());
    }
    house.hold_syncs(leader.me().as_str(), false);
    let leaf = within("the disk is back", proposed).await.unwrap();
    assert_eq!(leaf, Ok(size));
    let all = [leader, rest[0].clone(), rest[1].clone()];
    converge(&all, size + 1).await;
    assert!(all[0].leads(), "a short delay deposes nobody");
}

/// Who has the entry besides the leader when its power fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holders {
    Nobody,
    One,
    Both,
}

async fn crash(holders: Holders, survives: power::Survives, another: Option<usize>) {
    let case = format!("{holders:?}, {another:?}");
    let (house, leader, mut rest) = three().await;
    let unreachable = match holders {
        Holders::Nobody => &rest[..],
        Holders::One => &rest[1..],
        Holders::Both => &[],
    };
    let pair = |other: &Ledger| (leader.me().clone(), other.me().clone());
    let cut: Vec<_> = unreachable.iter().map(pair).collect();
    house.switch.cut.lock().unwrap().extend(cut);
    let having = match holders {
        Holders::Nobody => vec![&leader],
        Holders::One => vec![&leader, &rest[0]],
        Holders::Both => vec![&leader, &rest[0], &rest[1]],
    };
    let proposed = propose_to(&house, &leader, &having, 1).await;
    let mut acknowledged = vec![act("a", 0)];
    if proposed.is_finished() && proposed.await.unwrap().is_ok() {
        acknowledged.push(act("a", 1));
    }
    let mut seen = Vec::new();
    for ledger in rest.iter().chain([&leader]) {
        seen.push(history(ledger).await);
    }

    // The leader and, in some cases, a follower; of the others the first one goes, too, so that it
    // cannot bring its entry into the next term by itself.
    let former = house.lose_power(leader, survives).await;
    let mut down = Vec::new();
    if let Some(at) = another {
        down.push(house.lose_power(rest.remove(at), survives).await);
    } else {
        down.push(house.kill(rest.remove(0)).await);
    }
    house.heal();
    let mut up = vec![house.start(&former).await, rest.remove(0)];
    let next = act("b", 2);
    let limit = up[1].propose(next.clone()).await;
    limit.unwrap_or_else(|error| panic!("{case}: {error}"));
    acknowledged.push(next);
    for node in down {
        up.push(house.start(&node).await);
    }
    for ledger in &up {
        ready(ledger).await;
    }
    up[2].propose(act("c", 3)).await.unwrap();
    converge(&up, 0).await;
    let last = history(&up[0]).await;
    for seen in seen {
        assert_eq!(seen[..], last[..seen.len()], "{case}: one history");
    }
    for act in acknowledged {
        let times = last.iter().filter(|leaf| leaf.record.act == act).count();
        assert_eq!(times, 1, "{case}: {act:?} was acknowledged");
    }
}

#[tokio::test(start_paused = true)]
async fn power_fails_at_every_point_around_an_append() {
    for holders in [Holders::Nobody, Holders::One, Holders::Both] {
        for survives in [
            power::synced_only,
            power::everything,
            power::all_but_the_first_sector,
        ] {
            for another in [None, Some(0), Some(1)] {
                crash(holders, survives, another).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_lost_its_tail_gives_no_place_twice() {
    let (house, leader, mut rest) = three().await;
    let away = rest.pop().unwrap();
    house.isolate(away.me());
    let proposed = propose_to(&house, &leader, &[&rest[0]], 1).await;
    proposed.abort();
    // Back before anybody else stands for election, and with the follower that has what it lost.
    let former = house.lose_power(leader, power::synced_only).await;
    let back = house.start(&former).await;
    within("another act", back.propose(act("b", 2)))
        .await
        .unwrap();
    house.heal();
    let all = [back, rest.remove(0), away];
    all[1].propose(act("c", 3)).await.unwrap();
    converge(&all, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_former_leader_answers_for_what_is_durable_only() {
    let (house, leader, rest) = three().await;
    propose_to(&house, &leader, &[&leader], 1).await.abort();
    let metrics = raft(&leader).metrics().borrow().clone();
    let (core, other) = (leader.inner().core.get().unwrap(), &rest[0]);
    // What the next leader says first: it has the entry, too.
    let request = net::Request::Append(AppendEntriesRequest {
        vote: Vote::new_committed(
            metrics.current_term + 1,
            other.inner().core.get().unwrap().id,
        ),
        prev_log_id: core.log.ends().1,
        entries: Vec::new(),
        leader_commit: None,
    });
    let call = Call::Consensus(wire::encode(&request));
    let (served, from) = (leader.clone(), other.me().clone());
    let answer = tokio::spawn(async move { served.serve(&from, call).await });
    tokio::time::sleep(A_WHILE).await;
    assert!(!answer.is_finished(), "answered for what it may still lose");
    house.hold_syncs(leader.me().as_str(), false);
    let reply = within("the disk is back", answer).await.unwrap().unwrap();
    let Reply::Consensus(bytes) = reply else {
        panic!("{reply:?}");
    };
    let Ok(net::Response::Append(response)) = wire::decode(&bytes) else {
        panic!("no answer to an append");
    };
    assert!(response.is_success(), "{response:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_disk_hangs_is_replaced() {
    let (house, leader, rest) = three().await;
    let proposed = propose_to(&house, &leader, &[&rest[0], &rest[1]], 1).await;
    let mut known = rest[0].leader();
    let replaced = known.wait_for(|known| {
        let leader = leader.me();
        known.leader.as_ref().is_some_and(|now| now != leader)
    });
    within("another leader", replaced).await.unwrap();
    rest[1].propose(act("b", 2)).await.unwrap();
    house.hold_syncs(leader.me().as_str(), false);
    within("an answer by the next leader", proposed)
        .await
        .unwrap()
        .unwrap();
    converge(&[leader, rest[0].clone(), rest[1].clone()], 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_disk_refuses_stops_with_a_sentence_and_is_replaced() {
    let (house, leader, rest) = three().await;
    let size = leader.size_and_root().0;
    house.break_disk(leader.me().as_str());
    let refused = leader.propose(act("a", 1)).await.unwrap_err().to_string();
    assert!(
        refused.contains("cannot sync") && refused.contains("raft.log"),
        "{refused}"
    );
    let why = within("it stops", leader.stopped()).await;
    assert!(
        why.contains("the ledger has stopped: cannot sync") && why.contains("check space"),
        "{why}"
    );
    assert!(!leader.leads());
    assert_eq!(leader.size_and_root().0, size, "it applied nothing more");
    within("another leader", rest[0].propose(act("b", 2)))
        .await
        .unwrap();
    // With another disk that has what the broken one had confirmed.
    let node = house.lose_power(leader, power::synced_only).await;
    let back = house.start(&node).await;
    ready(&back).await;
    converge(&[back, rest[0].clone(), rest[1].clone()], 0).await;
}
