//! Worked cases: what a call costs, reckoned by hand from a provider's published prices.
//!
//! Each file `cases/<kind>.toml` holds calls at models of that kind with the exact figures, the arithmetic in
//! words and the source. The figures are never taken from this program: they say what it must answer. Both
//! folders are read where they lie, and `CATALOGUE_DIR` and `CASES_DIR` name others, so that a price can be
//! tried without building anything again. Forms of price of which no sheet has a row that can be shown have one in
//! `catalog/examples`, which is read here alone.
//!
//! [`forms`] lists every form of price that must be shown, [`documented`] reads the tables of the documentation.

mod case;
mod documented;
mod forms;
mod lots;
mod outcomes;

use case::Case;
use gallerist_pricing::Catalogue;
use gallerist_pricing::catalogue::{Mistake, Origin};
use lots::LotCase;
use outcomes::OutcomeCase;
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    cases: Vec<Case>,
    /// What becomes of credits that were bought ahead.
    #[serde(default)]
    lots: Vec<LotCase>,
    outcomes: Option<Vec<OutcomeCase>>,
}

fn folder(variable: &str, usual: &str) -> PathBuf {
    let own = std::env::var_os(variable).map(PathBuf::from);
    own.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(usual))
}

fn files() -> Vec<(String, File)> {
    let folder = folder("CASES_DIR", "cases");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the cases are here")
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| {
            let kind = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).expect("readable");
            let file = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (kind, file)
        })
        .collect()
}

fn sound(read: Result<Catalogue, Vec<Mistake>>) -> Catalogue {
    read.unwrap_or_else(|mistakes| {
        panic!("{}", mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

/// With the described models, which are switched off by default, and the examples, which are no part of the program.
fn catalogue() -> Catalogue {
    let directory = Some(folder("CATALOGUE_DIR", "../../catalog"));
    let mut catalogue = sound(Origin { directory, described: true }.whole());
    let examples = sound(Catalogue::with_overrides(&folder("EXAMPLES_DIR", "../../catalog/examples")));
    let of_examples = examples.providers.into_iter().filter(|provider| provider.kind.starts_with("example-"));
    catalogue.providers.extend(of_examples);
    catalogue
}

#[test]
fn every_worked_case_costs_what_it_costs_by_hand() {
    let catalogue = catalogue();
    let mut wrong = Vec::new();
    let files = files();
    for (kind, file) in &files {
        for case in &file.cases {
            assert!(!case.arithmetic.is_empty() && !case.source.is_empty(), "{kind}: {}", case.what);
            if let Err(reason) = case.check(&catalogue, kind) {
                wrong.push(format!("{kind}/{}: {} ({})\n {reason}", case.model, case.what, case.arithmetic));
            }
        }
    }
    let count: usize = files.iter().map(|(_, file)| file.cases.len()).sum();
    println!("{count} worked cases of {} kinds", files.len());
    assert!(count >= 120, "{count} worked cases are fewer than 120");
    for provider in &catalogue.providers {
        let own =
            files.iter().find(|(kind, _)| *kind == provider.kind).map_or(0, |(_, file)| file.cases.len());
        // A described kind shows one form of price; a real one has edges.
        let least = if provider.kind.starts_with("described-") { 1 } else { 8 };
        assert!(own >= least, "{} has {own} worked cases, fewer than {least}", provider.kind);
    }
    assert!(wrong.is_empty(), "{} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
