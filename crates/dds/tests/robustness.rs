//! What comes over the network is anybody's. Datagrams of real participants, changed at random, reach a
//! participant that goes on exchanging samples.

mod common;

use common::Peer;
use common::net::Net;
use std::net::UdpSocket;
use std::time::Duration;

/// Recorded between this house, Cyclone DDS and Fast DDS: announcements of participants, readers and
/// writers, samples whole and in fragments, heartbeats, acknowledgements, gaps.
const CORPUS: [&str; 2] = [
    include_str!("corpus/cyclonedds.hex"),
    include_str!("corpus/fastdds.hex"),
];
const DATAGRAMS: u64 = 100_000;
/// Sent at once; the receiver's socket buffer has room for more.
const BURST: u64 = 16;
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;
/// Where the reader announces itself to the attacker.
const LISTEN: u16 = 9_999;
/// Participants and endpoints that forged announcements bring forth stay until their leases end.
const GROWN_KIB: u64 = 48 << 10;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let lines = CORPUS.iter().flat_map(|file| file.lines());
    lines
        .map(|line| hex::decode(line).expect("hexadecimal"))
        .collect()
}

/// RTPS 2.5 §8.3.7.6: a message with INFO_DST goes to one participant. Without the right one at its head
/// most of what is recorded would be passed over unread.
fn address(datagram: &mut [u8], target: &[u8; 12]) {
    const INFO_DST: u8 = 0x0e;
    if datagram.get(20) == Some(&INFO_DST) && datagram.len() >= 36 {
        datagram[24..36].copy_from_slice(target);
    }
}

fn mutate(datagram: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    const HEADER: usize = 20;
    for _ in 0..random.below(6) {
        let length = datagram.len();
        if length <= HEADER {
            return;
        }
        let at = HEADER + random.below(length - HEADER);
        match random.below(6) {
            0 => datagram[at] ^= 1 << random.below(8),
            1 => datagram[at] = random.next() as u8,
            // Lengths and counts at their ends.
            2 => {
                let extremes = [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX, 0xffff_fffe];
                let extreme = extremes[random.below(extremes.len())].to_le_bytes();
                let at = at & !3;
                let end = (at + 4).min(length);
                datagram[at..end].copy_from_slice(&extreme[..end - at]);
            }
            3 => datagram.truncate(at),
            // The rest of another message.
            4 => {
                let other = &corpus[random.below(corpus.len())];
                datagram.truncate(at & !3);
                datagram.extend(&other[HEADER + random.below(other.len() - HEADER)..]);
            }
            _ => {
                let piece = datagram[at..].to_vec();
                datagram.extend(piece);
            }
        }
    }
    datagram.truncate(60_000);
}

/// The GUID prefix of whoever announces itself here.
fn overhear(socket: &UdpSocket) -> [u8; 12] {
    let mut buffer = [0; 2048];
    let limit = Some(common::LIMIT);
    socket.set_read_timeout(limit).expect("a limit");
    let (length, _) = socket.recv_from(&mut buffer).expect("an announcement");
    assert!(length > 20 && buffer.starts_with(b"RTPS"));
    buffer[8..20].try_into().expect("twelve bytes")
}

fn throw(target: &str) {
    let socket = UdpSocket::bind((Net::address(3), LISTEN)).expect("a socket");
    let prefix = overhear(&socket);
    let mut corpus = corpus();
    corpus
        .iter_mut()
        .for_each(|datagram| address(datagram, &prefix));
    let mut random = Random(SEED);
    for thrown in 0..DATAGRAMS {
        let mut datagram = corpus[random.below(corpus.len())].clone();
        mutate(&mut datagram, &corpus, &mut random);
        // Discovery and data of the first participant.
        let port = [7410, 7411][random.below(2)];
        // Only an ICMP error of an earlier one can come back.
        let _ = socket.send_to(&datagram, (target, port));
        if thrown % BURST == 0 {
            std::thread::sleep(Duration::from_micros(300));
        }
    }
}

#[test]
fn changed_datagrams_neither_end_nor_stop_nor_fill_a_participant() {
    let net = Net::of(3);
    let (one, two) = (Net::address(1), Net::address(2));
    let attacker = format!("{}:{LISTEN}", Net::address(3));
    let mut feeder = net.peer(1, &["--peer", &two], "feed");
    let thrower = net.inside(3, {
        let two = two.clone();
        move || throw(&two)
    });
    let reader = net.peer(2, &["--peer", &one, "--peer", &attacker], "subscribe");
    let mut sequence = 0;
    let mut exchange = |reader: &Peer| {
        sequence += 1;
        feeder.feed("good 1 100");
        // What a forged writer brings, which was matched like any stranger's, stands between.
        let next = || std::iter::repeat_with(|| reader.line());
        let line = next().find(|line| line.starts_with("good "));
        assert_eq!(line, Some(format!("good {sequence} 100")));
    };
    exchange(&reader);
    let before = reader.memory_kib();
    let mut during = 0;
    while !thrower.is_finished() {
        exchange(&reader);
        during += 1;
    }
    thrower.join().expect("all were thrown");
    (0..100).for_each(|_| exchange(&reader));
    let heard = net.heard(2);
    let grown = reader.memory_kib().saturating_sub(before);
    println!("{heard} datagrams heard, {during} samples meanwhile, {grown} KiB more");
    assert!(heard > DATAGRAMS * 9 / 10, "only {heard} arrived");
    assert!(grown < GROWN_KIB, "{grown} KiB more than before");
}
