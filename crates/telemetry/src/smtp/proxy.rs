//! The PROXY protocol, version 2 (haproxy.org, "The PROXY protocol", §2.2): a load balancer says
//! for whom it connects. Version 1 is text and is not understood.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Octets of the fixed part.
pub const PROXY_HEADER: usize = 16;
/// Octets of addresses and extensions that are read over. Addresses have 36 at most; a certificate's
/// name or a cloud's endpoint id some dozens more.
const MAX_REST: usize = 2_048;

/// The fixed part of a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProxyHeader {
    /// Octets that follow it.
    pub rest: usize,
    family: Family,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Family {
    /// LOCAL, or something that has no IP address: the proxy speaks for itself.
    Itself,
    V4,
    V6,
}

/// Why a header was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProxyError {
    /// Something else.
    #[error("no PROXY header of version 2, though a proxy connected")]
    NotThere,
    /// Of a later version, or against the rules.
    #[error("a malformed PROXY header")]
    Malformed,
    /// Over the limit.
    #[error("a PROXY header of more than {MAX_REST} octets")]
    TooLong,
}

impl ProxyHeader {
    /// Reads the fixed part.
    ///
    /// # Errors
    /// See [`ProxyError`].
    pub fn read(bytes: &[u8; PROXY_HEADER]) -> Result<Self, ProxyError> {
        let [signature @ .., version, family, high, low] = bytes;
        if signature != SIGNATURE {
            return Err(ProxyError::NotThere);
        }
        let rest = usize::from(u16::from_be_bytes([*high, *low]));
        if rest > MAX_REST {
            return Err(ProxyError::TooLong);
        }
        let family = match (version, family) {
            (0x20, _) => Family::Itself,
            // TCP; a datagram does not arrive here.
            (0x21, 0x11) => Family::V4,
            (0x21, 0x21) => Family::V6,
            (0x21, 0x00 | 0x31) => Family::Itself,
            _ => return Err(ProxyError::Malformed),
        };
        Ok(Self { rest, family })
    }

    /// For whom the proxy connects; `None`: for itself. `rest` is what follows the fixed part.
    ///
    /// # Errors
    /// [`ProxyError::Malformed`]: the addresses are not there.
    pub fn source(&self, rest: &[u8]) -> Result<Option<IpAddr>, ProxyError> {
        const MALFORMED: ProxyError = ProxyError::Malformed;
        // Source, destination, two ports.
        match self.family {
            Family::Itself => Ok(None),
            Family::V4 => {
                let (source, others) = rest.split_first_chunk::<4>().ok_or(MALFORMED)?;
                let source = Ipv4Addr::from(*source);
                (others.len() >= 8)
                    .then_some(Some(source.into()))
                    .ok_or(MALFORMED)
            }
            Family::V6 => {
                let (source, others) = rest.split_first_chunk::<16>().ok_or(MALFORMED)?;
                let source = IpAddr::from(Ipv6Addr::from(*source)).to_canonical();
                (others.len() >= 20)
                    .then_some(Some(source))
                    .ok_or(MALFORMED)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tail: [u8; 4], rest: &[u8]) -> Result<Option<IpAddr>, ProxyError> {
        let mut bytes = [0; PROXY_HEADER];
        bytes[..12].copy_from_slice(SIGNATURE);
        bytes[12..].copy_from_slice(&tail);
        ProxyHeader::read(&bytes)?.source(rest)
    }

    #[test]
    fn headers() {
        let v4 = [192, 0, 2, 7, 192, 0, 2, 1, 1, 2, 0, 25];
        let v6: Vec<u8> = ["2001:db8::7", "2001:db8::1"]
            .iter()
            .flat_map(|text| text.parse::<Ipv6Addr>().expect("an address").octets())
            .chain([1, 2, 0, 25, 3, 0, 0])
            .collect();
        let found = |text: &str| Ok(Some(text.parse().expect("an address")));
        assert_eq!(read([0x21, 0x11, 0, 12], &v4), found("192.0.2.7"));
        assert_eq!(read([0x21, 0x21, 0, 39], &v6), found("2001:db8::7"));
        assert_eq!(read([0x20, 0x00, 0, 0], &[]), Ok(None), "a health check");
        assert_eq!(
            read([0x21, 0x31, 0, 216], &[0; 216]),
            Ok(None),
            "a Unix socket"
        );
        let bad = [
            ([0x11, 0x11, 0, 12], ProxyError::Malformed),
            ([0x22, 0x11, 0, 12], ProxyError::Malformed),
            ([0x21, 0x12, 0, 12], ProxyError::Malformed),
            ([0x21, 0x11, 0, 11], ProxyError::Malformed),
            ([0x21, 0x21, 0, 35], ProxyError::Malformed),
            ([0x21, 0x11, 0xff, 0xff], ProxyError::TooLong),
        ];
        for (tail, error) in bad {
            let rest = vec![0; usize::from(tail[3])];
            assert_eq!(read(tail, &rest), Err(error), "{tail:?}");
        }
        assert_eq!(
            ProxyHeader::read(b"EHLO c.example\r\n"),
            Err(ProxyError::NotThere)
        );
    }
}
