//! A TLS front with a certificate of its own, for clients that insist on `https`.
//!
//! Owns the self-signed certificate (localhost, the loopback addresses and the host listened on), its PEM,
//! and the handshake. A client trusts the PEM as a certificate authority, e.g. through `SSL_CERT_FILE`.
//! Refuses anything but HTTP/1.1 behind it. Next: `stand_in.rs`, which listens.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// One certificate for all stand-ins of a run.
pub(crate) struct Certificate {
    pub(crate) pem: String,
    pub(crate) acceptor: TlsAcceptor,
}

impl Certificate {
    /// Makes a fresh key and certificate; both live as long as the process.
    pub(crate) fn make(host: &str) -> io::Result<Certificate> {
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        if !names.iter().any(|name| name == host) {
            names.push(host.to_owned());
        }
        let signed = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![signed.cert.der().clone()], key)
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Certificate { pem: signed.cert.pem(), acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}
