//! Running other programs: where, with what said beforehand, and what they counted.
//!
//! Commands run at the workspace root and print as they go; a command whose figures are read is shown
//! and kept at the same time. A program that is missing is an error with its name, never a skipped step.

use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Tests and checks that passed and failed, with a line for each failure.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub failures: Vec<String>,
}

impl Tally {
    pub fn pass(&mut self) {
        self.passed += 1;
    }

    pub fn fail(&mut self, what: impl Into<String>) {
        self.failed += 1;
        self.failures.push(what.into());
    }

    pub fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
    }
}

/// The folder that holds the workspace's `Cargo.toml`.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask lies one level below the root").to_owned()
}

/// Where builds and environments go: `CARGO_TARGET_DIR`, else `target`.
pub fn target() -> PathBuf {
    let moved = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    root().join(moved.unwrap_or_else(|| PathBuf::from("target")))
}

/// The cargo that runs us. What it told us about ourselves is taken back: build scripts watch some of
/// these variables and would run again whenever a plain `cargo` and this one take turns.
pub fn cargo() -> Command {
    let mut command = command(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Whether `program` answers to `argument` (such as `--version`).
pub fn exists(program: &str, arguments: &[&str]) -> bool {
    let mut probe = command(program);
    probe.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// Runs a command with its output shown; whether it succeeded.
///
/// # Errors
/// When it cannot be started.
pub fn run(command: &mut Command) -> Result<bool> {
    announce(command);
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    Ok(status.success())
}

/// As [`run`], and a failure is an error.
///
/// # Errors
/// When it cannot be started or does not succeed.
pub fn must(command: &mut Command) -> Result<()> {
    anyhow::ensure!(run(command)?, "failed: {}", shown(command));
    Ok(())
}

/// Runs a command, shows what it prints and returns it: standard output, then standard error.
///
/// # Errors
/// When it cannot be started.
pub fn run_and_read(command: &mut Command) -> Result<(bool, String)> {
    announce(command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {}", shown(command)))?;
    let stderr = child.stderr.take().expect("standard error is piped");
    let other = std::thread::spawn(move || copy_lines(stderr, &mut std::io::stderr()));
    let mut text = copy_lines(child.stdout.take().expect("standard output is piped"), &mut std::io::stdout());
    text.push_str(&other.join().expect("copying lines does not panic"));
    Ok((child.wait()?.success(), text))
}

fn copy_lines(from: impl std::io::Read, to: &mut impl Write) -> String {
    let mut text = String::new();
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        // A closed terminal is no reason to lose the figures.
        let _ = to.write_all(&line);
        text.push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
    text
}

fn announce(command: &Command) {
    eprintln!("\n$ {}", shown(command));
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
