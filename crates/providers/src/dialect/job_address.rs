//! Which address from a provider's reply may be called with the provider's key.
//!
//! Polling protocols name the address of the job in their reply. That text comes from outside, so it
//! decides nothing by itself: the key goes only to the host that the operator configured, or to
//! another host of the same vendor. Stand-ins on loopback may name any loopback host. What does not
//! parse in the plainest way is refused, so that two URL parsers cannot disagree about the host.
//!
//! The adapters that poll use it: `bfl` and `fal`.

use http::Uri;
use std::net::IpAddr;

/// Longest address that is followed, in bytes.
const ADDRESS_BYTES_MAX: usize = 2_048;

struct Origin {
    secure: bool,
    host: String,
}

/// Whether `address` is an absolute http(s) address in its plainest form.
pub fn is_plain(address: &str) -> bool {
    origin(address).is_some()
}

/// Whether the key of `base_url` may be sent to `address`.
///
/// True for the base's own host, for loopback hosts when the base is one, and over TLS for hosts at or
/// below one of `domains` when the base's host is too. A base with TLS is never left for plain http.
pub fn may_take_key(address: &str, base_url: &str, domains: &[&str]) -> bool {
    let (Some(target), Some(base)) = (origin(address), origin(base_url)) else {
        return false;
    };
    if target.is_loopback() && base.is_loopback() {
        return true;
    }
    let related = domains.iter().any(|domain| base.is_below(domain) && target.is_below(domain));
    (target.host == base.host && (target.secure || !base.secure)) || (related && target.secure)
}

impl Origin {
    fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    fn is_below(&self, domain: &str) -> bool {
        self.host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

fn origin(address: &str) -> Option<Origin> {
    // Backslashes, tabs and the like are where lenient parsers find another host than strict ones.
    let plain = address.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#'));
    if !plain || address.len() > ADDRESS_BYTES_MAX {
        return None;
    }
    let uri: Uri = address.parse().ok()?;
    let secure = match uri.scheme_str()? {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let authority = uri.authority()?;
    let host = authority.host().to_ascii_lowercase();
    let host_plain = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'[' | b']' | b':'));
    (host_plain && !authority.as_str().contains('@')).then_some(Origin { secure, host })
}

#[cfg(test)]
mod tests;
