mod refused;

use super::*;
use std::collections::BTreeMap;
use wire::Round;

const JOINED: GroupCommitKind = GroupCommitKind::Joined;
const ROTATED: GroupCommitKind = GroupCommitKind::Rotated { round: Round(1) };

fn key(name: &str) -> Arc<SigningKey> {
    let mut seed = [0; 32];
    seed[..name.len()].copy_from_slice(name.as_bytes());
    Arc::new(SigningKey::from_bytes(&seed))
}

fn roster(names: &[&str]) -> Membership {
    let known = |name: &&str| (NodeId::from(*name), key(name).verifying_key().to_bytes());
    Membership::of(Roster::new(names.iter().map(known)))
}

/// `names` are members, `gone` are to be removed.
fn without(names: &[&str], gone: &[&str]) -> Membership {
    let to_remove = gone.iter().copied().map(NodeId::from).collect();
    Membership {
        to_remove,
        ..roster(names)
    }
}

fn removed(nodes: &[&str]) -> GroupCommitKind {
    let nodes = nodes.iter().copied().map(NodeId::from).collect();
    GroupCommitKind::Removed { nodes }
}

fn seed(n: u8) -> [u8; 32] {
    [n; 32]
}

fn join(from: &KeyGroup, name: &str, membership: &Membership, n: u8) -> PendingJoin {
    KeyGroup::external_join(
        &from.group_info().unwrap(),
        &name.into(),
        key(name),
        &membership.roster,
        seed(n),
    )
    .unwrap()
}

/// a, b and c in one group, c having joined last.
fn three() -> (BTreeMap<&'static str, KeyGroup>, Membership) {
    let roster = roster(&["a", "b", "c"]);
    let mut a = KeyGroup::create(b"group", &"a".into(), key("a"), seed(1)).unwrap();
    let b = join(&a, "b", &roster, 2);
    a.process_commit(&b.commit, &"b".into(), &JOINED, &roster)
        .unwrap();
    let mut b = b.group;
    let c = join(&b, "c", &roster, 3);
    a.process_commit(&c.commit, &"c".into(), &JOINED, &roster)
        .unwrap();
    b.process_commit(&c.commit, &"c".into(), &JOINED, &roster)
        .unwrap();
    (BTreeMap::from([("a", a), ("b", b), ("c", c.group)]), roster)
}

fn secrets(group: &KeyGroup) -> EpochSecrets {
    group.secrets(KeyEpoch(9)).unwrap()
}

#[test]
fn three_members_agree_on_every_epoch() {
    let (mut groups, roster) = three();
    let mut seen = vec![secrets(&groups["a"])];
    for committer in ["a", "c", "b"] {
        let commit = groups.get_mut(committer).unwrap().rotate().unwrap();
        for (name, group) in &mut groups {
            if *name == committer {
                group.merge_own_pending().unwrap();
            } else {
                group
                    .process_commit(&commit, &committer.into(), &ROTATED, &roster)
                    .unwrap();
            }
        }
        let now = secrets(&groups["a"]);
        assert_eq!(now, secrets(&groups["b"]));
        assert_eq!(now, secrets(&groups["c"]));
        assert!(!seen.contains(&now), "every commit makes new secrets");
        seen.push(now);
    }
    assert_eq!(
        groups["b"].members(),
        ["a", "b", "c"].map(NodeId::from).into()
    );
}

#[test]
fn link_and_data_secrets_differ_and_are_bound_to_the_key_epoch() {
    let (groups, _) = three();
    let (nine, ten) = (
        secrets(&groups["a"]),
        groups["a"].secrets(KeyEpoch(10)).unwrap(),
    );
    assert_ne!(nine.link, nine.data);
    assert_ne!(nine.link, ten.link);
    assert_ne!(nine.data, ten.data);
}

#[test]
fn a_node_that_lost_its_state_replaces_its_old_leaf() {
    let (mut groups, roster) = three();
    let mut old_c = groups.remove("c").unwrap();
    let again = join(&groups["a"], "c", &roster, 4);
    for group in groups.values_mut() {
        group
            .process_commit(&again.commit, &"c".into(), &JOINED, &roster)
            .unwrap();
        assert_eq!(group.mls.members().count(), 3, "the stale leaf is gone");
    }
    assert_eq!(secrets(&again.group), secrets(&groups["b"]));
    let removed = old_c
        .process_commit(&again.commit, &"c".into(), &JOINED, &roster)
        .unwrap_err();
    assert_eq!(
        removed,
        GroupError::Removed {
            committer: "c".into()
        }
    );
    assert_ne!(secrets(&old_c), secrets(&groups["b"]));
}

#[test]
fn the_loser_of_a_race_clears_its_commit_and_follows_the_winner() {
    let (mut groups, roster) = three();
    let winner = groups.get_mut("a").unwrap().rotate().unwrap();
    let b = groups.get_mut("b").unwrap();
    let loser = b.rotate().unwrap();
    assert!(b.has_pending());
    b.clear_pending().unwrap();
    b.process_commit(&winner, &"a".into(), &ROTATED, &roster)
        .unwrap();
    groups.get_mut("a").unwrap().merge_own_pending().unwrap();
    assert_eq!(secrets(&groups["a"]), secrets(&groups["b"]));
    let stale = groups
        .get_mut("a")
        .unwrap()
        .process_commit(&loser, &"b".into(), &ROTATED, &roster);
    assert!(
        matches!(stale, Err(GroupError::Mls { .. })),
        "its epoch is taken: {stale:?}"
    );
}

