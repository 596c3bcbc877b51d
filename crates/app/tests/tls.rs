//! PostgreSQL over TLS, with an authority that only its file knows: who is let in, and who is not.

#![expect(clippy::unwrap_used, reason = "a test says by its panic what was missing")]

#[path = "../../../xtask/src/postgres/server.rs"]
mod server;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use server::{Disk, Postgres};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Lists the projects in a database, which makes its tables.
fn list(home: &Path, url: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gallerist"));
    command.env_clear().env("HOME", home).current_dir(home).args(["projects", "list", "--json"]);
    command.env("GALLERIST_DATA_DIR", home).env("GALLERIST_STORE_URL", url).output().unwrap()
}

#[test]
fn a_server_must_show_a_certificate_of_a_trusted_authority_for_its_name() {
    let Some(programs) = server::find() else {
        eprintln!("skipped, because PostgreSQL is not installed");
        return;
    };
    let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ours, key) = (authority(), KeyPair::generate().unwrap());
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &ours).unwrap();
    let [certificate_path, key_path] = ["server.pem", "server.key"].map(|name| folder.path().join(name));
    std::fs::write(&certificate_path, certificate.pem()).unwrap();
    std::fs::write(&key_path, key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key_path, PermissionsExt::from_mode(0o600)).unwrap();
    let settings = format!(
        "-c ssl=on -c ssl_cert_file={} -c ssl_key_file={}",
        certificate_path.display(),
        key_path.display()
    );
    let server = Postgres::start_in(folder, programs, Disk::Ignored, &settings).unwrap();
    let [trusted, other] = ["trusted.pem", "other.pem"].map(|name| home.path().join(name));
    std::fs::write(&trusted, ours.pem()).unwrap();
    std::fs::write(&other, authority().pem()).unwrap();
    let by_name = server.url().replace("127.0.0.1", "localhost");
    let address =
        |url: &str, file: &Path| format!("{url}?sslmode=verify-full&sslrootcert={}", file.display());
    let let_in = list(home.path(), &address(&by_name, &trusted));
    assert!(let_in.status.success(), "{}", String::from_utf8_lossy(&let_in.stderr));
    for (what, url) in [
        ("another authority", address(&by_name, &other)),
        ("another name", address(&server.url(), &trusted)),
        ("what the system trusts", format!("{by_name}?sslmode=require")),
    ] {
        let refused = list(home.path(), &url);
        let told = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && told.contains("certificate"), "{what}: {told}");
    }
    let missing = list(home.path(), &address(&by_name, &home.path().join("missing.pem")));
    let told = String::from_utf8_lossy(&missing.stderr);
    assert!(!missing.status.success() && told.contains("missing.pem"), "{told}");
}
