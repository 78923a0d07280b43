//! Where a request comes from, as far as that can be known.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use poem::Request;
use poem::http::HeaderMap;

/// Written by proxies: each appends the address that spoke to it.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// One IPv4 address, or the network of 64 bits that an IPv6 address lies in: one customer has all of
/// such a network, and would else be as many strangers as wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::api) struct Address(IpAddr);

impl Address {
    pub(super) fn of(request: &Request, trusted_proxies: &[IpNet]) -> Self {
        let socket = request.remote_addr().as_socket_addr();
        // Without a socket there is no telling: all of those are one.
        let peer = socket.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), SocketAddr::ip);
        client(peer, request.headers(), trusted_proxies).into()
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
            }
        })
    }
}

/// Who speaks through `peer`. Read from the end: what is left of the last proxy we trust was written
/// by anybody.
fn client(peer: IpAddr, headers: &HeaderMap, trusted_proxies: &[IpNet]) -> IpAddr {
    let mut client = peer.to_canonical();
    let entries = headers.get_all(FORWARDED_FOR).iter().rev();
    let entries = entries.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
    for entry in entries {
        if !trusted_proxies.iter().any(|proxy| proxy.contains(&client)) {
            break;
        }
        let Some(before) = parse(entry.trim()) else {
            break;
        };
        client = before.to_canonical();
    }
    client
}

/// Some proxies add the port.
fn parse(entry: &str) -> Option<IpAddr> {
    let with_port = || entry.parse().ok().map(|socket: SocketAddr| socket.ip());
    entry.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn only_a_trusted_proxy_says_who_speaks_through_it() {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::1/128"]
            .map(|network| network.parse().expect("a network"))
            .into();
        for (peer, forwarded, expected) in [
            ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            // The client's own invention stands before what the proxy wrote.
            ("10.0.0.1", &["127.0.0.1, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["127.0.0.1", "198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("fd00::1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, \u{fc}"], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                let value = value.parse().expect("a header");
                headers.append(FORWARDED_FOR, value);
            }
            let found = client(ip(peer), &headers, &trusted);
            assert_eq!(found, ip(expected), "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn a_network_of_64_bits_is_one_address() {
        let address = |text: &str| Address::from(ip(text));
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("192.0.2.1"), address("::ffff:192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
    }
}
