//! A contender that runs.

use super::door::{Door, Work};
use super::postfix::{self, Postfix};
use super::session::Session;
use super::{Certificate, aiosmtpd, cost};
use crate::Failure;
use crate::ports::Ports;
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// For a start on a busy machine.
const START: Duration = Duration::from_secs(30);
/// For an end when asked for it.
const END: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a server offers to whoever says EHLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offers {
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 3030.
    pub chunking: bool,
    /// RFC 3207.
    pub tls: bool,
}

/// Whom there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Our door with its journal.
    Ours,
    /// Postfix with its defaults.
    Postfix,
    /// Postfix's `smtp-sink`.
    Sink,
    /// Python's.
    Aiosmtpd,
}

impl Kind {
    /// All, ours first.
    pub const ALL: [Self; 4] = [Self::Ours, Self::Postfix, Self::Sink, Self::Aiosmtpd];

    /// For the head of a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Postfix => "Postfix",
            Self::Sink => "smtp-sink",
            Self::Aiosmtpd => "aiosmtpd",
        }
    }
}

/// What contenders are started with.
pub struct Stage {
    /// Their folders are made here.
    pub place: PathBuf,
    /// What they show.
    pub certificate: Certificate,
    /// Where Postfix is.
    pub postfix: Postfix,
    /// Theirs.
    pub ports: Ports,
}

impl Stage {
    /// Starts one in a folder of that name, with room for so many open files.
    pub async fn start(
        &mut self,
        kind: Kind,
        folder: &str,
        files: usize,
    ) -> Result<Server, Failure> {
        let dir = self.place.join(folder);
        let ports = &mut self.ports;
        match kind {
            Kind::Ours => {
                let door = Door::start(Work::Keep, &dir, &self.place, files, ports).await?;
                let address = door.address;
                Server::new(kind.name(), address, Process::Door(Box::new(door)), None).await
            }
            Kind::Postfix => self.postfix.start(&dir, &self.certificate, ports).await,
            Kind::Sink => self.postfix.sink(files, ports).await,
            Kind::Aiosmtpd => aiosmtpd::start(files, &self.certificate, ports).await,
        }
    }
}

/// A foreign program; ended with all its processes when dropped.
pub struct Program(Child);

impl Program {
    /// Starts it; what it says goes to `log`, or to our own standard error.
    pub fn start(mut command: Command, log: impl Into<Option<File>>) -> Result<Self, Failure> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        if let Some(log) = log.into() {
            command.stderr(log);
        }
        let name = command.get_program().display().to_string();
        let child = command.spawn();
        Ok(Self(child.map_err(|error| {
            format!("cannot start {name}: {error}")
        })?))
    }

    fn signal(&self, name: &str) {
        // Fails only when it has ended already.
        let _ = Command::new("kill")
            .args([name, &self.0.id().to_string()])
            .status();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Asked, not killed: Postfix's master then ends its processes.
        self.signal("-TERM");
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

enum Process {
    Door(Box<Door>),
    Program(Program),
}

/// A running contender.
pub struct Server {
    /// For the head of the table.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it offers.
    pub offers: Offers,
    process: Process,
    queue: Option<PathBuf>,
}

impl Server {
    pub(super) async fn of(
        name: &'static str,
        address: SocketAddr,
        program: Program,
        queue: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        Self::new(name, address, Process::Program(program), queue).await
    }

    /// Waits until it answers, and asks what it offers.
    async fn new(
        name: &'static str,
        address: SocketAddr,
        mut process: Process,
        queue: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        let deadline = Instant::now() + START;
        let session = loop {
            match Session::open(address, None).await {
                Ok(session) => break session,
                Err(why) if Instant::now() > deadline => {
                    return Err(format!("it does not answer after {START:?}: {why}").into());
                }
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
            if let Process::Program(program) = &mut process
                && let Some(status) = program.0.try_wait()?
            {
                return Err(format!("it ended at once with {status}").into());
            }
        };
        let has = |word: &str| session.extensions.iter().any(|found| found == word);
        let offers = Offers {
            pipelining: has("PIPELINING"),
            chunking: has("CHUNKING"),
            tls: has("STARTTLS"),
        };
        session.quit().await?;
        Ok(Self {
            name,
            address,
            offers,
            process,
            queue,
        })
    }

    fn pid(&self) -> Result<u32, Failure> {
        match &self.process {
            Process::Door(door) => door.pid().ok_or_else(|| "our door has ended".into()),
            Process::Program(program) => Ok(program.0.id()),
        }
    }

    /// Processor time of all its processes so far.
    pub fn processor(&self) -> Result<Duration, Failure> {
        Ok(cost::processor(self.pid()?))
    }

    /// Memory of all its processes in KiB.
    pub fn memory(&self) -> Result<f64, Failure> {
        cost::memory(self.pid()?).ok_or_else(|| "its memory cannot be read".into())
    }

    /// Waits until it has done everything that comes of what it accepted.
    pub async fn settle(&mut self) -> Result<(), Failure> {
        if let Process::Door(door) = &mut self.process {
            door.worked().await?;
        }
        match &self.queue {
            Some(queue) => postfix::delivered(queue).await,
            None => Ok(()),
        }
    }
}
