//! The node processes: start, stop, kill.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// A node that has been asked to stop gets this long; it needs a fraction of a second.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// One node as a process of its own.
pub(crate) struct NodeProcess {
    /// Its name.
    pub(crate) name: String,
    binary: PathBuf,
    config: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

impl NodeProcess {
    /// A node that is not running yet.
    pub(crate) fn new(name: &str, binary: &Path, config: &Path, log: &Path) -> Self {
        Self {
            name: name.into(),
            binary: binary.into(),
            config: config.into(),
            log: log.into(),
            child: None,
        }
    }

    /// Starts the process; its output is appended to its log.
    pub(crate) fn start(&mut self) -> std::io::Result<()> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)?;
        let mut command = Command::new(&self.binary);
        die_with_parent(&mut command);
        let child = command
            .arg("node")
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C in the terminal goes to the foreground group: only the demo handles it,
            // and stops the nodes in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// Process id while running.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Whether it ended on its own, with the exit status as a sentence.
    pub(crate) fn ended(&mut self) -> Option<String> {
        match self.child.as_mut()?.try_wait() {
            Ok(Some(status)) => Some(format!(
                "{} ended by itself with {status}; see {}",
                self.name,
                self.log.display()
            )),
            Ok(None) | Err(_) => None,
        }
    }

    /// kill -9.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // An error means that it is dead already.
            let _ = child.kill().await;
        }
    }

    /// SIGTERM, then wait; a sentence if it had to be killed or failed.
    pub(crate) async fn stop(&mut self) -> Result<(), String> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        if let Some(pid) = child.id() {
            signal(pid, libc::SIGTERM);
        }
        match tokio::time::timeout(STOP_LIMIT, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!(
                "{} stopped with {status}; see {}",
                self.name,
                self.log.display()
            )),
            Ok(Err(error)) => Err(format!("{} could not be waited for: {error}", self.name)),
            Err(_) => {
                let _ = child.kill().await;
                Err(format!(
                    "{} did not stop within {} s and was killed",
                    self.name,
                    STOP_LIMIT.as_secs()
                ))
            }
        }
    }
}

/// A demo that is killed takes its nodes along: nobody else would stop them.
#[expect(
    unsafe_code,
    reason = "prctl(2) between fork and exec, which is async-signal-safe"
)]
fn die_with_parent(command: &mut Command) {
    let set = || {
        // SAFETY: a system call on two integers.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: `set` neither allocates nor locks.
    unsafe { command.pre_exec(set) };
}

/// Sends a signal to a process of ours.
#[expect(unsafe_code, reason = "kill(2) takes two integers")]
pub(crate) fn signal(pid: u32, signal: libc::c_int) {
    if let Ok(pid) = libc::pid_t::try_from(pid) {
        // SAFETY: no memory is involved; a stale pid gives ESRCH.
        unsafe { libc::kill(pid, signal) };
    }
}
