//! Where a PostgreSQL database is. The address holds a password: nothing here shows it.

use rustls::crypto::ring::default_provider;
use rustls_platform_verifier::BuilderVerifierExt;
use std::fmt;
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

/// The address of a PostgreSQL database: `postgres://user:password@host:port/name`.
#[derive(Clone)]
pub struct StoreUrl(Config);

impl FromStr for StoreUrl {
    type Err = &'static str;

    /// What is wrong is told without the address.
    fn from_str(text: &str) -> Result<StoreUrl, &'static str> {
        const FORM: &str = "is not of the form postgres://user:password@host:port/database";
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(FORM);
        }
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
            config.ssl_mode(SslMode::Disable);
        }
        config.tcp_user_timeout(2 * KEEPALIVE).keepalives_idle(KEEPALIVE).keepalives_interval(KEEPALIVE);
        config.keepalives_retries(2);
        Ok(StoreUrl(config))
    }
}

/// A connection that has still to be driven by whoever spawns it.
pub(super) async fn connect(
    url: &StoreUrl,
) -> Result<(Client, impl Future<Output = ()> + Send + 'static), ConnectError> {
    let config = &url.0;
    let drive = |driven: Result<(), Error>| {
        if let Err(error) = driven {
            tracing::warn!(%error, "a connection to PostgreSQL ended");
        }
    };
    if config.get_ssl_mode() == SslMode::Require {
        let (client, connection) = config.connect(tls()?).await?;
        let driven: futures_util::future::BoxFuture<'static, ()> =
            Box::pin(async move { drive(connection.await) });
        Ok((client, driven))
    } else {
        let (client, connection) = config.connect(NoTls).await?;
        Ok((client, Box::pin(async move { drive(connection.await) })))
    }
}

/// The certificate must be good for the host, by what the system trusts.
fn tls() -> Result<MakeRustlsConnect, StoreError> {
    let client = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(rustls::ConfigBuilder::with_platform_verifier)
        .map_err(StoreError::database)?
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(client))
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
        for (at, host) in self.0.get_hosts().iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            match host {
                tokio_postgres::config::Host::Tcp(name) => write!(f, "{comma}{name}")?,
                #[cfg(unix)]
                tokio_postgres::config::Host::Unix(path) => write!(f, "{comma}{}", path.display())?,
            }
        }
        for port in self.0.get_ports().iter().take(1) {
            write!(f, ":{port}")?;
        }
        write!(f, "/{}", self.0.get_dbname().unwrap_or_default())
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
}
