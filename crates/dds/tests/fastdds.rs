//! With eProsima Fast DDS, an implementation that shares no code with ours: peers/fastdds.cpp, in a network
//! of two hosts, discovered by multicast and by addresses alone.

mod common;

use common::net::Net;
use common::{Peer, built};
use std::path::PathBuf;

/// Samples per key that a late reader gets of either side.
const RETAINED: u64 = 16;
const LARGEST: usize = 1 << 20;

/// How the two find each other.
#[derive(Clone, Copy, PartialEq)]
enum Discovery {
    Multicast,
    Addresses,
}

/// What `deploy/tools/build-fastdds-peer.sh` builds.
fn program() -> PathBuf {
    let sources: [&[u8]; 3] = [
        include_bytes!("peers/fastdds.cpp"),
        include_bytes!("../idl/glasshouse.idl"),
        include_bytes!("peers/newer.idl"),
    ];
    built("fastdds-peer", &sources, "libfastrtps-dev and fastddsgen")
}

/// Fast DDS on host 2; `arguments` start with options, if any.
fn fast(net: &Net, discovery: Discovery, arguments: &[&str]) -> Peer {
    let mut command = net.on(2, &program());
    command.args(["--interface", &Net::address(2)]);
    if discovery == Discovery::Addresses {
        command.args(["--peer", &Net::address(1)]);
    }
    let (mode, options) = arguments.split_last().expect("a mode");
    command.args(options).args([mode, "peer_topic", "room"]);
    Peer::ready(command)
}

/// Ours on host 1.
fn ours(net: &Net, discovery: Discovery, mode: &str) -> Peer {
    let other = Net::address(2);
    let mut options = match discovery {
        Discovery::Multicast => vec!["--multicast"],
        Discovery::Addresses => vec!["--peer", &other],
    };
    // What Fast DDS 2 reads.
    if mode == "feed" {
        options.push("--older");
    }
    net.peer(1, &options, mode)
}

/// Two keys, late joining, order, bursts that share datagrams, and the largest sample.
fn exchange(feeder: &mut Peer, late: impl Fn() -> Peer) -> Peer {
    feeder.feed("ups-1 40 100");
    feeder.feed("ups-2 3 10");
    let reader = late();
    let mut retained: Vec<String> = (0..RETAINED + 3).map(|_| reader.line()).collect();
    let first = 40 - RETAINED + 1;
    let mut expected: Vec<String> = (first..=40).map(|at| format!("ups-1 {at} 100")).collect();
    expected.extend((41..=43).map(|at| format!("ups-2 {at} 10")));
    // Each key in its order; between keys there is none.
    retained.sort_by_key(|line| line.starts_with("ups-2"));
    assert_eq!(retained, expected);
    feeder.feed("ups-1 400 200");
    for at in 44..=443 {
        assert_eq!(reader.line(), format!("ups-1 {at} 200"));
    }
    feeder.feed(&format!("ups-2 1 {LARGEST}"));
    assert_eq!(reader.line(), format!("ups-2 444 {LARGEST}"));
    reader
}

fn fast_dds_reads_ours(discovery: Discovery) {
    let net = Net::of(2);
    let mut feeder = ours(&net, discovery, "feed");
    let reader = exchange(&mut feeder, || fast(&net, discovery, &["subscribe"]));
    feeder.feed("dispose ups-1");
    assert_eq!(reader.line(), "disposed");
    feeder.feed("ups-1 1 10");
    assert_eq!(reader.line(), "ups-1 445 10");
}

fn we_read_fast_dds(discovery: Discovery) {
    let net = Net::of(2);
    let mut feeder = fast(&net, discovery, &["feed"]);
    exchange(&mut feeder, || ours(&net, discovery, "subscribe"));
}

#[test]
fn fast_dds_reads_ours_by_multicast() {
    fast_dds_reads_ours(Discovery::Multicast);
}

#[test]
fn fast_dds_reads_ours_without_multicast() {
    fast_dds_reads_ours(Discovery::Addresses);
}

#[test]
fn we_read_fast_dds_by_multicast() {
    we_read_fast_dds(Discovery::Multicast);
}

#[test]
fn we_read_fast_dds_without_multicast() {
    we_read_fast_dds(Discovery::Addresses);
}

/// The other direction is tested with Cyclone DDS: Fast DDS 2 does not read samples that end early.
#[test]
fn we_read_fast_dds_of_a_newer_release() {
    let net = Net::of(2);
    let mut feeder = fast(&net, Discovery::Addresses, &["--newer", "feed"]);
    let reader = ours(&net, Discovery::Addresses, "subscribe");
    feeder.feed("ups-1 3 10");
    for at in 1..=3 {
        assert_eq!(reader.line(), format!("ups-1 {at} 10"));
    }
}
