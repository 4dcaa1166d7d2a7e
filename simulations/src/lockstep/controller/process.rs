//! A simulated process, from outside.

use super::RunError;
use crate::lockstep::guest::raw;
use crate::lockstep::protocol::{Boot, Report, Step, get, put};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Real time in which a process must have done what it has to do in one moment. A step takes
/// microseconds, a training step seconds; who needs longer goes round in circles.
const ANSWER_LIMIT_MS: i32 = 60_000;

/// A running process. Dropped, it is killed.
pub(super) struct Process {
    child: Child,
    to: BufWriter<ChildStdin>,
    from: BufReader<ChildStdout>,
    errors: PathBuf,
}

impl Process {
    /// Starts it in `home`; its first report is to be heard next.
    pub(super) fn start(
        program: &Path,
        home: &Path,
        boot: &Boot,
        entropy: u64,
        without: Option<&str>,
        errors: &Path,
    ) -> Result<Self, RunError> {
        let start = || -> io::Result<Self> {
            let mut command = Command::new(program);
            command
                .arg("node")
                .current_dir(home)
                .env_clear()
                .env("SIM_ENTROPY", entropy.to_string())
                // Where it is said, a panic in there can be read.
                .env("RUST_BACKTRACE", "1")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(File::options().create(true).append(true).open(errors)?);
            raw::at_fixed_addresses(&mut command);
            if let Some(without) = without {
                command.env("SIM_WITHOUT", without);
            }
            let mut child = command.spawn()?;
            let (to, from) = (child.stdin.take(), child.stdout.take());
            let (Some(to), Some(from)) = (to, from) else {
                return Err(io::Error::other("no pipes to the process"));
            };
            Ok(Self {
                child,
                to: BufWriter::new(to),
                from: BufReader::new(from),
                errors: errors.to_owned(),
            })
        };
        let mut process = start().map_err(|error| RunError::Start {
            program: program.to_owned(),
            error,
        })?;
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
                pid: self.child.id(),
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
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).ok()?;
        let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
        Some(pages * 4)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
