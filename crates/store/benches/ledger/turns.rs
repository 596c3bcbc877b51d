//! Turns of several that are compared, and what is said of them.

use std::time::{Duration, Instant};

/// What one of them did in its turns.
pub(crate) struct Turns {
    name: String,
    /// Pairs a second, a turn each.
    rates: Vec<f64>,
    /// How long reservations took.
    reserved: Vec<Duration>,
    processor: Duration,
    pairs: u32,
}

impl Turns {
    pub(crate) fn new(name: impl Into<String>) -> Turns {
        Turns {
            name: name.into(),
            rates: Vec::new(),
            reserved: Vec::new(),
            processor: Duration::ZERO,
            pairs: 0,
        }
    }

    /// A turn of so many pairs.
    pub(crate) fn take(&mut self, pairs: usize, work: impl FnOnce() -> Vec<Duration>) {
        let pairs = u32::try_from(pairs).expect("it is a small number");
        let (used, start) = (processor(), Instant::now());
        let reserved = work();
        self.rates.push(f64::from(pairs) / start.elapsed().as_secs_f64());
        self.processor += processor().saturating_sub(used);
        self.pairs += pairs;
        self.reserved.extend(reserved);
    }

    /// Pairs a second: the median.
    pub(crate) fn rate(&self) -> f64 {
        median(self.rates.clone())
    }

    /// The median of what it reached of the other's rate in the same turn.
    fn share_of(&self, other: &Turns) -> f64 {
        median(self.rates.iter().zip(&other.rates).map(|(ours, theirs)| ours / theirs).collect())
    }

    /// One line: the rate, what it is of the others' rates, the times, and the processor time of a pair.
    pub(crate) fn tell(&mut self, beside: &[(&str, &Turns)]) {
        let rate = self.rate();
        let mut line = format!("  {:<24} {rate:>8.0} pairs/s", self.name);
        for (what, other) in beside {
            line += &format!(", {:.2} of {what}", self.share_of(other));
        }
        if !self.reserved.is_empty() {
            self.reserved.sort();
            let at = |percent: usize| self.reserved[self.reserved.len() * percent / 100].as_micros();
            line += &format!(", reserved after p50 {} µs, p99 {} µs", at(50), at(99));
        }
        println!("{line}, {:?} of processor a pair", self.processor / self.pairs);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Processor time of this process so far; zero where the system does not tell.
fn processor() -> Duration {
    let Ok(text) = std::fs::read_to_string("/proc/self/stat") else { return Duration::ZERO };
    // The fields after the name, which ends with the last bracket: times are the 12th and 13th of them.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}
