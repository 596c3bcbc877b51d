//! `gallerist fakes`: only the stand-ins, for people who test their own software.

use crate::config::providers;
use crate::failure::{Failure, Result};
use crate::table::Table;
use crate::{output, signals};
use clap::Args;
use gallerist_fakes::{FAMILIES, Fakes, FakesOptions};
use gallerist_pricing::Catalogue;
use serde_json::json;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  gallerist fakes
  gallerist fakes --port openai=9100 --latency 100
  gallerist fakes --json --tls authority.pem

Each stand-in keeps a bill (GET /_fake/bill) and takes a fault script, a list whose entries name a fault and
where they matter a probability, how many requests it meets (count), after how many (after) and its own figures:
  gallerist fakes --port openai=9100 &
  curl -X PUT http://127.0.0.1:9100/_fake/faults -d '[{\"fault\": \"429\", \"count\": 2}, {\"fault\": \"latency\", \"ms\": 3000}]'
  curl http://127.0.0.1:9100/_fake/faults                 every fault that it knows, and the script
  curl -X DELETE http://127.0.0.1:9100/_fake/faults       all is well again";

/// Start stand-ins of all providers on loopback, and nothing else
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct FakesCommand {
    /// Listen there instead of at any free port (repeatable)
    #[arg(long = "port", value_name = "KIND=PORT", value_parser = kind_and_port)]
    ports: Vec<(String, u16)>,
    /// Serve TLS too, and write the authority to trust into this file (PEM)
    #[arg(long, value_name = "FILE")]
    tls: Option<PathBuf>,
    /// Share of each provider's usual latency, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    latency: u32,
    /// Start of the stand-ins' chance
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

fn kind_and_port(text: &str) -> std::result::Result<(String, u16), String> {
    let kinds = || FAMILIES.iter().map(|family| family.kind).collect::<Vec<_>>().join(", ");
    let parts = text.split_once('=').and_then(|(kind, port)| Some((kind, port.parse::<u16>().ok()?)));
    match parts {
        Some((kind, port)) if FAMILIES.iter().any(|family| family.kind == kind) => {
            Ok((kind.to_owned(), port))
        }
        _ => Err(format!("write KIND=PORT with a kind out of {}", kinds())),
    }
}

pub async fn run(command: FakesCommand, json: bool) -> Result<()> {
    let mut ended = signals::Ended::listen()?;
    let options = FakesOptions {
        seed: command.seed,
        ports: command.ports.into_iter().collect(),
        tls_pem: command.tls.clone(),
        latency_percent: command.latency,
        ..FakesOptions::default()
    };
    let fakes = Fakes::start(options).await.map_err(|error| {
        Failure::because("the stand-ins cannot listen", &error)
            .advise("another --port, or none for any free one")
    })?;
    if json {
        let mut ready = json!({"event": "ready", "fakes": fakes.origins(), "fake_keys": fakes.keys()});
        if command.tls.is_some() {
            ready["fakes_tls"] = json!(fakes.tls_origins());
        }
        output::json(&ready);
    } else {
        print(&fakes, command.tls.as_deref());
    }
    ended.first().await;
    fakes.shutdown().await;
    Ok(())
}

fn print(fakes: &Fakes, authority: Option<&std::path::Path>) {
    let mut table = Table::new().text("kind").text("address").text("tls").text("key");
    for one in fakes.iter() {
        let tls = one.tls_origin.clone().unwrap_or_default();
        table.row([one.kind.to_owned(), one.origin.clone(), tls, one.key.clone()]);
    }
    output::line(table.render());
    if let Some(path) = authority {
        output::line(format!("\nTrust {} for TLS.", path.display()));
    }
    output::line("\nA gateway in front of them, from another terminal:\n");
    let catalogue = Catalogue::embedded();
    for (one, sheet) in fakes.iter().filter_map(|one| Some((one, catalogue.provider(one.kind)?))) {
        let key = sheet.key_variables.first().map_or_else(String::new, |name| format!(" {name}={}", one.key));
        let variable = providers::base_url_variable(one.kind);
        let path = providers::path(&sheet.base_url);
        output::line(format!("  export{key} {variable}={}{path}", one.origin));
    }
    output::line("  gallerist serve\n\nGET /_fake/bill shows what each would charge. Ctrl-C ends them.");
}
