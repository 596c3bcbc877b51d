//! Rates on a Redis or Valkey server that several replicas share.
//!
//! A request is one script (`bucket.lua`), by the server's clock, so that replicas whose clocks differ agree. All
//! that it lets in is noted in the local rates too. While the server is away those decide, each replica for its
//! share of the limits; and for a minute after it came back both do, because the server has not counted what was
//! let in meanwhile, or has forgotten everything.

use super::bucket::interval_us;
use super::{Ask, Level, LocalRates, Measure, Owner, Rates, Taken, milliseconds};
use crate::sharers::Sharers;
use futures_util::future::BoxFuture;
use gallerist_store::counters::{Counters, CountersAway, Script};
use jiff::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SCRIPT: &str = include_str!("bucket.lua");
/// What a bucket may hold is back after this time.
const MINUTE: Duration = Duration::from_secs(60);
/// The script's word for its server's own clock.
const SERVERS_CLOCK: i64 = 0;

/// Rates that replicas count together.
pub struct SharedRates {
    counters: Counters,
    script: Script,
    local: LocalRates,
    /// Whether the caller's clock is taken instead of the server's: for tests that set it.
    callers_clock: bool,
    decided_locally: AtomicU64,
}

impl SharedRates {
    pub fn new(counters: Counters, sharers: Sharers) -> SharedRates {
        SharedRates {
            counters,
            script: Script::new(SCRIPT),
            local: LocalRates::new(sharers),
            callers_clock: false,
            decided_locally: AtomicU64::new(0),
        }
    }

    #[cfg(test)]
    pub(super) fn by_callers_clock(self) -> SharedRates {
        SharedRates { callers_clock: true, ..self }
    }

    async fn decide(&self, asks: Vec<Ask>, now: Timestamp) -> Taken {
        let state = self.counters.state();
        let settling = self.counters.losses() > 0 && state.since.elapsed() < MINUTE;
        if !state.is_up || settling {
            let taken = self.local.take_now(&asks, now);
            if !state.is_up || matches!(taken, Taken::Refused { .. }) {
                return self.locally(&asks, taken);
            }
            return match self.ask(&asks, now).await {
                Ok(shared @ Taken::All(_)) => shared,
                Ok(refused) => {
                    self.local.give_back(&asks);
                    refused
                }
                Err(CountersAway) => self.locally(&asks, taken),
            };
        }
        match self.ask(&asks, now).await {
            Ok(taken) => {
                if let Taken::All(_) = &taken {
                    self.local.note(&asks, now);
                }
                taken
            }
            Err(CountersAway) => self.locally(&asks, self.local.take_now(&asks, now)),
        }
    }

    fn locally(&self, asks: &[Ask], taken: Taken) -> Taken {
        // Who only looks decides nothing.
        if asks.iter().any(|ask| ask.cost > 0) {
            self.decided_locally.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    async fn ask(&self, asks: &[Ask], now: Timestamp) -> Result<Taken, CountersAway> {
        let keys: Vec<String> = asks.iter().map(key).collect();
        let mut arguments = Vec::with_capacity(1 + 3 * asks.len());
        arguments.push(if self.callers_clock { now.as_microsecond() } else { SERVERS_CLOCK });
        for ask in asks {
            arguments.extend([interval_us(ask.limit), i64::from(ask.limit), i64::from(ask.cost)]);
        }
        let answer = self.counters.run(&self.script, &keys, &arguments).await?;
        match answer.split_first() {
            Some((0, levels)) if levels.len() == 2 * asks.len() => {
                let levels = asks.iter().zip(levels.chunks(2));
                Ok(Taken::All(levels.map(|(ask, level)| of_answer(ask, level)).collect()))
            }
            Some((number, [wait_us])) => {
                let ask = usize::try_from(*number - 1).ok().filter(|ask| *ask < asks.len());
                let ask = ask.ok_or(CountersAway)?;
                Ok(Taken::Refused { ask, retry_after_ms: milliseconds(*wait_us) })
            }
            _ => Err(CountersAway),
        }
    }
}

impl Rates for SharedRates {
    fn take(&self, asks: Vec<Ask>, now: Timestamp) -> BoxFuture<'_, Taken> {
        Box::pin(self.decide(asks, now))
    }

    fn shared_state(&self) -> Option<super::SharedState> {
        Some(super::SharedState {
            is_up: self.counters.state().is_up,
            losses: self.counters.losses(),
            decided_locally: self.decided_locally.load(Ordering::Relaxed),
        })
    }
}

fn of_answer(ask: &Ask, level: &[i64]) -> Level {
    Level {
        measure: ask.measure,
        limit: ask.limit,
        remaining: u32::try_from(level[0]).unwrap_or(0),
        reset_ms: milliseconds(level[1]),
    }
}

/// Ids of keys and names of projects hold no colon.
fn key(ask: &Ask) -> String {
    let (word, name) = match &ask.owner {
        Owner::Key(id) => ("key", id),
        Owner::Project(name) => ("project", name),
    };
    let measure = match ask.measure {
        Measure::Requests => "requests",
        Measure::Images => "images",
    };
    format!("gallerist:rate:{word}:{name}:{measure}")
}
