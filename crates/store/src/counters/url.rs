//! Where a Redis or Valkey server is. The address holds a password: nothing here shows it.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use std::fmt;
use std::str::FromStr;

/// The address of a Redis or Valkey server: `redis://user:password@host:port/number`, with TLS `rediss://…`.
#[derive(Clone)]
pub struct CountersUrl(ConnectionInfo);

const SCHEMES: [&str; 4] = ["redis://", "rediss://", "valkey://", "valkeys://"];

impl CountersUrl {
    pub(super) fn connection(&self) -> ConnectionInfo {
        self.0.clone()
    }
}

impl FromStr for CountersUrl {
    type Err = &'static str;

    /// What is wrong is told without the address.
    fn from_str(text: &str) -> Result<CountersUrl, &'static str> {
        const FORM: &str =
            "is not of the form redis://user:password@host:port/number, or rediss://… with TLS";
        let rest = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme)).ok_or(FORM)?;
        // The library takes `#insecure` for not checking the certificate.
        if rest.contains('#') {
            return Err("has a part after #: a certificate is always checked, and # in a password is %23");
        }
        text.into_connection_info().map(CountersUrl).map_err(|_| FORM)
    }
}

/// Scheme, host, port and number alone.
impl fmt::Display for CountersUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if matches!(self.0.addr(), ConnectionAddr::TcpTls { .. }) { "rediss" } else { "redis" };
        write!(f, "{scheme}://{}/{}", self.0.addr(), self.0.redis_settings().db())
    }
}

impl fmt::Debug for CountersUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_shown_nowhere() {
        for (text, shown) in [
            ("redis://me:s3cret@cache.example:6380/2", "redis://cache.example:6380/2"),
            ("rediss://:s3cret@cache.example", "rediss://cache.example:6379/0"),
        ] {
            let url: CountersUrl = text.parse().expect("an address");
            assert_eq!((url.to_string(), format!("{url:?}")), (shown.to_owned(), shown.to_owned()));
        }
        for wrong in [
            "http://me:s3cret@cache.example",
            "redis://me:s3cret@cache.example:port",
            "redis://me:s3cret@cache.example/books",
            "rediss://me:s3cret@cache.example#insecure",
            "unix:///s3cret",
        ] {
            let told = wrong.parse::<CountersUrl>().expect_err(wrong);
            assert!(!told.contains("s3cret"), "{told}");
        }
    }
}
