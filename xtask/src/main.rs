//! The chores of the workspace: `cargo xtask test`, `sdk`, `tidy`, `bench`, `chaos`, `simulate`, `nightly`.
//!
//! This room owns everything that a contributor or a machine runs besides the product itself, in place
//! of shell scripts. It refuses product code: nothing here is linked into the binary, and it sees the
//! other rooms only as files and as processes.
//!
//! `suite.rs` is what `test` does, in order; `tools.rs` sets up Python and Node for it, `servers.rs` the private
//! servers of the tests (`postgres.rs`, `redis.rs`), `sdk.rs` runs the official SDKs against the binary; `tidy.rs`
//! holds the rules of the house that can be checked; `bench.rs`, `chaos.rs`, `simulate.rs` and `nightly.rs` are the
//! long runs.

mod bench;
mod chaos;
mod nightly;
mod postgres;
mod redis;
mod sdk;
mod server_process;
mod servers;
mod shell;
mod simulate;
mod suite;
mod tidy;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test             everything: rustfmt, clippy, Rust tests (with a private PostgreSQL and Redis), the official SDKs; last line `N passed, N failed`
  sdk              only the official SDKs
  tidy             only the rules of the house (rooms, file sizes, places of a provider)
  bench [--peers]  micro-benchmarks; with --peers also the side-by-side run against other gateways
  chaos [--seconds 120]
                   three release gateways on a private PostgreSQL, one killed every two seconds under load
  simulate         faults from seeds, in virtual time: 10,000 runs, or --runs N [--first N]; --seed N replays one and prints what happened
  nightly          cargo deny, long property tests, the whole suite in the release profile, chaos, 10,000 simulated runs";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["test"] => suite::run(),
        ["sdk"] => suite::run_sdks(),
        ["tidy"] => tidy::run(),
        ["bench"] => bench::run(false),
        ["bench", "--peers"] => bench::run(true),
        ["chaos"] => chaos::run(chaos::SECONDS_USUAL),
        ["chaos", "--seconds", seconds] => match seconds.parse() {
            Ok(seconds) => chaos::run(seconds),
            Err(_) => Err(anyhow::anyhow!("--seconds is {seconds:?}: write a whole number such as 120")),
        },
        ["simulate", ref arguments @ ..] => simulate::run(arguments),
        ["nightly"] => nightly::run(),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
