//! Many acts in one entry of Raft's log.

use super::leaves::{LEAVES, LeafReader};
use super::*;
use futures::future::join_all;
use std::fs;

async fn burst(ledger: &Ledger, from: u64, count: u64) -> Vec<u64> {
    let sent = join_all((from..from + count).map(|n| ledger.propose(act("a", n)))).await;
    sent.into_iter().map(Result::unwrap).collect()
}

fn last_index(ledger: &Ledger) -> u64 {
    raft(ledger).metrics().borrow().last_log_index.unwrap()
}

#[tokio::test(start_paused = true)]
async fn proposals_share_entries_and_each_learns_its_leaf() {
    let house = House::new("a b c");
    let (leader, rest) = leader_and_rest(house.start_all().await).await;
    leader.propose(act("a", 0)).await.unwrap();

    // Level 0: one act an entry, as the first release reads them.
    let before = last_index(&leader);
    burst(&leader, 1, 100).await;
    assert_eq!(last_index(&leader) - before, 100);
    let all = [std::slice::from_ref(&leader), rest.as_slice()].concat();
    raise(&all).await;

    let before = last_index(&leader);
    let leaves = burst(&leader, 101, 1000).await;
    let entries = last_index(&leader) - before;
    assert!(entries < 100, "1000 acts took {entries} entries");
    let distinct: BTreeSet<u64> = leaves.iter().copied().collect();
    assert_eq!(distinct.len(), 1000);
    converge(&all, 0).await;
    let written = history(&all[1]).await;
    for (n, leaf) in (101..).zip(leaves) {
        assert_eq!(
            written[leaf as usize].record.act,
            act("a", n),
            "leaf {leaf}"
        );
    }
    // From everywhere, and again after a restart of all.
    for (at, ledger) in (1..).zip(&all) {
        burst(ledger, 2000 * at, 200).await;
    }
    converge(&all, 0).await;
    let before = all[0].size_and_root();
    for ledger in all {
        house.kill(ledger).await;
    }
    let again = house.start_all().await;
    converge(&again, before.0).await;
    assert_eq!(again[0].size_and_root(), before);
}

#[tokio::test(start_paused = true)]
async fn an_entry_torn_in_the_leaves_goes_as_a_whole_and_comes_again() {
    let mut house = House::new("a");
    house.timings.checkpoint_every = Duration::from_secs(3600);
    let ledger = house.start("a").await;
    raise(std::slice::from_ref(&ledger)).await;
    let leaves = burst(&ledger, 0, 40).await;
    let before = ledger.size_and_root();
    house.kill(ledger).await;
    let dir = house.dir("a");
    let path = dir.join(LEAVES);
    let saved: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(&dir)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    let mut reader = LeafReader::open(&path).unwrap();
    let mut ends = Vec::new();
    while let Ok((leaf, _, end)) = reader.next().unwrap() {
        ends.push((leaf.log_id.index, end));
    }
    let shared = ends
        .windows(2)
        .filter(|pair| pair[0].0 == pair[1].0)
        .count();
    assert!(shared > 20, "the burst shares entries: {ends:?}");
    let whole = fs::read(&path).unwrap();
    for at in leaves[3] as usize..ends.len() {
        for (file, bytes) in &saved {
            fs::write(file, bytes).unwrap();
        }
        let _ = fs::remove_file(dir.join("closed"));
        // Between two leaves of one entry, and within one.
        let cut = ends[at - 1].1 + (at as u64 % 2) * 7;
        fs::write(&path, &whole[..cut as usize]).unwrap();
        let mut reader = LeafReader::open(&path).unwrap();
        let mut last = 0;
        while let Ok((leaf, _, _)) = reader.next().unwrap() {
            last = leaf.log_id.index;
        }
        let next = ends.iter().find(|(index, _)| *index > last).unwrap();
        let first_of_next = ends.iter().position(|entry| entry.0 == next.0).unwrap();
        assert!(ends[first_of_next - 1].1 <= cut, "whole entries only");
        let ledger = house.start("a").await;
        size_reaches(&ledger, before.0).await;
        assert_eq!(ledger.size_and_root(), before, "cut at {cut}");
        house.kill(ledger).await;
    }
}
