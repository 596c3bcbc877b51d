//! The price catalogue: who serves what, with which limits, at which price, from which source.
//!
//! One file per provider kind, `catalog/<kind>.toml`, embedded in the binary and overridable by a
//! directory. Reading reports every mistake of every file at once, each with its line and the remedy.
//! This module owns the checked types; [`read`] makes them, `raw` says how a file is written.

mod check;
mod entries;
mod hardware;
mod lines;
mod models;
mod origin;
mod raw;
mod reach;
mod read;
mod shapes;
mod words;

pub use check::makes as makes_size;
pub(crate) use hardware::spread;
pub use origin::{Kind, Origin};

use crate::sheet::{Currency, Outcomes, PriceSheet, Source};
use gallerist_domain::{Capabilities, Operation, OutputFormat, QualityClass};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Every provider sheet.
#[derive(Clone, Debug)]
pub struct Catalogue {
    pub providers: Vec<Arc<ProviderSheet>>,
    /// Digest of the files; stored with each charge so that it can be recomputed.
    pub digest: String,
}

/// One kind of provider.
#[derive(Clone, Debug)]
pub struct ProviderSheet {
    pub kind: String,
    /// The kind whose protocol it speaks; itself unless the file says otherwise.
    pub adapter: String,
    pub title: String,
    /// The day on which the sheet was last checked as a whole.
    pub as_of: Date,
    /// Environment variables that customarily hold the key, first wins.
    pub key_variables: Vec<String>,
    /// With the path that the vendor's SDK would take.
    pub base_url: String,
    /// An engine of one's own: it is on when its base URL is set, not when a key is.
    pub self_hosted: bool,
    /// Calls in flight that the provider allows.
    pub concurrency_max: u32,
    /// What the gateway can do there today; empty where it knows the prices only.
    pub serves: Vec<Operation>,
    pub currencies: Vec<Currency>,
    pub models: Vec<Arc<ModelSheet>>,
}

/// One model at one kind of provider.
#[derive(Clone, Debug)]
pub struct ModelSheet {
    /// Canonical name, without a slash.
    pub id: String,
    /// The vendor's own id or path.
    pub upstream: String,
    pub aliases: Vec<String>,
    /// Pinned versions: name after the `@`, upstream id.
    pub versions: Vec<(String, String)>,
    /// The offer `kind/model` of another file whose prices it has, with what the reseller adds.
    pub resale_of: Option<String>,
    /// Whether this provider is the model's maker, whose price is the baseline.
    pub maker: bool,
    pub lifecycle: Lifecycle,
    pub capabilities: Arc<Capabilities>,
    pub classes: Vec<ClassRow>,
    pub sheet: Arc<PriceSheet>,
    /// Regions, deployments and plans that its prices speak of, in the order of the file; none for most models.
    pub regions: Vec<String>,
    pub outcomes: Arc<Outcomes>,
    /// Service tiers besides the standard one.
    pub tiers: Vec<TierRow>,
    /// Typical time to the picture, until the gateway has measured its own; milliseconds.
    pub latency_ms: u32,
    pub source: Arc<Source>,
}

/// Where a model stands in its life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifecycle {
    /// When the day begins (UTC) on which its maker began to offer it, where a source states that day. A host that
    /// came later has it from its maker too: nobody offers it earlier.
    pub released_at: Option<Timestamp>,
    pub deprecated: bool,
    /// Absent where no source states the day.
    pub deprecated_on: Option<Date>,
    /// From this day (UTC) on it is not offered.
    pub retires_on: Option<Date>,
    pub successors: Vec<String>,
    /// Why it is switched off although it may still answer.
    pub switched_off: Option<String>,
    /// Where the provider silently sends the retired name.
    pub redirect: Option<Redirect>,
}

/// A retired name that goes on answering as another model, without an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    pub to: String,
    /// The label that it gets there.
    pub quality: Option<String>,
    pub since: Timestamp,
    pub source: Arc<Source>,
}

/// A service tier besides the standard one, as conditions name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierRow {
    pub tier: String,
    /// Typical time at this tier, where it differs; milliseconds.
    pub latency_ms: Option<u32>,
}

/// Which class a quality label (or every picture) of a model belongs to.
#[derive(Clone, Debug)]
pub struct ClassRow {
    /// Absent: any label.
    pub quality: Option<String>,
    pub resolution: Option<String>,
    pub class: QualityClass,
    pub source: Arc<Source>,
}

impl Lifecycle {
    /// The day before which nobody offers it.
    pub fn released_on(&self) -> Option<Date> {
        self.released_at.map(|at| at.to_zoned(TimeZone::UTC).date())
    }
}

impl ModelSheet {
    /// The class of a label at a resolution; `None` when the catalogue does not say.
    pub fn class_of(&self, quality: &str, resolution: &str) -> Option<QualityClass> {
        let fits =
            |wanted: &Option<String>, word: &str| wanted.as_deref().is_none_or(|wanted| wanted == word);
        let row =
            self.classes.iter().find(|row| fits(&row.quality, quality) && fits(&row.resolution, resolution));
        row.map(|row| row.class)
    }

    /// Whether it answers with drawings of lines and nothing else; the gateway delivers pictures in pixels.
    pub fn draws_lines(&self) -> bool {
        self.capabilities.formats.iter().all(|format| *format == OutputFormat::Svg)
    }

    pub fn is_named(&self, name: &str) -> bool {
        self.id == name || self.aliases.iter().any(|alias| alias == name)
    }
}

/// A mistake in a catalogue file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

impl Catalogue {
    /// The catalogue that is part of the binary, without the models that are only described.
    pub fn embedded() -> Catalogue {
        Origin::default().whole().expect("the embedded catalogue passes its own test")
    }

    /// The embedded files, replaced or joined by those of `directory`.
    ///
    /// # Errors
    /// All mistakes of all files, or the file that cannot be read.
    pub fn with_overrides(directory: &Path) -> Result<Catalogue, Vec<Mistake>> {
        Origin { directory: Some(directory.to_owned()), described: false }.whole()
    }

    /// Reads `(file name, text)` pairs.
    ///
    /// # Errors
    /// All mistakes of all files.
    pub fn from_files(files: Vec<(String, String)>) -> Result<Catalogue, Vec<Mistake>> {
        let digest = origin::digest(&files);
        Catalogue::read(&files, digest)
    }

    fn read(files: &[(String, String)], digest: String) -> Result<Catalogue, Vec<Mistake>> {
        let mut providers: Vec<Arc<ProviderSheet>> = Vec::new();
        let mut mistakes = Vec::new();
        // Files that resell models of others are read after them.
        let (resellers, makers): (Vec<_>, Vec<_>) =
            files.iter().partition(|(_, text)| text.contains("resale_of"));
        for pass in [makers, resellers] {
            let known = providers.clone();
            // What rests on a file with mistakes cannot be judged.
            let broken: Vec<String> = mistakes.iter().map(|mistake: &Mistake| mistake.file.clone()).collect();
            for (name, text) in pass {
                match read::provider(name, text, &known, &broken) {
                    Ok(provider) => providers.push(Arc::new(provider)),
                    Err(mut found) => mistakes.append(&mut found),
                }
            }
        }
        providers.sort_by(|a, b| a.kind.cmp(&b.kind));
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Catalogue { providers, digest })
    }

    pub fn provider(&self, kind: &str) -> Option<&Arc<ProviderSheet>> {
        self.providers.iter().find(|provider| provider.kind == kind)
    }
}

#[cfg(test)]
mod tests;
