//! Who and what does not get in.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_impostors_and_noise_are_refused_and_counted() {
    let nodes = nodes(&["guard-a", "guard-b"]).await;
    let b = &nodes[1];
    let intruders = [
        Identity::new("house", "guard-x".into(), 1, &key("guard-x")),
        Identity::new("house", "guard-a".into(), 9, &key("guard-x")),
        Identity::new("barn", "guard-a".into(), 9, &key("guard-a")),
    ];
    let mut refused = 0;
    for intruder in intruders {
        let mut connection = TcpStream::connect(b.address).await.unwrap();
        let table = b.cluster.members().current();
        let side = Side {
            me: &intruder,
            table: &table,
            level: Level::NEWEST,
            admission: None,
        };
        // The initiator is through when it has shown itself; what counts is what comes then.
        let _ = dial(&mut connection, side, b.cluster.me()).await;
        let mut rest = Vec::new();
        let _ = connection.read_to_end(&mut rest).await; // reset or end: closed either way
        refused += 1;
        until("a refusal", || {
            b.cluster.counters().refused_handshakes == refused
        })
        .await;
    }
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 4096], &[0xff; 64]] {
        let mut connection = TcpStream::connect(b.address).await.unwrap();
        connection.write_all(garbage).await.unwrap();
        connection.shutdown().await.unwrap();
        refused += 1;
        until("a refusal", || {
            b.cluster.counters().refused_handshakes == refused
        })
        .await;
    }
    assert_eq!(b.cluster.links().len(), 1, "the real peer is not disturbed");
    assert_eq!(b.cluster.links()[nodes[0].cluster.me()].incarnation, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_members_message_without_the_right_capability_is_refused() {
    let nodes = nodes(&["cap-a", "cap-b", "cap-c"]).await;
    let [a, b, c] = &nodes[..] else {
        unreachable!("three nodes were asked for")
    };
    // What C holds for its own link to B is worth nothing on A's, and guesses neither.
    let link = a.cluster.0.link(b.cluster.me()).unwrap();
    let gateway = link.gateway.borrow().clone().unwrap();
    let others = [
        Capability([0; 16]),
        link.capability_in,
        c.cluster.0.link(a.cluster.me()).unwrap().capability_out,
    ];
    for (refused, capability) in others.into_iter().enumerate() {
        let forged = Cast::Frame {
            capability,
            number: 1,
            frame: Box::new(frame(66)),
        };
        gateway
            .cast(GatewayMessage::Cast(wire::encode(&forged)))
            .unwrap();
        until("refusal", || {
            b.cluster.counters().gateway_refused == refused as u64 + 1
        })
        .await;
    }
    gateway.cast(GatewayMessage::Cast(vec![1, 2, 3])).unwrap();
    until("refusal", || b.cluster.counters().gateway_refused == 4).await;
    let forged = wire::encode(&wire::Request {
        capability: Capability([0; 16]),
        call: Call::GroupInfo,
    });
    let answer = gateway
        .call(|port| GatewayMessage::Call(forged, port), Some(PATIENCE))
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(wire::decode(&answer), Ok(Reply::Refused(_))));
    assert!(
        b.handler.frames.lock().unwrap().is_empty(),
        "a forged frame was delivered"
    );
}

/// Whether somebody with the right cookie gets in through the session server's own TCP port.
async fn side_door_admits(name: &str, mode: ractor_cluster::IncomingEncryptionMode) -> bool {
    use ractor_cluster::NodeServerMessage::GetSessions;
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let raw = || ractor_cluster::IncomingEncryptionMode::Raw;
    let inside = session::node_server(port, "house", name.to_owned(), &"inside".into(), mode);
    let outside = session::node_server(
        0,
        "house",
        format!("{name}-thief"),
        &"outside".into(),
        raw(),
    );
    let (inside, _) = Actor::spawn(None, inside, ()).await.unwrap();
    let (outside, _) = Actor::spawn(None, outside, ()).await.unwrap();
    ractor_cluster::client_connect(&outside, format!("127.0.0.1:{port}"))
        .await
        .unwrap();
    let start = Instant::now();
    let mut admitted = false;
    while !admitted && start.elapsed() < Duration::from_secs(2) {
        let sessions = ractor::call_t!(inside, GetSessions, 1000).unwrap();
        admitted = !sessions.is_empty();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    inside.stop(None);
    outside.stop(None);
    admitted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_cookie_does_not_open_the_side_door() {
    // First that the attempt is a real one: without the acceptor it succeeds.
    assert!(side_door_admits("open", ractor_cluster::IncomingEncryptionMode::Raw).await);
    assert!(!side_door_admits("closed", side_door::closed().unwrap()).await);
}

#[test]
fn a_key_that_the_table_contradicts_is_refused_at_once() {
    let mut table = MemberTable::founding([book::entry("me", "127.0.0.1:1")]);
    table
        .members
        .values_mut()
        .for_each(|me| me.identity = [7; 32]);
    let config = config("me", table);
    let error = Links::new(config, EpochTable::default(), Arc::new(Handler::default()))
        .err()
        .unwrap();
    assert!(error.to_string().starts_with(
        "the members' table has another identity key for this node, me, than the one it holds"
    ));
}
