use super::*;
use crate::tests::book::{admission, admission_of, admits, entry};
use crate::tests::key;
use wire::Act;

/// Whose key signed, and under which name.
type Signer = (&'static str, String);

fn known(names: &[&str]) -> BTreeMap<NodeId, MemberEntry> {
    names
        .iter()
        .map(|name| (NodeId::from(*name), entry(name, "")))
        .collect()
}

/// What is found wrong with an admission of `d`, holding its own key, to "house".
fn verdict(admission: &Admission, names: &[&str]) -> String {
    let identity = key("d").verifying_key().to_bytes();
    match verify(admission, "house", &"d".into(), &identity, &known(names)) {
        Ok(()) => "holds".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_admission_holds_with_a_strict_majority_under_any_of_the_usual_names() {
    let log = || "glasshouse/house".to_owned();
    let minority = |signed, known, needed| {
        format!(
            "its checkpoint is signed by {signed} of the {known} members known here, {needed} are needed"
        )
    };
    let table: [(&[Signer], &[&str], String); 8] = [
        (&[("a", log())], &["a"], "holds".into()),
        (&[("a", log()), ("b", log())], &["a", "b", "c"], "holds".into()),
        (
            &[("a", log()), ("b", "b".into()), ("c", "glasshouse/house/c".into())],
            &["a", "b", "c", "e"],
            "holds".into(),
        ),
        // Half is no majority.
        (&[("a", log()), ("b", log())], &["a", "b", "c", "e"], minority(2, 4, 3)),
        (&[("a", log())], &["a", "b", "c"], minority(1, 3, 2)),
        // One key under two names is one member.
        (&[("a", log()), ("a", "a".into())], &["a", "b", "c"], minority(1, 3, 2)),
        // Strangers, and the newcomer itself, do not count.
        (
            &[("a", log()), ("d", log()), ("x", log())],
            &["a", "b", "c"],
            minority(1, 3, 2),
        ),
        (
            &[("x", log()), ("y", log())],
            &["a", "b", "c"],
            "its checkpoint is not acceptable: none of the trusted keys signed the note; it is signed by \
             glasshouse/house, glasshouse/house"
                .into(),
        ),
    ];
    for (signers, names, expected) in table {
        let admission = admission("house", 21, admits("d"), signers);
        assert_eq!(verdict(&admission, names), expected, "{signers:?}");
    }
}

#[test]
fn a_forged_admission_is_refused_with_the_reason() {
    let good = admission_of("d", &["a", "b"]);
    let signed: &[(&str, String)] = &[
        ("a", "glasshouse/house".into()),
        ("b", "glasshouse/house".into()),
    ];
    let changed = |change: &dyn Fn(&mut Admission)| {
        let mut admission = good.clone();
        change(&mut admission);
        admission
    };
    let evil_key = {
        let Act::Admitted {
            node,
            address,
            invitation,
            ..
        } = admits("d")
        else {
            unreachable!("the fixture admits")
        };
        let identity = key("x").verifying_key().to_bytes();
        Act::Admitted {
            node,
            identity,
            address,
            invitation,
        }
    };
    let table: [(&str, Admission, &str); 9] = [
        ("nothing wrong", good.clone(), "holds"),
        (
            "another node's",
            admission_of("x", &["a", "b"]),
            "its leaf admits node x with another name or identity key than the one shown",
        ),
        (
            "its name with another key",
            admission("house", 21, evil_key, signed),
            "its leaf admits node d with another name or identity key than the one shown",
        ),
        (
            "another act",
            admission(
                "house",
                21,
                Act::NodeUp {
                    node: "d".into(),
                    incarnation: 1,
                },
                signed,
            ),
            "its leaf does not admit anybody",
        ),
        (
            "another cluster's",
            admission("barn", 21, admits("d"), signed),
            "its checkpoint is not acceptable: the checkpoint is of log \"glasshouse/barn\"",
        ),
        (
            "tampered path",
            changed(&|admission| admission.path[2][7] ^= 1),
            "its leaf is not in the log: the proof leads to root",
        ),
        (
            "shorter path",
            changed(&|admission| {
                admission.path.pop();
            }),
            "its leaf is not in the log: a proof between these sizes has another number of hashes",
        ),
        (
            "another index",
            changed(&|admission| admission.index = 4_000),
            "its leaf is not in the log: leaf 4000 cannot be in a tree of 21 leaves",
        ),
        (
            "another size",
            changed(&|admission| admission.note = admission.note.replace("\n21\n", "\n22\n")),
            "its checkpoint is not acceptable: the signature of glasshouse/house does not match",
        ),
    ];
    for (what, admission, expected) in table {
        let verdict = verdict(&admission, &["a", "b", "c"]);
        assert!(verdict.starts_with(expected), "{what}: {verdict:?}");
    }
    let leaf = changed(&|admission| admission.leaf = vec![1, 2, 3]);
    assert!(verdict(&leaf, &["a"]).starts_with("its leaf is unreadable"));
    let note = changed(&|admission| admission.note = "\u{2014} nobody\n".to_owned());
    assert!(verdict(&note, &["a"]).starts_with("its checkpoint is not acceptable"));
}

#[test]
fn any_change_of_one_byte_makes_an_admission_worthless() {
    let good = wire::encode(&admission_of("d", &["a", "b"]));
    for at in 0..good.len() {
        for flip in [1, 0x20, 0x80] {
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            if let Ok(admission) = wire::decode::<Admission>(&bytes) {
                let verdict = verdict(&admission, &["a", "b"]);
                assert_ne!(verdict, "holds", "byte {at} changed by {flip:#x}");
            }
        }
    }
}
