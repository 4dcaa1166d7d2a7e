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
    check_missing("", wanted, voters, learners, lag, expected);
}

/// While `missing` are not heard.
fn check_missing(
    missing: &str,
    wanted: &str,
    voters: &str,
    learners: &str,
    lag: u64,
    expected: Option<Change>,
) {
    let mut nodes = replicas(voters);
    nodes.extend(replicas(learners));
    let present = Present {
        joint: None,
        heard: nodes
            .keys()
            .copied()
            .collect::<BTreeSet<_>>()
            .difference(&ids(missing))
            .copied()
            .collect(),
        voters: ids(voters),
        matching: nodes.keys().map(|id| (*id, 50_000 - lag)).collect(),
        nodes,
        last: 50_000,
    };
    assert_eq!(
        next(&replicas(wanted), &present),
        expected,
        "{wanted} | {voters} | {learners} | {missing}"
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
fn a_former_member_keeps_its_vote_while_the_others_are_no_majority() {
    // Three of four remain, two of them are there.
    check_missing("c", "a b c", "a b c d", "", 0, voters("a b c"));
    check_missing("b c", "a b c", "a b c d", "", 0, None);
    // Of two that remain both are needed: first the lost replica is replaced, with the vote of who goes.
    check_missing("c", "a c", "a c d", "", 0, None);
    check_missing("c", "a c:9", "a c d", "", 0, learner("c:9"));
    check_missing("c", "a c:9", "a c d", "c:9", 0, voters("a c:9 d"));
    check_missing("", "a c:9", "a c:9 d", "", 0, voters("a c:9"));
    // Unless the missing one goes, too.
    check_missing("c", "a", "a c d", "", 0, voters("a"));
}

#[test]
fn nobody_gets_a_vote_by_whom_the_majority_would_be_missing() {
    check_missing("d:4", "a b c d:4", "a b c", "d:4", 0, None);
    check_missing("c", "a b c d:4", "a b c", "d:4", 0, voters("a b c d:4"));
    check_missing("b c", "a b c d:4", "a b c", "d:4", 0, None);
}

fn member(node: &NodeId) -> (NodeId, ledger::Member) {
    let member = ledger::Member {
        identity: [0; 32],
        up: true,
        incarnation: 1,
        down_reason: None,
        address: None,
        store: Some(StoreId::FOUNDING),
        admitted: None,
    };
    (node.clone(), member)
}

#[test]
fn who_would_be_missed_is_named() {
    let missed = |node: &str, missing: &str, all: &str| {
        let nodes = replicas(all);
        let heard = nodes.keys().copied().collect::<BTreeSet<_>>();
        let present = Present {
            voters: ids(all),
            heard: heard.difference(&ids(missing)).copied().collect(),
            nodes: nodes.clone(),
            ..Present::default()
        };
        let mut state = State::new();
        state.members = nodes.values().map(member).collect();
        let missed = missed_without(&node.into(), &state, &present);
        missed
            .iter()
            .map(NodeId::as_str)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(missed("d", "", "a b c d"), "");
    assert_eq!(missed("d", "c", "a b c d"), "");
    assert_eq!(missed("d", "b c", "a b c d"), "b c");
    assert_eq!(missed("d", "c", "a c d"), "c");
    assert_eq!(
        missed("c", "c", "a c d"),
        "",
        "the missing one itself may go"
    );
    assert_eq!(
        missed("a", "", "a"),
        "",
        "the last one is the ledger's business"
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
