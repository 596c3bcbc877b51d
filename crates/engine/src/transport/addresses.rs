//! Which addresses may be fetched: public ones, and the configured provider's own host.

use gallerist_domain::is_public_address;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, SocketAddr};

/// Resolves names and drops every address that is not public, so that a name cannot lead inside.
pub(super) struct PublicOnly;

/// A name that leads only inside: asking again changes nothing.
#[derive(Debug, thiserror::Error)]
#[error("the name has no public address")]
pub(super) struct NoPublicAddress;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public_address(address.ip())).collect();
            if public.is_empty() {
                return Err(NoPublicAddress.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// The host and port of a provider's base URL. Whoever configured the provider vouches for them: calls with
/// its key go there already, so pictures may come from there too, however private the place is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnHost {
    host: String,
    port: u16,
}

impl OwnHost {
    pub(crate) fn of(base_url: &str) -> Option<OwnHost> {
        OwnHost::of_url(&reqwest::Url::parse(base_url).ok()?)
    }

    fn of_url(url: &reqwest::Url) -> Option<OwnHost> {
        Some(OwnHost { host: url.host_str()?.to_owned(), port: url.port_or_known_default()? })
    }
}

/// How an address may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Wherever it resolves to.
    Own,
    /// Only at public addresses; names are judged when they are resolved.
    Public,
    Never,
}

/// How an address that a provider named may be reached, `own` being that provider's own host.
pub(super) fn reach(url: &reqwest::Url, own: Option<&OwnHost>) -> Reach {
    if !matches!(url.scheme(), "http" | "https") {
        return Reach::Never;
    }
    if own.is_some_and(|own| OwnHost::of_url(url).is_some_and(|host| host == *own)) {
        return Reach::Own;
    }
    let host = url.host_str().unwrap_or_default();
    let public = match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(address) => is_public_address(address),
        Err(_) => !host.is_empty() && host != "localhost" && !host.ends_with(".localhost"),
    };
    if public { Reach::Public } else { Reach::Never }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(url: &str, base_url: Option<&str>) -> Reach {
        let own = base_url.map(|text| OwnHost::of(text).expect("it has a host"));
        reach(&reqwest::Url::parse(url).expect("it parses"), own.as_ref())
    }

    #[test]
    fn private_addresses_are_refused_in_every_spelling() {
        for host in [
            "127.0.0.1",
            "10.0.0.1",
            "169.254.169.254",
            "192.88.99.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[fc00::1]",
            "[3fff::1]",
            "[64:ff9b::7f00:1]",
            "localhost",
            "a.localhost",
            "2130706433",
            "0x7f.1",
        ] {
            assert_eq!(reached(&format!("http://{host}/x"), None), Reach::Never, "{host}");
        }
        for host in ["8.8.8.8", "example.org", "[2606:4700::1]", "[2001:4860:4860::8888]"] {
            assert_eq!(reached(&format!("http://{host}/x"), None), Reach::Public, "{host}");
        }
    }

    #[test]
    fn a_provider_with_an_internal_name_delivers_from_its_own_host_and_port() {
        let base = Some("http://gpu-1.lan:7860/sdapi");
        assert_eq!(reached("http://gpu-1.lan:7860/files/1.png", base), Reach::Own);
        // A name that happens to lead inside is caught when it is resolved.
        assert_eq!(reached("http://gpu-1.lan:9090/metrics", base), Reach::Public);
        assert_eq!(reached("http://gpu-2.lan:7860/files/1.png", base), Reach::Public);
        assert_eq!(reached("file:///etc/passwd", base), Reach::Never);
    }

    #[test]
    fn a_private_provider_reaches_only_itself() {
        let base = Some("http://10.0.0.5:8188");
        assert_eq!(reached("http://10.0.0.5:8188/x", base), Reach::Own);
        for other in ["http://10.0.0.5/x", "http://10.0.0.6:8188/x", "http://127.0.0.1:8188/x"] {
            assert_eq!(reached(other, base), Reach::Never, "{other}");
        }
        assert_eq!(reached("https://gpu.lan/x", Some("https://gpu.lan:443/v1")), Reach::Own);
    }
}
