//! `cargo xtask nightly`: what takes too long for every change.
//!
//! Licences, bans and advisories by `cargo deny` where it is installed; the property tests with many
//! more cases; the Rust tests in the release profile, whose arithmetic and timing differ from debug; two minutes in
//! which replicas are killed; ten thousand simulated runs (`simulate.rs`). Tests have the same private servers as in
//! `cargo xtask test`.

use crate::chaos;
use crate::servers::Servers;
use crate::shell::{self, cargo, exists};
use crate::simulate;
use anyhow::Result;

/// Cases per property in a long run; 256 is usual.
const PROPERTY_CASES: &str = "20000";

/// Runs everything, also after a failure; whether all of it passed.
///
/// # Errors
/// When a step cannot be started.
pub fn run() -> Result<bool> {
    let mut passed = true;
    if exists("cargo-deny", &["--version"]) {
        passed &= shell::run(cargo().args(["deny", "--all-features", "check"]))?;
    } else {
        println!("cargo deny: skipped, it is not installed (cargo install cargo-deny)");
    }
    let servers = Servers::start(|missing| {
        println!("FAILED {missing}");
        passed = false;
    });
    let properties = ["test", "--workspace", "--no-fail-fast", "--lib", "--bins"];
    passed &= shell::run(servers.tell(cargo().args(properties).env("PROPTEST_CASES", PROPERTY_CASES)))?;
    passed &= shell::run(servers.tell(cargo().args(["test", "--workspace", "--no-fail-fast", "--release"])))?;
    passed &= chaos::run(chaos::SECONDS_USUAL)?;
    passed &= simulate::nightly()?;
    Ok(passed)
}
