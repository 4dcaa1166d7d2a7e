//! What controller and simulated processes say to each other, over two pipes.
//!
//! A process is told a moment and what reaches it at that moment; it runs until it has nothing left
//! to do and reports what it sent, what is to be seen of it, and when its next timer is due.

pub use super::seen::{Fact, Seen};
use crate::plan::CrashPoint;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, Read, Write};

/// Largest message, either way. A step carries at most what fits into the windows of a few dozen
/// connections; more is a mistake of ours.
const MAX_MESSAGE: usize = 256 << 20;

/// A connection between two processes.
pub type Conn = u64;

/// The first message: who the process is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Boot {
    /// Its place among the processes of the run.
    pub index: usize,
    /// Which start of it this is, from 0.
    pub life: u32,
    /// Its name: `node-1`.
    pub name: String,
    /// Names of all nodes of the plan, in order.
    pub nodes: Vec<String>,
    /// Its directory.
    pub dir: std::path::PathBuf,
    /// Where the dead links of its disk lie: removed names that a power loss may bring back.
    pub attic: std::path::PathBuf,
    /// Virtual time, milliseconds.
    pub now: u64,
    /// Its clocks.
    pub clocks: Clocks,
    /// What it runs.
    pub program: Program,
    /// The level that this program speaks.
    pub level: u16,
    /// Known mistakes that are switched on.
    pub bugs: Vec<String>,
    /// Log lines are wanted.
    pub tell: bool,
    /// The run's seed; for what is the same in every process of it.
    pub seed: u64,
}

/// What a process runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Program {
    /// Links and the replicated ledger, and nothing else of a node.
    Ledger,
    /// A whole node.
    Node {
        /// There is a mainframe to feed from.
        feed: bool,
        /// How rounds go.
        rounds: Rounds,
    },
    /// What a node has of the data space, and nothing else of it.
    Space,
    /// The embedded Kafka broker.
    Broker,
    /// The mainframe, which writes to it.
    Mainframe,
    /// Gear that reports to all nodes by mail.
    Gear,
}

/// How rounds of learning go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rounds {
    /// Updates in clear.
    Plain,
    /// The aggregator sees sums only.
    Secure,
    /// Those, with noise by the participants; two of them are one tenant's, whose budget ends within the run.
    Private,
    /// Updates in clear, smaller than they are.
    Compressed,
    /// With control variates.
    Scaffold,
    /// Updates as they come; the last node is slow.
    Buffered,
}

/// A process's clocks as functions of virtual time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// Virtual nanoseconds at which the drift last changed.
    pub anchor: u64,
    /// The monotonic clock at that moment.
    pub monotonic: u64,
    /// Parts per million by which both clocks run fast.
    pub ppm: i64,
    /// The wall clock at monotonic 0.
    pub wall: i64,
}

/// What reaches a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Event {
    /// Somebody connects to a door.
    Incoming {
        /// The connection.
        conn: Conn,
        /// Which door: `cluster`, `mail`, …
        door: String,
        /// Who.
        from: String,
    },
    /// The other end took the connection.
    Connected(Conn),
    /// Nobody is at home there.
    Refused(Conn),
    /// Bytes.
    Data(Conn, #[serde(with = "serde_bytes")] Vec<u8>),
    /// The other end has read so many bytes.
    Credit(Conn, u64),
    /// The other end sends nothing any more.
    Fin(Conn),
    /// The connection is gone.
    Reset(Conn),
}

/// What the controller does to a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Order {
    /// Power is lost at this point, with these dice.
    PowerLoss(CrashPoint, u64),
    /// The clocks change.
    Clocks(Clocks),
    /// So many bytes fit on the disk from now on.
    DiskRoom(Option<u64>),
    /// Every sync takes so long.
    DiskSync(u64),
    /// The program's own business: no more load, evict somebody, …
    Wish(Wish),
}

/// What a program is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// No new load from now on; finish what is under way.
    Rest,
    /// Remove this member.
    Evict(String),
    /// Pin an earlier model, or let the pinned one go; or roll learning back to one.
    Choose {
        /// The latter.
        back: bool,
    },
    /// Send poisoned updates and false models from now on.
    Poison,
}

/// One step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Virtual time, milliseconds.
    pub now: u64,
    /// First what is done to it,
    pub orders: Vec<Order>,
    /// then what reaches it.
    pub events: Vec<Event>,
}

/// What a process sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Out {
    /// Connects to a door of another process.
    Dial {
        /// The new connection.
        conn: Conn,
        /// `process:door`.
        to: String,
    },
    /// Takes an incoming connection.
    Accepted(Conn),
    /// Bytes.
    Data(Conn, #[serde(with = "serde_bytes")] Vec<u8>),
    /// Has read so many bytes since the last credit.
    Credit(Conn, u64),
    /// Sends nothing any more.
    Fin(Conn),
    /// Has dropped the connection.
    Reset(Conn),
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// Power was lost; what became of the disk.
    PowerLoss(String),
    /// The program returned, with its sentence if that was a failure.
    Returned(Option<String>),
}

/// What a step came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// In order.
    pub out: Vec<Out>,
    /// In order.
    pub seen: Vec<Seen>,
    /// When its next timer is due, virtual milliseconds.
    pub next: Option<u64>,
    /// Its last report.
    pub end: Option<End>,
}

/// Writes a message. The caller flushes.
pub fn put<T: Serialize>(to: &mut impl Write, message: &T) -> io::Result<()> {
    let bytes = postcard::to_stdvec(message).map_err(io::Error::other)?;
    let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    to.write_all(&len.to_le_bytes())?;
    to.write_all(&bytes)
}

/// Reads a message.
pub fn get<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut len = [0; 4];
    from.read_exact(&mut len)?;
    let len = u32::from_le_bytes(len) as usize;
    if len > MAX_MESSAGE {
        return Err(io::Error::other(format!(
            "a message of {len} bytes is no message of ours"
        )));
    }
    let mut bytes = vec![0; len];
    from.read_exact(&mut bytes)?;
    postcard::from_bytes(&bytes).map_err(io::Error::other)
}
