//! DDS Security 1.1 with Debian's Cyclone DDS, in both directions, and what it is worth against strangers.
//! For builds with the feature `security`.

mod common;

use common::{Peer, built, config, tag};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Samples per key that a late reader gets of either side.
const RETAINED: u64 = 16;
const LARGEST: usize = 1 << 20;
/// For what must not come. Those who may had theirs long before.
const SILENCE: Duration = Duration::from_millis(500);

/// Two authorities of its own, and a folder for each node.
struct House(PathBuf);

impl House {
    fn of(name: &str) -> Self {
        let house =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let house = Self(house);
        house.make(&["house"], &[]);
        house
    }

    fn make(&self, what: &[&str], name: &[&str]) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/dds/security.sh");
        let output = Command::new(script)
            .args(what)
            .arg(&self.0)
            .args(name)
            .output();
        let output = output.expect("the script runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// The folder of a node with this name.
    fn node(&self, name: &str) -> String {
        self.make(&["node"], &[name]);
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `dds-peer`, with the folder of a node or without.
fn ours(folder: Option<&str>, mode: &str) -> Peer {
    let domain = config().domain.to_string();
    let security = folder.map(|folder| ["--security", folder]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_dds-peer"));
    command
        .args(security.iter().flatten())
        .args([mode, &domain, &tag(), "room"]);
    Peer::ready(command)
}

/// Debian's Cyclone DDS, with the folder of a node or without.
fn cyclone(folder: Option<&str>, mode: &str) -> Peer {
    let sources: [&[u8]; 2] = [
        include_bytes!("peers/cyclone.c"),
        include_bytes!("../idl/glasshouse.idl"),
    ];
    let mut command = Command::new(built("cyclone-peer", &sources, "cyclonedds-tools"));
    let domain = config().domain.to_string();
    command.args([
        &domain,
        &tag(),
        folder.unwrap_or("-"),
        mode,
        "peer_topic",
        "room",
    ]);
    Peer::ready(command)
}

fn expect(reader: &Peer, key: &str, sequences: std::ops::RangeInclusive<u64>, size: usize) {
    for sequence in sequences {
        assert_eq!(reader.line(), format!("{key} {sequence} {size}"));
    }
}

#[test]
fn members_meet_both_ways_and_nobody_else_reads_or_writes() {
    let (house, other) = (House::of("house"), House::of("other"));
    let (one, two) = (house.node("rack-1"), house.node("rack-2"));
    let foreign = other.node("rack-1");
    let strangers = [None, Some(foreign.as_str())];
    let deaf: Vec<Peer> = strangers
        .iter()
        .flat_map(|folder| [ours(*folder, "subscribe"), cyclone(*folder, "subscribe")])
        .collect();

    // Ours and theirs, each the writer once, for late readers and for others.
    let mut feeder = ours(Some(&one), "feed");
    feeder.feed("ups-1 20 50");
    let theirs = cyclone(Some(&two), "subscribe");
    expect(&theirs, "ups-1", 20 - RETAINED + 1..=20, 50);
    feeder.feed("ups-1 200 50");
    expect(&theirs, "ups-1", 21..=220, 50);
    feeder.feed(&format!("ups-1 1 {LARGEST}"));
    expect(&theirs, "ups-1", 221..=221, LARGEST);
    let mut feeding = cyclone(Some(&two), "feed");
    // Matched meanwhile: of the first it may have as few as are retained.
    feeding.feed("pdu-1 20 50");
    while theirs.line() != "pdu-1 20 50" {}
    let reader = ours(Some(&one), "subscribe");
    let mut late: Vec<String> = (0..2 * RETAINED).map(|_| reader.line()).collect();
    late.retain(|line| line.starts_with("pdu-1 "));
    let retained: Vec<String> = (20 - RETAINED + 1..=20)
        .map(|at| format!("pdu-1 {at} 50"))
        .collect();
    assert_eq!(late, retained);
    feeding.feed(&format!("pdu-1 1 {LARGEST}"));
    expect(&reader, "pdu-1", 21..=21, LARGEST);
    expect(&theirs, "pdu-1", 21..=21, LARGEST);

    // Of all that was written nothing reached those without a certificate of this house, and what they
    // write reaches only their like.
    for folder in strangers {
        for mut stranger in [ours(folder, "feed"), cyclone(folder, "feed")] {
            stranger.feed("intruder 1 10");
            let like = if folder.is_none() {
                &deaf[..2]
            } else {
                &deaf[2..]
            };
            like.iter()
                .for_each(|reader| expect(reader, "intruder", 1..=1, 10));
        }
    }
    for reader in deaf.iter().chain([&reader, &theirs]) {
        assert_eq!(reader.line_within(SILENCE), None);
    }
}
