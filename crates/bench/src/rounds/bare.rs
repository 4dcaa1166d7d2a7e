//! The floor under a round: as many bytes as it carries, encrypted, through loopback and decrypted, and nothing else.
//!
//! A process in the aggregator's place and one for each participant, with a connection and a key for each direction between
//! them. Records have the size and the cipher of the product's links; there is no runtime, session, frame, window or
//! credit, only threads that block. What a round takes beyond that is what it does besides carrying bytes.

use super::peer;
use crate::{Failure, lines};
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// The word by which the benchmark starts itself as one of these processes.
pub const WORD: &str = "bare";

/// What a process is told on its command line.
#[derive(clap::Args)]
pub struct Arguments {
    /// 0: in the aggregator's place; else the participant of that number
    number: usize,
    /// How many participants there are
    participants: usize,
    /// Where the first one listens
    address: SocketAddr,
}

/// Runs one process until its orders end.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    runtime::heap::keep_large_buffers();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match arguments.number {
            0 => lead(&arguments).await,
            _ => follow(&arguments).await,
        }
    })
}

/// What one exchange carries over a connection.
#[derive(Clone, Copy)]
struct Load {
    out: usize,
    /// At least one byte, which tells that what went out was decrypted.
    back: usize,
}

/// A connection of the aggregator's: loads go in, and a word comes out when one has been carried.
struct Carrier {
    loads: SyncSender<Load>,
    carried: Receiver<io::Result<()>>,
}

impl Carrier {
    fn start(mut connection: End) -> Self {
        let (loads, orders) = sync_channel::<Load>(1);
        let (done, carried) = sync_channel(1);
        std::thread::spawn(move || {
            let mut source = Vec::new();
            while let Ok(load) = orders.recv() {
                let _ = done.send(connection.lead(load, &mut source)); // the other end may have given up
            }
        });
        Self { loads, carried }
    }
}

async fn lead(arguments: &Arguments) -> Result<(), Failure> {
    let listener = TcpListener::bind(arguments.address)?;
    let carriers = (0..arguments.participants).map(|_| {
        let (connection, _) = listener.accept()?;
        Ok(Carrier::start(End::new(connection, 0)?))
    });
    let carriers = carriers.collect::<Result<Vec<_>, Failure>>()?;
    lines::obey(|order| {
        // Nothing else is to be done on this thread meanwhile.
        let answer = match order.split(' ').collect::<Vec<_>>()[..] {
            ["exchange", out, back, answering] => exchange(&carriers, out, back, answering),
            _ => used(&order),
        };
        async move { answer }
    })
    .await
}

fn exchange(
    carriers: &[Carrier],
    out: &str,
    back: &str,
    answering: &str,
) -> Result<String, Failure> {
    let (out, back, answering) = (out.parse()?, back.parse()?, answering.parse::<usize>()?);
    let begin = Instant::now();
    for (number, carrier) in carriers.iter().enumerate() {
        let back = if number < answering { back } else { 1 };
        carrier.loads.send(Load { out, back })?;
    }
    for carrier in carriers {
        carrier.carried.recv()??;
    }
    Ok(begin.elapsed().as_micros().to_string())
}

fn used(order: &str) -> Result<String, Failure> {
    match order {
        // Of bytes the aggregator is told how many there are to be.
        "used" => Ok(peer::used(&super::counted::Bytes::default())?.line()),
        _ => Err(format!("unknown order {order:?}").into()),
    }
}

/// Between two looks whether the aggregator's process listens already.
const PAUSE: Duration = Duration::from_millis(20);

async fn follow(arguments: &Arguments) -> Result<(), Failure> {
    let late = Instant::now() + super::LIMIT;
    let connection = loop {
        match TcpStream::connect(arguments.address) {
            Ok(connection) => break connection,
            Err(error) if Instant::now() > late => return Err(error.into()),
            Err(_) => std::thread::sleep(PAUSE),
        }
    };
    let mut connection = End::new(connection, 1)?;
    std::thread::spawn(move || {
        let mut source = Vec::new();
        // Until the aggregator's process has ended.
        while connection.follow(&mut source).is_ok() {}
    });
    lines::obey(|order| async move { used(&order) }).await
}

/// Bytes of the length before a record, of its tag, and of its data: as in `cluster::noise`.
const HEADER: usize = 2;
const TAG: usize = 16;
const DATA: usize = u16::MAX as usize - TAG;

/// One end of a connection.
struct End {
    connection: TcpStream,
    out: Direction,
    back: Direction,
    /// The record that is being written.
    record: Vec<u8>,
    /// What was received; from `.1` to `.2` it waits to be decrypted.
    received: (Box<[u8]>, usize, usize),
}

