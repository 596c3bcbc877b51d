//! Which addresses of pictures a client may hand in: data URLs and public `https` addresses.
//!
//! A gateway that fetched whatever it is told to would be a way into its own network, so addresses of
//! machines inside are refused before anything is planned. Names are resolved by whoever fetches, and
//! checked there once more.

use super::fault::shown;
use gallerist_domain::is_public_address;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ADDRESS_CHARACTERS_MAX: usize = 4_096;
const EXPECTED: &str = "must be a data:image/…;base64 URL or a public https address";

/// Why `text` is refused; the sentence goes on after the name of the field.
pub(crate) fn check(text: &str) -> Result<(), String> {
    match text.get(..5) {
        Some(scheme) if scheme.eq_ignore_ascii_case("data:") => return check_data(&text[5..]),
        _ => {}
    }
    let Some(rest) = text.get(..8).filter(|head| head.eq_ignore_ascii_case("https://")).map(|_| &text[8..])
    else {
        return Err(format!("{EXPECTED}, not {}", shown(text)));
    };
    if text.len() > ADDRESS_CHARACTERS_MAX {
        return Err(format!("must have at most {ADDRESS_CHARACTERS_MAX} characters"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Err("holds a character that does not belong into an address".into());
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("must not carry a user name or password".into());
    }
    if is_public(authority) { Ok(()) } else { Err(format!("{EXPECTED}; {} is not public", shown(authority))) }
}

fn check_data(rest: &str) -> Result<(), String> {
    let no_picture = || format!("{EXPECTED}; this data URL holds no base64 picture");
    let (head, payload) = rest.split_once(',').ok_or_else(no_picture)?;
    let media = head.to_ascii_lowercase();
    if !media.starts_with("image/") || !media.ends_with(";base64") {
        return Err(no_picture());
    }
    let digits = payload.trim_end_matches('=');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let padded = payload.len().is_multiple_of(4) && payload.len() - digits.len() <= 2;
    if digits.is_empty() || !padded || !digits.bytes().all(plain) {
        return Err(no_picture());
    }
    Ok(())
}

/// Whether the host of `authority` (`host` or `host:port`) may be a machine of the public network.
fn is_public(authority: &str) -> bool {
    if let Some(rest) = authority.strip_prefix('[') {
        let Some((host, port)) = rest.split_once(']') else { return false };
        let port_fits = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return port_fits && host.parse().is_ok_and(|host: Ipv6Addr| is_public_address(IpAddr::V6(host)));
    }
    let (host, port_fits) = match authority.split_once(':') {
        Some((host, port)) => (host, is_port(port)),
        None => (authority, true),
    };
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if !port_fits || host.len() > 253 || !host.split('.').all(label_fits) {
        return false;
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    // `127.1`, `2130706433` and `0x7f.1` are addresses too for many resolvers.
    if last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") {
        return host.parse().is_ok_and(|host: Ipv4Addr| is_public_address(IpAddr::V4(host)));
    }
    let inside =
        ["localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa", "test", "invalid"];
    host.contains('.') && !inside.contains(&last)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}
