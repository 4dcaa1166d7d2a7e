//! Ports of loopback for the processes of one run.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// Below the ports that Linux gives to outgoing connections, so that none of those takes the port
/// of a process that is being restarted.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;

/// Hands out free ports, each once.
pub struct Ports {
    next: u16,
}

impl Default for Ports {
    /// Starts at another place in each process, so that two runs seldom meet.
    fn default() -> Self {
        let room = u32::from(LAST - FIRST);
        let offset = (std::process::id() * 64) % room;
        Self {
            next: FIRST + u16::try_from(offset).unwrap_or(0),
        }
    }
}

impl Ports {
    /// One that nobody listens on.
    pub fn free(&mut self) -> io::Result<SocketAddr> {
        for _ in FIRST..LAST {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.next));
            self.next = if self.next + 1 == LAST {
                FIRST
            } else {
                self.next + 1
            };
            if TcpListener::bind(address).is_ok() {
                return Ok(address);
            }
        }
        let what = format!("no port of 127.0.0.1 from {FIRST} to {LAST} is free");
        Err(io::Error::new(io::ErrorKind::AddrInUse, what))
    }
}
