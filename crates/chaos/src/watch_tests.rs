use super::*;
use wire::KeyEpoch;
use wire::status::{ActorStatus, SupervisorStatus};

fn status(term: u64, leader: &str, size: u64, root: &str) -> Status {
    let mut status = Status {
        leader: Some(leader.into()),
        term,
        key_epoch: KeyEpoch(7),
        uptime_s: 1.0,
        members: [("node-1".into(), true), ("node-2".into(), true)].into(),
        links: [("other".into(), 7)].into(),
        ..Status::default()
    };
    status.ledger.size = size;
    status.ledger.root = root.into();
    status.ledger.level = Level::NEWEST.0;
    status.ledger.voters = vec!["node-1".into(), "node-2".into()];
    status
}

fn sight(node: u8, status: &Status) -> Sight<'_> {
    Sight {
        node,
        status: Some(status),
        memory: Some(100 << 20),
    }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Complaints after both nodes were seen.
fn complaints(first: &Status, second: &Status) -> String {
    let mut watch = Watch::new(2);
    watch.note(at(1), true, 0, &[sight(1, first), sight(2, second)]);
    watch.complaints().join("\n")
}

#[test]
fn two_leaders_of_a_term_and_two_histories_are_found() {
    let good = status(3, "node-1", 9, "aa");
    assert_eq!(complaints(&good, &good), "");
    assert_eq!(complaints(&good, &status(4, "node-2", 8, "bb")), "");
    let two = complaints(&good, &status(3, "node-2", 9, "aa"));
    assert_eq!(two, "term 3 has two leaders: node-1 and node-2");
    let forked = complaints(&good, &status(3, "node-1", 9, "bb"));
    assert!(forked.contains("different histories"), "{forked}");
}

#[test]
fn epochs_grow_within_a_life_and_supervisors_keep_to_their_intensity() {
    let mut watch = Watch::new(2);
    let mut seen = status(1, "node-1", 1, "aa");
    let mut look = |watch: &mut Watch, uptime, epoch| {
        seen.uptime_s = uptime;
        seen.key_epoch = KeyEpoch(epoch);
        watch.note(at(1), true, 0, &[sight(1, &seen)]);
    };
    look(&mut watch, 5.0, 7);
    look(&mut watch, 1.0, 0);
    look(&mut watch, 2.0, 6);
    assert!(watch.complaints().is_empty(), "a new life begins at zero");
    look(&mut watch, 3.0, 5);
    assert_eq!(
        watch.complaints(),
        ["node-1 went back from key epoch 6 to 5"]
    );

    let mut busy = status(1, "node-1", 1, "aa");
    let supervisor = |used| SupervisorStatus {
        intensity: 3,
        used,
        ..SupervisorStatus::default()
    };
    busy.tree = vec![ActorStatus {
        path: "doors".into(),
        restarts: 2,
        supervisor: Some(supervisor(3)),
        ..ActorStatus::default()
    }];
    assert_eq!(complaints(&busy, &busy), "");
    busy.tree[0].supervisor = Some(supervisor(4));
    assert!(complaints(&busy, &busy).contains("restarted 4 times"));
}

#[test]
fn memory_has_a_limit() {
    let mut watch = Watch::new(2);
    let fat = Sight {
        node: 2,
        status: None,
        memory: Some(MEMORY_LIMIT + 1),
    };
    watch.note(at(1), true, 0, &[fat]);
    assert!(watch.complaints()[0].starts_with("node-2 had 400 MiB"));
}

#[test]
fn stretches_are_measured_and_those_without_a_promise_apart() {
    let mut watch = Watch::new(2);
    let of = |size: u64| status(1, "node-1", size, &size.to_string());
    watch.begin(at(10));
    for (second, promised, accepted, size) in [
        (11, true, 1, 1),
        // Four seconds without a commit under a promise, and five without a mail.
        (15, true, 1, 1),
        (15, true, 1, 2),
        (16, true, 2, 3),
        // Twenty without a promise.
        (17, false, 3, 3),
        (36, false, 4, 3),
        (38, true, 5, 4),
    ] {
        watch.note(at(second), promised, accepted, &[sight(1, &of(size))]);
    }
    let longest = |took, from| Longest {
        took: at(took),
        from: at(from),
    };
    assert_eq!(watch.without_commit(), longest(22, 16));
    assert_eq!(watch.without_promised_commit(), longest(4, 11));
    assert_eq!(watch.without_mail(), longest(19, 17));
    watch.end(at(38));
    watch.note(at(39), false, 6, &[]);
    watch.note(at(99), false, 6, &[]);
    assert_eq!(watch.without_mail(), longest(19, 17));
    watch.unobserved();
    watch.note(at(199), true, 6, &[sight(1, &of(4))]);
    assert_eq!(watch.without_promised_commit(), longest(4, 11));
}

#[test]
fn what_a_whole_cluster_lacks_is_named() {
    let watch = Watch::new(2);
    let good = status(1, "node-1", 50, "aa");
    let with = |change: &dyn Fn(&mut Status)| {
        let mut other = good.clone();
        change(&mut other);
        watch
            .lacks(&[sight(1, &good), sight(2, &other)])
            .unwrap_or_default()
    };
    assert_eq!(with(&|_| {}), "");
    assert_eq!(with(&|s| s.leader = None), "node-2 knows no leader");
    assert_eq!(
        with(&|s| s.leader = Some("node-2".into())),
        "node-2 follows another leader"
    );
    assert_eq!(
        with(&|s| {
            s.members.insert("node-1".into(), false);
        }),
        "node-2 holds [\"node-1\"] for down"
    );
    assert_eq!(
        with(&|s| s.links.clear()),
        "node-2 has links to 0 of 1 others"
    );
    assert_eq!(
        with(&|s| s.key_epoch = KeyEpoch(4)),
        "node-2 is at key epoch 4 of 7"
    );
    assert_eq!(
        with(&|s| {
            s.links.insert("other".into(), 2);
        }),
        "node-2 speaks to other under epoch 2 of 7"
    );
    assert_eq!(with(&|s| s.ledger.voters.clear()), "node-2 sees 0 voters");
    assert_eq!(with(&|s| s.ledger.size = 29), "node-2 has 29 leaves of 50");
    let silent = Sight {
        node: 2,
        status: None,
        memory: None,
    };
    assert_eq!(
        watch.lacks(&[sight(1, &good), silent]).as_deref(),
        Some("node-2 does not answer")
    );
}
