//! Processes that die and come back, a network that loses and disorders, readers that stand still, clocks
//! that step, many participants: between processes on hosts of a network of the test's own.

mod common;

use common::Peer;
use common::net::Net;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Samples per key that a late reader gets.
const RETAINED: u64 = 16;

fn expect(reader: &Peer, key: &str, sequences: impl Iterator<Item = u64>, size: usize) {
    for sequence in sequences {
        assert_eq!(reader.line(), format!("{key} {sequence} {size}"));
    }
}

/// Nothing more comes: behind all that was written before, in order, comes this.
fn expect_last(feeder: &mut Peer, reader: &Peer, sequence: u64) {
    feeder.feed("last 1 1");
    expect(reader, "last", sequence..=sequence, 1);
}

#[test]
fn a_reader_that_is_killed_and_comes_back_gets_what_is_retained_once() {
    let net = Net::of(2);
    let (one, two) = (Net::address(1), Net::address(2));
    let mut feeder = net.peer(1, &["--peer", &two], "feed");
    let mut reader = net.peer(2, &["--peer", &one], "subscribe");
    feeder.feed("ups-1 20 100");
    while reader.line() != "ups-1 20 100" {}
    // What nobody has acknowledged is kept as well, and would come to whoever comes back.
    feeder.feed("drain");
    reader.kill();
    feeder.feed("ups-1 5 100");
    let reader = net.peer(2, &["--peer", &one], "subscribe");
    expect(&reader, "ups-1", 26 - RETAINED..=25, 100);
    feeder.feed("ups-1 5 100");
    expect(&reader, "ups-1", 26..=30, 100);
    expect_last(&mut feeder, &reader, 31);
}

#[test]
fn a_writer_comes_back_with_the_same_and_with_another_address() {
    let net = Net::of(3);
    let (one, two) = (Net::address(1), Net::address(2));
    // The reader knows the first host only; whoever comes from another one knows the reader.
    let reader = net.peer(2, &["--peer", &one], "subscribe");
    for host in [1, 1, 3] {
        let mut feeder = net.peer(host, &["--peer", &two], "feed");
        feeder.feed("ups-1 5 100");
        expect(&reader, "ups-1", 1..=5, 100);
        expect_last(&mut feeder, &reader, 6);
        feeder.kill();
    }
}

#[test]
fn loss_and_disorder_neither_lose_nor_repeat_nor_swap_samples() {
    let net = Net::of(2);
    let (one, two) = (Net::address(1), Net::address(2));
    let mut feeder = net.peer(1, &["--peer", &two], "feed");
    let reader = net.peer(2, &["--peer", &one], "subscribe");
    feeder.feed("ups-1 1 100");
    expect(&reader, "ups-1", 1..=1, 100);
    // Both ways: samples, and what says that they came.
    (1..=2).for_each(|host| net.lose(host, 50));
    net.disorder(1, 300);
    for round in 0..20 {
        // A burst shares datagrams; singles do not.
        feeder.feed(if round % 2 == 0 {
            "ups-1 100 200"
        } else {
            "ups-1 100 1200"
        });
    }
    for sequence in 2..=2001 {
        let size = if (sequence - 2) / 100 % 2 == 0 {
            200
        } else {
            1200
        };
        expect(&reader, "ups-1", sequence..=sequence, size);
    }
    expect_last(&mut feeder, &reader, 2002);
    assert!(
        net.disordered(1) > 50,
        "{} packets were late",
        net.disordered(1)
    );
}

#[test]
fn the_largest_samples_come_whole_through_loss() {
    const SIZE: usize = dds::SEALED_MAX;
    let net = Net::of(2);
    let (one, two) = (Net::address(1), Net::address(2));
    let mut feeder = net.peer(1, &["--peer", &two], "feed");
    let reader = net.peer(2, &["--peer", &one], "subscribe");
    (1..=2).for_each(|host| net.lose(host, 10));
    feeder.feed(&format!("model 5 {SIZE}"));
    expect(&reader, "model", 1..=5, SIZE);
}

/// What may gather for a reader that stands still: a writer's history, a queue, buffers of the system.
const GATHERED_KIB: u64 = 16 << 10;

#[test]
fn a_reader_that_stands_still_holds_up_the_writer_and_costs_no_memory() {
    let net = Net::of(2);
    let (one, two) = (Net::address(1), Net::address(2));
    let mut feeder = net.peer(1, &["--peer", &two], "feed");
    let reader = net.peer(2, &["--peer", &one], "subscribe");
    feeder.feed("ups-1 1 2000");
    expect(&reader, "ups-1", 1..=1, 2000);
    let before = feeder.memory_kib();
    reader.signal("STOP");
    // 40 MB, of which a queue of 1024 samples is accepted.
    feeder.say("ups-1 10000 4000");
    let early = feeder.line_within(Duration::from_secs(2));
    assert_eq!(early, None, "nobody acknowledges, and yet all was accepted");
    let gathered = feeder.memory_kib().saturating_sub(before);
    assert!(gathered < GATHERED_KIB, "{gathered} KiB have gathered");
    reader.signal("CONT");
    // One that falls behind by more than the backlog may lose some; none comes twice, none overtakes.
    let mut last = 1;
    while last < 10_001 {
        let line = reader.line();
        let sequence = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        let sequence: u64 = sequence.expect("a sample");
        assert!(sequence > last, "{sequence} came after {last}");
        last = sequence;
    }
    assert_eq!(feeder.line(), "done");
}

