use super::*;

fn actor(path: &str, kind: ActorKind) -> ActorStatus {
    ActorStatus {
        path: path.into(),
        kind,
        state: ActorState::Running,
        since_ms: Some(754_000),
        ..ActorStatus::default()
    }
}

fn supervisor(path: &str, strategy: StrategyName, used: u32) -> ActorStatus {
    ActorStatus {
        supervisor: Some(SupervisorStatus {
            strategy,
            intensity: 10,
            period_ms: 30_000,
            used,
            max_children: (strategy == StrategyName::Dynamic).then_some(64),
        }),
        ..actor(path, ActorKind::Supervisor)
    }
}

fn machine(path: &str, depth: u64, oldest_ms: Option<u64>) -> ActorStatus {
    ActorStatus {
        mailbox: Some(MailboxStatus {
            depth,
            capacity: 1024,
            oldest_ms,
            ..MailboxStatus::default()
        }),
        ..actor(path, ActorKind::Machine)
    }
}

#[test]
fn a_node_in_trouble_looks_like_this() {
    let mut aggregator = machine("house/aggregator", 1004, Some(4_200));
    if let Some(mailbox) = &mut aggregator.mailbox {
        (mailbox.shed, mailbox.refused) = (17, 3);
    }
    let mut monitor = machine("house/monitor", 2, Some(61_000));
    (monitor.restarts, monitor.since_ms) = (2, Some(1_350));
    monitor.last_exit = Some("failed: index out\n  of bounds".into());
    let mut rooms = actor("house/rooms", ActorKind::Service);
    rooms.state = ActorState::Restarting;
    rooms.restarts = 10;
    rooms.last_exit = Some("could not be started: no data space".into());
    let mut feed = actor("feed", ActorKind::Service);
    (feed.state, feed.since_ms) = (ActorState::Stopped, None);
    let status = Status {
        node: "n1".into(),
        version: "0.2.0".into(),
        tree: vec![
            supervisor("", StrategyName::OneForOne, 0),
            supervisor("cluster", StrategyName::OneForAll, 0),
            actor("cluster/gateway", ActorKind::Worker),
            supervisor("cluster/dialers", StrategyName::Dynamic, 1),
            actor("cluster/dialers/n2", ActorKind::Service),
            supervisor("house", StrategyName::RestForOne, 10),
            machine("house/custodian", 0, None),
            aggregator,
            monitor,
            rooms,
            feed,
        ],
        ..Status::default()
    };
    let expected = "\
n1 0.2.0            state       since   restarts  mailbox    oldest
top                 running     12 min  0                            one for one; 0 of 10 restarts in 30 s
├── cluster         running     12 min  0                            one for all; 0 of 10 restarts in 30 s
│   ├── gateway     running     12 min  0                            worker
│   └── dialers     running     12 min  0                            dynamic, at most 64 children; 1 of 10 restarts in 30 s
│       └── n2      running     12 min  0
├── house           running     12 min  0                            rest for one; ! 10 of 10 restarts in 30 s
│   ├── custodian   running     12 min  0         0/1024
│   ├── aggregator  running     12 min  0         1004/1024  4.2 s   ! mailbox 98% full, oldest 4.2 s; 17 shed, 3 refused
│   ├── monitor     running     1.3 s   2 !       2/1024     61 s    ! oldest mail 61 s; last exit: failed: index out of bounds
│   └── rooms       RESTARTING          10 !                         ! could not be started: no data space
└── feed            STOPPED             0
";
    let drawn = render(&status);
    assert_eq!(drawn, expected, "\n{drawn}");
}

#[test]
fn an_older_node_tells_no_tree() {
    let status = Status {
        node: "n1".into(),
        version: "0.1.0".into(),
        ..Status::default()
    };
    assert_eq!(
        render(&status),
        "n1 0.1.0  state  since  restarts  mailbox  oldest\n"
    );
}

#[test]
fn spans_are_told_in_the_unit_that_matters() {
    for (millis, expected) in [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_000, "1.0 s"),
        (4_260, "4.2 s"),
        (10_000, "10 s"),
        (119_999, "119 s"),
        (120_000, "2 min"),
        (7_200_000, "2 h"),
        (172_800_000, "2 d"),
    ] {
        assert_eq!(span(millis), expected);
    }
}
