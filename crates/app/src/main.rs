//! `gallerist`: the binary. Reads the command line, sets up what the whole process shares, and runs one
//! command.
//!
//! It owns exit codes (0 done, 1 failed, 2 wrong usage), the log on standard error (GALLERIST_LOG, default
//! `warn`) and the choice of the cryptography library. What each command does is in `commands/`; settings
//! are in `config.rs`; how a gateway is put together is in `gateway.rs`.

mod ask;
mod books;
mod client;
mod commands;
mod config;
mod doubt;
mod failure;
mod filters;
mod first_keys;
mod gateway;
mod names;
mod output;
mod pictures;
mod progress;
mod signals;
mod table;
mod words;

use clap::{Parser, Subcommand};
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

const EXAMPLES: &str = "Examples:
  gallerist demo                               no keys, no network: see it work
  OPENAI_API_KEY=… gallerist serve             an OpenAI-compatible endpoint at 127.0.0.1:8080/v1
  gallerist quote \"a red kite over a hill\"     what would it cost, and where?";

/// A self-hosted gateway for AI image generation: every image by the cheapest provider that clears your
/// quality bar, inside budgets, with every cent accounted for
#[derive(Debug, Parser)]
#[command(name = "gallerist", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// JSON for machines instead of tables for people
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(commands::demo::DemoCommand),
    Serve(commands::serve::ServeCommand),
    Generate(commands::generate::GenerateCommand),
    Quote(commands::quote::QuoteCommand),
    Prices(commands::prices::PricesCommand),
    Keys(commands::keys::KeysCommand),
    Projects(commands::projects::ProjectsCommand),
    Audit(commands::audit::AuditCommand),
    Budgets(commands::budgets::BudgetsCommand),
    Requests(commands::requests::RequestsCommand),
    Credits(commands::credits::CreditsCommand),
    Alerts(commands::alerts::AlertsCommand),
    Webhooks(commands::webhooks::WebhooksCommand),
    Usage(commands::usage::UsageCommand),
    Reconcile(commands::reconcile::ReconcileCommand),
    Fakes(commands::fakes::FakesCommand),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log();
    // Only the second call in a process could fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::remark(failure.to_string());
            ExitCode::from(failure.exit)
        }
    }
}

fn run(cli: Cli) -> failure::Result<()> {
    let json = cli.json;
    match cli.command {
        Command::Demo(command) => commands::block_on(commands::demo::run(command, json)),
        Command::Serve(command) => commands::block_on(commands::serve::run(command, json)),
        Command::Generate(command) => commands::generate::run(&command, json),
        Command::Quote(command) => commands::quote::run(&command, json),
        Command::Prices(command) => commands::prices::run(&command, json),
        Command::Keys(command) => commands::keys::run(&command, json),
        Command::Projects(command) => commands::projects::run(&command, json),
        Command::Audit(command) => commands::audit::run(&command, json),
        Command::Budgets(command) => commands::budgets::run(&command, json),
        Command::Requests(command) => commands::requests::run(&command, json),
        Command::Credits(command) => commands::credits::run(&command, json),
        Command::Reconcile(command) => commands::reconcile::run(&command, json),
        Command::Alerts(command) => commands::alerts::run(&command, json),
        Command::Webhooks(command) => commands::webhooks::run(&command, json),
        Command::Usage(command) => commands::usage::run(&command, json),
        Command::Fakes(command) => commands::block_on(commands::fakes::run(command, json)),
    }
}

fn start_log() {
    let filter = EnvFilter::try_from_env("GALLERIST_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        // It would tell of a line that could not be written on the same standard error, and panic where that
        // fails too: a full disk under the log must not end the thread that writes the books.
        .log_internal_errors(false)
        .init();
}
