//! What a node that was thrown out can still do with everything it ever had: its live state, its
//! identity key, every group message before and after, the GroupInfo of today, every sealed sample.

use super::super::*;
use super::world::{World, key, name};
use crate::{Grace, Keyring, OpenError, Place, Sealer};
use ledger::Applied;
use std::collections::BTreeSet;
use wire::Act;

const PLACE: Place<'static> = Place {
    topic: "readings",
    partition: "cellar",
    key: "pump-1",
};

/// The group goes on for some epochs after n2 has gone. Its live group state is kept aside.
fn gone(go: fn(&mut World, usize)) -> (World, KeyGroup, KeyEpoch) {
    let mut world = World::new(4);
    assert!(world.settle(100), "{}", world.describe());
    let keys = world.nodes[2].custodian.group.take().expect("a member");
    let last = world.epoch();
    go(&mut world, 2);
    assert!(world.settle(20), "{}", world.describe());
    for _ in 0..3 {
        world.close_round();
        assert!(world.settle(20), "{}", world.describe());
    }
    assert_eq!(world.epoch(), KeyEpoch(last.0 + 4));
    (world, keys, last)
}

/// The winning commits after `since`, as they stand on the ledger.
fn commits(world: &World, since: KeyEpoch) -> Vec<(KeyEpoch, NodeId, GroupCommitKind, Vec<u8>)> {
    let leaves = world.log.leaves.iter();
    leaves
        .filter(|leaf| leaf.applied == Applied::Effective)
        .filter_map(|leaf| match &leaf.record.act {
            Act::GroupCommit {
                epoch,
                committer,
                kind,
                commit,
            } if *epoch > since => Some((*epoch, committer.clone(), kind.clone(), commit.clone())),
            _ => None,
        })
        .collect()
}

/// It still believes that everybody belongs to the group, and nobody has to be removed.
fn as_it_was() -> Membership {
    Membership::of(super::world::roster(4))
}

/// Neither what it derives from its state nor from the messages is a secret of a later epoch.
fn nothing_fits(world: &World, keys: &KeyGroup, last: KeyEpoch) {
    for epoch in last.0..=world.epoch().0 {
        // Exported under every number, so that only the secret itself decides.
        let Ok(theirs) = keys.secrets(KeyEpoch(epoch)) else {
            continue;
        };
        let real = &world.secrets[&KeyEpoch(epoch)];
        assert_eq!(theirs == *real, epoch == last.0, "key epoch {epoch}");
        let mut sealer = Sealer::new(name(0), [7; 16]).unwrap();
        let sealed = sealer.seal(Some(real), &PLACE, b"21.5 C").unwrap();
        let mut ring = Keyring::new(Grace {
            epochs: 8,
            time: Duration::from_secs(3600),
        });
        ring.start(Instant::ZERO, theirs);
        let opened = ring.open(Instant::ZERO, &PLACE, &sealed);
        if epoch == last.0 {
            assert_eq!(opened.unwrap().plaintext, b"21.5 C", "the test can tell");
        } else {
            let refused = OpenError::Tampered {
                epoch: KeyEpoch(epoch),
                writer: name(0),
            };
            assert_eq!(opened, Err(refused));
        }
    }
}

#[test]
fn it_cannot_follow_the_group_by_any_commit() {
    for go in [World::evict, World::leave] {
        let (world, mut keys, last) = gone(go);
        nothing_fits(&world, &keys, last);
        for (epoch, committer, kind, commit) in commits(&world, last) {
            let mut belief = as_it_was();
            if let GroupCommitKind::Removed { nodes } = &kind {
                belief.to_remove = nodes.iter().cloned().collect();
            }
            let refused = keys.process_commit(&commit, &committer, &kind, &belief);
            assert!(refused.is_err(), "key epoch {epoch}");
            nothing_fits(&world, &keys, last);
        }
        // Nor with the house's own rules switched off.
        for (epoch, _, _, commit) in commits(&world, last) {
            let moved = keys.force(&commit);
            assert!(
                moved.is_err() || keys.secrets(epoch).is_err(),
                "key epoch {epoch}"
            );
            nothing_fits(&world, &keys, last);
        }
    }
}

/// The reason for it: what the removal's new secrets are encrypted to is nothing it has a key of.
#[test]
fn the_tree_after_its_removal_holds_no_key_it_knows() {
    let (world, keys, last) = gone(World::evict);
    let before = keys.tree_bytes();
    let held = keys.held_keys();
    let known = |tree: &[u8]| -> BTreeSet<Vec<u8>> {
        held.iter()
            .filter(|public| tree.windows(public.len()).any(|part| part == &public[..]))
            .cloned()
            .collect()
    };
    assert!(known(&before).len() >= 2, "its leaf and nodes above it");
    let group = world.nodes[0].custodian.group.as_ref().unwrap();
    assert_eq!(known(&group.tree_bytes()), BTreeSet::new());
    assert_eq!(world.epoch(), KeyEpoch(last.0 + 4));
}

#[test]
fn it_cannot_come_back_by_external_commit() {
    let (mut world, _, _) = gone(World::evict);
    let info = JoinInfo::from_bytes(&world.nodes[0].serves.clone().unwrap()).unwrap();
    let join = KeyGroup::external_join(
        &info.group_info,
        &name(2),
        Arc::new(key(2)),
        &super::world::roster(4),
        [9; 32],
    )
    .expect("the group's own rules would let it in");
    let act = |committer| Act::GroupCommit {
        epoch: info.epoch.next(),
        committer,
        kind: GroupCommitKind::Joined,
        commit: join.commit.clone(),
    };
    // In its own name it comes to nothing on the ledger, whoever proposes it.
    for proposer in [2, 1] {
        let applied = world.log.append(&name(proposer), act(name(2)));
        assert!(matches!(applied, Applied::Ignored { .. }), "{applied:?}");
    }
    // In the name of a member that helps it the epoch is lost, but nobody lets it in.
    let helped = world.log.append(&name(1), act(name(1)));
    assert_eq!(helped, Applied::Effective);
    for n in [0, 1, 3] {
        world.catch_up(n);
        let node = &world.nodes[n];
        assert!(!node.custodian.in_group(), "n{n} leaves rather than follow");
        let note = node.notes.last().expect("it says why");
        assert!(note.contains("n2 is not in the roster"), "{note}");
    }
    let theirs = join.group.secrets(info.epoch.next()).unwrap();
    assert!(world.settle(100), "{}", world.describe());
    assert!(world.secrets.values().all(|secrets| *secrets != theirs));
    assert_eq!(world.nodes[0].custodian.members(), world.members());
}
