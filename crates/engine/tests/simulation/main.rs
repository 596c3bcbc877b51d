//! No loss, no double payment: a seeded simulation of faults, in one process and in virtual time.
//!
//! From one number come the requests, their clients, what providers, network and disk do wrong, and when the
//! gateway crashes. Engine and store are the product's own; a run has one thread and a paused clock, so that the
//! same number is the same history. After each run the books are compared with the stand-ins' bills. Why it is built
//! like this, and what it leaves out: `docs/decisions/0012-faults-are-simulated-in-virtual-time.md`.
//!
//! - `scenario`: what is laid down by the seed; `dice`: chance
//! - `world`: stand-ins, network, disk and time; `gateway`: its lives; `client`: who asks
//! - `repetition`: histories that were found here, laid down by hand
//! - `run`: one run; `check`: what must hold at its end; `transcript`: what happened
//!
//! `GALLERIST_SIMULATION_SEED=N` replays one seed and prints its transcript, `GALLERIST_SIMULATION_RUNS=N` says how
//! many are run, `GALLERIST_SIMULATION_FIRST=N` from which on.

mod check;
mod client;
#[path = "../whole/comparison.rs"]
#[allow(dead_code, reason = "the whole tests explain disputes by the scripts alone")]
mod comparison;
mod dice;
mod gateway;
mod repetition;
mod run;
mod scenario;
mod transcript;
mod world;

use run::{Ran, run};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Runs in the usual tests.
const RUNS: u64 = 200;
/// Failing seeds whose transcripts are printed; of the others only what is wrong.
const FAILURES_SHOWN: usize = 3;
/// What 200 runs must have met at the least: a simulation in which nothing happens proves nothing.
const MUST_MEET: &[&str] = &[
    "answered",
    "cap refusal",
    "client left",
    "commit failed",
    "commit unanswered",
    "connection refused",
    "crash",
    "disk full",
    "dispute",
    "reply lost",
    "request lost",
    "retry joined",
    "stop",
    "store away",
];

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a whole number, not {text:?}")))
}

#[test]
fn nothing_is_lost_and_nothing_is_paid_twice_whatever_fails() {
    if let Some(seed) = number("GALLERIST_SIMULATION_SEED") {
        let ran = run(seed);
        println!("{}\ndigest {}", ran.transcript, ran.digest());
        assert!(ran.violations.is_empty(), "seed {seed}:\n{}", ran.violations.join("\n"));
        return;
    }
    let (first, runs) = (
        number("GALLERIST_SIMULATION_FIRST").unwrap_or(0),
        number("GALLERIST_SIMULATION_RUNS").unwrap_or(RUNS),
    );
    let (failed, met) = run_all(first, runs);
    for (event, (in_runs, times)) in &met {
        println!("{event}: in {in_runs} runs, {times} times");
    }
    for ran in failed.iter().take(FAILURES_SHOWN) {
        println!("\nseed {}:\n{}\n{}", ran.seed, ran.transcript, ran.violations.join("\n"));
    }
    for ran in failed.iter().skip(FAILURES_SHOWN) {
        println!("\nseed {}: {}", ran.seed, ran.violations.join("\n"));
    }
    let seeds: Vec<u64> = failed.iter().map(|ran| ran.seed).collect();
    let first = seeds.first().copied().unwrap_or_default();
    assert!(
        failed.is_empty(),
        "{} of {runs} runs failed, seeds {seeds:?}. To replay one: cargo xtask simulate --seed {first}",
        failed.len()
    );
    if runs >= RUNS {
        for event in MUST_MEET {
            assert!(met.contains_key(event), "no run has met: {event}");
        }
    }
}

/// In how many runs an event was met, and how often.
type Met = BTreeMap<&'static str, (u64, u64)>;

/// Runs seeds on all processors; returns those that failed, by seed.
fn run_all(first: u64, runs: u64) -> (Vec<Ran>, Met) {
    let next = AtomicU64::new(first);
    let (failed, met) = (Mutex::new(Vec::new()), Mutex::new(Met::new()));
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= first + runs {
            return;
        }
        let ran = run(seed);
        let mut met = met.lock().expect("no holder panics");
        for (event, times) in &ran.met {
            let entry = met.entry(event).or_default();
            *entry = (entry.0 + 1, entry.1 + times);
        }
        drop(met);
        if !ran.violations.is_empty() {
            failed.lock().expect("no holder panics").push(ran);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut failed = failed.into_inner().expect("no holder panics");
    failed.sort_by_key(|ran| ran.seed);
    (failed, met.into_inner().expect("no holder panics"))
}

#[test]
fn a_seed_is_one_history() {
    for seed in [3, 8, 21, 34, 55, 89, 144] {
        let (first, second) = (run(seed), run(seed));
        if first.digest() != second.digest() {
            let pairs = first.transcript.lines().zip(second.transcript.lines());
            let differ = pairs.enumerate().find(|(_, (first, second))| first != second);
            panic!("seed {seed} has two histories, which part at {differ:?}");
        }
    }
}
