//! The binary as a child process, from its ready line to its end.
//!
//! The child is started by its own path and ended by its own id: asked first, killed after a while.
//! What it prints after the ready line is drained, so that it never blocks on us.

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Until the ready line must have come.
const READY_SECONDS_MAX: u64 = 60;

/// Until a child that was asked to end is killed.
const END_SECONDS_MAX: u64 = 10;

/// A running `gallerist demo`, `fakes` or `serve`.
pub struct ServerProcess {
    child: Child,
    /// What it said about itself: addresses and keys.
    pub ready: Value,
    /// Its data; removed with us.
    _folder: tempfile::TempDir,
}

impl ServerProcess {
    /// Starts the debug binary and waits for its ready line. `{dir}` in an argument becomes a fresh
    /// folder.
    ///
    /// # Errors
    /// When it cannot be started or prints something else.
    pub fn start(arguments: &[&str]) -> Result<ServerProcess> {
        ServerProcess::start_with(arguments, &[])
    }

    /// As [`ServerProcess::start`], with variables that it shall see; `{dir}` is the folder in them too.
    ///
    /// # Errors
    /// When it cannot be started or prints something else.
    pub fn start_with(arguments: &[&str], variables: &[(String, String)]) -> Result<ServerProcess> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let path = folder.path().to_string_lossy().into_owned();
        let mut command = Command::new(binary());
        command.args(arguments.iter().map(|argument| argument.replace("{dir}", &path)));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            // A developer's own keys and settings must not reach a test.
            let text = name.to_string_lossy();
            if text.starts_with("GALLERIST_") || text.ends_with("_API_KEY") {
                command.env_remove(&name);
            }
        }
        command.envs(variables.iter().map(|(name, value)| (name, value.replace("{dir}", &path))));
        let mut child = command.spawn().with_context(|| format!("cannot start {}", binary().display()))?;
        let lines = BufReader::new(child.stdout.take().expect("standard output is piped")).lines();
        let mut process = ServerProcess { child, ready: Value::Null, _folder: folder };
        process.ready = first_line(lines)?;
        ensure!(process.ready["event"] == "ready", "the first line is no ready line: {}", process.ready);
        Ok(process)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A text of the ready line.
    ///
    /// # Errors
    /// When it is absent.
    pub fn text(&self, name: &str) -> Result<&str> {
        self.ready[name].as_str().ok_or_else(|| anyhow!("the ready line has no {name:?}"))
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).stderr(Stdio::null()).status();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(END_SECONDS_MAX) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The debug binary of the product.
pub fn binary() -> PathBuf {
    crate::shell::target().join("debug/gallerist")
}

fn first_line(lines: impl Iterator<Item = std::io::Result<String>> + Send + 'static) -> Result<Value> {
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut lines = lines;
        // Nobody waits any more when the line came too late.
        let _ = sender.send(lines.next());
        lines.for_each(drop);
    });
    let line = receiver
        .recv_timeout(Duration::from_secs(READY_SECONDS_MAX))
        .with_context(|| format!("no ready line within {READY_SECONDS_MAX} s"))?
        .context("it ended without a ready line")??;
    serde_json::from_str(&line).with_context(|| format!("the first line is not JSON: {line}"))
}
