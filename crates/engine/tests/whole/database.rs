//! A PostgreSQL database of a test's own, on the server that `cargo xtask test` starts.

use gallerist_domain::RequestId;
use std::process::Command;

/// Names a database of a server on which others may be made.
const SERVER: &str = "GALLERIST_TEST_POSTGRES_URL";

/// Gone when it is dropped.
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// `None`, and says so, where there is no server.
    pub fn new() -> Option<Database> {
        let Ok(server) = std::env::var(SERVER) else {
            eprintln!("skipped, because {SERVER} is not set");
            return None;
        };
        let name = format!("test_{}", RequestId::generate().to_string().replace('-', "_"));
        run(&server, &format!("CREATE DATABASE {name}"));
        Some(Database { server, name })
    }

    pub fn url(&self) -> String {
        let (before, _) = self.server.rsplit_once('/').expect("an address names a database");
        format!("{before}/{}", self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        run(&self.server, &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// By the client that belongs to the server.
fn run(url: &str, statement: &str) {
    let done = Command::new("psql").args(["--quiet", "--no-psqlrc", "--command", statement, url]).status();
    assert!(done.expect("psql belongs to PostgreSQL").success());
}
