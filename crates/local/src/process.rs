//! Node processes: start, look, signal, wait for the end. A process may outlive who started it, so
//! it is known by its id and its start time, never by the id alone.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A node that has been asked to stop gets this long; it needs a fraction of a second.
pub const STOP_LIMIT: Duration = Duration::from_secs(10);
/// After SIGKILL only the kernel is left to work; it takes long only when a disk hangs.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// How often a process that is not our child is looked at; the system tells only parents.
const LOOK: Duration = Duration::from_millis(20);

/// A process of this machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// When it was started, in clock ticks since the machine's start (proc(5), field 22). An id is
    /// used again by other processes; the pair is not.
    pub started: u64,
}

/// What a process does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// It runs.
    Running,
    /// It was stopped (SIGSTOP).
    Paused,
    /// It has ended.
    Ended,
}

/// How to start one.
pub struct Launch<'a> {
    /// The `glasshouse` program.
    pub binary: &'a Path,
    /// The node's configuration.
    pub config: &'a Path,
    /// Its output is appended here.
    pub log: &'a Path,
    /// The network namespace it lives in; none: the caller's.
    pub namespace: Option<&'a Path>,
    /// It goes on when the caller has ended.
    pub outlives: bool,
}

impl Launch<'_> {
    /// Starts it in a session of its own, so that Ctrl-C in a terminal does not reach it. Without
    /// [`outlives`](Self::outlives) the process gets SIGTERM when the *thread* that calls this
    /// ends.
    pub fn start(&self) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(self.log)?;
        let namespace = self.namespace.map(File::open).transpose()?;
        let mut command = Command::new(self.binary);
        command
            .arg("node")
            .arg("--config")
            .arg(self.config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        prepare(&mut command, namespace, self.outlives);
        command.spawn()
    }
}

/// What is set in the child between fork and exec.
#[expect(
    unsafe_code,
    reason = "setsid(2), setns(2) and prctl(2) between fork and exec, all async-signal-safe"
)]
fn prepare(command: &mut Command, namespace: Option<File>, outlives: bool) {
    let checked = |outcome: libc::c_int| match outcome {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    };
    let set = move || {
        // SAFETY: a system call without arguments.
        checked(unsafe { libc::setsid() })?;
        if let Some(namespace) = &namespace {
            // SAFETY: the descriptor is open as long as `namespace` lives.
            checked(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })?;
        }
        if !outlives {
            // SAFETY: a system call on two integers.
            checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) })?;
        }
        Ok(())
    };
    // SAFETY: `set` neither allocates nor locks.
    unsafe { command.pre_exec(set) };
}

impl Process {
    /// The process with this id, if there is one.
    pub fn of(pid: u32) -> Option<Self> {
        let (_, started) = stat(pid)?;
        Some(Self { pid, started })
    }

    /// Finds the process that runs the node with this configuration, for when the record of it was
    /// lost: its starter was killed before it could write it down.
    pub fn of_config(config: &Path) -> Option<Self> {
        std::fs::read_dir("/proc")
            .ok()?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
            .filter(|pid| runs(*pid, config))
            .find_map(Self::of)
    }

    /// What it does now.
    pub fn life(self) -> Life {
        match stat(self.pid) {
            Some((state, started)) if started == self.started => match state {
                b'T' | b't' => Life::Paused,
                // Ended, but its parent has not asked yet; in a container perhaps never will.
                b'Z' | b'X' => Life::Ended,
                _ => Life::Running,
            },
            Some(_) | None => Life::Ended,
        }
    }

    /// Sends a signal, unless the process has ended.
    #[expect(unsafe_code, reason = "kill(2) takes two integers")]
    pub fn signal(self, signal: libc::c_int) {
        if let (Life::Running | Life::Paused, Ok(pid)) =
            (self.life(), libc::pid_t::try_from(self.pid))
        {
            // SAFETY: no memory is involved.
            unsafe { libc::kill(pid, signal) };
        }
    }

