//! What happened, line by line, in virtual time: the same for the same seed.

use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::time::Instant;

pub struct Transcript {
    begun: Instant,
    lines: Mutex<Vec<String>>,
    /// How often each kind of event was met.
    met: Mutex<BTreeMap<&'static str, u64>>,
    violations: Mutex<Vec<String>>,
}

impl Transcript {
    pub fn begin() -> Transcript {
        let (lines, met, violations) = Default::default();
        Transcript { begun: Instant::now(), lines, met, violations }
    }

    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).expect("a short run")
    }

    pub fn note(&self, line: impl std::fmt::Display) {
        let line = format!("{:>9} {line}", self.elapsed_ms());
        self.lines.lock().expect("no holder panics").push(line);
    }

    pub fn meet(&self, event: &'static str) {
        *self.met.lock().expect("no holder panics").entry(event).or_default() += 1;
    }

    pub fn met(&self) -> BTreeMap<&'static str, u64> {
        self.met.lock().expect("no holder panics").clone()
    }

    /// Something is not as it must be.
    pub fn violation(&self, what: impl std::fmt::Display) {
        let what = what.to_string();
        self.note(format!("VIOLATION {what}"));
        self.violations.lock().expect("no holder panics").push(what);
    }

    pub fn violations(&self) -> Vec<String> {
        self.violations.lock().expect("no holder panics").clone()
    }

    pub fn text(&self) -> String {
        self.lines.lock().expect("no holder panics").join("\n")
    }
}
