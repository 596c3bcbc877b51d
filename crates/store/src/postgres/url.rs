//! Where a PostgreSQL database is. The address holds a password: nothing here shows it.

use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, Error, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::StoreError;

/// Time for one attempt to connect.
const CONNECT: Duration = Duration::from_secs(3);
/// A replica whose host vanished is noticed after about this long.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// The address of a PostgreSQL database: `postgres://user:password@host:port/name`, with libpq's words for TLS:
/// `?sslmode=verify-full&sslrootcert=/etc/ssl/database.pem`.
#[derive(Clone)]
pub struct StoreUrl {
    config: Config,
    /// A file with the authorities to trust, in PEM, instead of those that the system trusts.
    authorities: Option<PathBuf>,
}

impl FromStr for StoreUrl {
    type Err = &'static str;

    /// What is wrong is told without the address.
    fn from_str(text: &str) -> Result<StoreUrl, &'static str> {
        const FORM: &str = "is not of the form postgres://user:password@host:port/database";
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(FORM);
        }
        let (text, authorities) = without_tls_words(text)?;
        let mut config: Config = text.parse().map_err(|_| FORM)?;
        if config.get_dbname().is_none() {
            return Err("names no database: postgres://user:password@host:port/database");
        }
        if config.get_application_name().is_none() {
            config.application_name("gallerist");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        // Unless it is asked for, there is no TLS; where it is, it is also checked.
        if config.get_ssl_mode() == SslMode::Prefer {
            config.ssl_mode(if authorities.is_some() { SslMode::Require } else { SslMode::Disable });
        }
        if config.get_ssl_mode() == SslMode::Disable && authorities.is_some() {
            return Err("has sslrootcert, but sslmode=disable: write sslmode=verify-full");
        }
        config.tcp_user_timeout(2 * KEEPALIVE).keepalives_idle(KEEPALIVE).keepalives_interval(KEEPALIVE);
        config.keepalives_retries(2);
        Ok(StoreUrl { config, authorities })
    }
}

/// Takes out the words for TLS that the client library does not know; what is left, and the file of authorities.
/// Where TLS is asked for, certificate and host are checked anyway, so `verify-full` says no more than `require`.
fn without_tls_words(text: &str) -> Result<(String, Option<PathBuf>), &'static str> {
    let Some((address, query)) = text.split_once('?') else { return Ok((text.to_owned(), None)) };
    let (mut left, mut authorities) = (Vec::new(), None);
    for word in query.split('&') {
        match word.split_once('=') {
            Some(("sslmode", "verify-full")) => left.push("sslmode=require"),
            Some(("sslmode", "verify-ca" | "allow")) => {
                return Err("has an sslmode that checks too little: write require or verify-full");
            }
            Some(("sslrootcert", path)) => authorities = Some(file(path)?),
            _ => left.push(word),
        }
    }
    let query = if left.is_empty() { String::new() } else { format!("?{}", left.join("&")) };
    Ok((format!("{address}{query}"), authorities))
}

/// A path as it stands in an address, where `%20` is a space.
fn file(path: &str) -> Result<PathBuf, &'static str> {
    const WRONG: &str = "has an sslrootcert that is no path";
    let (mut bytes, mut rest) = (Vec::new(), path.bytes());
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next().ok_or(WRONG)?, rest.next().ok_or(WRONG)?];
        let digits = std::str::from_utf8(&digits).map_err(|_| WRONG)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| WRONG)?);
    }
    let path = String::from_utf8(bytes).map_err(|_| WRONG)?;
    if path.is_empty() { Err(WRONG) } else { Ok(PathBuf::from(path)) }
}

