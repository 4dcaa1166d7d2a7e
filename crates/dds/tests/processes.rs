//! Between processes: real RTPS over UDP on loopback.

mod common;

use common::{LIMIT, Peer, config, event, next_sample, publish_all, sample, tag};
use dds::{CycloneSpace, DataSpace, PublishError, Qos, SEALED_MAX, Sample, SpaceEvent, Topic};
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::time::Duration;

fn topic(name: &str) -> Topic {
    Topic::new(name, Qos::TELEMETRY).expect("a DDS name")
}

fn join() -> (CycloneSpace, String) {
    let config = config();
    (
        CycloneSpace::join(&config).expect("joined"),
        config.domain.to_string(),
    )
}

#[tokio::test]
async fn a_late_process_gets_what_another_retains_and_what_follows() {
    let (space, domain) = join();
    let peer = Peer::start(&["publish", &domain, &tag(), "room-late", "300"]);
    assert_eq!(peer.line(), "published");
    let mut subscription = space
        .subscribe(&topic("peer_topic"), &["room-late"])
        .expect("subscribed");
    let mut got: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for _ in 0..3 * 16 {
        let Sample {
            key,
            sequence,
            sealed,
            ..
        } = next_sample(&mut subscription).await;
        assert_eq!(sealed.len(), 100);
        got.entry(key).or_default().push(sequence);
    }
    // Sequence n has key n mod 3; of each key the last 16 are kept.
    for (remainder, key) in ["alpha", "beta", "gamma"].into_iter().enumerate() {
        let all = (1..=300).filter(|sequence| sequence % 3 == remainder as u64);
        assert_eq!(got[key], all.skip(100 - 16).collect::<Vec<u64>>(), "{key}");
    }
}

#[tokio::test]
async fn another_process_receives_in_order_and_only_its_partition() {
    let (space, domain) = join();
    let topic = topic("peer_topic");
    let mut events = space.events();
    let peer = Peer::start(&["subscribe", &domain, &tag(), "room-1"]);
    assert_eq!(peer.line(), "ready");
    publish_all(&space, &topic, "room-2", [sample("elsewhere", 1)]).await;
    publish_all(&space, &topic, "room-1", [sample("ups", 0)]).await;
    let of_room_1 = |event: &SpaceEvent| matches!(event, SpaceEvent::ReaderMatched { partition, .. } if partition == "room-1");
    let told = event(&mut events, of_room_1).await;
    assert_eq!(
        told,
        SpaceEvent::ReaderMatched {
            topic: "peer_topic".into(),
            partition: "room-1".into(),
            readers: 1
        }
    );
    // What was published before the match is only retained: let it pass before the rest rolls it over.
    assert!(peer.line().starts_with("ups 0 "));
    publish_all(
        &space,
        &topic,
        "room-1",
        (1..=500).map(|sequence| sample("ups", sequence)),
    )
    .await;
    for sequence in 1..=500 {
        let length = sample("ups", sequence).sealed.len();
        assert_eq!(peer.line(), format!("ups {sequence} {length}"));
    }
    // The largest sample crosses in fragments.
    publish_all(
        &space,
        &topic,
        "room-1",
        [Sample {
            sealed: vec![9; SEALED_MAX],
            ..sample("ups", 501)
        }],
    )
    .await;
    assert_eq!(peer.line(), format!("ups 501 {SEALED_MAX}"));
    space.drain(LIMIT).await.expect("all is acknowledged");
}

#[tokio::test]
async fn a_killed_process_is_noticed_within_its_lease_and_its_successor_served() {
    let (space, domain) = join();
    let topic = topic("peer_topic");
    let mut events = space.events();
    let mut peer = Peer::start(&["subscribe", &domain, &tag(), "room-kill"]);
    assert_eq!(peer.line(), "ready");
    publish_all(&space, &topic, "room-kill", [sample("ups", 1)]).await;
    assert!(peer.line().starts_with("ups 1 "));
    let of_room = |event: &SpaceEvent, lost: bool| match event {
        SpaceEvent::ReaderMatched { partition, .. } => !lost && partition == "room-kill",
        SpaceEvent::ReaderLost { partition, .. } => lost && partition == "room-kill",
        _ => false,
    };
    event(&mut events, |event| of_room(event, false)).await;
    peer.kill();
    event(&mut events, |event| of_room(event, true)).await;
    let successor = Peer::start(&["subscribe", &domain, &tag(), "room-kill"]);
    assert_eq!(successor.line(), "ready");
    assert!(
        successor.line().starts_with("ups 1 "),
        "the retained sample comes again"
    );
    publish_all(&space, &topic, "room-kill", [sample("ups", 2)]).await;
    assert!(successor.line().starts_with("ups 2 "));
}

