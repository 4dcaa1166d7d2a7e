//! The processes that simulated ones are forked from: one for each program and way to run it.

use crate::lockstep::guest::{descriptors, raw, stock};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

/// A program, and the group of overrides that is left out.
type Kind = (PathBuf, Option<String>);

/// Loaded processes to fork from; made when they are first needed, and shared by clones.
#[derive(Clone, Debug, Default)]
pub struct Stocks(Arc<Mutex<BTreeMap<Kind, Stock>>>);

#[derive(Debug)]
struct Stock {
    orders: OwnedFd,
    child: Child,
}

/// A process that has just been forked.
pub(super) struct Started {
    pub(super) pid: u32,
    /// Means this process and no later one of the same number.
    pub(super) handle: OwnedFd,
    pub(super) to: PipeWriter,
    pub(super) from: PipeReader,
}

impl Stocks {
    /// Starts a process in `home`; what it prints goes to `errors`.
    pub(super) fn start(
        &self,
        program: &Path,
        without: Option<&str>,
        seed: u64,
        home: &File,
        errors: &File,
    ) -> io::Result<Started> {
        let mut stocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = (program.to_owned(), without.map(str::to_owned));
        let stock = match stocks.entry(kind.clone()) {
            Entry::Occupied(stock) => stock.into_mut(),
            Entry::Vacant(place) => place.insert(Stock::open(program, without)?),
        };
        let started = stock.start(seed, home, errors);
        if started.is_err() {
            // Whatever is wrong with it, the next one is another.
            stocks.remove(&kind);
        }
        started
    }
}

impl Stock {
    fn open(program: &Path, without: Option<&str>) -> io::Result<Self> {
        let (ours, theirs) = raw::packet_pair().map_err(io::Error::from_raw_os_error)?;
        let mut command = Command::new(program);
        command
            .arg(stock::COMMAND)
            .env_clear()
            // Simulated from the first instruction on; each fork gets a seed of its own.
            .env("SIM_ENTROPY", "0")
            // Where it is said, a panic in there can be read.
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null());
        raw::at_fixed_addresses(&mut command);
        if let Some(without) = without {
            command.env("SIM_WITHOUT", without);
        }
        Ok(Self {
            orders: ours,
            child: command.spawn()?,
        })
    }

    fn start(&mut self, seed: u64, home: &File, errors: &File) -> io::Result<Started> {
        let (its_input, to) = io::pipe()?;
        let (from, its_output) = io::pipe()?;
        let files: [i32; stock::FILES] = [
            its_input.as_raw_fd(),
            its_output.as_raw_fd(),
            errors.as_raw_fd(),
            home.as_raw_fd(),
        ];
        let failed = io::Error::from_raw_os_error;
        descriptors::send(self.orders.as_raw_fd(), seed, &files).map_err(failed)?;
        let mut answer = [-1; descriptors::MOST];
        let got = descriptors::receive(self.orders.as_raw_fd(), &mut answer).map_err(failed)?;
        let Some((pid, 1)) = got else {
            return Err(io::Error::other("it ended before it could be forked"));
        };
        #[expect(
            unsafe_code,
            reason = "the descriptor came with the message just received, and is owned by nobody else"
        )]
        let handle = unsafe { OwnedFd::from_raw_fd(answer[0]) };
        let pid = u32::try_from(pid).map_err(io::Error::other)?;
        Ok(Started {
            pid,
            handle,
            to,
            from,
        })
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        // It may be gone already; what was forked from it lives on.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