#[test]
fn of_a_state_a_reader_that_stood_still_gets_the_newest() {
    let net = Net::of(2);
    let (one, two) = (Net::address(1), Net::address(2));
    let mut feeder = net.peer(1, &["--state", "--peer", &two], "feed");
    let reader = net.peer(2, &["--peer", &one], "subscribe");
    feeder.feed("ups-1 1 2000");
    expect(&reader, "ups-1", 1..=1, 2000);
    let before = feeder.memory_kib();
    reader.signal("STOP");
    feeder.feed("ups-1 40000 2000");
    let gathered = feeder.memory_kib().saturating_sub(before);
    assert!(gathered < GATHERED_KIB, "{gathered} KiB have gathered");
    reader.signal("CONT");
    while reader.line() != "ups-1 40001 2000" {}
}

#[test]
fn a_name_that_gets_another_address_is_looked_up_again() {
    let net = Net::of(3);
    let one = Net::address(1);
    net.names(1, "127.0.0.1 localhost\n");
    // Nobody but the first host knows of others, and that only by a name that stands for nobody yet.
    let mut feeder = net.peer(1, &["--peer", &one, "--peer", "late.test"], "feed");
    feeder.feed("ups-1 3 100");
    for host in [2, 3] {
        let address = Net::address(host);
        let reader = net.peer(host, &["--peer", &address], "subscribe");
        net.names(1, &format!("127.0.0.1 localhost\n{address} late.test\n"));
        expect(&reader, "ups-1", 1..=3, 100);
    }
}

/// A library that tells a program another time, which can be changed while it runs.
const OTHER_TIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

#[test]
fn a_writer_whose_clock_steps_is_read_on() {
    assert!(
        Path::new(OTHER_TIME).exists(),
        "{OTHER_TIME} is missing: `cargo xtask setup` installs libfaketime"
    );
    let net = Net::of(2);
    let (one, two) = (Net::address(1), Net::address(2));
    let clock: PathBuf = std::env::temp_dir().join(format!("ghdds-clock-{}", std::process::id()));
    let step = |offset: &str| std::fs::write(&clock, offset).expect("the clock is set");
    step("+0");
    let mut command = net.on(1, Path::new(env!("CARGO_BIN_EXE_dds-peer")));
    command.args(["--interface", &one, "--peer", &two, "feed", "0", "", "room"]);
    command.env("LD_PRELOAD", OTHER_TIME);
    command.env("FAKETIME_TIMESTAMP_FILE", &clock);
    command
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let mut feeder = Peer::ready(command);
    let reader = net.peer(2, &["--peer", &one], "subscribe");
    for (round, offset) in ["+0", "-3600", "+7200", "-86400"].into_iter().enumerate() {
        step(offset);
        feeder.feed("ups-1 10 100");
        let first = round as u64 * 10 + 1;
        expect(&reader, "ups-1", first..=first + 9, 100);
    }
    // Silent for longer than the lease: it is alive all the same.
    let silent = reader.line_within(Duration::from_secs(6));
    assert_eq!(silent, None);
    feeder.feed("ups-1 1 100");
    expect(&reader, "ups-1", 41..=41, 100);
    let _ = std::fs::remove_file(clock);
}

/// All of them read one writer: each has met all others, and hears of each sample. On every host there are
/// `each` processes, of `crowd` participants each.
fn many(hosts: u8, each: usize, crowd: usize, limit: Duration) {
    let net = Net::of(hosts);
    let (start, count) = (Instant::now(), crowd.to_string());
    let readers: Vec<Peer> = (0..each)
        .flat_map(|_| 1..=hosts)
        .map(|host| net.start(host, &["--multicast", "--participants", &count], "crowd"))
        .collect();
    readers.iter().for_each(Peer::wait_ready);
    let mut feeder = net.peer(1, &["--multicast"], "feed");
    feeder.feed("ups-1 3 100");
    for reader in &readers {
        expect(reader, "ups-1", 1..=3, 100);
    }
    let met = start.elapsed();
    feeder.feed("ups-1 100 100");
    for reader in &readers {
        expect(reader, "ups-1", 4..=103, 100);
    }
    let largest = readers.iter().map(Peer::memory_kib).max().unwrap_or(0);
    println!(
        "{} participants in {} processes: met after {met:?}, 100 samples each after {:?}, at most {largest} KiB a process",
        readers.len() * crowd + 1,
        readers.len() + 1,
        start.elapsed()
    );
    assert!(met < limit, "it took them {met:?} to meet");
}

#[test]
fn fifty_processes_meet() {
    many(2, 25, 1, Duration::from_secs(60));
}

/// Each process takes what is meant for its participants once, so that there are fewer messages by far than
/// between as many processes.
#[test]
fn two_hundred_participants_meet() {
    many(4, 2, 25, Duration::from_secs(60));
}
