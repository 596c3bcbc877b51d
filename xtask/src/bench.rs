//! `cargo xtask bench`: the rooms that promise figures, then the gateway beside others.
//!
//! The micro-benchmarks print their own tables. The side-by-side run needs the yardsticks in
//! `../shared/bench`, which a plain clone has not: then it says so and is skipped. It takes some eight
//! minutes, so without `--peers` its command is only printed.

use crate::postgres::{self, Disk, Postgres};
use crate::shell::{self, cargo, command, must, root, target};
use anyhow::Result;
use std::fs;

/// The benchmarks of the rooms, then the side-by-side run where its yardsticks are.
///
/// # Errors
/// When a benchmark does not build or cannot be started.
pub fn run(peers: bool) -> Result<bool> {
    run_rooms()?;
    let runner = root().join("../shared/bench/run");
    if !runner.exists() {
        println!("\nside by side: skipped, ../shared/bench is not here");
        return Ok(true);
    }
    let binary = target().join("release/gallerist");
    let start = format!(
        "GALLERIST_LISTEN=127.0.0.1:$BENCH_PORT GALLERIST_DATA_DIR=$BENCH_RUN_DIR \
         GALLERIST_API_KEY=$BENCH_CLIENT_KEY OPENAI_API_KEY=$BENCH_UPSTREAM_KEY \
         GALLERIST_OPENAI_BASE_URL=$BENCH_UPSTREAM_V1 exec '{}' serve",
        binary.display()
    );
    let arguments = [
        "--contestant".to_owned(),
        "ours=http://127.0.0.1:8080,sk-bench-client".to_owned(),
        "--start".to_owned(),
        format!("ours={start}"),
        "--only".to_owned(),
        "direct,nginx,floor-hold,ours".to_owned(),
        "--tables".to_owned(),
        "a,c,d,e".to_owned(),
        "--rounds".to_owned(),
        "3".to_owned(),
        "--seconds".to_owned(),
        "2".to_owned(),
    ];
    if !peers {
        println!("\nside by side (some eight minutes; `cargo xtask bench --peers` runs it):");
        println!("  ../shared/bench/run {}", arguments.map(|argument| quoted(&argument)).join(" "));
        return Ok(true);
    }
    must(cargo().args(["build", "--release", "--bin", "gallerist"]))?;
    let out = ["--out".to_owned(), target().join("bench-side-by-side.md").to_string_lossy().into_owned()];
    shell::run(command(&runner.to_string_lossy()).args(arguments).args(out))
}

/// The benchmarks of every room that has some.
///
/// # Errors
/// When a benchmark does not build or cannot be started.
fn run_rooms() -> Result<()> {
    let mut rooms: Vec<String> = fs::read_dir(root().join("crates"))?
        .filter_map(|entry| entry.ok())
        .filter(|entry| entry.path().join("benches").is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    rooms.sort();
    // Where commits wait for the disk, as they do with SQLite.
    let postgres = Postgres::start(Disk::Awaited)?;
    for room in rooms {
        must(
            cargo()
                .args(["bench", "--quiet", "--package", &format!("gallerist-{room}"), "--benches"])
                .env(postgres::TEST_URL, postgres.url()),
        )?;
    }
    Ok(())
}

fn quoted(argument: &str) -> String {
    match argument.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.,/:=".contains(&byte)) {
        true => argument.to_owned(),
        false => format!("'{}'", argument.replace('\'', r"'\''")),
    }
}
