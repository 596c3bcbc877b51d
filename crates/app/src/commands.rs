//! The commands, one module each, and what they are told on the command line.
//!
//! Each has a `run` that does the work and prints: a table for people, JSON with `--json`. They refuse to
//! decide anything that the API decides too: they ask it, or the rooms behind it.

pub mod demo;
pub mod fakes;
pub mod generate;
pub mod keys;
pub mod prices;
pub mod projects;
pub mod quote;
pub mod requests;
pub mod serve;
pub mod usage;

use crate::failure::{Failure, Result};
use std::future::Future;

/// Runs a command that waits for things.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because("the run-time cannot start", &error))?;
    let done = runtime.block_on(work);
    // What still runs is a blocking call whose result nobody waits for.
    runtime.shutdown_background();
    done
}
