//! Which addresses may be fetched: public ones, or the private provider's own host.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Resolves names and drops every address that is not public, so that a name cannot lead inside.
pub(super) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public_ip(address.ip())).collect();
            if public.is_empty() {
                return Err("the name has no public address".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether the host of an address can be public: literal addresses are judged here, names when resolved.
pub(crate) fn is_public(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match literal {
        Ok(address) => is_public_ip(address),
        Err(_) => !host.is_empty() && host != "localhost" && !host.ends_with(".localhost"),
    }
}

/// Whether `host` is the private host `own` (loopback names count as one host).
pub(super) fn same_private_host(own: &str, host: &str) -> bool {
    let loopback = |host: &str| {
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost" || literal.is_ok_and(|address| address.is_loopback())
    };
    own == host || (loopback(own) && loopback(host))
}

fn is_public_ip(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4() {
            // Mapped and compatible forms are judged as what they stand for.
            Some(inner) => is_public_v4(inner),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocol = a == 192 && b == 0 && c == 0;
    let benchmarking = a == 198 && (b == 18 || b == 19);
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || shared
        || protocol
        || benchmarking)
}

/// Only global unicast (2000::/3): the rest is private, local, reserved, or carries an IPv4 address in disguise
/// (64:ff9b::, ::ffff:0:0). Of that, neither tunnels with such an address (2002::/16, Teredo) nor documentation.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let tunnel = first == 0x2002 || (first == 0x2001 && second == 0);
    let documentation = (first == 0x2001 && second == 0x0db8) || first == 0x3fff;
    first & 0xe000 == 0x2000 && !tunnel && !documentation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_refused_in_every_spelling() {
        for host in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.3.4",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[fc00::1]",
            "[fe80::1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::7f00:1]",
            "[::ffff:0:127.0.0.1]",
            "[fec0::1]",
            "[2002:7f00:1::]",
            "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
            "[100::1]",
            "localhost",
            "a.localhost",
            "2130706433",
            "0x7f.1",
            "198.18.0.1",
            "255.255.255.255",
            "224.0.0.1",
        ] {
            let url = reqwest::Url::parse(&format!("http://{host}/x")).expect("it parses");
            assert!(!is_public(&url), "{host} counts as public");
        }
        for host in ["8.8.8.8", "example.org", "[2606:4700::1]", "[2001:4860:4860::8888]"] {
            let url = reqwest::Url::parse(&format!("http://{host}/x")).expect("it parses");
            assert!(is_public(&url), "{host} counts as private");
        }
    }

    #[test]
    fn a_private_provider_reaches_only_itself() {
        assert!(same_private_host("127.0.0.1", "localhost"));
        assert!(same_private_host("10.0.0.5", "10.0.0.5"));
        assert!(!same_private_host("10.0.0.5", "10.0.0.6"));
        assert!(!same_private_host("127.0.0.1", "10.0.0.5"));
    }
}
