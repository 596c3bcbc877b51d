//! The binary as a child process with an environment of its own.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

const END_WITHIN: Duration = Duration::from_secs(20);

/// `gallerist` with nothing of the developer's settings, in `home`.
pub fn gallerist(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gallerist"));
    command.env_clear().env("HOME", home).current_dir(home).stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub fn run(command: &mut Command) -> Ran {
    Ran::from(command.output().unwrap())
}

pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ran {
    /// The lines of JSON that it printed, after it succeeded.
    pub fn lines(&self) -> Vec<Value> {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn json(&self) -> Value {
        let mut lines = self.lines();
        assert_eq!(lines.len(), 1, "one line: {}", self.out);
        lines.remove(0)
    }
}

/// A child that stays up after a first line of JSON.
pub struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    pub ready: Value,
}

impl Running {
    pub fn start(command: &mut Command) -> Running {
        Running::start_with(command, Stdio::piped())
    }

    /// As [`Running::start`], with another standard error than one that is read at the end.
    pub fn start_with(command: &mut Command, err: Stdio) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(err).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let Ok(ready) = serde_json::from_str(&line) else {
            let mut err = String::new();
            if let Some(told) = &mut child.stderr {
                told.read_to_string(&mut err).unwrap();
            }
            panic!("no ready line: {line:?} {err}");
        };
        Running { child, out, ready }
    }

    pub fn text(&self, name: &str) -> String {
        self.ready[name].as_str().unwrap_or_else(|| panic!("{name} in {}", self.ready)).to_owned()
    }

    /// The next line.
    pub fn line(&mut self) -> Value {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Sends the signal that asks it to end.
    pub fn terminate(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("/bin/kill").args(["-TERM", &id]).status().unwrap().success());
    }

    /// Asks it to end, and gives its exit code and everything that it printed afterwards.
    pub fn end(mut self) -> Ran {
        self.terminate();
        let begun = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code().unwrap_or(-1);
            }
            assert!(begun.elapsed() < END_WITHIN, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        if let Some(told) = &mut self.child.stderr {
            told.read_to_string(&mut err).unwrap();
        }
        Ran { code, out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request and gives status and body.
pub fn http(method: &str, url: &str, key: &str, body: Option<&Value>) -> (u16, Value) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(body.map(Value::to_string).unwrap_or_default().into_bytes())
        .unwrap();
    let mut answer = ureq::Agent::from(config).run(request).unwrap();
    let bytes = answer.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap();
    (answer.status().as_u16(), serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}
