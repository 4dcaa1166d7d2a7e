//! What a majority stands for, and what nobody signs.

use super::*;
use ed25519_dalek::VerifyingKey;
use tlog::{Checkpoint, Hash, InclusionProof, NoteSigner, NoteVerifier};

fn keys(house: &House, nodes: &[&str]) -> Vec<NoteVerifier> {
    let name = origin("demo").unwrap();
    let key = |node: &&str| house.key(&(*node).into()).verifying_key();
    nodes
        .iter()
        .map(|node| NoteVerifier::new(name.clone(), key(node)))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_majority_stands_for_every_checkpoint() {
    let house = House::new("a b c");
    let ledgers = house.start_all().await;
    size_reaches(&ledgers[0], 1).await;
    assert_eq!(
        ledgers[0].cosigned(),
        None,
        "before level 1 each signs alone"
    );
    raise(&ledgers).await;
    let leaf = ledgers[0].propose(act("a", 1)).await.unwrap();
    cosigned(&ledgers, leaf + 1).await;
    for ledger in &ledgers {
        let (size, signers) = ledger.cosigned().unwrap();
        assert!(size > leaf && signers.len() >= 2, "{signers:?}");
        let report = verify(&house.dir(ledger.me().as_str()), &VerifyOptions::default()).unwrap();
        assert_eq!(report.signed_by, signers);
        assert_eq!(report.signed_by.len() + report.missing.len(), 3);
        assert!(
            report
                .to_string()
                .contains(&format!("{} of 3 members", signers.len()))
        );
    }
    // It outlives the node.
    let before = ledgers[1].cosigned();
    let node = house.kill(ledgers[1].clone()).await;
    let back = house.start(&node).await;
    cosigned(std::slice::from_ref(&back), leaf + 1).await;
    assert!(back.cosigned() >= before);
}

#[tokio::test(start_paused = true)]
async fn without_a_majority_nobody_stands_for_anything() {
    let house = House::new("a b c");
    let all = house.start_all().await;
    raise(&all).await;
    let size = all[0].size_and_root().0;
    cosigned(&all, size).await;
    let (leader, rest) = leader_and_rest(all).await;
    let signed = leader.cosigned();
    // The note needs a majority of all members, not of those that are linked.
    for ledger in rest {
        house.kill(ledger).await;
    }
    let _ = leader.propose(act("a", 1)).await.unwrap_err();
    assert_eq!(leader.cosigned(), signed);
}

#[tokio::test(start_paused = true)]
async fn verification_counts_members_and_says_who_is_missing() {
    let house = House::new("a b c");
    let ledgers = house.start_all().await;
    raise(&ledgers).await;
    let size = ledgers[0].size_and_root().0;
    cosigned(&ledgers, size).await;
    let dir = house.dir("a");
    for ledger in ledgers {
        house.kill(ledger).await;
    }
    let trust = |nodes: &[&str]| VerifyOptions {
        trusted: keys(&house, nodes),
    };
    assert!(
        !verify(&dir, &trust(&["a", "b", "c"]))
            .unwrap()
            .keys_from_log
    );
    assert!(verify(&dir, &trust(&["stranger"])).is_err());
    // The same checkpoint with one signature, however often the same member gives it.
    let note = notes::read_unverified(&dir, "checkpoint").unwrap().unwrap();
    let (name, key) = (origin("demo").unwrap(), house.key(&"b".into()));
    let signer = NoteSigner::new(&name, &key);
    let mut alone = note.checkpoint.sign(&[signer]).unwrap();
    let line = signer.cosignature_line(alone.text(), 5).unwrap();
    alone.add_line(&line).unwrap();
    std::fs::write(dir.join("checkpoint"), alone.encode()).unwrap();
    let refused = verify(&dir, &VerifyOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("signed by 1 of 3 members; a majority is 2. Missing: a, c."),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_member_signs_only_what_its_own_log_leads_to() {
    let house = House::new("a b c");
    let all = house.start_all().await;
    raise(&all).await;
    let (leader, rest) = leader_and_rest(all).await;
    let size = leader.size_and_root().0;
    cosigned(std::slice::from_ref(&leader), size).await;
    let (name, key) = (origin("demo").unwrap(), house.key(leader.me()));
    let ask = async |checkpoint: Checkpoint, from: &NodeId| {
        let note = checkpoint
            .sign(&[NoteSigner::new(&name, &key)])
            .unwrap()
            .encode();
        match rest[0].serve(from, Call::Cosign { note }).await {
            Some(Reply::Cosigned(line)) => Ok(line),
            Some(Reply::Refused(why)) => Err(why),
            other => panic!("{other:?}"),
        }
    };
    let (size, root) = leader.size_and_root();
    let good = Checkpoint {
        origin: name.clone(),
        size,
        root,
    };
    ask(good.clone(), leader.me()).await.unwrap();
    let fork = Checkpoint {
        root: Hash([7; 32]),
        ..good.clone()
    };
    assert!(
        ask(fork, leader.me())
            .await
            .unwrap_err()
            .contains("the log has forked")
    );
    let ahead = Checkpoint {
        size: size + 9,
        ..good.clone()
    };
    assert!(
        ask(ahead, leader.me())
            .await
            .unwrap_err()
            .contains("does not remember")
    );
    let other = Checkpoint {
        origin: origin("other").unwrap(),
        ..good.clone()
    };
    assert!(
        ask(other, leader.me())
            .await
            .unwrap_err()
            .contains("expected was")
    );
    // Signed by the leader, sent by somebody else; and asked for by nobody we know.
    assert!(
        ask(good.clone(), rest[1].me())
            .await
            .unwrap_err()
            .contains("none of the trusted keys")
    );
    assert!(ask(good, &"x".into()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_admission_proves_itself_to_who_knows_the_founders() {
    let house = House::new("a b c");
    let ledgers = house.start_all().await;
    raise(&ledgers).await;
    let leaf = membership::admit(&house, &ledgers[0], "d").await;
    let refused = ledgers[1].admission(&"a".into(), LIMIT).await.unwrap_err();
    assert!(matches!(refused, AdmissionError::Founder(_)), "{refused}");
    let refused = ledgers[1].admission(&"x".into(), LIMIT).await.unwrap_err();
    assert!(matches!(refused, AdmissionError::NoMember(_)), "{refused}");
    for ledger in &ledgers {
        size_reaches(ledger, leaf + 1).await;
        let admission = ledger.admission(&"d".into(), LIMIT).await.unwrap();
        // As a link does it: with the keys of the members it knows, and nothing else.
        let (checkpoint, signers) =
            Checkpoint::open(admission.note.as_bytes(), &keys(&house, &["a", "b", "c"]))
                .map(|(checkpoint, signers)| (checkpoint, signers.len()))
                .unwrap();
        assert!(signers >= 2);
        let proof = InclusionProof {
            index: admission.index,
            size: checkpoint.size,
            path: admission.path.into_iter().map(Hash).collect(),
        };
        proof.verify(&admission.leaf, &checkpoint.root).unwrap();
        let record: Record = wire::decode(&admission.leaf).unwrap();
        assert!(matches!(record.act, Act::Admitted { node, .. } if node == "d".into()));
    }
    let expected: [u8; 32] = house.key(&"d".into()).verifying_key().to_bytes();
    assert_eq!(ledgers[0].state().members[&"d".into()].identity, expected);
    assert!(VerifyingKey::from_bytes(&expected).is_ok());
}
