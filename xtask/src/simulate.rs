//! `cargo xtask simulate`: the seeded simulation of faults, some seeds of it or one.
//!
//! The runs themselves are a test of `engine` (`crates/engine/tests/simulation`); here is only said which.

use crate::shell::{self, cargo};
use anyhow::{Context, Result, bail};

/// Runs of a night.
pub const RUNS_NIGHTLY: u64 = 10_000;

/// Which seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// One, with its transcript.
    Seed(u64),
    Runs {
        first: u64,
        runs: u64,
    },
}

/// Reads `--seed N`, or `--runs N` and `--first N`, and runs that; whether all of it passed.
///
/// # Errors
/// For other arguments, and when the test cannot be started.
pub fn run(arguments: &[&str]) -> Result<bool> {
    start(wanted(arguments)?, false)
}

/// What a night runs, in the release profile.
///
/// # Errors
/// When the test cannot be started.
pub fn nightly() -> Result<bool> {
    start(Wanted::Runs { first: 0, runs: RUNS_NIGHTLY }, true)
}

fn start(wanted: Wanted, release: bool) -> Result<bool> {
    let mut command = cargo();
    command.args(["test", "--package", "gallerist-engine", "--test", "simulation"]);
    if release {
        command.arg("--release");
    }
    command.args(["--", "--nocapture", "nothing_is_lost_and_nothing_is_paid_twice_whatever_fails"]);
    match wanted {
        Wanted::Seed(seed) => command.env("GALLERIST_SIMULATION_SEED", seed.to_string()),
        Wanted::Runs { first, runs } => command
            .env("GALLERIST_SIMULATION_FIRST", first.to_string())
            .env("GALLERIST_SIMULATION_RUNS", runs.to_string()),
    };
    shell::run(&mut command)
}

fn wanted(arguments: &[&str]) -> Result<Wanted> {
    let (mut seed, mut first, mut runs) = (None, 0, None);
    for pair in arguments.chunks(2) {
        let [name, number] = pair else { bail!("{} needs a whole number behind it", pair[0]) };
        let number: u64 =
            number.parse().with_context(|| format!("{name} takes a whole number, not {number}"))?;
        match *name {
            "--seed" => seed = Some(number),
            "--first" => first = number,
            "--runs" => runs = Some(number),
            other => bail!("simulate knows --seed N, --runs N and --first N, not {other}"),
        }
    }
    match (seed, runs) {
        (Some(_), Some(_)) => bail!("--seed runs one seed, --runs runs many: give one of them"),
        (Some(seed), None) => Ok(Wanted::Seed(seed)),
        (None, runs) => Ok(Wanted::Runs { first, runs: runs.unwrap_or(RUNS_NIGHTLY) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_or_many_can_be_asked_for() {
        assert_eq!(wanted(&["--seed", "17"]).unwrap(), Wanted::Seed(17));
        assert_eq!(wanted(&["--runs", "50"]).unwrap(), Wanted::Runs { first: 0, runs: 50 });
        assert_eq!(wanted(&["--first", "9", "--runs", "5"]).unwrap(), Wanted::Runs { first: 9, runs: 5 });
        assert_eq!(wanted(&[]).unwrap(), Wanted::Runs { first: 0, runs: RUNS_NIGHTLY });
        for wrong in [&["--seed"][..], &["--seed", "x"], &["--sed", "1"], &["--seed", "1", "--runs", "2"]] {
            assert!(wanted(wrong).is_err(), "{wrong:?}");
        }
    }
}
