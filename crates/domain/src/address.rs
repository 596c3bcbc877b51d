//! Which network addresses belong to the public internet.
//!
//! A gateway that fetched whatever it is told to would be a way into its own network. Both who hands in
//! addresses (`server`) and who fetches them (`engine`) ask here, so that they cannot come to disagree.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is a machine of the public network: in no special block of the IANA registries
/// (RFC 6890), and no disguise of an address that is.
pub const fn is_public_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

const fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match a {
        0 | 10 | 127 | 224.. => true,
        100 => b >= 64 && b < 128,
        169 => b == 254,
        172 => b >= 16 && b < 32,
        192 => (b == 0 && (c == 0 || c == 2)) || b == 168 || (b == 88 && c == 99),
        198 => b == 18 || b == 19 || (b == 51 && c == 100),
        203 => b == 0 && c == 113,
        _ => false,
    };
    !special
}

/// Only global unicast (2000::/3): the rest is private, local, reserved, or carries an IPv4 address in disguise
/// (64:ff9b::, ::ffff:0:0). Of that, neither tunnels with such an address (2002::/16, Teredo) nor documentation.
const fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let tunnel = first == 0x2002 || (first == 0x2001 && second == 0);
    let documentation = (first == 0x2001 && second == 0x0db8) || first == 0x3fff;
    first & 0xe000 == 0x2000 && !tunnel && !documentation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_block_counts_as_private() {
        for text in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.3.4",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::7f00:1",
            "100::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public_address(text.parse().expect("it parses")), "{text} counts as public");
        }
        for text in ["8.8.8.8", "100.128.0.1", "172.32.0.1", "2606:4700::1", "2001:4860:4860::8888"] {
            assert!(is_public_address(text.parse().expect("it parses")), "{text} counts as private");
        }
    }
}
