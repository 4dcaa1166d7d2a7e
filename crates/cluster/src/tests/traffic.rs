//! Frames and calls under way: order, windows, batches.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_arrive_in_order_from_their_proven_sender_and_calls_are_answered() {
    let nodes = nodes(&["order-a", "order-b", "order-c"]).await;
    let count = 2_000;
    for from in &nodes {
        for to in &nodes {
            if from.cluster.me() == to.cluster.me() {
                continue;
            }
            let me = to.cluster.me().clone();
            for round in 0..count {
                // The window is a few hundred: wait for credit as a real sender would.
                until("room in the window", || {
                    from.cluster.cast(&me, frame(round)).is_ok()
                })
                .await;
            }
            let reply = from
                .cluster
                .call(&me, Call::GroupInfo, PATIENCE)
                .await
                .unwrap();
            assert_eq!(
                reply,
                Reply::GroupInfo(Some(from.cluster.me().as_str().as_bytes().to_vec()))
            );
        }
    }
    for to in &nodes {
        until("all frames", || {
            to.handler.frames.lock().unwrap().len() as u64 == 2 * count
        })
        .await;
        for from in nodes
            .iter()
            .filter(|from| from.cluster.me() != to.cluster.me())
        {
            let frames = to.handler.frames.lock().unwrap().clone();
            let rounds: Vec<u64> = frames
                .iter()
                .filter(|(sender, _)| sender == from.cluster.me())
                .map(|(_, round)| round.0)
                .collect();
            assert!(
                rounds.iter().copied().eq(0..count),
                "{} → {}",
                from.cluster.me(),
                to.cluster.me()
            );
        }
        assert_eq!(to.cluster.counters().frames_received, 2 * count);
    }
    // A large message crosses too, and one that is too large does not even start.
    let large = vec![7; 1 << 20];
    let me = nodes[1].cluster.me().clone();
    let reply = nodes[0]
        .cluster
        .call(&me, Call::Consensus(large.clone()), PATIENCE)
        .await
        .unwrap();
    assert!(reply == Reply::Consensus(large));
    let error = nodes[0]
        .cluster
        .call(&me, Call::Consensus(vec![7; 17 << 20]), PATIENCE)
        .await
        .unwrap_err();
    assert!(matches!(error, CallError::TooLarge { .. }), "{error}");
    for node in nodes {
        node.supervisor.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_receiver_is_shed_at_and_recovers_and_slow_calls_hold_nobody_up() {
    let nodes = nodes(&["stall-a", "stall-b"]).await;
    let (a, b) = (&nodes[0], &nodes[1]);
    let to = b.cluster.me().clone();
    let gate = Arc::new(Semaphore::new(0));
    *b.handler.gate.lock().unwrap() = Some(Arc::clone(&gate));
    let mut accepted = 0;
    let refused = loop {
        match a.cluster.cast(&to, frame(accepted)) {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(accepted, WINDOW_FRAMES as u64, "{refused}");
    assert!(
        matches!(
            refused,
            CastError::Congested {
                frames: WINDOW_FRAMES,
                ..
            }
        ),
        "{refused}"
    );
    for _ in 0..300_000 {
        assert!(
            a.cluster.cast(&to, frame(0)).is_err(),
            "more than the window went out"
        );
    }
    assert_eq!(a.cluster.links()[&to].frames_in_flight, WINDOW_FRAMES);

    // Beside the stalled frames, a call that never ends and one that is answered.
    let never = Call::Propose(Box::new(wire::Record {
        id: wire::ProposalId([0; 16]),
        proposer: "stall-a".into(),
        time: wire::UnixMillis(0),
        act: wire::Act::NodeUp {
            node: "stall-a".into(),
            incarnation: 1,
        },
    }));
    let limit = Duration::from_millis(300);
    let before = Instant::now();
    let (never, answered) = tokio::join!(
        a.cluster.call(&to, never, limit),
        a.cluster.call(&to, Call::GroupInfo, PATIENCE)
    );
    assert_eq!(
        never,
        Err(CallError::TimedOut {
            node: to.clone(),
            limit
        })
    );
    assert!(
        before.elapsed() < PATIENCE && answered.is_ok(),
        "{answered:?}"
    );

    gate.add_permits(10 * WINDOW_FRAMES);
    until("credit", || a.cluster.links()[&to].frames_in_flight == 0).await;
    a.cluster.cast(&to, frame(accepted)).unwrap();
    until("the last frame", || {
        b.handler.frames.lock().unwrap().len() as u64 == accepted + 1
    })
    .await;
    let stranger = NodeId::from("nobody");
    assert_eq!(
        a.cluster.cast(&stranger, frame(0)),
        Err(CastError::NotLinked {
            node: stranger.clone()
        })
    );
    let error = a
        .cluster
        .call(&stranger, Call::GroupInfo, PATIENCE)
        .await
        .unwrap_err();
    assert_eq!(error, CallError::NotLinked { node: stranger });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_and_single_frames_arrive_in_order_between_old_and_new() {
    let names = ["batch-a", "batch-b", "batch-c"];
    let listeners = [listener().await, listener().await, listener().await];
    let table = table_of(&names, &listeners);
    let mut nodes = Vec::new();
    // The one in the middle is of the release before batches.
    for (name, listener) in names.iter().zip(listeners) {
        let level = if *name == "batch-b" {
            Level::MEMBERSHIP
        } else {
            Level::NEWEST
        };
        let config = ClusterConfig {
            level,
            ..config(name, table.clone())
        };
        nodes.push(start_at(config, listener).await);
    }
    for node in &nodes {
        until("all linked", || node.cluster.links().len() == 2).await;
    }
    let count = 3 * WINDOW_FRAMES as u64;
    let pairs = || {
        let all = nodes
            .iter()
            .flat_map(|from| nodes.iter().map(move |to| (from, to)));
        all.filter(|(from, to)| from.cluster.me() != to.cluster.me())
    };
    let mut senders = tokio::task::JoinSet::new();
    for (from, to) in pairs() {
        let (from, to) = (from.cluster.clone(), to.cluster.me().clone());
        let batches = from.0.link(&to).unwrap().batches();
        let old = [from.me(), &to]
            .iter()
            .any(|node| node.as_str() == "batch-b");
        assert_eq!(batches, !old);
        senders.spawn(async move {
            for round in 0..count {
                from.cast_waiting(&to, frame(round), PATIENCE)
                    .await
                    .unwrap();
            }
        });
    }
    senders.join_all().await;
    for node in &nodes {
        until("all frames", || {
            node.handler.frames.lock().unwrap().len() as u64 == 2 * count
        })
        .await;
    }
    for (from, to) in pairs() {
        {
            let frames = to.handler.frames.lock().unwrap();
            let of_one = frames
                .iter()
                .filter(|(sender, _)| sender == from.cluster.me());
            assert!(of_one.map(|(_, round)| round.0).eq(0..count));
        }
        until("credit", || {
            from.cluster.links()[to.cluster.me()].frames_in_flight == 0
        })
        .await;
    }

    // A batch on a link that has none is refused.
    let (a, b) = (&nodes[0], &nodes[1]);
    let link = a.cluster.0.link(b.cluster.me()).unwrap();
    let gateway = link.gateway.borrow().clone().unwrap();
    let mut batch = wire::Batch::default();
    batch.push(&frame(count));
    let message = batch.encode(link.capability_out, 0, count + 1);
    gateway.cast(GatewayMessage::Cast(message)).unwrap();
    until("refused", || b.cluster.counters().gateway_refused == 1).await;
    assert_eq!(b.cluster.counters().frames_received, 2 * count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_room_gets_it_or_is_told_in_time_or_learns_of_the_links_end() {
    let nodes = nodes(&["room-a", "room-b"]).await;
    let (a, b) = (&nodes[0], &nodes[1]);
    let to = b.cluster.me().clone();
    let gate = Arc::new(Semaphore::new(0));
    *b.handler.gate.lock().unwrap() = Some(Arc::clone(&gate));
    let full = WINDOW_FRAMES as u64;
    for round in 0..full {
        a.cluster.cast(&to, frame(round)).unwrap();
    }
    let limit = Duration::from_millis(100);
    let refused = a.cluster.cast_waiting(&to, frame(full), limit).await;
    assert!(
        matches!(refused, Err(CastError::Congested { .. })),
        "{refused:?}"
    );

    let (sent, ()) = tokio::join!(a.cluster.cast_waiting(&to, frame(full), PATIENCE), async {
        gate.add_permits(WINDOW_FRAMES)
    });
    sent.unwrap();
    let room = || a.cluster.links()[&to].frames_in_flight == 1;
    until("all but the last are handled", room).await;

    for round in 1..full {
        a.cluster.cast(&to, frame(full + round)).unwrap();
    }
    // The first of the two is polled first: it waits when the link ends.
    let (lost, ()) = tokio::join!(
        a.cluster.cast_waiting(&to, frame(2 * full), PATIENCE),
        async { a.cluster.disconnect(&to, "a test cuts it") }
    );
    assert_eq!(lost, Err(CastError::NotLinked { node: to.clone() }));
}
