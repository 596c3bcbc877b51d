//! Starts every stand-in, prints one `ready` line of JSON and serves until interrupted.
//!
//! Arguments: `--tls FILE` serves TLS too and writes the certificate there; `--latency PERCENT` makes the
//! answers take their usual time; `--port KIND=PORT` fixes a port.

use std::process::ExitCode;

use gallerist_fakes::{Fakes, FakesOptions};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            eprintln!("{complaint}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let fakes = Fakes::start(options()?).await.map_err(|error| error.to_string())?;
    let ready = serde_json::json!({
        "event": "ready",
        "fakes": fakes.origins(),
        "fake_keys": fakes.keys(),
        "fakes_tls": fakes.tls_origins(),
    });
    println!("{ready}");
    tokio::signal::ctrl_c().await.map_err(|error| error.to_string())?;
    fakes.shutdown().await;
    Ok(())
}

fn options() -> Result<FakesOptions, String> {
    let mut options = FakesOptions::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--tls" => options.tls_pem = Some(value.into()),
            "--latency" => {
                options.latency_percent = value.parse().map_err(|_| "--latency is a whole percentage")?;
            }
            "--port" => {
                let (kind, port) = value.split_once('=').ok_or("--port is KIND=PORT")?;
                let port = port.parse().map_err(|_| "--port is KIND=PORT")?;
                options.ports.insert(kind.to_owned(), port);
            }
            _ => return Err(format!("unknown argument {name}")),
        }
    }
    Ok(options)
}
