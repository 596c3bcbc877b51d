//! `cargo xtask chaos`: three release gateways on a PostgreSQL of their own, killed in turn under load.
//!
//! The run itself is the test `crates/app/tests/chaos`, which takes ten seconds in the suite; here it is longer, and
//! the gateways are built as they are shipped. It prints what it has seen: wishes, answers, success rate, kills,
//! latencies, disputes, books against bills, and the highest level of every cap.

use crate::shell::{self, cargo, must, target};
use anyhow::{Result, ensure};

/// Seconds of load that the issue asks for.
pub const SECONDS_USUAL: u64 = 120;
const SECONDS: &str = "GALLERIST_CHAOS_SECONDS";
const PROGRAM: &str = "GALLERIST_CHAOS_PROGRAM";

/// Builds and runs; whether everything held.
///
/// # Errors
/// When the gateway does not build, or PostgreSQL is missing and may not be installed.
pub fn run(seconds: u64) -> Result<bool> {
    ensure!((10..=3_600).contains(&seconds), "--seconds is {seconds}: write 10 to 3600");
    crate::postgres::programs()?;
    must(cargo().args(["build", "--release", "--bin", "gallerist"]))?;
    let test = ["test", "--package", "gallerist", "--test", "chaos", "--", "--nocapture", "kills_and"];
    shell::run(
        cargo().args(test).env(SECONDS, seconds.to_string()).env(PROGRAM, target().join("release/gallerist")),
    )
}
