//! Valkey or Redis: the server that `cargo xtask test` starts, and one of a test's own, which it may stop.

#![allow(dead_code, reason = "each test binary that takes this file uses another part of it")]

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Names a server that tests share: each uses keys of its own.
const SERVER: &str = "GALLERIST_TEST_REDIS_URL";
const PROGRAMS: [&str; 2] = ["valkey-server", "redis-server"];

/// `None`, and says so, where there is no server.
pub fn shared() -> Option<String> {
    let url = std::env::var(SERVER).ok();
    if url.is_none() {
        eprintln!("skipped, because {SERVER} is not set");
    }
    url
}

/// A server of a test's own; it ends when it is dropped.
pub struct Server {
    program: &'static str,
    port: u16,
    /// The folder with `key.pem` and `certificate.pem` of a server that speaks TLS alone.
    tls: Option<PathBuf>,
    running: Option<Child>,
}

impl Server {
    /// `None`, and says so, where the program is missing.
    pub fn start() -> Option<Server> {
        Server::start_with(None)
    }

    /// As [`Server::start`], with TLS and the key and certificate in this folder.
    pub fn start_with_tls(folder: &Path) -> Option<Server> {
        Server::start_with(Some(folder.to_owned()))
    }

    fn start_with(tls: Option<PathBuf>) -> Option<Server> {
        let runs = |program: &&str| {
            let mut asked = Command::new(program);
            asked.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
            asked.status().is_ok_and(|status| status.success())
        };
        let Some(program) = PROGRAMS.into_iter().find(runs) else {
            eprintln!("skipped, because neither Valkey nor Redis is installed");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").expect("loopback").local_addr().expect("bound").port();
        let mut server = Server { program, port, tls, running: None };
        server.start_again();
        Some(server)
    }

    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "rediss" } else { "redis" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// On the same port, with nothing in it.
    pub fn start_again(&mut self) {
        let mut command = Command::new(self.program);
        let port = self.port.to_string();
        match &self.tls {
            None => command.args(["--port", &port]),
            Some(folder) => command
                .args(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no", "--tls-cert-file"])
                .arg(folder.join("certificate.pem"))
                .arg("--tls-key-file")
                .arg(folder.join("key.pem"))
                .arg("--tls-ca-cert-file")
                .arg(folder.join("certificate.pem")),
        };
        command.args(["--bind", "127.0.0.1", "--save", "", "--dir", "/tmp"]);
        command.stdout(Stdio::null()).stdin(Stdio::null());
        self.running = Some(command.spawn().expect("it starts"));
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "the server never listens");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill().expect("it runs");
            running.wait().expect("it ends");
        }
    }

    /// Sends it a signal such as `STOP`.
    pub fn signal(&self, name: &str) {
        let id = self.running.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().expect("kill").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