struct Direction {
    key: LessSafeKey,
    number: u64,
}

impl Direction {
    fn new(key: u8) -> Result<Self, Failure> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &[key; 32]).map_err(|_| "no key")?;
        let key = LessSafeKey::new(key);
        Ok(Self { key, number: 0 })
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.number.to_le_bytes());
        self.number += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

impl End {
    /// `side`: 0 or 1. What keys are is of no matter here.
    fn new(connection: TcpStream, side: u8) -> Result<Self, Failure> {
        connection.set_nodelay(true)?;
        Ok(Self {
            connection,
            out: Direction::new(side)?,
            back: Direction::new(1 - side)?,
            record: Vec::with_capacity(HEADER + DATA + TAG),
            received: (vec![0; 2 * (HEADER + DATA + TAG)].into_boxed_slice(), 0, 0),
        })
    }

    fn lead(&mut self, load: Load, source: &mut Vec<u8>) -> io::Result<()> {
        let mut head = [0; 16];
        head[..8].copy_from_slice(&(load.out as u64).to_le_bytes());
        let back = load.back.max(1);
        head[8..].copy_from_slice(&(back as u64).to_le_bytes());
        self.connection.write_all(&head)?;
        self.send(load.out, source)?;
        self.receive(back)
    }

    fn follow(&mut self, source: &mut Vec<u8>) -> io::Result<()> {
        let mut head = [0; 16];
        self.connection.read_exact(&mut head)?;
        let (words, _) = head.as_chunks::<8>();
        let [out, back] = [words[0], words[1]].map(|word| u64::from_le_bytes(word) as usize);
        self.receive(out)?;
        self.send(back, source)
    }

    /// From a buffer of that size, since what is sent has to be read.
    fn send(&mut self, bytes: usize, source: &mut Vec<u8>) -> io::Result<()> {
        if source.len() < bytes {
            source.resize(bytes, 7);
        }
        for data in source[..bytes].chunks(DATA) {
            let length = u16::try_from(data.len() + TAG).map_err(io::Error::other)?;
            self.record.clear();
            self.record.extend(length.to_be_bytes());
            self.record.extend_from_slice(data);
            let nonce = self.out.nonce();
            let plain = &mut self.record[HEADER..];
            let sealed = self
                .out
                .key
                .seal_in_place_separate_tag(nonce, Aad::empty(), plain);
            let tag = sealed.map_err(io::Error::other)?;
            self.record.extend_from_slice(tag.as_ref());
            self.connection.write_all(&self.record)?;
        }
        Ok(())
    }

    fn receive(&mut self, mut bytes: usize) -> io::Result<()> {
        let (buffer, start, end) = &mut self.received;
        while bytes > 0 {
            let waiting = &mut buffer[*start..*end];
            if let Some((header, rest)) = waiting.split_first_chunk_mut::<HEADER>()
                && let Some(record) = rest.get_mut(..usize::from(u16::from_be_bytes(*header)))
            {
                *start += HEADER + record.len();
                let nonce = self.back.nonce();
                let data = self.back.key.open_in_place(nonce, Aad::empty(), record);
                bytes = bytes.saturating_sub(data.map_err(io::Error::other)?.len());
                continue;
            }
            buffer.copy_within(*start..*end, 0);
            (*start, *end) = (0, *end - *start);
            let read = self.connection.read(&mut buffer[*end..])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            *end += read;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_end_encrypts_the_other_decrypts() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let other = std::thread::spawn(move || {
            let mut end = End::new(TcpStream::connect(address).unwrap(), 1).unwrap();
            let mut source = Vec::new();
            (0..3).try_for_each(|_| end.follow(&mut source)).unwrap();
            (end.out.number, end.back.number)
        });
        let (connection, _) = listener.accept().unwrap();
        let mut end = End::new(connection, 0).unwrap();
        let mut source = Vec::new();
        for (out, back) in [(1, 0), (3 * DATA, 2 * DATA + 1), (0, 9)] {
            end.lead(Load { out, back }, &mut source).unwrap();
        }
        assert_eq!((end.out.number, end.back.number), (4, 5));
        assert_eq!(other.join().unwrap(), (5, 4));
    }

    #[test]
    fn a_record_of_another_key_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (here, _) = listener.accept().unwrap();
        // Both on the same side: what one writes is under the other's own key.
        let (mut one, mut other) = (End::new(here, 0).unwrap(), End::new(there, 0).unwrap());
        one.send(10, &mut Vec::new()).unwrap();
        assert!(other.receive(10).is_err());
    }
}
