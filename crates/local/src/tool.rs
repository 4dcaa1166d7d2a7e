//! Running `ip` and `tc` (iproute2).

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One call changes a few kernel structures. It waits only for the kernel's network lock, which is
/// held long while many namespaces are taken down.
const LIMIT: Duration = Duration::from_secs(20);
/// How often its end is looked for.
const LOOK: Duration = Duration::from_millis(2);

/// Why a tool did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// Could not be run.
    #[error("cannot run `{program}`: {source}; install iproute2, or use --network loopback")]
    Absent {
        /// Which.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// It said no.
    #[error("`{command}` failed: {says}")]
    Refused {
        /// What was run.
        command: String,
        /// Its words.
        says: String,
    },
    /// It did not come to an end.
    #[error("`{command}` did not end within {} s and was killed", LIMIT.as_secs())]
    Late {
        /// What was run.
        command: String,
    },
}

/// Runs `program` with space-separated `arguments`.
pub(crate) fn run(program: &str, arguments: &str) -> Result<(), ToolError> {
    run_with(program, &arguments.split_whitespace().collect::<Vec<_>>())
}

/// Runs `program` with `arguments`.
pub(crate) fn run_with(program: &str, arguments: &[&str]) -> Result<(), ToolError> {
    let absent = |source| ToolError::Absent {
        program: program.to_owned(),
        source,
    };
    let command = || format!("{program} {}", arguments.join(" "));
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(absent)?;
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(absent)? {
            break status;
        }
        if Instant::now() >= deadline {
            // An error means that it has just ended.
            let _ = child.kill();
            let _ = child.wait();
            return Err(ToolError::Late { command: command() });
        }
        std::thread::sleep(LOOK);
    };
    if status.success() {
        return Ok(());
    }
    let mut says = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        // What cannot be read cannot be reported; the status is.
        let _ = stderr.read_to_string(&mut says);
    }
    let says = match says.trim() {
        "" => status.to_string(),
        says => says.lines().collect::<Vec<_>>().join("; "),
    };
    Err(ToolError::Refused {
        command: command(),
        says,
    })
}