/// A process that is stopped, not dead, acknowledges nothing: the writer's history fills, then the
/// queue, then publishing is refused; when it goes on, everything accepted arrives.
#[tokio::test]
async fn a_stopped_process_turns_into_back_pressure_and_loses_nothing() {
    let (space, domain) = join();
    let topic = Topic::new(
        "peer_topic",
        Qos {
            queue: 32,
            ..Qos::TELEMETRY
        },
    )
    .expect("a DDS name");
    let peer = Peer::start(&["subscribe", &domain, &tag(), "room-stop"]);
    assert_eq!(peer.line(), "ready");
    let large = |sequence| Sample {
        sealed: vec![5; 16 << 10],
        ..sample("ups", sequence)
    };
    publish_all(&space, &topic, "room-stop", [large(1)]).await;
    assert!(peer.line().starts_with("ups 1 "));
    peer.signal("STOP");
    let mut accepted = 1;
    let refused = loop {
        match space.publish(&topic, "room-stop", large(accepted + 1)) {
            Ok(()) => accepted += 1,
            Err(refused) => break refused,
        }
        assert!(
            accepted < 200,
            "3 MB were accepted although nobody acknowledges"
        );
    };
    assert!(
        matches!(refused, PublishError::Full { limit: 32, .. }),
        "{refused:?}"
    );
    assert!(
        space.drain(Duration::from_millis(300)).await.is_err(),
        "nothing is acknowledged"
    );
    peer.signal("CONT");
    for sequence in 2..=accepted {
        assert_eq!(peer.line(), format!("ups {sequence} {}", 16 << 10));
    }
    space.drain(LIMIT).await.expect("all is acknowledged");
}

#[tokio::test]
async fn random_datagrams_on_every_port_do_not_stop_delivery() {
    let (space, domain) = join();
    let topic = topic("peer_topic");
    let peer = Peer::start(&["subscribe", &domain, &tag(), "room-noise"]);
    assert_eq!(peer.line(), "ready");
    publish_all(&space, &topic, "room-noise", [sample("ups", 1)]).await;
    assert!(peer.line().starts_with("ups 1 "));
    let first = 7400 + 250 * config().domain as u16;
    let noise = std::thread::spawn(move || throw_noise(first, Duration::from_secs(1)));
    let mut sequence = 1;
    while !noise.is_finished() {
        sequence += 1;
        publish_all(&space, &topic, "room-noise", [sample("ups", sequence)]).await;
        assert!(peer.line().starts_with(&format!("ups {sequence} ")));
    }
    let thrown = noise.join().expect("the thrower ends");
    assert!(thrown > 1000, "only {thrown} datagrams were thrown");
    publish_all(&space, &topic, "room-noise", [sample("ups", sequence + 1)]).await;
    assert!(peer.line().starts_with(&format!("ups {} ", sequence + 1)));
}

/// Datagrams of random length, content and, every second time, an RTPS header with a plausible
/// submessage, to the ports of the first participants of the domain. Returns how many.
fn throw_noise(first_port: u16, span: Duration) -> u64 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket on loopback");
    let (mut state, mut thrown) = (0x9E37_79B9_7F4A_7C15_u64, 0);
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let end = std::time::Instant::now() + span;
    while std::time::Instant::now() < end {
        let mut datagram: Vec<u8> = (0..random() % 600).map(|_| random() as u8).collect();
        if thrown % 2 == 0 {
            // RTPS 2.5 §9.4.4: magic, version, vendor, GUID prefix; then submessages, whose kinds
            // go from PAD (0x01) to DATA_FRAG (0x16).
            let mut header = b"RTPS\x02\x05\x01\x10".to_vec();
            header.extend((0..12).map(|_| random() as u8));
            header.extend([(random() % 0x17) as u8, 1, random() as u8, 0]);
            datagram.splice(0..0, header);
        }
        // Discovery and user traffic of participants 0 to 9: d1 + 2 × index and d3 + 2 × index.
        let port = first_port + 10 + (random() % 20) as u16;
        let _ = socket.send_to(&datagram, ("127.0.0.1", port));
        thrown += 1;
        if thrown % 64 == 0 {
            std::thread::yield_now();
        }
    }
    thrown
}
