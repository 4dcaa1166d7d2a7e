//! Postfix's load generator.

use super::message::{FROM, TO, plain};
use super::postfix::Postfix;
use crate::Failure;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// `smtp-source` with the message that it sends.
pub struct Source {
    postfix: Postfix,
    message: PathBuf,
}

impl Source {
    /// Leaves its message in `dir`.
    pub fn new(postfix: Postfix, dir: &Path) -> Result<Self, Failure> {
        let message = dir.join("message.eml");
        // It makes CRLF of each LF.
        std::fs::write(&message, plain().replace("\r\n", "\n"))?;
        Ok(Self { postfix, message })
    }

    /// Sends `messages` over so many sessions at once; how long it ran. Without `keep` each message
    /// has a connection of its own.
    pub async fn send(
        &self,
        address: SocketAddr,
        sessions: usize,
        keep: bool,
        messages: u64,
    ) -> Result<Duration, Failure> {
        let mut command = self.postfix.command("sbin/smtp-source");
        if keep {
            command.arg("-d");
        }
        command
            .args(["-s", &sessions.to_string(), "-m", &messages.to_string()])
            .args(["-f", FROM, "-t", TO, "-M", "bench.example"])
            .arg("-F")
            .arg(&self.message)
            .arg(address.to_string())
            .kill_on_drop(true);
        let begin = Instant::now();
        let output = command.output().await?;
        let took = begin.elapsed();
        // Something that it says and goes on after is something that it did not do.
        if output.status.success() && output.stderr.is_empty() {
            return Ok(took);
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(format!(
            "smtp-source ended with {}: {}",
            output.status,
            complaint.trim()
        )
        .into())
    }
}
