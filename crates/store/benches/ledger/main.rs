//! How many reserve + settle pairs a second the store commits durably, beside the bare engine.
//!
//! A room a database: the same callers without a budget, with a counter each, with one that all share, and with
//! two, in turns with the bare engine, so that what the machine does meanwhile meets them all alike. A figure is
//! the median of the turns. `GALLERIST_BENCH_ONLY=sqlite` or `postgres` measures one of them (PostgreSQL needs a
//! server), `GALLERIST_BENCH_CALLERS=256` other numbers of callers than 1, 32 and 256, `GALLERIST_BENCH_DIR` another
//! disk.

mod pair;
mod postgres;
mod sqlite;
mod turns;

use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A PostgreSQL server on which databases may be made, and whose commits wait for the disk.
const SERVER: &str = "GALLERIST_TEST_POSTGRES_URL";

fn main() {
    let only = std::env::var("GALLERIST_BENCH_ONLY").ok();
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if wanted("sqlite") {
        sqlite::measure();
    }
    if wanted("postgres") {
        match std::env::var(SERVER) {
            Ok(server) => postgres::measure(&server),
            Err(_) => {
                println!("PostgreSQL: skipped, {SERVER} is not set (`cargo xtask bench` starts a server)");
            }
        }
    }
}

/// How many callers there are at a time.
fn callers() -> Vec<usize> {
    match std::env::var("GALLERIST_BENCH_CALLERS") {
        Ok(listed) => listed.split(',').map(|one| one.parse().expect("numbers, with commas")).collect(),
        Err(_) => vec![1, 32, 256],
    }
}

fn folder() -> TempDir {
    let dir = std::env::var("GALLERIST_BENCH_DIR").unwrap_or_else(|_| env!("CARGO_TARGET_TMPDIR").to_owned());
    tempfile::tempdir_in(dir).expect("it takes a folder")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a run-time starts")
}