/// A connection that has still to be driven by whoever spawns it.
pub(super) async fn connect(
    url: &StoreUrl,
) -> Result<(Client, impl Future<Output = ()> + Send + 'static), ConnectError> {
    let config = &url.config;
    let drive = |driven: Result<(), Error>| {
        if let Err(error) = driven {
            tracing::warn!(%error, "a connection to PostgreSQL ended");
        }
    };
    if config.get_ssl_mode() == SslMode::Require {
        let (client, connection) = config.connect(tls(url.authorities.as_deref())?).await?;
        let driven: futures_util::future::BoxFuture<'static, ()> =
            Box::pin(async move { drive(connection.await) });
        Ok((client, driven))
    } else {
        let (client, connection) = config.connect(NoTls).await?;
        Ok((client, Box::pin(async move { drive(connection.await) })))
    }
}

/// The certificate must be good for the host, by the authorities of a file, else by what the system trusts.
fn tls(authorities: Option<&Path>) -> Result<MakeRustlsConnect, StoreError> {
    let client = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(StoreError::database)?;
    let client = match authorities {
        Some(path) => client.with_root_certificates(read(path)?),
        None => client.with_platform_verifier().map_err(StoreError::database)?,
    };
    Ok(MakeRustlsConnect::new(client.with_no_client_auth()))
}

/// The authorities of a file. It is read for each session, so that it can be replaced.
fn read(path: &Path) -> Result<RootCertStore, StoreError> {
    let wrong = |error: &dyn fmt::Display| StoreError::file(path, std::io::Error::other(error.to_string()));
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
        let certificate = certificate.map_err(|error| wrong(&error))?;
        authorities.add(certificate).map_err(|error| wrong(&error))?;
    }
    if authorities.is_empty() {
        return Err(wrong(&"there is no certificate in it"));
    }
    Ok(authorities)
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error(transparent)]
    Tls(#[from] StoreError),
    #[error(transparent)]
    Server(#[from] Error),
}

impl From<ConnectError> for StoreError {
    fn from(error: ConnectError) -> StoreError {
        match error {
            ConnectError::Tls(error) => error,
            ConnectError::Server(error) => StoreError::away(error),
        }
    }
}

/// Hosts, port and database alone.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        for (at, host) in self.config.get_hosts().iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            match host {
                tokio_postgres::config::Host::Tcp(name) => write!(f, "{comma}{name}")?,
                #[cfg(unix)]
                tokio_postgres::config::Host::Unix(path) => write!(f, "{comma}{}", path.display())?,
            }
        }
        for port in self.config.get_ports().iter().take(1) {
            write!(f, ":{port}")?;
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_shown_nowhere() {
        let url: StoreUrl = "postgres://me:s3cret@db.example:5433/books".parse().unwrap();
        assert_eq!(url.to_string(), "postgres://db.example:5433/books");
        assert_eq!(format!("{url:?}"), "postgres://db.example:5433/books");
        for wrong in
            ["mysql://me:s3cret@db/books", "postgres://me:s3cret@db:port/books", "postgres://me:s3cret@db"]
        {
            let told = wrong.parse::<StoreUrl>().unwrap_err();
            assert!(!told.contains("s3cret"), "{told}");
        }
    }

    #[test]
    fn the_words_of_libpq_for_tls_are_understood() {
        let address = |query: &str| format!("postgres://me@db/books{query}").parse::<StoreUrl>();
        assert_eq!(address("").unwrap().config.get_ssl_mode(), SslMode::Disable);
        for query in ["?sslmode=require", "?sslmode=verify-full", "?sslrootcert=/ca.pem"] {
            assert_eq!(address(query).unwrap().config.get_ssl_mode(), SslMode::Require, "{query}");
        }
        let full = address("?sslmode=verify-full&application_name=shop&sslrootcert=/my%20ca.pem").unwrap();
        assert_eq!(full.authorities.as_deref(), Some(Path::new("/my ca.pem")));
        assert_eq!(full.config.get_application_name(), Some("shop"));
        for query in
            ["?sslmode=verify-ca", "?sslmode=disable&sslrootcert=/ca.pem", "?sslrootcert=%2", "?sslmode=x"]
        {
            assert!(address(query).is_err(), "{query}");
        }
    }
}
