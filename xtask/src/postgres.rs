//! A private PostgreSQL server for tests (nothing waits for the disk) or benchmarks (as it is shipped).
//!
//! Where the system's programs are missing, Debian's package is installed. `server.rs` runs the server.

mod server;

pub use server::{Disk, Postgres};

use crate::tools::install_from_debian;
use anyhow::{Context, Result};
use server::find;
use std::path::PathBuf;

/// Where the tests look for a server.
pub const TEST_URL: &str = "GALLERIST_TEST_POSTGRES_URL";

impl Postgres {
    /// Makes and starts a server.
    ///
    /// # Errors
    /// Says what is missing and what to install, or what its log says.
    pub fn start(disk: Disk) -> Result<Postgres> {
        Ok(Postgres::start_with(programs()?, disk)?)
    }
}

/// The folder with `initdb` and `pg_ctl`.
///
/// # Errors
/// Says what to install, where we may not.
pub fn programs() -> Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    install_from_debian(&["postgresql"], "PostgreSQL 13 or later (Debian: postgresql)")?;
    find().context("PostgreSQL is installed, but its initdb is not found")
}
