//! A PostgreSQL server of one's own: made in a temporary folder, on a free port, gone when it is dropped.
//!
//! The programs are those of the system. The server refuses to run as root, so it runs as Debian's user
//! `postgres` where we are root. It needs nothing of the rest of this crate: the test that kills replicas
//! (`crates/app/tests/chaos`) takes this file by its path, because it restarts its server.

#![allow(dead_code, reason = "each user of this file takes what it needs of it")]

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

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
    /// What it is started with.
    settings: String,
}

impl Postgres {
    /// Makes and starts a server with the programs of a folder.
    ///
    /// # Errors
    /// With its log, if it wrote one.
    pub fn start_with(programs: PathBuf, disk: Disk) -> io::Result<Postgres> {
        let folder = tempfile::Builder::new().prefix("gallerist-postgres-").tempdir()?;
        Postgres::start_in(folder, programs, disk, "")
    }

    /// As [`Postgres::start_with`], in a folder of one's own, with further settings (`-c NAME=VALUE`).
    ///
    /// # Errors
    /// With its log, if it wrote one.
    pub fn start_in(folder: TempDir, programs: PathBuf, disk: Disk, more: &str) -> io::Result<Postgres> {
        if is_root() {
            succeed(Command::new("chown").args(["-R", "postgres"]).arg(folder.path()))?;
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let sync = if disk == Disk::Ignored { "-c fsync=off -c full_page_writes=off" } else { "" };
        let settings = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' \
             -c max_connections={SESSIONS_MAX} {sync} {more}"
        );
        let server = Postgres { programs, folder, port, settings };
        server.run("initdb", &["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--no-sync"])?;
        server.control(&["start"])?;
        Ok(server)
    }

    /// Ends it without a checkpoint and without a word to its clients, as a crash does, and starts it again.
    ///
    /// # Errors
    /// With its log, if it does not start.
    pub fn crash_and_start(&self) -> io::Result<()> {
        self.control(&["--mode", "immediate", "restart"])
    }

    /// The address of its first database.
    pub fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/postgres", self.port)
    }

    /// `pg_ctl` with what the server is started with.
    fn control(&self, arguments: &[&str]) -> io::Result<()> {
        let log = self.folder.path().join("log");
        let log_text = log.to_string_lossy();
        let mut all = vec!["--wait", "--log", &*log_text, "--options", &*self.settings];
        all.extend(arguments);
        self.run("pg_ctl", &all).map_err(|error| {
            io::Error::other(format!("{error}\n{}", std::fs::read_to_string(&log).unwrap_or_default()))
        })
    }

    /// Runs one of its programs on its data, as the user that may.
    fn run(&self, program: &str, arguments: &[&str]) -> io::Result<()> {
        let path = self.programs.join(program);
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("runuser");
                command.args(["--user", "postgres", "--"]).arg(path);
                command
            }
            false => Command::new(path),
        };
        let data = self.folder.path().join("data");
        succeed(command.arg("--pgdata").arg(data).args(arguments).current_dir("/").stdout(Stdio::null()))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Err(error) = self.run("pg_ctl", &["--mode", "immediate", "stop"]) {
            eprintln!("PostgreSQL in {} was not stopped: {error}", self.folder.path().display());
        }
    }
}

fn succeed(command: &mut Command) -> io::Result<()> {
    let status = command.status()?;
    match status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("{} failed", command.get_program().to_string_lossy()))),
    }
}

fn is_root() -> bool {
    let shown = Command::new("id").arg("-u").output();
    shown.is_ok_and(|shown| shown.stdout.trim_ascii() == b"0")
}

/// On the path, else where Debian keeps the newest.
pub fn find() -> Option<PathBuf> {
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
        let Some(programs) = find() else {
            eprintln!("skipped, because PostgreSQL is not installed");
            return;
        };
        let server = Postgres::start_with(programs, Disk::Ignored).expect("it starts");
        let (port, folder) = (server.port, server.folder.path().to_owned());
        assert!(server.url().contains(&port.to_string()));
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        server.crash_and_start().expect("it starts again");
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        drop(server);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "it has ended");
        assert!(!folder.exists(), "its folder is gone");
    }
}
