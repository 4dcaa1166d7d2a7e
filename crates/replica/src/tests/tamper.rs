//! No byte of a ledger directory can be altered unseen.

use super::leaves::{LEAVES, LeafReader, StoredLeaf};
use super::*;
use std::fs;
use std::path::Path;
use tlog::{Checkpoint, Hash, NoteSigner, NoteVerifier};

/// A closed directory with several leaves and earlier checkpoints.
async fn closed(acts: u64) -> (House, PathBuf) {
    let house = House::new("a");
    let ledger = house.start("a").await;
    let dir = house.dir("a");
    for n in 0..acts {
        ledger.propose(act("a", n)).await.unwrap();
        checkpointed(&ledger, &dir).await;
    }
    house.stop(ledger).await;
    (house, dir)
}

fn proves(dir: &Path) -> Result<VerifyReport, VerifyError> {
    verify(dir, &VerifyOptions::default())
}

/// Writes leaves with right checksums: what someone who knows the format would do.
fn forge(dir: &Path, change: impl FnOnce(&mut Vec<StoredLeaf>)) {
    let path = dir.join(LEAVES);
    let mut reader = LeafReader::open(&path).unwrap();
    let mut all = Vec::new();
    while let Ok((leaf, _, _)) = reader.next().unwrap() {
        all.push(leaf);
    }
    change(&mut all);
    let mut bytes = Vec::new();
    for leaf in all {
        let offset = bytes.len() as u64;
        frames::encode(offset, &wire::encode(&leaf), &mut bytes);
    }
    fs::write(path, bytes).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_closed_directory_proves() {
    let (_house, dir) = closed(7).await;
    let report = proves(&dir).unwrap();
    assert_eq!(
        (
            report.size,
            report.included,
            report.unsigned,
            report.unfinished_bytes
        ),
        (8, 8, 0, 0)
    );
    assert!(report.consistent_with >= 7, "{}", report.consistent_with);
    assert!(report.keys_from_log);
    assert_eq!(report.tally.effective, 8);
    let text = report.to_string();
    assert!(
        text.contains("glasshouse/demo") && text.contains("8 effective"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn every_flipped_byte_of_every_file_is_noticed() {
    let (_house, dir) = closed(2).await;
    proves(&dir).unwrap();
    let mut flipped = 0;
    for file in fs::read_dir(&dir).unwrap() {
        let path = file.unwrap().path();
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, &bytes).unwrap();
            let found = proves(&dir);
            assert!(
                found.is_err(),
                "{} byte {at}: {:?} became {:?}",
                path.display(),
                whole[at],
                bytes[at]
            );
            flipped += 1;
        }
        fs::write(&path, whole).unwrap();
    }
    assert!(flipped > 1500, "only {flipped} bytes");
    proves(&dir).unwrap();
}

#[tokio::test(start_paused = true)]
async fn forged_leaves_do_not_lead_to_the_signed_root() {
    let (_house, dir) = closed(4).await;
    let whole = fs::read(dir.join(LEAVES)).unwrap();
    let refused = |change: &dyn Fn(&mut Vec<StoredLeaf>)| {
        forge(&dir, |all| change(all));
        let text = proves(&dir).unwrap_err().to_string();
        fs::write(dir.join(LEAVES), &whole).unwrap();
        text
    };
    let altered = refused(&|all| {
        let mut record: Record = wire::decode(&all[2].bytes).unwrap();
        record.act = act("a", 99);
        all[2].bytes = wire::encode(&record);
    });
    assert!(
        altered.contains("a leaf was altered, added or removed after signing"),
        "{altered}"
    );
    refused(&|all| all.swap(2, 3));
    refused(&|all| {
        all.remove(2);
    });
    refused(&|all| {
        let copy = all[2].clone();
        all.insert(2, copy);
    });
    let cut = refused(&|all| {
        all.pop();
    });
    assert!(cut.contains("too few leaves"), "{cut}");
    // One more at the end is not yet signed, and reported as such.
    forge(&dir, |all| {
        let copy = all[2].clone();
        all.push(copy);
    });
    assert_eq!(proves(&dir).unwrap().unsigned, 1);
}

#[tokio::test(start_paused = true)]
async fn keys_count_only_if_trusted_and_of_the_cluster() {
    let (house, dir) = closed(2).await;
    let origin = origin("demo").unwrap();
    let own = NoteVerifier::new(origin.clone(), house.key(&"a".into()).verifying_key());
    let stranger = house.key(&"stranger".into());
    let foreign = NoteVerifier::new(origin.clone(), stranger.verifying_key());
    let with = |key: &NoteVerifier| {
        verify(
            &dir,
            &VerifyOptions {
                trusted: vec![key.clone()],
            },
        )
    };
    assert!(!with(&own).unwrap().keys_from_log);
    let refused = with(&foreign).unwrap_err().to_string();
    assert!(
        refused.contains("none of the trusted keys signed"),
        "{refused}"
    );

    // The whole directory signed anew by somebody else: consistent in itself, but not a member.
    let (signed, _) = Checkpoint::open(&fs::read(dir.join("checkpoint")).unwrap(), &[own]).unwrap();
    let note = signed
        .sign(&[NoteSigner::new(&origin, &stranger)])
        .unwrap()
        .encode();
    fs::write(dir.join("checkpoint"), note).unwrap();
    fs::write(dir.join("vkey"), format!("{foreign}\n")).unwrap();
    fs::remove_file(dir.join("checkpoint.history")).unwrap();
    fs::remove_file(dir.join("signed")).unwrap();
    let refused = proves(&dir).unwrap_err().to_string();
    assert!(
        refused.contains("none of the trusted keys signed"),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_log_that_does_not_continue_an_earlier_checkpoint_is_refused() {
    let (house, dir) = closed(3).await;
    let origin = origin("demo").unwrap();
    let key = house.key(&"a".into());
    let forked = Checkpoint {
        origin: origin.clone(),
        size: 2,
        root: Hash([7; 32]),
    };
    let note = forked
        .sign(&[NoteSigner::new(&origin, &key)])
        .unwrap()
        .encode();
    let mut frame = Vec::new();
    frames::encode(0, note.as_bytes(), &mut frame);
    fs::write(dir.join("checkpoint.history"), frame).unwrap();
    let refused = proves(&dir).unwrap_err();
    assert!(
        matches!(
            refused,
            VerifyError::Consistency {
                number: 0,
                size: 2,
                ..
            }
        ),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_running_node_proves_at_any_moment() {
    let house = House::new("a");
    let ledger = house.start("a").await;
    let dir = house.dir("a");
    size_reaches(&ledger, 1).await;
    checkpointed(&ledger, &dir).await;
    for n in 0..40 {
        ledger.propose(act("a", n)).await.unwrap();
        let report = proves(&dir).unwrap();
        assert_eq!(report.size + report.unsigned, n + 2);
    }
    let (size, root) = ledger.size_and_root();
    checkpointed(&ledger, &dir).await;
    let report = proves(&dir).unwrap();
    assert_eq!((report.size, report.root), (size, root));
    // A write under way looks like this from outside.
    let mut bytes = fs::read(dir.join(LEAVES)).unwrap();
    let unfinished = bytes[..30].to_vec();
    bytes.extend_from_slice(&unfinished[..9]);
    fs::write(dir.join(LEAVES), bytes).unwrap();
    assert_eq!(proves(&dir).unwrap().unfinished_bytes, 9);
}

#[tokio::test(start_paused = true)]
async fn inclusion_proofs_for_people() {
    let (_house, dir) = closed(6).await;
    for leaf in 0..7 {
        let report = inclusion(&dir, leaf, &VerifyOptions::default()).unwrap();
        report
            .proof
            .verify(&report.leaf, &report.checkpoint.root)
            .unwrap();
        let text = report.to_string();
        assert!(text.starts_with(&format!("leaf {leaf} of 7\n")), "{text}");
        assert!(text.contains("\u{2014} glasshouse/demo "), "{text}");
    }
    let refused = inclusion(&dir, 7, &VerifyOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("leaf 7 is not in a tree of 7 leaves"),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_history_of_checkpoints_is_bounded() {
    let dir = tempfile::TempDir::new().unwrap();
    let (origin, key) = (origin("demo").unwrap(), SigningKey::from_bytes(&[1; 32]));
    let verifier = NoteSigner::new(&origin, &key).verifier();
    let note = |size| {
        let checkpoint = Checkpoint {
            origin: origin.clone(),
            size,
            root: Hash([0; 32]),
        };
        checkpoint
            .sign(&[NoteSigner::new(&origin, &key)])
            .unwrap()
            .encode()
    };
    let mut writer = notes::NoteWriter::open(dir.path(), &verifier).unwrap();
    for size in 0..3 * notes::HISTORY_KEPT as u64 + 7 {
        writer.save_checkpoint(&note(size)).unwrap();
    }
    drop(writer);
    let (kept, _) = notes::read_history(dir.path()).unwrap();
    assert!(kept.len() <= 2 * notes::HISTORY_KEPT && kept.len() >= notes::HISTORY_KEPT);
    let trusted = [verifier.clone()];
    let (newest, _) = Checkpoint::open(kept.last().unwrap(), &trusted).unwrap();
    assert_eq!(newest.size, 3 * notes::HISTORY_KEPT as u64 + 6);
    // And it goes on where it ended.
    let mut writer = notes::NoteWriter::open(dir.path(), &verifier).unwrap();
    writer.save_checkpoint(&note(10_000)).unwrap();
    let (after, _) = notes::read_history(dir.path()).unwrap();
    assert_eq!(after.len(), kept.len() + 1);
}