#[test]
fn a_group_info_served_while_a_commit_is_pending_is_that_of_the_current_epoch() {
    let (mut groups, roster) = three();
    groups.get_mut("a").unwrap().rotate().unwrap();
    let join = join(&groups["a"], "c", &roster, 5);
    groups
        .get_mut("b")
        .unwrap()
        .process_commit(&join.commit, &"c".into(), &JOINED, &roster)
        .unwrap();
    assert_eq!(secrets(&join.group), secrets(&groups["b"]));
}

#[test]
fn a_joiner_refuses_a_group_with_a_stranger_in_it() {
    let wide = roster(&["a", "b", "mallory"]);
    let mut a = KeyGroup::create(b"group", &"a".into(), key("a"), seed(1)).unwrap();
    let mallory = join(&a, "mallory", &wide, 2);
    a.process_commit(&mallory.commit, &"mallory".into(), &JOINED, &wide)
        .unwrap();
    let info = a.group_info().unwrap();
    let error = KeyGroup::external_join(
        &info,
        &"b".into(),
        key("b"),
        &roster(&["a", "b"]).roster,
        seed(3),
    )
    .err();
    assert_eq!(
        error,
        Some(GroupError::NotInRoster {
            who: "mallory".into()
        })
    );
}

#[test]
fn join_info_round_trips_and_refuses_what_is_too_short_or_too_long() {
    let info = JoinInfo {
        epoch: KeyEpoch(258),
        group_info: vec![1, 2, 3],
    };
    assert_eq!(info.to_bytes(), [0, 0, 0, 0, 0, 0, 1, 2, 1, 2, 3]);
    assert_eq!(JoinInfo::from_bytes(&info.to_bytes()).unwrap(), info);
    assert!(matches!(
        JoinInfo::from_bytes(&[0; 7]),
        Err(GroupError::Malformed { .. })
    ));
    let len = MAX_MESSAGE + 1;
    assert_eq!(
        JoinInfo::from_bytes(&vec![0; len]),
        Err(GroupError::TooLarge { len })
    );
}

/// Also where OpenMLS encrypts on several threads: a commit by one of nine has several recipients.
#[test]
fn equal_seeds_give_equal_bytes() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let run = || {
        let roster = roster(&names);
        let mut groups = vec![KeyGroup::create(b"group", &"a".into(), key("a"), seed(1)).unwrap()];
        let mut bytes = Vec::new();
        for (n, name) in names.iter().enumerate().skip(1) {
            let join = join(&groups[0], name, &roster, n as u8);
            for group in &mut groups {
                group
                    .process_commit(&join.commit, &NodeId::from(*name), &JOINED, &roster)
                    .unwrap();
            }
            groups.push(join.group);
            bytes.push(join.commit);
        }
        bytes.push(groups[0].rotate().unwrap());
        bytes.push(groups[0].group_info().unwrap());
        bytes
    };
    let first = run();
    for _ in 0..5 {
        assert_eq!(run(), first);
    }
}

/// What an adversary with a member's whole memory can do with it.
impl KeyGroup {
    /// Merge a commit with none of the house's own rules asked.
    pub(crate) fn force(&mut self, commit: &[u8]) -> Result<(), GroupError> {
        let message = parse("commit", commit)?
            .try_into_protocol_message()
            .map_err(|error| GroupError::refused("reading the commit", error))?;
        let processed = self
            .mls
            .process_message(&self.provider, message)
            .map_err(|error| GroupError::refused("verifying the commit", error))?;
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            panic!("the ledger holds commits only");
        };
        self.mls
            .merge_staged_commit(&self.provider, *staged)
            .map_err(|error| GroupError::refused("merging the commit", error))
    }

    /// The ratchet tree with the public keys of all its nodes.
    pub(crate) fn tree_bytes(&self) -> Vec<u8> {
        self.mls
            .export_ratchet_tree()
            .tls_serialize_detached()
            .unwrap()
    }

    /// Whatever looks like a key among the pairs of encryption keys that the state holds.
    pub(crate) fn held_keys(&self) -> BTreeSet<Vec<u8>> {
        fn keys(value: &serde_json::Value, into: &mut BTreeSet<Vec<u8>>) {
            if let Ok(bytes) = serde_json::from_value::<Vec<u8>>(value.clone())
                && bytes.len() == 32
            {
                into.insert(bytes);
            }
            match value {
                serde_json::Value::Array(parts) => parts.iter().for_each(|part| keys(part, into)),
                serde_json::Value::Object(parts) => {
                    parts.values().for_each(|part| keys(part, into))
                }
                _ => {}
            }
        }
        let mut found = BTreeSet::new();
        let stored = self.provider.storage().values.read().unwrap();
        for (_, value) in stored
            .iter()
            .filter(|(key, _)| key.starts_with(b"EpochKeyPairs"))
        {
            keys(&serde_json::from_slice(value).unwrap(), &mut found);
        }
        found
    }
}