    /// Waits for its end; false: it has not ended within `limit`.
    pub fn wait(self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.life() != Life::Ended {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }
}

/// State letter and start time from proc(5). The name in the second field may hold anything, so
/// fields are counted from its closing parenthesis.
fn stat(pid: u32) -> Option<(u8, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    // Fields 3 and 22, the former taken.
    let started = fields.nth(18)?.parse().ok()?;
    Some((state, started))
}

fn runs(pid: u32, config: &Path) -> bool {
    let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    let mut arguments = line
        .split(|byte| *byte == 0)
        .map(|argument| OsString::from_vec(argument.to_vec()));
    let wanted: [OsString; 3] = ["node".into(), "--config".into(), config.as_os_str().into()];
    let all: Vec<OsString> = arguments.by_ref().collect();
    all.windows(wanted.len()).any(|three| *three == wanted)
}

/// How a process came to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// By itself, as asked; the status is known only to a parent.
    Stopped(Option<ExitStatus>),
    /// It had to be killed, since it did not stop in time.
    Killed,
    /// Not even SIGKILL ended it in time.
    Stuck,
}

/// The nodes that this process has started itself: only a parent learns an exit status, and has to
/// ask for it, lest ended children stay in the process table.
#[derive(Default)]
pub struct Children(BTreeMap<String, Child>);

impl Children {
    /// Takes a child in.
    pub fn add(&mut self, name: &str, child: Child) {
        self.0.insert(name.to_owned(), child);
    }

    /// The exit status of a child that has ended.
    pub fn ended(&mut self, name: &str) -> Option<ExitStatus> {
        self.0.get_mut(name)?.try_wait().ok().flatten()
    }

    /// SIGKILL, then wait.
    pub fn kill(&mut self, name: &str, process: Process) -> End {
        process.signal(libc::SIGKILL);
        let end = if process.wait(KILL_LIMIT) {
            End::Killed
        } else {
            End::Stuck
        };
        self.ended(name);
        end
    }

    /// SIGTERM, then wait; SIGKILL if it takes too long. A paused process is woken for it.
    pub fn stop(&mut self, name: &str, process: Process, limit: Duration) -> End {
        process.signal(libc::SIGTERM);
        process.signal(libc::SIGCONT);
        if process.wait(limit) {
            End::Stopped(self.ended(name))
        } else {
            self.kill(name, process)
        }
    }
}

/// The end of a node as a sentence, if it was not a clean one.
pub fn complaint(name: &str, end: &End, log: &Path) -> Option<String> {
    let log = log.display();
    match end {
        End::Stopped(None) => None,
        End::Stopped(Some(status)) if status.success() => None,
        End::Stopped(Some(status)) => Some(format!("{name} stopped with {status}; see {log}")),
        End::Killed => Some(format!(
            "{name} did not stop within {} s and was killed; see {log}",
            STOP_LIMIT.as_secs()
        )),
        End::Stuck => Some(format!(
            "{name} could not be killed within {} s; a disk may hang, see `dmesg`",
            KILL_LIMIT.as_secs()
        )),
    }
}

/// One node that ends with who started it: start, stop, kill.
pub struct NodeProcess {
    /// Its name.
    pub name: String,
    binary: PathBuf,
    config: PathBuf,
    log: PathBuf,
    children: Children,
    process: Option<Process>,
}

impl NodeProcess {
    /// A node that is not running yet.
    pub fn new(name: &str, binary: &Path, config: &Path, log: &Path) -> Self {
        Self {
            name: name.into(),
            binary: binary.into(),
            config: config.into(),
            log: log.into(),
            children: Children::default(),
            process: None,
        }
    }

    /// Starts the process; its output is appended to its log.
    pub fn start(&mut self) -> io::Result<()> {
        let child = Launch {
            binary: &self.binary,
            config: &self.config,
            log: &self.log,
            namespace: None,
            outlives: false,
        }
        .start()?;
        self.process = Process::of(child.id());
        self.children.add(&self.name, child);
        Ok(())
    }

    /// The process, once started.
    pub fn process(&self) -> Option<Process> {
        self.process
    }

    /// Whether it ended on its own, with the exit status as a sentence.
    pub fn ended(&mut self) -> Option<String> {
        self.process?;
        let status = self.children.ended(&self.name)?;
        Some(format!(
            "{} ended by itself with {status}; see {}",
            self.name,
            self.log.display()
        ))
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            self.children.kill(&self.name, process);
        }
    }

    /// SIGTERM, then wait; a sentence if it had to be killed or failed.
    pub fn stop(&mut self) -> Result<(), String> {
        let Some(process) = self.process.take() else {
            return Ok(());
        };
        let end = self.children.stop(&self.name, process, STOP_LIMIT);
        complaint(&self.name, &end, &self.log).map_or(Ok(()), Err)
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        self.kill();
    }
}
