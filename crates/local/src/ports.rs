//! Loopback ports that nobody uses.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// Ports from here on are tried. Below the range from which the system gives ports to outgoing
/// connections (32768 and up by default): one of those could take a killed node's port before it is
/// back.
const FIRST: u16 = 10_000;
/// How many there are.
const COUNT: u16 = 22_000;

/// Not enough ports.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Too few are free.
    #[error("{wanted} free ports are needed on 127.0.0.1, {found} were found; stop what uses them")]
    Few {
        /// Needed.
        wanted: usize,
        /// Free.
        found: usize,
    },
    /// No random start.
    #[error("the system gave no randomness: {0}")]
    Entropy(getrandom::Error),
    /// A bound socket without an address.
    #[error("a port of 127.0.0.1 was bound, but has no address: {0}")]
    Address(std::io::Error),
}

/// `count` free ports. Bound all at once, so that no two are equal, and released together; another
/// program may still take one before its user does, and then the user says so.
pub fn free(count: usize) -> Result<Vec<SocketAddr>, PortError> {
    let mut random = [0u8; 2];
    getrandom::fill(&mut random).map_err(PortError::Entropy)?;
    let start = u16::from_le_bytes(random) % COUNT;
    let listeners: Vec<TcpListener> = (0..COUNT)
        .map(|offset| FIRST + (start + offset) % COUNT)
        .filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
        .take(count)
        .collect();
    if listeners.len() < count {
        return Err(PortError::Few {
            wanted: count,
            found: listeners.len(),
        });
    }
    listeners
        .iter()
        .map(TcpListener::local_addr)
        .collect::<Result<_, _>>()
        .map_err(PortError::Address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ports_are_distinct_free_and_below_those_of_outgoing_connections() {
        let ports = free(27).unwrap();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 27);
        for port in &ports {
            assert!((FIRST..FIRST + COUNT).contains(&port.port()), "{port}");
        }
        let held = TcpListener::bind(ports[0]).expect("released again");
        drop(held);
    }
}
