//! Members that come, go, and lose their disks.

use super::*;
use wire::{Invitation, Removal, StoreId, UnixMillis};

/// Invites and admits a node; gives the leaf that admits it.
pub(super) async fn admit(house: &House, by: &Ledger, node: &str) -> u64 {
    let secret = [node.as_bytes()[0]; 16];
    let invitation = Invitation::digest_of(&secret);
    let invited = Act::Invited {
        invitation,
        node: None,
        expires: UnixMillis(u64::MAX),
    };
    by.propose(invited).await.unwrap();
    let admitted = Act::Admitted {
        node: node.into(),
        identity: house.key(&node.into()).verifying_key().to_bytes(),
        address: format!("{node}.house:7000"),
        invitation,
    };
    by.propose(admitted).await.unwrap()
}

async fn evict(by: &Ledger, node: &NodeId) {
    let cause = Removal::Evicted {
        reason: "a test".to_owned(),
    };
    let node = node.clone();
    by.propose(Act::Removed { node, cause }).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn members_come_by_admission_and_go_by_removal() {
    let house = House::new("a b c");
    let mut all = house.start_all().await;
    raise(&all).await;
    for node in ["d", "e"] {
        admit(&house, &all[0], node).await;
        let new = house.start(node).await;
        ready(&new).await;
        assert_ne!(
            new.store_id(),
            Some(StoreId::FOUNDING),
            "only founders have that"
        );
        all.push(new);
        converge(&all, 0).await;
    }
    voters(&all, "a b c d e").await;
    for (n, ledger) in all.iter().enumerate() {
        ledger.propose(act("a", n as u64)).await.unwrap();
    }
    // Five members bear the loss of two.
    let first = house.kill(all.remove(1)).await;
    let second = house.kill(all.remove(1)).await;
    all[2].propose(act("a", 9)).await.unwrap();
    // One that is down keeps its vote until it is removed.
    voters(&all, "a b c d e").await;
    evict(&all[0], &first.as_str().into()).await;
    voters(&all, "a c d e").await;
    all.push(house.start(&second).await);
    converge(&all, 0).await;
    let size = all[0].size_and_root().0;
    cosigned(&all, size).await;
    assert_eq!(all[0].consensus_members().voters.len(), 4);
    assert!(all[0].consensus_members().learners.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_removed_steps_down() {
    let house = House::new("a b c");
    let all = house.start_all().await;
    raise(&all).await;
    let (leader, rest) = leader_and_rest(all).await;
    let gone = leader.me().clone();
    evict(&rest[0], &gone).await;
    let names: Vec<&str> = rest.iter().map(|ledger| ledger.me().as_str()).collect();
    voters(&rest, &names.join(" ")).await;
    let mut view = rest[0].leader();
    let other = view.wait_for(|seen| seen.leader.as_ref().is_some_and(|leader| *leader != gone));
    within("another leader", other).await.unwrap();
    rest[1]
        .propose(act(rest[1].me().as_str(), 1))
        .await
        .unwrap();
    converge(&rest, 0).await;
    // What the removed one still proposes is not even written.
    let size = rest[0].size_and_root().0;
    let link = Call::Propose(Box::new(Record {
        id: wire::ProposalId([5; 16]),
        proposer: gone.clone(),
        time: UnixMillis(1),
        act: act("a", 5),
    }));
    let (lead, _) = leader_and_rest(rest).await;
    let refused = lead.serve(&gone, link).await;
    assert!(
        matches!(&refused, Some(Reply::Refused(why)) if why.contains("not a member")),
        "{refused:?}"
    );
    assert_eq!(lead.size_and_root().0, size);
}

/// Waits until the votes on `ledger` are these nodes', as far as links are concerned.
async fn voting(ledger: &Ledger, nodes: &str) {
    let expected: BTreeSet<NodeId> = nodes.split_whitespace().map(NodeId::from).collect();
    let mut voting = ledger.voting();
    within("the votes", voting.wait_for(|voting| *voting == expected))
        .await
        .unwrap();
}

/// Names of the given ledgers' nodes.
fn names(ledgers: &[&Ledger]) -> String {
    let names = ledgers.iter().map(|ledger| ledger.me().as_str());
    names.collect::<Vec<_>>().join(" ")
}

#[tokio::test(start_paused = true)]
async fn an_eviction_while_a_disk_is_lost_leaves_a_majority() {
    let house = House::new("a b c d");
    let all = house.start_all().await;
    raise(&all).await;
    let (leader, mut rest) = leader_and_rest(all).await;
    let lost = house.kill(rest.remove(0)).await;
    std::fs::remove_dir_all(house.dir(&lost)).unwrap();
    let [gone, other] = [rest.remove(0), rest.remove(0)];
    evict(&leader, gone.me()).await;
    // Two of four are there besides it: nothing could be decided had it gone at once.
    voting(&leader, &format!("{} {lost}", names(&[&leader, &other]))).await;
    house.kill(gone).await;
    let back = house.start(&lost).await;
    ready(&back).await;
    let all = [leader, other, back];
    converge(&all, 0).await;
    voters(&all, &names(&all.each_ref())).await;
}

#[tokio::test(start_paused = true)]
async fn of_two_members_one_can_be_evicted() {
    let house = House::new("a b");
    let all = house.start_all().await;
    raise(&all).await;
    let (leader, mut rest) = leader_and_rest(all).await;
    let gone = rest.remove(0);
    evict(&leader, gone.me()).await;
    voting(&leader, leader.me().as_str()).await;
    house.kill(gone).await;
    leader.propose(act(leader.me().as_str(), 1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_eviction_that_would_cost_the_majority_is_refused_until_it_does_not() {
    let mut house = House::new("a b c");
    house.timings.propose_limit = Duration::from_secs(3);
    let all = house.start_all().await;
    raise(&all).await;
    let (leader, mut rest) = leader_and_rest(all).await;
    let lost = house.kill(rest.remove(0)).await;
    std::fs::remove_dir_all(house.dir(&lost)).unwrap();
    let other = rest.remove(0);
    let size = leader.size_and_root().0;
    // A voter counts as missing once it has not answered for a while.
    tokio::time::sleep(house.timings.fence() * 2).await;
    for by in [&leader, &other] {
        let cause = Removal::Evicted {
            reason: "a test".to_owned(),
        };
        let node = other.me().clone();
        let refused = by.propose(Act::Removed { node, cause }).await.unwrap_err();
        let why = format!("{lost} must have its vote back first");
        assert!(refused.to_string().contains(&why), "{refused}");
    }
    assert_eq!(leader.size_and_root().0, size, "nothing was written");
    let back = house.start(&lost).await;
    ready(&back).await;
    voters(
        &[leader.clone(), back.clone()],
        &format!("{} {lost}", names(&[&leader, &other])),
    )
    .await;
    evict(&leader, other.me()).await;
    voting(&leader, &names(&[&leader, &back])).await;
    house.kill(other).await;
    leader.propose(act("a", 1)).await.unwrap();
}

/// The leader looks before it writes; but a replica may be lost right behind that.
#[tokio::test(start_paused = true)]
async fn an_eviction_that_is_on_the_ledger_waits_for_the_missing_one() {
    let house = House::new("a b c");
    let all = house.start_all().await;
    raise(&all).await;
    let (leader, mut rest) = leader_and_rest(all).await;
    let lost = house.kill(rest.remove(0)).await;
    std::fs::remove_dir_all(house.dir(&lost)).unwrap();
    let other = rest.remove(0);
    tokio::time::sleep(house.timings.fence() * 2).await;
    let record = Record {
        id: wire::ProposalId([9; 16]),
        proposer: leader.me().clone(),
        time: UnixMillis(1),
        act: Act::Removed {
            node: other.me().clone(),
            cause: Removal::Evicted {
                reason: "a test".to_owned(),
            },
        },
    };
    let core = leader.inner().core.get().unwrap();
    core.batcher.write(wire::encode(&record)).await;
    assert!(!leader.state().members.contains_key(other.me()));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(
        leader.voting().borrow().contains(other.me()),
        "it is needed"
    );
    let back = house.start(&lost).await;
    ready(&back).await;
    voting(&leader, &names(&[&leader, &back])).await;
    house.kill(other).await;
    let all = [leader, back];
    all[1].propose(act(&lost, 1)).await.unwrap();
    converge(&all, 0).await;
}

/// Decision 0012, the gate `change`: what the leader's disk may still lose is no ground to change
/// Raft's membership on.
#[tokio::test(start_paused = true)]
async fn membership_does_not_change_while_the_leaders_disk_is_behind() {
    let house = House::wired_up("a b c");
    let all = house.start_all().await;
    raise(&all).await;
    let (leader, rest) = leader_and_rest(all).await;
    converge(&[leader.clone(), rest[0].clone(), rest[1].clone()], 0).await;
    let core = leader.inner().core.get().unwrap();
    let mut metrics = core.raft.metrics();
    let (before, others) = {
        let metrics = metrics.borrow_and_update();
        let voters = metrics.membership_config.membership().voter_ids();
        let gone = raft(&rest[0]).metrics().borrow().id;
        let others: BTreeSet<u64> = voters.filter(|id| *id != gone).collect();
        (metrics.last_log_index, others)
    };
    house.hold_syncs(leader.me().as_str(), true);
    let proposer = leader.clone();
    let unsynced = tokio::spawn(async move { proposer.propose(act("a", 1)).await });
    let written = metrics.wait_for(|metrics| metrics.last_log_index > before);
    let written = within("the write", written).await.unwrap().last_log_index;

    let change = || reconcile::make(core, reconcile::Change::Voters(others.clone()));
    // Not longer than a heartbeat: a leader whose disk hangs falls silent.
    let made = tokio::time::timeout(house.timings.heartbeat / 2, change()).await;
    assert!(made.is_err(), "it waits for the disk: {made:?}");
    let voters = |ledger: &Ledger| {
        let metrics = raft(ledger).metrics();
        let metrics = metrics.borrow();
        metrics.membership_config.membership().voter_ids().count()
    };
    assert_eq!(
        metrics.borrow().last_log_index,
        written,
        "nothing was written"
    );
    assert_eq!(voters(&leader), 3);
    house.hold_syncs(leader.me().as_str(), false);
    within("the act", unsynced).await.unwrap().unwrap();
    change().await.unwrap();
    assert_eq!(voters(&leader), 2);
}

#[tokio::test(start_paused = true)]
async fn a_node_with_a_lost_disk_comes_back_as_another_replica() {
    let house = House::new("a b c");
    let all = house.start_all().await;
    raise(&all).await;
    let (leader, mut rest) = leader_and_rest(all).await;
    for n in 0..10 {
        leader.propose(act("a", n)).await.unwrap();
    }
    let old = rest[0].store_id();
    let lost = house.kill(rest.remove(0)).await;
    std::fs::remove_dir_all(house.dir(&lost)).unwrap();
    let back = house.start(&lost).await;
    ready(&back).await;
    assert_ne!(back.store_id(), old);
    let all = [leader, rest.remove(0), back];
    converge(&all, 15).await;
    voters(&all, "a b c").await;
    // Its vote counts: with the new replica there is a majority without one of the others.
    let [leader, other, back] = all;
    house.kill(other).await;
    leader.propose(act("a", 99)).await.unwrap();
    let size = leader.size_and_root().0;
    size_reaches(&back, size).await;
    // And it goes on as the same replica.
    let store = back.store_id();
    let back = house.kill(back).await;
    let back = house.start(&back).await;
    assert_eq!(back.store_id(), store);
    leader.propose(act("a", 100)).await.unwrap();
    size_reaches(&back, size + 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_admitted_node_far_behind_gets_the_snapshot() {
    let mut house = House::new("a b c");
    house.compaction = Compaction { every: 20, keep: 5 };
    let mut all = house.start_all().await;
    raise(&all).await;
    for n in 0..60 {
        all[0].propose(act("a", n)).await.unwrap();
    }
    futures::future::join_all((60..100).map(|n| all[0].propose(act("a", n)))).await;
    admit(&house, &all[0], "d").await;
    let new = house.start("d").await;
    ready(&new).await;
    assert!(
        raft(&new).metrics().borrow().snapshot.is_some(),
        "it came by snapshot"
    );
    all.push(new);
    converge(&all, 0).await;
    let size = all[0].size_and_root().0;
    cosigned(&all, size).await;
    // Proofs of leaves long compacted away from Raft's log still hold, on the new node as well.
    for leaf in [0, 7, size - 1] {
        let report = inclusion(&house.dir("d"), leaf, &VerifyOptions::default()).unwrap();
        report
            .proof
            .verify(&report.leaf, &report.checkpoint.root)
            .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn acts_wait_for_the_level_and_say_so() {
    let mut house = House::new("a b c");
    house.timings.propose_limit = Duration::from_secs(2);
    let all = house.start_all().await;
    size_reaches(&all[2], 1).await;
    for ledger in &all {
        let function = Act::FunctionDeployed {
            name: "f".to_owned(),
            version: 1,
            module: Digest::default(),
        };
        let refused = ledger.propose(function).await.unwrap_err();
        assert!(matches!(refused, ProposeError::Level { .. }), "{refused}");
        assert!(
            refused.to_string().contains("acts up to level 0"),
            "{refused}"
        );
    }
    let next = Act::LevelRaised {
        level: Level(Level::NEWEST.0 + 1),
    };
    assert!(all[0].propose(next).await.is_err(), "no build speaks that");
    assert_eq!(all[0].size_and_root().0, 1, "nothing was written");
    raise(&all).await;
    let known = &all[0].state().members[&"b".into()];
    assert_eq!(known.address.as_deref(), Some("b.house:7000"));
    assert_eq!(known.store, Some(StoreId::FOUNDING));
}

#[tokio::test(start_paused = true)]
async fn a_ledger_of_a_newer_level_is_refused_and_left_alone() {
    let house = House::new("a b c");
    let mut all = house.start_all().await;
    raise(&all).await;
    for n in 0..20 {
        all[0].propose(act("a", n)).await.unwrap();
    }
    let c = house.stop(all.pop().unwrap()).await;
    let files = || {
        ["leaves", "raft.log", "vote", "applied"]
            .map(|name| std::fs::read(house.dir("c").join(name)).unwrap())
    };
    let before = files();
    let older = LedgerConfig {
        level: Level::FIRST,
        ..house.config("c")
    };
    let refused = house.open(older).await.err().unwrap().to_string();
    assert!(
        refused.contains("the ledger has level 1, and this node speaks level 0 only"),
        "{refused}"
    );
    assert_eq!(files(), before);
    all.push(house.start(&c).await);
    converge(&all, 20).await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_speak_the_ledgers_new_level_stops_with_a_sentence() {
    let house = House::new("a b c");
    let mut all = house.start_all().await;
    size_reaches(&all[2], 1).await;
    let c = house.stop(all.pop().unwrap()).await;
    let older = LedgerConfig {
        level: Level::FIRST,
        ..house.config(&c)
    };
    let older = house.open(older).await.unwrap();
    let level = Level::MEMBERSHIP;
    all[0].propose(Act::LevelRaised { level }).await.unwrap();
    let why = older.stopped().await;
    assert!(why.contains("this node speaks level 0 only"), "{why}");
    house.kill(older).await;
    all.push(house.start(&c).await);
    converge(&all, 0).await;
}

#[tokio::test(start_paused = true)]
async fn founders_wait_for_each_other_and_say_for_whom() {
    let house = House::new("a b c");
    let a = house.start("a").await;
    let waiting = |nodes: &'static str| {
        move |phase: &Phase| match phase {
            Phase::Founding { waiting_for } => {
                *waiting_for
                    == nodes
                        .split_whitespace()
                        .map(NodeId::from)
                        .collect::<Vec<_>>()
            }
            _ => false,
        }
    };
    phase_is(&a, "waiting for b and c", waiting("b c")).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(a.size_and_root().0, 0, "alone it founds nothing");
    let b = house.start("b").await;
    phase_is(&a, "waiting for c", waiting("c")).await;
    // A majority goes ahead after a while; whoever comes later comes as a new replica.
    size_reaches(&b, 1).await;
    let level = Level::MEMBERSHIP;
    a.propose(Act::LevelRaised { level }).await.unwrap();
    let c = house.start("c").await;
    ready(&c).await;
    assert_ne!(c.store_id(), Some(StoreId::FOUNDING));
    let all = [a, b, c];
    converge(&all, 0).await;
    voters(&all, "a b c").await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_address_is_told() {
    let house = House::new("a b c");
    let mut all = house.start_all().await;
    raise(&all).await;
    house.stop(all.remove(2)).await;
    let config = LedgerConfig {
        address: "10.0.0.9:7000".to_owned(),
        ..house.config("c")
    };
    let moved = house.open(config).await.unwrap();
    let mut view = all[0].watch();
    let told = view.wait_for(|view| {
        view.state.members[&"c".into()].address.as_deref() == Some("10.0.0.9:7000")
    });
    within("the new address", told).await.unwrap();
    drop(moved);
}
