//! A private Valkey or Redis server: in a temporary folder, on a free port, gone when it is dropped.
//!
//! The program is the system's; where it is missing, Debian's package is installed: Valkey's where there is one,
//! else Redis'. It keeps nothing on disk.

use crate::shell::{command, exists};
use crate::tools::install_from_debian;
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Where the tests look for a server.
pub const TEST_URL: &str = "GALLERIST_TEST_REDIS_URL";

const PROGRAMS: [&str; 2] = ["valkey-server", "redis-server"];
const STARTED_WITHIN: Duration = Duration::from_secs(10);

/// A running server.
pub struct Redis {
    server: Child,
    port: u16,
    /// Deleted with it.
    _folder: TempDir,
}

impl Redis {
    /// Starts a server.
    ///
    /// # Errors
    /// Says what is missing and what to install, or what the server said.
    pub fn start() -> Result<Redis> {
        let program = program()?;
        let folder = tempfile::Builder::new().prefix("gallerist-redis-").tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = folder.path().join("log");
        let server = Command::new(program)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(folder.path())
            .arg("--logfile")
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let mut server = Redis { server, port, _folder: folder };
        let deadline = Instant::now() + STARTED_WITHIN;
        while !server.answers() {
            if server.server.try_wait()?.is_some() || Instant::now() > deadline {
                bail!("{program} does not start: {}", std::fs::read_to_string(&log).unwrap_or_default());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"PING\r\n")?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer)?;
            Ok(&answer == b"+PONG")
        };
        ask().unwrap_or(false)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It holds nothing that must be written.
        let ended = self.server.kill().and_then(|()| self.server.wait());
        if let Err(error) = ended {
            eprintln!("the Redis server on port {} was not stopped: {error}", self.port);
        }
    }
}

fn program() -> Result<&'static str> {
    if let Some(found) = find() {
        return Ok(found);
    }
    let packaged = command("apt-cache").args(["show", PROGRAMS[0]]).output();
    let package = match packaged.is_ok_and(|shown| shown.status.success()) {
        true => PROGRAMS[0],
        false => PROGRAMS[1],
    };
    install_from_debian(&[package], "Valkey or Redis (Debian: valkey-server or redis-server)")?;
    find().with_context(|| format!("{package} is installed, but not found"))
}

fn find() -> Option<&'static str> {
    PROGRAMS.into_iter().find(|program| exists(program, &["--version"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_answers_until_it_is_dropped() {
        if find().is_none() {
            eprintln!("skipped, because neither Valkey nor Redis is installed");
            return;
        }
        let server = Redis::start().expect("it starts");
        let (port, folder) = (server.port, server._folder.path().to_owned());
        assert_eq!(server.url(), format!("redis://127.0.0.1:{port}"));
        assert!(server.answers());
        drop(server);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "it has ended");
        assert!(!folder.exists(), "its folder is gone");
    }
}
