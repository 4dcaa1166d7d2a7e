use super::*;
use wire::StoreId;

/// `a b:7` are the founding replica of `a` and store 7 of `b`.
fn replicas(text: &str) -> Replicas {
    let one = |text: &str| {
        let (node, store) = text.split_once(':').unwrap_or((text, "0"));
        let node = NodeId::from(node);
        (raft_id(&node, StoreId(store.parse().unwrap())), node)
    };
    text.split_whitespace().map(one).collect()
}

fn ids(text: &str) -> BTreeSet<u64> {
    replicas(text).into_keys().collect()
}

fn check(wanted: &str, voters: &str, learners: &str, lag: u64, expected: Option<Change>) {
    let mut nodes = replicas(voters);
    nodes.extend(replicas(learners));
    let present = Present {
        joint: None,
        voters: ids(voters),
        matching: nodes.keys().map(|id| (*id, 50_000 - lag)).collect(),
        nodes,
        last: 50_000,
    };
    assert_eq!(
        next(&replicas(wanted), &present),
        expected,
        "{wanted} | {voters} | {learners}"
    );
}

fn learner(text: &str) -> Option<Change> {
    let (id, node) = replicas(text).pop_first().unwrap();
    Some(Change::AddLearner(id, node))
}

fn voters(text: &str) -> Option<Change> {
    Some(Change::Voters(ids(text)))
}

#[test]
fn follows_the_ledger_one_change_at_a_time() {
    check("a b c", "a b c", "", 0, None);
    // A new member is fed, then votes.
    check("a b c d:4", "a b c", "", 0, learner("d:4"));
    check("a b c d:4", "a b c", "d:4", CLOSE + 1, None);
    check("a b c d:4", "a b c", "d:4", CLOSE, voters("a b c d:4"));
    // A former one goes at once, whatever else there is to do; never the last one.
    check("a b d:4", "a b c", "d:4", 0, voters("a b"));
    check("a b", "a b", "c", 0, Some(Change::RemoveLearners(ids("c"))));
    check("b", "a b", "", 0, voters("b"));
    check("b:2", "a", "", 0, learner("b:2"));
    // A lost disk: the old replica keeps its vote until the new one takes it over.
    check("a b c:9", "a b c", "", 0, learner("c:9"));
    check("a b c:9", "a b c", "c:9", CLOSE + 1, None);
    check("a b c:9", "a b c", "c:9", 3, voters("a b c:9"));
    // Lost again before that.
    check(
        "a b c:10",
        "a b c",
        "c:9",
        0,
        Some(Change::RemoveLearners(ids("c:9"))),
    );
}

#[test]
fn half_a_change_is_finished_first() {
    let present = Present {
        joint: Some(ids("a b")),
        voters: ids("a b"),
        nodes: replicas("a b c"),
        ..Present::default()
    };
    assert_eq!(next(&replicas("a b c d:4"), &present), voters("a b"));
}
