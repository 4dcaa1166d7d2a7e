//! What the network between namespaces does to packets. Without root the cluster says that it has
//! no such network, and that is all there is to see.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use local::{ClusterError, Lag, LocalCluster, Network, NetworkChoice, Options};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// A packet crosses in microseconds; this is for a busy machine.
const LIMIT: Duration = Duration::from_secs(10);
const PORT: u16 = 9_000;

fn cluster(dir: &tempfile::TempDir) -> Option<LocalCluster> {
    let options = Options {
        network: NetworkChoice::Only(Network::Namespaces),
        ..Options::new("/bin/false")
    };
    match LocalCluster::create(&dir.path().join("cluster"), 3, options) {
        Ok(cluster) => Some(cluster),
        Err(error @ ClusterError::Network(_)) if local::namespaces::user() != 0 => {
            assert!(error.to_string().contains("need root"), "{error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn address(number: u8) -> SocketAddr {
    (local::namespaces::address(number), PORT).into()
}

fn socket(cluster: &LocalCluster, number: u8) -> UdpSocket {
    let open = || UdpSocket::bind(address(number)).unwrap();
    let socket = cluster.inside(&format!("node-{number}"), open).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

/// Which of the others' packets reach `to`: each sends its number, then `last`, whom it hears, ends it.
fn heard(sockets: &[UdpSocket], to: usize, last: usize) -> Vec<u8> {
    let target = sockets[to].local_addr().unwrap();
    for (number, socket) in (1u8..).zip(sockets) {
        if usize::from(number) != to + 1 {
            socket.send_to(&[number], target).unwrap();
        }
    }
    sockets[last].send_to(b"end", target).unwrap();
    let mut heard = Vec::new();
    let mut packet = [0u8; 8];
    loop {
        match sockets[to].recv(&mut packet).unwrap() {
            3 => break,
            _ => heard.push(packet[0]),
        }
    }
    heard.sort_unstable();
    heard
}

#[test]
fn splits_and_deaf_ears_add_up_outlast_a_start_and_heal() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut cluster) = cluster(&dir) else {
        return;
    };
    let sockets: Vec<UdpSocket> = (1..=3).map(|number| socket(&cluster, number)).collect();
    assert_eq!(heard(&sockets, 0, 1), [2, 3]);
    cluster.deafen("node-1", &["node-3".into()]).unwrap();
    assert_eq!(heard(&sockets, 0, 1), [2]);
    assert_eq!(heard(&sockets, 2, 1), [1, 2], "only one ear is deaf");
    // A start sets up the network anew; what was cut stays cut.
    let _ = cluster.start("node-2");
    assert_eq!(heard(&sockets, 0, 1), [2]);
    let names = ["node-1", "node-2", "node-3"].map(str::to_owned);
    cluster
        .split(&[vec![names[0].clone()], vec![names[1].clone()]])
        .unwrap();
    assert_eq!(heard(&sockets, 2, 0), [1, 2]);
    assert_eq!(heard(&sockets, 1, 2), [3]);
    cluster.heal().unwrap();
    assert_eq!(heard(&sockets, 0, 2), [2, 3]);
    assert_eq!(heard(&sockets, 1, 2), [1, 3]);
}

#[test]
fn a_degraded_node_loses_about_its_share() {
    const SENT: usize = 1_000;
    const BATCH: usize = 50;
    let dir = tempfile::tempdir().unwrap();
    let Some(mut cluster) = cluster(&dir) else {
        return;
    };
    let (first, second) = (socket(&cluster, 1), socket(&cluster, 2));
    // So that no packet waits for an address that is being looked up.
    second.send_to(b"hello", address(1)).unwrap();
    first.recv(&mut [0; 8]).unwrap();
    cluster.degrade("node-1", 30).unwrap();
    let mut got = 0;
    for _ in 0..SENT / BATCH {
        for _ in 0..BATCH {
            second.send_to(&[1], address(1)).unwrap();
        }
        // The socket holds only so many.
        first.set_nonblocking(true).unwrap();
        while first.recv(&mut [0; 8]).is_ok() {
            got += 1;
        }
        first.set_nonblocking(false).unwrap();
    }
    cluster.degrade("node-1", 0).unwrap();
    second.send_to(b"end", address(1)).unwrap();
    while first.recv(&mut [0; 8]).unwrap() == 1 {
        got += 1;
    }
    // Five standard deviations (14.5) on either side.
    assert!((628..=772).contains(&got), "{got} of {SENT} arrived");
}

#[test]
fn a_lagging_cable_carries_everything_late_and_then_in_time_again() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut cluster) = cluster(&dir) else {
        return;
    };
    let (first, second) = (socket(&cluster, 1), socket(&cluster, 2));
    let echo = |limit: Duration| {
        let begun = Instant::now();
        second.send_to(b"ping", address(1)).unwrap();
        let (_, from) = first.recv_from(&mut [0; 8]).unwrap();
        first.send_to(b"pong", from).unwrap();
        second.recv(&mut [0; 8]).unwrap();
        let took = begun.elapsed();
        assert!(took < limit, "{took:?}");
        took
    };
    echo(LIMIT);
    let lag = Lag {
        base: Duration::from_millis(100),
        jitter: Duration::from_millis(20),
    };
    let lagging = cluster.lag("node-1", lag).unwrap();
    let took = echo(LIMIT);
    assert!(took >= 2 * lag.base, "{took:?}");

    // A stream, whose segments the kernel leaves uncut and without checksums between namespaces.
    let listener = cluster.inside("node-1", || TcpListener::bind(address(1)).unwrap());
    let listener = listener.unwrap();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all
    });
    let sent: Vec<u8> = (0..2_000_000u32).map(|at| (at % 251) as u8).collect();
    let stream = cluster.inside("node-2", || TcpStream::connect(address(1)).unwrap());
    let mut stream = stream.unwrap();
    stream.write_all(&sent).unwrap();
    drop(stream);
    assert!(
        served.join().unwrap() == sent,
        "the stream came through changed"
    );

    // Whoever stands outside is late as well, and not by another way.
    let state = &cluster;
    let outside = std::thread::scope(|scope| {
        let work = || {
            state.enter_outside().unwrap();
            UdpSocket::bind((local::namespaces::HUB_ADDRESS, PORT)).unwrap()
        };
        scope.spawn(work).join().unwrap()
    });
    outside.set_read_timeout(Some(LIMIT)).unwrap();
    let begun = Instant::now();
    outside.send_to(b"ping", address(1)).unwrap();
    let (_, from) = first.recv_from(&mut [0; 8]).unwrap();
    first.send_to(b"pong", from).unwrap();
    outside.recv(&mut [0; 8]).unwrap();
    assert!(begun.elapsed() >= 2 * lag.base);

    drop(lagging);
    let fastest = (0..5).map(|_| echo(LIMIT)).min().unwrap();
    assert!(fastest < lag.base, "{fastest:?}");
}
