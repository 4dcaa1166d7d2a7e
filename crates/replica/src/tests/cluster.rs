use super::*;
use futures::future::join_all;
use ledger::Applied;
use wire::{ProposalId, UnixMillis};

#[tokio::test(start_paused = true)]
async fn three_nodes_write_one_history() {
    let house = House::new("a b c");
    let ledgers = house.start_all().await;
    for n in 0..12 {
        let ledger = &ledgers[n % 3];
        let index = ledger.propose(act("a", n as u64)).await.unwrap();
        assert_eq!(index, n as u64 + 1, "the genesis is leaf 0");
        // The proposer reads what it wrote, also where the leader is another node.
        assert_eq!(ledger.state().size, index + 1);
    }
    converge(&ledgers, 13).await;
    let leaves = history(&ledgers[0]).await;
    assert!(
        matches!(&leaves[0].record.act, Act::Genesis { cluster, roster } if cluster == "demo" && roster.len() == 3)
    );
    assert!(leaves.iter().all(|leaf| leaf.applied == Applied::Effective));
    let proposers: BTreeSet<_> = leaves
        .iter()
        .map(|leaf| leaf.record.proposer.clone())
        .collect();
    assert_eq!(proposers.len(), 3, "proposals were forwarded");
    let terms: BTreeSet<_> = ledgers
        .iter()
        .map(|ledger| ledger.leader().borrow().term)
        .collect();
    assert_eq!(terms.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn killing_the_leader_loses_nothing_and_it_comes_back() {
    let house = House::new("a b c");
    let mut ledgers = house.start_all().await;
    let mut acknowledged = BTreeMap::new();
    let mut n = 0;
    for _ in 0..3 {
        for _ in 0..5 {
            n += 1;
            let index = ledgers[n as usize % 3].propose(act("a", n)).await.unwrap();
            acknowledged.insert(index, act("a", n));
        }
        let (leader, rest) = leader_and_rest(ledgers).await;
        let killed = house.kill(leader).await;
        for _ in 0..5 {
            n += 1;
            let index = rest[n as usize % 2].propose(act("b", n)).await.unwrap();
            acknowledged.insert(index, act("b", n));
        }
        ledgers = rest;
        ledgers.push(house.start(&killed).await);
        converge(&ledgers, 0).await;
    }
    let leaves = history(&ledgers[0]).await;
    for (index, act) in acknowledged {
        assert_eq!(
            leaves[index as usize].record.act, act,
            "acknowledged as leaf {index}"
        );
    }
    let effective = leaves
        .iter()
        .filter(|leaf| leaf.applied == Applied::Effective)
        .count();
    assert_eq!(effective as u64, 1 + n, "each act took effect once");
}

#[tokio::test(start_paused = true)]
async fn a_leader_cut_off_stops_leading_and_joins_the_majority_again() {
    let mut house = House::new("a b c");
    house.timings.propose_limit = Duration::from_secs(5);
    let (leader, rest) = leader_and_rest(house.start_all().await).await;
    leader.propose(act("a", 1)).await.unwrap();
    house.isolate(leader.me());

    let mut view = leader.leader();
    within(
        "step down",
        view.wait_for(|leadership| leadership.leader.is_none()),
    )
    .await
    .unwrap();
    let refused = leader.propose(act("a", 2)).await.unwrap_err();
    assert!(
        matches!(refused, ProposeError::TimedOut { .. }),
        "{refused}"
    );
    assert!(
        refused
            .to_string()
            .contains("Is a majority of the nodes up"),
        "{refused}"
    );

    let mut acknowledged = Vec::new();
    for n in 3..9 {
        acknowledged.push((
            rest[n % 2].propose(act("b", n as u64)).await.unwrap(),
            act("b", n as u64),
        ));
    }
    assert!(rest.iter().any(Ledger::leads));
    house.heal();
    leader.propose(act("a", 10)).await.unwrap();
    let all = [&[leader], rest.as_slice()].concat();
    converge(&all, 0).await;
    let leaves = history(&all[0]).await;
    for (index, act) in acknowledged {
        assert_eq!(leaves[index as usize].record.act, act);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_majority_nothing_is_committed_and_later_it_goes_on() {
    let mut house = House::new("a b c");
    house.timings.propose_limit = Duration::from_secs(3);
    let (leader, mut rest) = leader_and_rest(house.start_all().await).await;
    leader.propose(act("a", 1)).await.unwrap();
    let first = house.kill(rest.remove(0)).await;
    let second = house.kill(rest.remove(0)).await;
    let size = leader.size_and_root();
    leader.propose(act("a", 2)).await.unwrap_err();
    assert_eq!(leader.size_and_root(), size);
    let back = [
        leader,
        house.start(&first).await,
        house.start(&second).await,
    ];
    back[1].propose(act("a", 3)).await.unwrap();
    converge(&back, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_proposal_sent_often_counts_once() {
    let house = House::new("a b c");
    let ledgers = house.start_all().await;
    let act = act("a", 1);
    let record = Record {
        id: ProposalId([3; 16]),
        proposer: "a".into(),
        time: UnixMillis(1),
        act,
    };
    // Its proposer sends it through whatever it takes for the leader, several times at once.
    let proposer = &ledgers[0];
    let sent = join_all((0..3).map(|_| proposer.propose_record(record.clone()))).await;
    let indices: BTreeSet<u64> = sent.into_iter().map(Result::unwrap).collect();
    assert_eq!(indices.len(), 1, "all learn of the same leaf: {indices:?}");
    // Long after, too: a proposer that missed the answer asks again.
    let again = proposer.propose_record(record.clone()).await.unwrap();
    assert!(indices.contains(&again));
    // Nobody else may send it.
    let link = Call::Propose(Box::new(record));
    let refused = ledgers[0].serve(&"b".into(), link).await;
    assert!(matches!(refused, Some(Reply::Refused(_))), "{refused:?}");
    converge(&ledgers, 0).await;
    let state = ledgers[0].state();
    assert_eq!(state.ingest[&("a".into(), Source::Mail)].count, 1);
}

#[tokio::test(start_paused = true)]
async fn too_large_an_act_is_refused_before_it_is_sent() {
    let house = House::new("a");
    let ledger = house.start("a").await;
    let reason = "x".repeat(MAX_LEAF);
    let refused = ledger
        .propose(Act::NodeDown {
            node: "a".into(),
            reason,
        })
        .await
        .unwrap_err();
    assert!(matches!(refused, ProposeError::TooLarge { .. }));
}

#[tokio::test(start_paused = true)]
async fn subscribers_fast_slow_and_late_see_the_same() {
    let house = House::new("a");
    let ledger = house.start("a").await;
    size_reaches(&ledger, 1).await;
    let mut slow = ledger.subscribe(0);
    let fast = tokio::spawn({
        let mut fast = ledger.subscribe(0);
        async move {
            let mut seen = Vec::new();
            while seen.len() < 1501 {
                seen.push(fast.next().await.unwrap());
            }
            seen
        }
    });
    // More than is kept in memory, with outcomes that depend on all before.
    for batch in 0..15 {
        let acts = (0..100).map(|n| {
            let incarnation = batch * 100 + n;
            ledger.propose(Act::NodeUp {
                node: "a".into(),
                incarnation: if n % 3 == 0 { 0 } else { incarnation },
            })
        });
        join_all(acts)
            .await
            .into_iter()
            .for_each(|index| assert!(index.is_ok()));
    }
    let fast = within("fast subscriber", fast).await.unwrap();
    assert!(
        fast.iter()
            .any(|leaf| matches!(leaf.applied, Applied::Ignored { .. }))
    );
    let mut late = ledger.subscribe(100);
    for leaf in &fast {
        assert_eq!(slow.ready().unwrap().as_ref(), Some(leaf));
        if leaf.index >= 100 {
            assert_eq!(late.next().await.unwrap(), *leaf);
        }
    }
    assert_eq!(slow.ready().unwrap(), None);
    assert_eq!(late.position(), 1501);
}

#[tokio::test(start_paused = true)]
async fn a_directory_is_open_once() {
    let house = House::new("a");
    let ledger = house.start("a").await;
    let refused = house.try_start("a").await.err().unwrap();
    assert!(matches!(refused, OpenError::InUse(_)), "{refused}");
    ledger.shutdown().await.unwrap();
    house.start("a").await;
}

#[tokio::test(start_paused = true)]
async fn configurations_that_contradict_themselves() {
    let house = House::new("a b");
    let refused = |config: LedgerConfig| async {
        let port = Port {
            me: "a".into(),
            switch: Arc::default(),
        };
        Ledger::open(config, Arc::new(port))
            .await
            .err()
            .unwrap()
            .to_string()
    };
    let config = LedgerConfig {
        identity: house.key(&"b".into()),
        ..house.config("a")
    };
    assert!(refused(config).await.contains("another identity key for a"));
    let mut config = house.config("a");
    config.founders.push(config.founders[0].clone());
    assert!(refused(config).await.contains("name a member twice"));
    let config = LedgerConfig {
        cluster: "two words".into(),
        ..house.config("a")
    };
    assert!(refused(config).await.contains("cannot name a key"));
    let timings = Timings {
        election_min: Duration::from_millis(100),
        ..Timings::default()
    };
    refused(LedgerConfig {
        timings,
        ..house.config("a")
    })
    .await;
}

/// As in production: a runtime with several threads and the real clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fails_over_in_real_time() {
    let house = House::new("a b c");
    let ledgers = house.start_all().await;
    for n in 0..20 {
        ledgers[n % 3].propose(act("a", n as u64)).await.unwrap();
    }
    let start = std::time::Instant::now();
    for n in 20..40 {
        ledgers[n % 3].propose(act("a", n as u64)).await.unwrap();
    }
    let commit = start.elapsed() / 20;
    let (leader, rest) = leader_and_rest(ledgers).await;
    let start = std::time::Instant::now();
    let killed = house.kill(leader).await;
    rest[0].propose(act("b", 1)).await.unwrap();
    println!(
        "one act committed from any node: {commit:?}; next one after the leader's death: {:?}",
        start.elapsed()
    );
    let back = house.start(&killed).await;
    converge(&[&[back], rest.as_slice()].concat(), 42).await;
}
