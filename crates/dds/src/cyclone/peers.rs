//! Peers by address. Cyclone DDS ends the whole process over a peer that it cannot resolve, so it
//! is only given addresses, and of the family that it speaks.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

/// What peers stand for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    /// `address` or `address:port`.
    pub(super) addresses: Vec<String>,
    /// Those that stand for no address of the family.
    pub(super) unknown: Vec<String>,
}

/// Whether a peer is neither an address nor an address with a port.
pub(super) fn is_name(peer: &str) -> bool {
    peer.parse::<IpAddr>().is_err() && peer.parse::<SocketAddr>().is_err()
}

/// Looks names up; `like` has the family wanted. Waits for the resolver.
pub(super) fn resolve(peers: &[String], like: IpAddr) -> Resolved {
    let mut resolved = Resolved::default();
    for peer in peers {
        let found = addresses(peer, like);
        if found.is_empty() {
            resolved.unknown.push(peer.clone());
        }
        resolved.addresses.extend(found);
    }
    resolved.addresses.sort();
    resolved.addresses.dedup();
    resolved
}

fn addresses(peer: &str, like: IpAddr) -> Vec<String> {
    let fits = |ip: &IpAddr| ip.is_ipv4() == like.is_ipv4();
    if let Ok(ip) = peer.parse::<IpAddr>() {
        return fits(&ip).then(|| ip.to_string()).into_iter().collect();
    }
    if let Ok(place) = peer.parse::<SocketAddr>() {
        let place = fits(&place.ip()).then(|| place.to_string());
        return place.into_iter().collect();
    }
    let (host, port) = match peer.rsplit_once(':') {
        Some((host, port)) => match port.parse::<u16>() {
            Ok(port) => (host, Some(port)),
            Err(_) => return Vec::new(),
        },
        None => (peer, None),
    };
    let Ok(places) = (host, port.unwrap_or(0)).to_socket_addrs() else {
        return Vec::new();
    };
    places
        .filter(|place| fits(&place.ip()))
        .map(|place| match port {
            Some(_) => place.to_string(),
            None => place.ip().to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_a_name() {
        let table = [
            ("192.0.2.7", false),
            ("192.0.2.7:7410", false),
            ("::1", false),
            ("node-1", true),
            ("node-1:7410", true),
        ];
        for (peer, expected) in table {
            assert_eq!(is_name(peer), expected, "{peer}");
        }
    }

    #[test]
    fn addresses_stay_names_are_looked_up_and_the_rest_is_told() {
        let like = IpAddr::from([127, 0, 0, 1]);
        let peers = [
            "192.0.2.7",
            "192.0.2.7:7410",
            "localhost",
            "localhost:7412",
            "::1",
            "no-such-host.invalid",
            "host:port",
        ];
        let resolved = resolve(&peers.map(str::to_owned), like);
        let addresses = ["127.0.0.1", "127.0.0.1:7412", "192.0.2.7", "192.0.2.7:7410"];
        let unknown = ["::1", "no-such-host.invalid", "host:port"];
        assert_eq!(resolved.addresses, addresses);
        assert_eq!(resolved.unknown, unknown);
    }
}
