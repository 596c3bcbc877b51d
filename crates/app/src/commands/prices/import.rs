//! `gallerist prices import`: somebody else's price list, held against ours, and written beside it.
//!
//! Reads the file, prints what the list says and what would be written (`telling.rs`), and writes only into the
//! folder that is named (`folder.rs`). What the figures mean is `gallerist_pricing::import`.

mod folder;
mod telling;

use crate::failure::{Failure, Result};
use crate::output;
use clap::{Args, ValueEnum};
use gallerist_pricing::Catalogue;
use gallerist_pricing::import::compare::compare;
use gallerist_pricing::import::write::files;
use gallerist_pricing::import::{Format, NotAList, kind_of, read};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use telling::Told;

/// Whose list it is
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ListFormat {
    /// model_prices_and_context_window.json
    Litellm,
    /// The answer of /api/v1/models, or of a model's endpoints
    Openrouter,
    /// pricing/PROVIDER.json, in cents
    Portkey,
}

#[derive(Debug, Args)]
pub struct ImportCommand {
    /// The price list
    file: PathBuf,
    #[arg(long, value_enum)]
    format: ListFormat,
    /// Whose prices a Portkey file has [default: the file's name]
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Show how the list differs from our catalogue, and write nothing
    #[arg(long, conflicts_with_all = ["write", "prefer_imported"])]
    compare: bool,
    /// With --compare, also rows that are the same, not comparable or only on one side
    #[arg(long, requires = "compare")]
    all: bool,
    /// Write a catalogue file for each provider of the list into this folder; files that are there stay
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// Replace the files of these providers that the folder has
    #[arg(long, requires = "write")]
    force: bool,
    /// Write also models that we price from an official source
    #[arg(long)]
    prefer_imported: bool,
    /// The instant or day (UTC) whose prices of ours are compared [default: now]
    #[arg(long, value_name = "WHEN", value_parser = crate::commands::instant)]
    at: Option<Timestamp>,
}

pub fn run(command: &ImportCommand, catalogue: &Catalogue, as_json: bool) -> Result<()> {
    let format = match command.format {
        ListFormat::Litellm => Format::Litellm,
        ListFormat::Openrouter => Format::Openrouter,
        ListFormat::Portkey => Format::Portkey,
    };
    let provider = provider(command, format, catalogue)?;
    let text = text(&command.file)?;
    let at = command.at.unwrap_or_else(Timestamp::now);
    let today = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let entries = read(format, &text, &provider, today).map_err(|error| no_list(&command.file, &error))?;
    if format == Format::Portkey && command.provider.is_none() && !is_known(&provider, catalogue) {
        output::notes(&[format!(
            "the file's name says that these are the prices of {provider:?}, which no provider of ours is: \
             --provider NAME names one."
        )]);
    }
    let findings = compare(&entries, catalogue, at);
    if command.compare {
        telling::report(&entries, &findings, command.all, as_json);
        return Ok(());
    }
    // The list is read today, whichever day of ours it is held against.
    let read_on = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let written = files(format, &entries, &findings, read_on, command.prefer_imported);
    let to = command.write.as_deref();
    let others = match to {
        Some(directory) => folder::write(directory, format, &written, command.force)?,
        None => Vec::new(),
    };
    telling::show(&Told { entries: &entries, findings: &findings, written: &written, to }, as_json);
    output::notes(&others);
    Ok(())
}

/// Whose prices a list has that does not say so itself.
fn provider(command: &ImportCommand, format: Format, catalogue: &Catalogue) -> Result<String> {
    match &command.provider {
        Some(_) if format != Format::Portkey => {
            let each =
                if format == Format::Litellm { "names that of each entry" } else { "has its own alone" };
            let why = format!("--provider is for Portkey's files: a list of {} {each}", format.name());
            Err(Failure::usage(why).advise("leave --provider out"))
        }
        Some(name) if is_known(name, catalogue) => Ok(name.clone()),
        Some(name) => Err(super::unknown_kind(catalogue, name)),
        None => {
            let stem = command.file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            Ok(stem.unwrap_or_default())
        }
    }
}

/// By our name or by the list's.
fn is_known(provider: &str, catalogue: &Catalogue) -> bool {
    kind_of(provider).is_some() || catalogue.provider(provider).is_some()
}

fn text(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file).map_err(|error| {
        let advice = "name the file that holds the price list";
        Failure::usage(format!("{} cannot be read: {error}", file.display())).advise(advice)
    })?;
    let no_text = |_| {
        let advice = "unpack it first if it is an archive";
        Failure::usage(format!("{} is no text in UTF-8, as JSON is", file.display())).advise(advice)
    };
    String::from_utf8(bytes).map_err(no_text)
}

/// Asked wrongly: the file, or the format that it is said to have.
fn no_list(file: &Path, error: &NotAList) -> Failure {
    let failure = Failure::usage(format!("{}: {error}", file.display()));
    match error.looks_like {
        Some(format) => failure.advise(format!("--format {0}: it looks like a list of {0}", format.name())),
        None => failure.advise("`gallerist prices import --help` says which file each format is"),
    }
}
