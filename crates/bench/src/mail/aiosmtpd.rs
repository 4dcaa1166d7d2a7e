//! Python's mail server, with a handler that keeps nothing.

use super::Certificate;
use super::server::{Program, Server};
use crate::Failure;
use crate::ports::Ports;
use std::path::PathBuf;

const SCRIPT: &str = include_str!("aiosmtpd.py");

fn python() -> Result<PathBuf, Failure> {
    let python = super::tools().join("aiosmtpd-venv/bin/python");
    if python.exists() {
        Ok(python)
    } else {
        Err("it is missing; `cargo xtask setup --for bench` brings it".into())
    }
}

/// Starts one that may hold `files` open files.
pub async fn start(
    files: usize,
    certificate: &Certificate,
    ports: &mut Ports,
) -> Result<Server, Failure> {
    let address = ports.free()?;
    let mut command = super::with_files(files, &python()?);
    command
        .args(["-c", SCRIPT, &address.port().to_string()])
        .arg(&certificate.certificate)
        .arg(&certificate.key);
    Server::of("aiosmtpd", address, Program::start(command, None)?, None).await
}
