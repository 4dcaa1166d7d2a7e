//! Commits that the group's members must refuse; each leaves the group where it was.

use super::*;

type Groups = BTreeMap<&'static str, KeyGroup>;

struct Case {
    what: &'static str,
    /// The commit and who is said to have made it.
    forge: fn(&mut Groups) -> (Vec<u8>, &'static str),
    kind: GroupCommitKind,
    membership: Membership,
    expected: &'static str,
}

const ALL: [&str; 3] = ["a", "b", "c"];

/// `by` removes `who`, allowed or not.
fn remove(groups: &mut Groups, by: &str, who: &[&str]) -> Vec<u8> {
    let nodes = who.iter().copied().map(NodeId::from).collect();
    groups.get_mut(by).unwrap().remove(&nodes).unwrap()
}

fn rotate(groups: &mut Groups, by: &str) -> Vec<u8> {
    groups.get_mut(by).unwrap().rotate().unwrap()
}

fn cases() -> Vec<Case> {
    vec![
        Case {
            what: "a stranger joins",
            forge: |groups| {
                let open = roster(&["a", "b", "c", "mallory"]);
                (join(&groups["a"], "mallory", &open, 8).commit, "mallory")
            },
            kind: JOINED,
            membership: roster(&ALL),
            expected: "mallory is not in the roster",
        },
        Case {
            what: "a known name under another key",
            forge: |groups| {
                let info = groups["a"].group_info().unwrap();
                let identity = Identity {
                    node: "b".into(),
                    key: key("mallory"),
                };
                // Let it know itself by the forged key: its own check would stop it otherwise.
                let forged = ["a", "b", "c"].map(|name| {
                    let whose = if name == "b" { "mallory" } else { name };
                    (NodeId::from(name), key(whose).verifying_key().to_bytes())
                });
                let forged = Roster::new(forged);
                let error =
                    KeyGroup::external_join_with(&info, identity, &forged, Drbg::new([9; 32]))
                        .err()
                        .expect("two leaves of one name, one of them under the key of old");
                assert!(matches!(error, GroupError::NotInRoster { .. }));
                let alone = KeyGroup::create(b"group", &"b".into(), key("mallory"), [9; 32]);
                (alone.unwrap().rotate().unwrap(), "b")
            },
            kind: ROTATED,
            membership: roster(&ALL),
            expected: "refused by the group's rules",
        },
        Case {
            what: "one member in another's name",
            forge: |groups| (rotate(groups, "b"), "c"),
            kind: ROTATED,
            membership: roster(&ALL),
            expected: "proposed for c but signed by b",
        },
        Case {
            what: "a removal that stands as a rotation",
            forge: |groups| (remove(groups, "b", &["c"]), "b"),
            kind: ROTATED,
            membership: without(&["a", "b"], &["c"]),
            expected: "more than it may (removal of c)",
        },
        Case {
            what: "a removal of a member",
            forge: |groups| (remove(groups, "b", &["c"]), "b"),
            kind: removed(&["c"]),
            membership: roster(&ALL),
            expected: "more than it may (removal of [c], where",
        },
        Case {
            what: "a removal of a member beside one that has to go",
            forge: |groups| {
                let open = roster(&["a", "b", "c", "d"]);
                let d = join(&groups["a"], "d", &open, 8);
                for group in groups.values_mut() {
                    let followed = group.process_commit(&d.commit, &"d".into(), &JOINED, &open);
                    followed.unwrap();
                }
                (remove(groups, "b", &["c", "d"]), "b")
            },
            kind: removed(&["d"]),
            membership: without(&ALL, &["d"]),
            expected: "more than it may (removal of c)",
        },
        Case {
            what: "a removal that removes nobody",
            forge: |groups| (rotate(groups, "b"), "b"),
            kind: removed(&["c"]),
            membership: without(&["a", "b"], &["c"]),
            expected: "leaves c in the group",
        },
        Case {
            what: "a removal by the one that has to go",
            forge: |groups| (rotate(groups, "c"), "c"),
            kind: removed(&["c"]),
            membership: without(&["a", "b"], &["c"]),
            expected: "c is not in the roster",
        },
        Case {
            what: "a removal of the reader itself",
            forge: |groups| (remove(groups, "b", &["a"]), "b"),
            kind: removed(&["a"]),
            membership: without(&["b", "c"], &["a"]),
            expected: "removed this node's leaf",
        },
        Case {
            what: "a rotation that stands as a join",
            forge: |groups| (rotate(groups, "b"), "b"),
            kind: JOINED,
            membership: roster(&ALL),
            expected: "stands on the ledger as a join but is a change by a member",
        },
        Case {
            what: "a join that stands as a removal",
            forge: |groups| (join(&groups["a"], "b", &roster(&ALL), 8).commit, "b"),
            kind: removed(&["c"]),
            membership: without(&["a", "b"], &["c"]),
            expected: "stands on the ledger as a removal but is a join",
        },
        Case {
            what: "bit flip",
            forge: |groups| {
                let mut commit = rotate(groups, "b");
                let middle = commit.len() / 2;
                commit[middle] ^= 1;
                (commit, "b")
            },
            kind: ROTATED,
            membership: roster(&ALL),
            expected: "",
        },
        Case {
            what: "a GroupInfo instead of a commit",
            forge: |groups| (groups["b"].group_info().unwrap(), "b"),
            kind: ROTATED,
            membership: roster(&ALL),
            expected: "refused by the group's rules",
        },
        Case {
            what: "nothing",
            forge: |_| (Vec::new(), "b"),
            kind: ROTATED,
            membership: roster(&ALL),
            expected: "malformed",
        },
    ]
}

#[test]
fn refused_commits_leave_the_group_where_it_was() {
    for case in cases() {
        let what = case.what;
        let (mut groups, _) = three();
        let (commit, committer) = (case.forge)(&mut groups);
        let mut a = groups.remove("a").unwrap();
        let (before, members) = (secrets(&a), a.members());
        let error = a
            .process_commit(&commit, &committer.into(), &case.kind, &case.membership)
            .expect_err(what);
        assert!(error.to_string().contains(case.expected), "{what}: {error}");
        assert_eq!(secrets(&a), before, "{what}");
        assert_eq!(a.members(), members, "{what}");
        // The group is not stuck either: an honest commit still goes through.
        let mut c = groups.remove("c").unwrap();
        let _ = c.clear_pending();
        let honest = c.rotate().unwrap();
        a.process_commit(&honest, &"c".into(), &ROTATED, &roster(&ALL))
            .expect(what);
    }
}
