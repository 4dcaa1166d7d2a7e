//! The mailbox's door beside Postfix, `smtp-sink` and aiosmtpd.
//!
//! | part | what |
//! |---|---|
//! | [`door`] | ours, as a process of its own: the real listener on the real journal |
//! | [`server`] | a running contender: where it listens, what it speaks, what it costs |
//! | [`postfix`], [`aiosmtpd`] | the peers, from what `cargo xtask setup --for bench` brings |
//! | [`source`] | Postfix's load generator |
//! | [`generator`], [`session`] | ours: pipelined (RFC 2920) or in chunks (RFC 3030), in clear or with TLS |
//! | [`message`] | what is sent |
//! | [`crowd`] | thousands of connections that are open and silent |
//! | [`cost`] | processor time and memory of a server's processes |
//! | [`rates`] | the contenders taking turns |
//! | [`goals`] | what was aimed at, and whether it was reached |

pub mod aiosmtpd;
pub mod cost;
pub mod crowd;
pub mod door;
pub mod generator;
pub mod goals;
pub mod message;
pub mod postfix;
pub mod rates;
pub mod server;
pub mod session;
pub mod source;

use crate::Failure;
use edge::tls::Certified;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Name in the certificate that all contenders show.
pub const HOST: &str = "localhost";

/// What is brought by setup, from the repository's root.
pub(crate) fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools")
}

/// The certificate that all contenders show: its files, and itself as what clients trust.
pub struct Certificate {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
    /// The certificate's text.
    pub roots: String,
}

impl Certificate {
    /// Self-signed, in `dir`.
    pub fn make(dir: &Path) -> Result<Self, Failure> {
        let made = Certified::load_or_create(dir, "mail", &[HOST.to_owned()])?;
        let (certificate, key) = Certified::files(dir, "mail");
        Ok(Self {
            certificate,
            key,
            roots: made.certificate,
        })
    }
}

/// `program`, allowed to hold `files` open files; it does not start if the system forbids that.
pub(crate) fn with_files(files: usize, program: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n \"$1\" && shift && exec \"$@\"", "sh"])
        .arg(files.to_string())
        .arg(program);
    command
}
