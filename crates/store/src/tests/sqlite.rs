//! The suite on SQLite, with its files, locks and crashes.

#[path = "broken.rs"]
mod broken;
#[path = "budgets.rs"]
mod budgets;
#[path = "crash.rs"]
mod crash;
#[path = "credits.rs"]
mod credits;
#[path = "doubtful.rs"]
mod doubtful;
#[path = "earlier.rs"]
mod earlier;
#[path = "files.rs"]
mod files;
#[path = "ledger.rs"]
mod ledger;
#[path = "model.rs"]
mod model;
#[path = "reading.rs"]
mod reading;
#[path = "reconciliations.rs"]
mod reconciliations;
#[path = "rollups.rs"]
mod rollups;
#[path = "support.rs"]
mod support;
#[path = "tenants.rs"]
mod tenants;
#[path = "webhooks.rs"]
mod webhooks;

use std::path::{Path, PathBuf};

use crate::StoreUrl;

/// How many times fewer cases a property has here.
const CASES_FEWER: u32 = 1;

pub const REFUSE_ENDS: &str =
    "CREATE TRIGGER full_disk BEFORE UPDATE ON attempts BEGIN SELECT RAISE(ABORT, 'full'); END";
pub const TAKE_ENDS_AGAIN: &str = "DROP TRIGGER full_disk";

/// A database file that is not there yet.
pub struct Engine(PathBuf);

impl Engine {
    pub fn new(folder: &Path) -> Engine {
        Engine(crate::sqlite::database_path(folder))
    }

    pub fn url(&self) -> Option<StoreUrl> {
        None
    }

    /// Changes the database behind the store's back.
    pub fn run(&self, statements: &str) {
        rusqlite::Connection::open(&self.0).unwrap().execute_batch(statements).unwrap();
    }
}
