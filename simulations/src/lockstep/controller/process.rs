//! A simulated process, from outside.

use super::stock::Started;
use super::{Lockstep, RunError};
use crate::lockstep::guest::raw;
use crate::lockstep::protocol::{Boot, Report, Step, get, put};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, PipeReader, PipeWriter, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

/// Real time in which a process must have done what it has to do in one moment. A step takes
/// microseconds, a training step seconds; who needs longer goes round in circles.
const ANSWER_LIMIT_MS: i32 = 60_000;
/// Real time in which a killed process is gone; its memory has to be given back.
const DEATH_LIMIT_MS: i32 = 60_000;

/// A running process. Dropped, it is killed.
pub(super) struct Process {
    pid: u32,
    handle: OwnedFd,
    to: BufWriter<PipeWriter>,
    from: BufReader<PipeReader>,
    errors: PathBuf,
}

impl Process {
    /// Starts it in `home`; its first report is to be heard next.
    pub(super) fn start(
        lockstep: &Lockstep,
        home: &Path,
        boot: &Boot,
        seed: u64,
        errors: &Path,
    ) -> Result<Self, RunError> {
        let start = || -> io::Result<Started> {
            let home = File::open(home)?;
            let errors = File::options().create(true).append(true).open(errors)?;
            let (program, without) = (&lockstep.program, lockstep.without.as_deref());
            let stocks = &lockstep.stocks;
            stocks.start(program, without, seed, &home, &errors)
        };
        let started = start().map_err(|error| RunError::Start {
            program: lockstep.program.clone(),
            error,
        })?;
        let mut process = Self {
            pid: started.pid,
            handle: started.handle,
            to: BufWriter::new(started.to),
            from: BufReader::new(started.from),
            errors: errors.to_owned(),
        };
        process.tell(boot);
        Ok(process)
    }

    /// Steps it; its report is to be heard next.
    pub(super) fn step(&mut self, step: &Step) {
        self.tell(step);
    }

    fn tell(&mut self, message: &impl serde::Serialize) {
        // Whether it is still there is found out by listening.
        let _ = put(&mut self.to, message).and_then(|()| self.to.flush());
    }

    /// What came of the last step; `Ok(None)` if the process has died of itself.
    pub(super) fn hear(&mut self, name: &str) -> Result<Option<Report>, RunError> {
        if !raw::readable(self.from.get_ref().as_raw_fd(), ANSWER_LIMIT_MS) {
            return Err(RunError::NoAnswer {
                process: name.to_owned(),
                pid: self.pid,
            });
        }
        Ok(get(&mut self.from).ok())
    }

    /// The last lines it printed.
    pub(super) fn last_words(&self) -> String {
        const LINES: usize = 12;
        let text = std::fs::read_to_string(&self.errors).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join(" | ")
    }

    /// Resident memory, KiB.
    pub(super) fn resident(&self) -> Option<u64> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.pid)).ok()?;
        let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
        Some(pages * 4)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already. Files are what they are only when it is.
        let _ = raw::kill(self.handle.as_raw_fd());
        raw::readable(self.handle.as_raw_fd(), DEATH_LIMIT_MS);
    }
}
