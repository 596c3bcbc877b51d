use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

#[tokio::test]
async fn all_of_them_start_with_a_key_and_an_origin_each_and_know_every_common_fault() {
    let fakes = Fakes::start(FakesOptions::default()).await.expect("free ports");
    assert_eq!(fakes.origins().len(), FAMILIES.len());
    assert_eq!(fakes.keys().len(), FAMILIES.len());
    for stand_in in fakes.iter() {
        let known = stand_in.ctx.faults.known();
        assert!(crate::COMMON.iter().all(|(name, _)| known.contains(name)), "{}", stand_in.kind);
        let mut unique = known.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), known.len(), "{}: a name means one thing", stand_in.kind);
    }
    assert_eq!(fakes.billed_ticks(), 0);
    fakes.shutdown().await;
}

#[tokio::test]
async fn a_misspelt_kind_is_refused() {
    let options = FakesOptions { kinds: Some(vec!["opneai".to_owned()]), ..Default::default() };
    let complaint = Fakes::start(options).await.expect_err("there is no such kind").to_string();
    assert!(complaint.contains("openai"), "{complaint}");
}

#[tokio::test]
async fn its_authority_makes_the_tls_front_trusted_and_links_are_https() {
    let path = std::env::temp_dir().join(format!("gallerist-fakes-{}.pem", std::process::id()));
    let options = FakesOptions {
        kinds: Some(vec!["bfl".to_owned()]),
        tls_pem: Some(path.clone()),
        ..Default::default()
    };
    let fakes = Fakes::start(options).await.expect("free ports");
    let authority = CertificateDer::from_pem_file(&path).expect("a certificate");
    std::fs::remove_file(&path).expect("it was written");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let origin = fakes.tls_origins()["bfl"].clone();
    let host = origin.trim_start_matches("https://");
    let stream = tokio::net::TcpStream::connect(host).await.expect("it listens");
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, stream).await.expect("a trusted front");
    let request = format!(
        "POST /v1/flux-2-pro HTTP/1.1\r\nhost: {host}\r\nx-key: fake-bfl-key\r\nconnection: close\r\n\
         content-length: 14\r\n\r\n{{\"prompt\":\"x\"}}"
    );
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.contains(&format!("\"polling_url\":\"{origin}/v1/get_result")), "{answer}");
}
