use super::*;
use std::fs;

#[tokio::test(start_paused = true)]
async fn the_whole_cluster_restarts_into_its_history() {
    let house = House::new("a b c");
    let mut ledgers = house.start_all().await;
    for n in 0..6 {
        ledgers[0].propose(act("a", n)).await.unwrap();
    }
    for round in 0..3 {
        converge(&ledgers, 0).await;
        let before = ledgers[0].size_and_root();
        for (at, ledger) in ledgers.into_iter().enumerate() {
            // Some leave in order, some fall over.
            if (at + round) % 2 == 0 {
                house.stop(ledger).await
            } else {
                house.kill(ledger).await
            };
        }
        ledgers = house.start_all().await;
        assert_eq!(ledgers[0].size_and_root().0, before.0);
        converge(&ledgers, before.0).await;
        assert_eq!(
            ledgers[0].size_and_root(),
            before,
            "no second genesis, nothing lost"
        );
        ledgers[round]
            .propose(act("b", round as u64))
            .await
            .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn leaves_torn_off_before_they_were_signed_are_applied_again() {
    let mut house = House::new("a");
    house.timings.checkpoint_every = Duration::from_secs(3600);
    let ledger = house.start("a").await;
    size_reaches(&ledger, 1).await;
    checkpointed(&ledger, &house.dir("a")).await;
    for n in 0..5 {
        ledger.propose(act("a", n)).await.unwrap();
    }
    let before = ledger.size_and_root();
    house.kill(ledger).await;
    let path = house.dir("a").join(leaves::LEAVES);
    let whole = fs::read(&path).unwrap();
    let notes = ["signed", "checkpoint"].map(|name| house.dir("a").join(name));
    let signed = notes.clone().map(|path| fs::read(path).unwrap());
    let mut reader = leaves::LeafReader::open(&path).unwrap();
    let (_, _, signed_end) = reader.next().unwrap().unwrap();
    // Cut at every hundredth byte behind the signed leaf, or spoilt there.
    for (step, cut) in (signed_end as usize..whole.len()).step_by(100).enumerate() {
        let mut bytes = whole.clone();
        if step % 2 == 0 {
            bytes.truncate(cut);
        } else {
            bytes[cut] ^= 0x10;
        }
        fs::write(&path, &bytes).unwrap();
        // What the former start signed has not been signed in this one.
        for (path, note) in notes.iter().zip(&signed) {
            fs::write(path, note).unwrap();
        }
        let ledger = house.start("a").await;
        size_reaches(&ledger, before.0).await;
        assert_eq!(ledger.size_and_root(), before, "cut at {cut}");
        house.kill(ledger).await;
        assert_eq!(fs::read(&path).unwrap(), whole, "cut at {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_signed_leaf_that_is_gone_is_refused() {
    let house = House::new("a");
    let ledger = house.start("a").await;
    for n in 0..5 {
        ledger.propose(act("a", n)).await.unwrap();
    }
    house.stop(ledger).await;
    let path = house.dir("a").join(leaves::LEAVES);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let refused = house.try_start("a").await.err().unwrap().to_string();
    assert!(refused.contains("leaves is damaged at byte"), "{refused}");
    assert!(refused.contains("leaf 5 is gone"), "{refused}");
    assert!(
        refused.contains("the cluster's only member") && refused.contains("from a backup"),
        "{refused}"
    );
    let mut bytes = whole.clone();
    bytes[40] ^= 1;
    fs::write(&path, bytes).unwrap();
    let refused = house.try_start("a").await.err().unwrap().to_string();
    assert!(
        refused.contains("leaf 0 is gone") && refused.contains("fails its checksum"),
        "{refused}"
    );
    fs::write(&path, whole).unwrap();
    house.start("a").await;
}

#[tokio::test(start_paused = true)]
async fn another_clusters_directory_is_refused() {
    let house = House::new("a");
    let ledger = house.start("a").await;
    ledger.propose(act("a", 1)).await.unwrap();
    house.stop(ledger).await;
    let config = LedgerConfig {
        cluster: "other".into(),
        ..house.config("a")
    };
    let port = Port {
        me: "a".into(),
        switch: Arc::default(),
    };
    let refused = Ledger::open(config, Arc::new(port))
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        refused.contains("checkpoint does not belong here"),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_away_for_long_gets_a_snapshot() {
    let mut house = House::new("a b c");
    house.compaction = Compaction { every: 20, keep: 5 };
    let all = house.start_all().await;
    raise(&all).await;
    let (leader, mut rest) = leader_and_rest(all).await;
    leader.propose(act("a", 0)).await.unwrap();
    let away = house.kill(rest.remove(0)).await;
    for n in 1..120 {
        leader.propose(act("a", n)).await.unwrap();
    }
    // openraft's leader keeps what it still tries to send; the follower has shortened its log.
    // Once that one leads, entries from the beginning cannot be had any more.
    let heir = rest.remove(0);
    let purged = |ledger: &Ledger| {
        raft(ledger)
            .metrics()
            .borrow()
            .purged
            .map_or(0, |id| id.index)
    };
    assert!(
        purged(&heir) > 50,
        "Raft's log was shortened, up to {}",
        purged(&heir)
    );
    let former = house.kill(leader).await;
    let back = house.start(&away).await;
    let mut view = heir.leader();
    let elected = view.wait_for(|leadership| leadership.leader.as_ref() == Some(heir.me()));
    within(
        "the heir leads: the one that was away lacks entries",
        elected,
    )
    .await
    .unwrap();
    size_reaches(&back, 125).await;
    assert!(
        raft(&back).metrics().borrow().snapshot.is_some(),
        "it came by snapshot"
    );
    let all = [house.start(&former).await, heir, back];
    converge(&all, 125).await;
    all[2].propose(act("b", 1)).await.unwrap();
    converge(&all, 126).await;

    // Restart after a shortened log, on both sides of the snapshot; and every directory proves.
    let mut names = Vec::new();
    for ledger in all {
        names.push(house.stop(ledger).await);
    }
    let again = house.start_all().await;
    again[0].propose(act("c", 1)).await.unwrap();
    converge(&again, 127).await;
    cosigned(&again, 127).await;
    for ledger in again {
        let node = house.stop(ledger).await;
        let report = verify(&house.dir(&node), &VerifyOptions::default()).unwrap();
        assert_eq!(
            report.size, 127,
            "genesis, the level, three introductions, 120 acts, one from b, one from c"
        );
    }
}
