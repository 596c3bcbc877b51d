//! A private PostgreSQL server: made in a temporary folder, on a free port, gone when it is dropped.
//!
//! The programs are those of the system; where they are missing, Debian's package is installed. The server
//! refuses to run as root, so it runs as Debian's user `postgres` where we are root. It serves tests (nothing
//! waits for the disk) or benchmarks (as it is shipped).

use crate::shell::{command, must};
use crate::tools::install_from_debian;
use anyhow::{Context, Result, ensure};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::process::Stdio;
use tempfile::TempDir;

/// Where the tests look for a server.
pub const TEST_URL: &str = "GALLERIST_TEST_POSTGRES_URL";

const USER: &str = "gallerist";
const SESSIONS_MAX: u32 = 400;

/// Whether a commit waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    Awaited,
    Ignored,
}

/// A running server.
pub struct Postgres {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
}

impl Postgres {
    /// Makes and starts a server.
    ///
    /// # Errors
    /// Says what is missing and what to install, or what its log says.
    pub fn start(disk: Disk) -> Result<Postgres> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("gallerist-postgres-").tempdir()?;
        if is_root() {
            must(command("chown").args(["postgres"]).arg(folder.path()))?;
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = Postgres { programs, folder, port };
        server.run("initdb", &["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--no-sync"])?;
        let sync = if disk == Disk::Ignored { "-c fsync=off -c full_page_writes=off" } else { "" };
        let settings = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' \
             -c max_connections={SESSIONS_MAX} {sync}"
        );
        let log = server.folder.path().join("log");
        let arguments = ["--wait", "--log", &log.to_string_lossy(), "--options", &settings, "start"];
        server
            .run("pg_ctl", &arguments)
            .with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
        Ok(server)
    }

    /// The address of its first database.
    pub fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/postgres", self.port)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs one of its programs on its data, as the user that may.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let path = self.programs.join(program);
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("runuser");
                command.args(["--user", "postgres", "--"]).arg(path);
                command
            }
            false => Command::new(path),
        };
        command.arg("--pgdata").arg(self.data()).args(arguments).current_dir("/").stdout(Stdio::null());
        let status = command.status().with_context(|| format!("cannot start {program}"))?;
        ensure!(status.success(), "{program} failed");
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Err(error) = self.run("pg_ctl", &["--mode", "immediate", "stop"]) {
            eprintln!("PostgreSQL in {} was not stopped: {error:#}", self.folder.path().display());
        }
    }
}

fn is_root() -> bool {
    let shown = Command::new("id").arg("-u").output();
    shown.is_ok_and(|shown| shown.stdout.trim_ascii() == b"0")
}

/// The folder with `initdb` and `pg_ctl`.
fn programs() -> Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    install_from_debian(&["postgresql"], "PostgreSQL 13 or later (Debian: postgresql)")?;
    find().context("PostgreSQL is installed, but its initdb is not found")
}

/// On the path, else where Debian keeps the newest.
fn find() -> Option<PathBuf> {
    let holds = |folder: &Path| folder.join("initdb").exists() && folder.join("pg_ctl").exists();
    let path = std::env::var_os("PATH")?;
    if let Some(found) = std::env::split_paths(&path).find(|folder| holds(folder)) {
        return Some(found);
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok);
    let numbered = versions.filter_map(|entry| {
        let number: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((number, entry.path().join("bin")))
    });
    numbered.filter(|(_, folder)| holds(folder)).max().map(|(_, folder)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn a_server_takes_connections_until_it_is_dropped() {
        if find().is_none() {
            eprintln!("skipped, because PostgreSQL is not installed");
            return;
        }
        let server = Postgres::start(Disk::Ignored).expect("it starts");
        let (port, folder) = (server.port, server.folder.path().to_owned());
        assert!(server.url().contains(&port.to_string()));
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        drop(server);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "it has ended");
        assert!(!folder.exists(), "its folder is gone");
    }
}
