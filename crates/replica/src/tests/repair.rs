//! Damage to any file, in a cluster and alone: healed with the same root, or refused with a
//! sentence; never wrong in silence.

use super::*;
use std::fs;
use std::path::Path;
use tlog::Hash;

const FILES: [&str; 8] = [
    "raft.log",
    "vote",
    "leaves",
    "applied",
    "signed",
    "checkpoint",
    "checkpoint.history",
    "vkey",
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Damage {
    /// One bit at so many thousandths of the file.
    Flip(usize),
    /// The file ends after so many thousandths.
    Cut(usize),
    Garbage,
    Gone,
}

const DAMAGES: [Damage; 8] = [
    Damage::Flip(0),
    Damage::Flip(300),
    Damage::Flip(700),
    Damage::Flip(999),
    Damage::Cut(0),
    Damage::Cut(500),
    Damage::Garbage,
    Damage::Gone,
];

fn damage(path: &Path, how: Damage) {
    let mut bytes = fs::read(path).unwrap();
    let len = bytes.len();
    match how {
        Damage::Flip(at) => bytes[len * at / 1000] ^= 0x20,
        Damage::Cut(at) => bytes.truncate(len * at / 1000),
        Damage::Garbage => bytes
            .iter_mut()
            .for_each(|byte| *byte = byte.wrapping_mul(31) ^ 0x5a),
        Damage::Gone => return fs::remove_file(path).unwrap(),
    }
    fs::write(path, bytes).unwrap();
}

fn aside(house: &House) -> Vec<PathBuf> {
    let all = fs::read_dir(house.root.path()).unwrap();
    let all = all.map(|entry| entry.unwrap().path());
    all.filter(|path| path.to_string_lossy().contains(".damaged-"))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn in_a_cluster_every_damage_heals() {
    let house = House::new("a b c");
    let mut all = house.start_all().await;
    raise(&all).await;
    let mut n = 0;
    for file in FILES {
        for how in DAMAGES {
            n += 1;
            all[0].propose(act("a", n)).await.unwrap();
            converge(&all, 0).await;
            let size = all[0].size_and_root().0;
            cosigned(&all, size).await;
            let victim = all.pop().unwrap();
            let before = victim.store_id();
            let (_, root) = victim.size_and_root();
            // By turns stopped in order and killed.
            let node = if n % 2 == 0 {
                house.kill(victim).await
            } else {
                house.stop(victim).await
            };
            damage(&house.dir(&node).join(file), how);
            let back = house.start(&node).await;
            let what = format!("{file} {how:?}");
            let phase = phase_is(&back, &what, |phase| {
                matches!(phase, Phase::Ready | Phase::Refused(_))
            });
            assert_eq!(phase.await, Phase::Ready, "{what}");
            size_reaches(&back, size).await;
            assert_eq!(
                back.inner()
                    .store
                    .mark_at(size)
                    .map_or(root, |mark| mark.root),
                root,
                "{what}"
            );
            let fresh = back.store_id() != before;
            match (file, how) {
                // Promises that are not kept any more: only as another replica.
                ("raft.log" | "vote", Damage::Gone | Damage::Garbage | Damage::Flip(_))
                | ("vote" | "raft.log", Damage::Cut(0)) => assert!(fresh, "{what}"),
                // Written anew at each start.
                ("vkey", _) => assert!(!fresh, "{what}"),
                _ => {}
            }
            all.push(back);
            converge(&all, 0).await;
            voters(&all, "a b c").await;
        }
    }
    assert!(aside(&house).len() <= 3, "{:?}", aside(&house));
    assert!(!aside(&house).is_empty());
}

#[tokio::test(start_paused = true)]
async fn alone_every_damage_is_refused_or_harmless() {
    let house = House::new("a");
    let ledger = house.start("a").await;
    for n in 0..20 {
        ledger.propose(act("a", n)).await.unwrap();
    }
    let before = ledger.size_and_root();
    house.stop(ledger).await;
    let dir = house.dir("a");
    let saved: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(&dir)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    let mut refusals = 0;
    for file in FILES.iter().copied().chain(["closed"]) {
        for how in DAMAGES {
            damage(&dir.join(file), how);
            match house.try_start("a").await {
                Ok(ledger) => {
                    size_reaches(&ledger, before.0).await;
                    assert_eq!(ledger.size_and_root(), before, "{file} {how:?}");
                    house.kill(ledger).await;
                }
                Err(error) => {
                    let text = error.to_string();
                    assert!(
                        text.contains("ledger directory from a backup"),
                        "{file} {how:?}: {text}"
                    );
                    refusals += 1;
                }
            }
            for (file, bytes) in &saved {
                fs::write(file, bytes).unwrap();
            }
        }
    }
    assert!(refusals > 40, "{refusals}");
    assert!(
        aside(&house).is_empty(),
        "nothing is moved where nothing can be fetched"
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_majority_a_damaged_node_touches_nothing() {
    let house = House::new("a b c");
    let mut all = house.start_all().await;
    raise(&all).await;
    let victim = house.kill(all.pop().unwrap()).await;
    house.kill(all.pop().unwrap()).await;
    let log = house.dir(&victim).join("raft.log");
    damage(&log, Damage::Flip(500));
    let bytes = fs::read(&log).unwrap();
    let back = house.start(&victim).await;
    let repairing = |phase: &Phase| matches!(phase, Phase::Repairing { .. });
    phase_is(&back, "repairing", repairing).await;
    let why = tokio::time::timeout(2 * LIMIT, back.stopped())
        .await
        .unwrap();
    assert!(why.contains("raft.log is damaged at byte"), "{why}");
    assert!(
        why.contains("Of the 2 other members") && why.contains("(b did not answer)"),
        "{why}"
    );
    assert_eq!(fs::read(&log).unwrap(), bytes);
    assert!(aside(&house).is_empty());
    // With the other one back it heals.
    house.stop(back).await;
    house.start("b").await;
    let back = house.start(&victim).await;
    ready(&back).await;
}

#[tokio::test(start_paused = true)]
async fn peers_that_rewrote_history_are_found_out() {
    let house = House::new("a b c");
    let all = house.start_all().await;
    raise(&all).await;
    for n in 0..10 {
        all[0].propose(act("a", n)).await.unwrap();
    }
    let size = all[0].size_and_root().0;
    cosigned(&all, size).await;
    for ledger in all {
        house.stop(ledger).await;
    }
    // The other two make up another history under the same names and keys.
    let forged = House::new("a b c");
    let all = forged.start_all().await;
    raise(&all).await;
    for n in 100..150 {
        all[0].propose(act("a", n)).await.unwrap();
    }
    converge(&all, 0).await;
    for ledger in all {
        forged.stop(ledger).await;
    }
    for node in ["b", "c"] {
        fs::remove_dir_all(house.dir(node)).unwrap();
        fs::rename(forged.dir(node), house.dir(node)).unwrap();
        house.start(node).await;
    }
    damage(&house.dir("a").join("leaves"), Damage::Flip(500));
    let back = house.start("a").await;
    let why = within("refusal", back.stopped()).await;
    assert!(why.contains("but this node signed"), "{why}");
    assert!(why.contains("glasshouse ledger verify"), "{why}");
    // And not at the next start either.
    house.stop(back).await;
    let again = house.try_start("a").await;
    let why = match again {
        Ok(ledger) => within("refusal", ledger.stopped()).await,
        Err(error) => error.to_string(),
    };
    assert!(why.contains("but this node signed"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_log_cut_short_after_an_orderly_stop_is_noticed_at_any_byte() {
    let house = House::new("a");
    let ledger = house.start("a").await;
    for n in 0..5 {
        ledger.propose(act("a", n)).await.unwrap();
    }
    house.stop(ledger).await;
    let path = house.dir("a").join("raft.log");
    let whole = fs::read(&path).unwrap();
    for cut in (0..whole.len()).step_by(37) {
        fs::write(&path, &whole[..cut]).unwrap();
        let refused = house.try_start("a").await.err().unwrap().to_string();
        assert!(refused.contains("raft.log"), "{refused}");
    }
    fs::write(&path, whole).unwrap();
    let ledger = house.start("a").await;
    assert_ne!(ledger.size_and_root().1, Hash([0; 32]));
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_directory_put_back_from_a_backup_is_noticed_and_takes_no_part() {
    let house = House::new("a b c");
    let all = house.start_all().await;
    raise(&all).await;
    let (leader, mut rest) = leader_and_rest(all).await;
    let size = leader.size_and_root().0;
    cosigned(&rest, size).await;
    let backup = house.dir("backup");
    let node = house.stop(rest.remove(0)).await;
    copy(&house.dir(&node), &backup);
    // It goes on, votes, acknowledges and signs; then its disk is put back.
    let ledger = house.start(&node).await;
    ready(&ledger).await;
    for n in 0..3 {
        leader.propose(act("a", n)).await.unwrap();
    }
    let all = [leader, rest.remove(0), ledger];
    let size = all[0].size_and_root().0;
    let signed_by_it = async {
        let mut news = all[0].inner().notary.news();
        let it = NodeId::from(node.as_str());
        let signed = |newest: &Option<notary::Cosigned>| {
            newest.as_ref().is_some_and(|newest| {
                newest.checkpoint.size >= size && newest.signers.contains(&it)
            })
        };
        news.wait_for(signed).await.unwrap();
    };
    within("its signature", signed_by_it).await;
    let [leader, other, ledger] = all;
    house.kill(ledger).await;
    std::fs::remove_dir_all(house.dir(&node)).unwrap();
    copy(&backup, &house.dir(&node));

    let old = house.start(&node).await;
    let why = within("it is noticed", old.stopped()).await;
    assert!(
        why.contains("it is an old copy") && why.contains("Remove the directory"),
        "{why}"
    );
    leader.propose(act("a", 9)).await.unwrap();
    house.stop(old).await;
    // What the sentence says.
    std::fs::remove_dir_all(house.dir(&node)).unwrap();
    let back = house.start(&node).await;
    ready(&back).await;
    assert_ne!(back.store_id(), Some(wire::StoreId::FOUNDING));
    let all = [leader, other, back];
    all[2].propose(act("b", 1)).await.unwrap();
    converge(&all, 0).await;
    voters(&all, "a b c").await;
}
