//! The commands, one module each, and what they are told on the command line.
//!
//! Each has a `run` that does the work and prints: a table for people, JSON with `--json`. They refuse to
//! decide anything that the API decides too: they ask it, or the rooms behind it.

pub mod alerts;
pub mod audit;
pub mod budgets;
pub mod credits;
pub mod demo;
pub mod fakes;
pub mod generate;
pub mod keys;
pub mod prices;
pub mod projects;
pub mod quote;
pub mod reconcile;
pub mod requests;
pub mod serve;
pub mod usage;
pub mod webhooks;

use crate::failure::{Failure, Result};
use crate::output;
use gallerist_domain::Ticks;
use jiff::Timestamp;
use jiff::civil::Date;
use std::future::Future;

/// An instant, or the beginning of a day in UTC, as people write it.
///
/// # Errors
/// A sentence with an example.
pub(crate) fn instant(text: &str) -> std::result::Result<Timestamp, String> {
    let day = |text: &str| -> Option<Timestamp> {
        Some(text.parse::<Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    };
    let instant = text.parse::<Timestamp>().ok().or_else(|| day(text));
    instant.ok_or_else(|| "write an instant such as 2026-11-25T08:00:00Z, or a day".to_owned())
}

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

/// An amount of dollars of an argument, not negative.
fn amount(text: &str) -> std::result::Result<String, String> {
    match text.trim_start_matches('$').parse::<Ticks>() {
        Ok(amount) if !amount.is_negative() => Ok(amount.to_string()),
        Ok(_) => Err("an amount of dollars is not negative".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Names the way out of disputes, where there are any.
fn hint_at_disputes(disputed: Ticks) {
    if !disputed.is_zero() {
        output::line(format!(
            "\nOf {} nobody knows whether it was billed: `gallerist requests list --disputed` names the requests.",
            output::dollars(disputed)
        ));
    }
}
