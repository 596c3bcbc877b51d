//! `cargo xtask test`: everything that must hold before a change is good.
//!
//! The order is from quick to slow: form, then lints, then the Rust tests, then the official SDKs
//! against the built binary. Every step runs even when an earlier one failed, so that one run shows
//! everything. Each test counts one, and so does each check that has no tests of its own. The last line
//! is `N passed, N failed`.

use crate::servers::Servers;
use crate::shell::{self, Tally, cargo, exists, run_and_read};
use crate::{sdk, tools};
use anyhow::Result;
use std::time::Instant;

/// Runs everything and prints the count; whether all of it passed.
///
/// # Errors
/// When a step cannot be started at all.
pub fn run() -> Result<bool> {
    let start = Instant::now();
    let mut tally = Tally::default();
    check(&mut tally, "rustfmt", &["fmt", "--all", "--check"])?;
    let lints = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    check(&mut tally, "clippy", &lints)?;
    let built = build(&mut tally)?;
    // Without them tests are skipped, which counts as a failure.
    let servers = Servers::start(|missing| tally.fail(missing));
    tally.add(rust_tests(&servers)?);
    drop(servers);
    sdk_tests(&mut tally, built);
    Ok(report(&tally, start))
}

/// Runs only the official SDKs; whether all of it passed.
///
/// # Errors
/// When a step cannot be started at all.
pub fn run_sdks() -> Result<bool> {
    let start = Instant::now();
    let mut tally = Tally::default();
    let built = build(&mut tally)?;
    sdk_tests(&mut tally, built);
    Ok(report(&tally, start))
}

/// Builds binary and tests together: apart, cargo would choose other features and compile twice.
fn build(tally: &mut Tally) -> Result<bool> {
    check(tally, "build", &["build", "--workspace", "--bins", "--tests"])
}

fn sdk_tests(tally: &mut Tally, built: bool) {
    match tools::set_up() {
        Ok(_) if !built => tally.fail("SDK tests: the binary does not build"),
        Ok(tools) => tally.add(sdk::run(&tools)),
        Err(error) => tally.fail(format!("SDK tests: {error:#}")),
    }
}

fn report(tally: &Tally, start: Instant) -> bool {
    println!("\n{} s", start.elapsed().as_secs());
    for failure in &tally.failures {
        println!("FAILED {failure}");
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    tally.failed == 0
}

fn check(tally: &mut Tally, name: &str, arguments: &[&str]) -> Result<bool> {
    let passed = shell::run(cargo().args(arguments))?;
    if passed {
        tally.pass()
    } else {
        tally.fail(name)
    }
    Ok(passed)
}

fn rust_tests(servers: &Servers) -> Result<Tally> {
    let nextest = exists("cargo-nextest", &["nextest", "--version"]);
    let mut command = cargo();
    match nextest {
        true => command.args(["nextest", "run", "--workspace", "--no-fail-fast", "--status-level", "fail"]),
        false => command.args(["test", "--workspace", "--no-fail-fast"]),
    };
    let (passed, text) = run_and_read(servers.tell(&mut command))?;
    let mut tally = if nextest { read_nextest(&text) } else { read_cargo_test(&text) };
    if !passed && tally.failed == 0 {
        tally.fail("the Rust tests do not build or do not run");
    }
    Ok(tally)
}

/// Reads `Summary [ 1.6s] 19 tests run: 17 passed (1 slow), 1 failed, 1 timed out, 0 skipped`.
fn read_nextest(text: &str) -> Tally {
    let mut tally = Tally::default();
    let plain = without_colours(text);
    // The last one: what a test prints may look like a summary too.
    let Some((_, summary)) = plain.rsplit_once("Summary [") else { return tally };
    let counts =
        summary.lines().next().and_then(|line| line.split_once("run: ")).map_or("", |(_, counts)| counts);
    tally.passed = count_before(counts, " passed");
    for outcome in [" failed", " timed out", " exec failed"] {
        tally.failed += count_before(counts, outcome);
    }
    for line in summary.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Some(&["FAIL" | "TIMEOUT" | "SIGABRT" | "SIGSEGV", ..]) = words.get(..1) {
            tally.failures.push(words[words.len().saturating_sub(2)..].join(" "));
        }
    }
    tally
}

/// Sums `test result: ok. 5 passed; 0 failed; …` over all binaries.
fn read_cargo_test(text: &str) -> Tally {
    let mut tally = Tally::default();
    for line in text.lines() {
        if let Some(counts) = line.strip_prefix("test result: ") {
            tally.passed += count_before(counts, " passed");
            tally.failed += count_before(counts, " failed");
        } else if let Some(name) =
            line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED"))
        {
            tally.failures.push(name.to_owned());
        }
    }
    tally
}

/// The number that stands directly before `word`.
fn count_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().filter(|before| before.len() < text.len());
    let digits = before.and_then(|before| before.rsplit(|c: char| !c.is_ascii_digit()).next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    plain
}

#[cfg(test)]
mod tests;
