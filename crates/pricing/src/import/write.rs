//! Catalogue files made of a foreign list.
//!
//! The simplest honest form: a kind of its own for each provider of the list (`litellm-fal-ai`), whose models
//! have prices and no adapter. So an import never touches a row that is there, and nothing is ordered by it.
//! What is held, unpriced, or priced here from an official source is left out, each with the reason.

use super::compare::{Finding, held};
use super::{Entry, Format, Key, Row, Verdict};
use gallerist_domain::{Meter, Size};
use jiff::civil::Date;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// What an import writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// File name and text.
    pub files: Vec<(String, String)>,
    /// Entries whose prices are in the files.
    pub entries: Vec<String>,
    /// Entries whose prices are not, and why.
    pub left_out: Vec<(String, String)>,
}

/// The files for what is sound. `findings` come from [`super::compare::compare`] on the same entries.
pub fn files(
    format: Format,
    entries: &[Entry],
    findings: &[Finding],
    today: Date,
    prefer_imported: bool,
) -> Written {
    let held = held(findings);
    let official = official(findings);
    let mut written = Written::default();
    let mut models: BTreeMap<(String, String), Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        let why = match &entry.verdict {
            Verdict::Unpriced(reason) => Some(reason.to_string()),
            Verdict::Priced(_) if held.contains(entry.id.as_str()) => Some("held: not believed".to_owned()),
            Verdict::Priced(_) if !prefer_imported && official.contains(entry.id.as_str()) => {
                Some("ours has an official source; --prefer-imported writes it all the same".to_owned())
            }
            Verdict::Priced(_) => None,
        };
        match why {
            Some(why) => written.left_out.push((entry.id.clone(), why)),
            None => {
                let model = (entry.provider.clone(), entry.model.clone());
                models.entry(model).or_default().push(entry);
            }
        }
    }
    let mut by_provider: BTreeMap<String, Vec<Draft>> = BTreeMap::new();
    for ((provider, model), entries) in &models {
        let ids = entries.iter().map(|entry| entry.id.clone());
        match Draft::of(model, entries) {
            Ok(draft) => {
                written.entries.extend(ids);
                by_provider.entry(provider.clone()).or_default().push(draft);
            }
            Err(why) => written.left_out.extend(ids.map(|id| (id, why.clone()))),
        }
    }
    for (provider, drafts) in by_provider {
        let kind = format!("{}-{}", format.name(), slug(&provider).replace('_', "-"));
        written.files.push((format!("{kind}.toml"), file(format, &kind, &provider, drafts, today)));
    }
    written
}

/// Entries of models that we price from an official source, or cannot compare.
fn official(findings: &[Finding]) -> BTreeSet<&str> {
    let ours = findings.iter().filter(|finding| finding.offer.is_some());
    let official = ours.filter(|finding| finding.ours_confidence.is_none_or(|word| word == "official"));
    official.map(|finding| finding.entry.as_str()).collect()
}

/// One model, as it will stand in a file.
struct Draft {
    id: String,
    upstream: String,
    edits_only: bool,
    pages: BTreeSet<String>,
    /// The last day that the list gives a price.
    retires_on: Option<Date>,
    /// One of these applies.
    pictures: Vec<Row>,
    /// Each of these applies.
    others: Vec<Row>,
    sizes: Shape,
}

enum Shape {
    Any,
    Listed(Vec<Size>),
    Resolutions(Vec<(String, u32)>),
}

impl Draft {
    fn of(model: &str, entries: &[&Entry]) -> Result<Draft, String> {
        // Tiers are terms of the gateway's orders, and nothing is ordered here.
        let rows = entries.iter().flat_map(|entry| entry.rows()).filter(|row| row.key.tier.is_none());
        let (mut pictures, others): (Vec<Row>, Vec<Row>) =
            rows.cloned().partition(|row| matches!(row.meter, Meter::Images | Meter::OutputPixels));
        // What is keyed by more is tried first.
        pictures.sort_by_key(|row| std::cmp::Reverse(specific(&row.key)));
        for (index, row) in pictures.iter().enumerate() {
            let same = |other: &&Row| other.key == row.key && other.price != row.price;
            if let Some(other) = pictures[..index].iter().find(same) {
                return Err(format!("{} and {} price the same thing differently", other.field, row.field));
            }
        }
        pictures.dedup_by(|a, b| a.key == b.key);
        let others: Vec<Row> = match pictures.is_empty() {
            true => others,
            // Whole pictures are priced: their tokens would be counted a second time.
            false => others.into_iter().filter(|row| !row.meter.is_tokens()).collect(),
        };
        if pictures.is_empty() && others.is_empty() {
            return Err("it has prices at service tiers only".to_owned());
        }
        let sizes = Shape::of(&pictures)?;
        Ok(Draft {
            id: slug(model),
            upstream: model.to_owned(),
            edits_only: entries.iter().all(|entry| entry.edits_only),
            pages: entries.iter().filter_map(|entry| entry.page.clone()).collect(),
            retires_on: entries.iter().filter_map(|entry| entry.retires_on).min(),
            pictures,
            others,
            sizes,
        })
    }

    fn qualities(&self) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        let keyed = self.pictures.iter().any(|row| row.key.quality.is_some());
        if keyed && self.pictures.iter().any(|row| row.key.quality.is_none()) {
            // A label of ours for what has no label in the list.
            found.push("auto");
        }
        for quality in self.pictures.iter().filter_map(|row| row.key.quality.as_deref()) {
            if !found.contains(&quality) {
                found.push(quality);
            }
        }
        found
    }

    fn shape(&self, text: &mut String) {
        let _ = writeln!(text, "\n[shapes.{}]", quoted(&self.id));
        if self.edits_only {
            text.push_str("operations = [\"edit\"]\ninputs_max = 1\n");
        }
        text.push_str("images_per_call_max = 1\nprompt_characters_max = 32000\n");
        let size_default = match &self.sizes {
            Shape::Any => {
                text.push_str("sizes = { free = { multiple = 1, edge_min = 64, edge_max = 8192, pixels_min = 4096, pixels_max = 67108864 } }\n");
                Size::new(1024, 1024)
            }
            Shape::Listed(sizes) => {
                let words: Vec<String> = sizes.iter().map(|size| format!("\"{size}\"")).collect();
                let _ = writeln!(text, "sizes = {{ listed = [{}] }}", words.join(", "));
                let usual = sizes.iter().find(|size| **size == Size::new(1024, 1024));
                usual.or(sizes.first()).copied().unwrap_or(Size::new(1024, 1024))
            }
            Shape::Resolutions(words) => {
                let row = |(word, edge): &(String, u32)| {
                    let word = quoted(word);
                    format!("{{ ratio = \"1:1\", resolution = {word}, size = \"{edge}x{edge}\" }}")
                };
                let rows: Vec<String> = words.iter().map(row).collect();
                let _ = writeln!(text, "sizes = {{ ratios = [{}] }}", rows.join(", "));
                let usual = words.iter().find(|(_, edge)| *edge == 1024).or(words.first());
                usual.map_or(Size::new(1024, 1024), |(_, edge)| Size::new(*edge, *edge))
            }
        };
        let _ = writeln!(text, "size_default = \"{size_default}\"");
        let qualities = self.qualities();
        if let Some(first) = qualities.first() {
            let medium = *first != "auto" && qualities.contains(&"medium");
            let usual = if medium { "medium" } else { first };
            let words: Vec<String> = qualities.iter().map(|word| quoted(word)).collect();
            let _ = writeln!(text, "qualities = [{}]\nquality_default = {}", words.join(", "), quoted(usual));
        }
        if let Some(steps) = self.pictures.iter().filter_map(|row| row.key.steps_max).max() {
            let _ = writeln!(text, "steps = {{ min = 1, max = {steps}, default = {steps} }}");
        }
        text.push_str("formats = [\"png\"]\nformat_default = \"png\"\n");
    }

    fn sheet(&self, text: &mut String, source: &str) {
        let _ = writeln!(text, "\n[sheets.{}]\nprices = [", quoted(&self.id));
        let until = self.retires_on.map(|day| format!(", until = \"{day}T00:00:00Z\"")).unwrap_or_default();
        let mut used: BTreeSet<String> = BTreeSet::new();
        let mut push = |row: &Row, more: &str| {
            let mut id = slug(format!("{} {}", row.meter.name(), row.key).trim()).replace('_', "-");
            while !used.insert(id.clone()) {
                id.push('+');
            }
            let (meter, amount, per) = (row.meter.name(), row.price.amount.short(), row.price.per);
            let _ = write!(text, "    {{ line = {}, meter = \"{meter}\", amount = \"{amount}\"", quoted(&id));
            if per != 1 {
                let _ = write!(text, ", per = {per}");
            }
            if row.round_up != 1 {
                let _ = write!(text, ", round_up = {}", row.round_up);
            }
            let _ = writeln!(text, "{more}{until}, source = {} }},", quoted(source));
        };
        for row in &self.pictures {
            push(row, &format!(", choice = \"picture\"{}", condition(&row.key)));
        }
        for row in &self.others {
            // How many tokens or seconds a picture takes is not in the list.
            let counted = matches!(row.meter, Meter::InputImages | Meter::InputPixels | Meter::Calls);
            push(row, if counted { "" } else { ", only_reported = true" });
        }
        text.push_str("]\n");
    }
}

impl Shape {
    fn of(pictures: &[Row]) -> Result<Shape, String> {
        let sizes: BTreeSet<Size> = pictures.iter().filter_map(|row| row.key.size).collect();
        let words: BTreeSet<&str> = pictures.iter().filter_map(|row| row.key.resolution.as_deref()).collect();
        match (sizes.is_empty(), words.is_empty()) {
            (true, true) => Ok(Shape::Any),
            (false, true) => Ok(Shape::Listed(sizes.into_iter().collect())),
            (true, false) => {
                let edge = |word: &str| edge(word).ok_or_else(|| format!("how large is {word}?"));
                let rows: Result<Vec<_>, String> =
                    words.iter().map(|word| Ok(((*word).to_owned(), edge(word)?))).collect();
                rows.map(Shape::Resolutions)
            }
            (false, false) => Err("it is priced by sizes and by resolution words at once".to_owned()),
        }
    }
}

fn edge(word: &str) -> Option<u32> {
    Some(match word {
        "0.5K" | "512" => 512,
        "768" => 768,
        "1K" | "1024" => 1024,
        "1.5K" | "1536" => 1536,
        "2K" | "2048" => 2048,
        "3K" => 3072,
        "4K" | "4096" => 4096,
        _ => return None,
    })
}

fn specific(key: &Key) -> usize {
    [key.quality.is_some(), key.size.is_some(), key.resolution.is_some(), key.steps_max.is_some()]
        .into_iter()
        .filter(|set| *set)
        .count()
}

fn condition(key: &Key) -> String {
    let mut parts = Vec::new();
    parts.extend(key.quality.as_ref().map(|word| format!("qualities = [{}]", quoted(word))));
    parts.extend(key.size.map(|size| format!("sizes = [\"{size}\"]")));
    parts.extend(key.resolution.as_ref().map(|word| format!("resolutions = [{}]", quoted(word))));
    parts.extend(key.steps_max.map(|steps| format!("steps_max = {steps}")));
    if parts.is_empty() { String::new() } else { format!(", when = {{ {} }}", parts.join(", ")) }
}

fn file(format: Format, kind: &str, provider: &str, mut drafts: Vec<Draft>, today: Date) -> String {
    let mut text = format!(
        "# Prices of {provider} as a list of the format {name} has them; made by `gallerist prices import`.\n\
         # Sizes, formats and limits are not in the list: those here are wide, and nothing is ordered by them.\n\n\
         kind = \"{kind}\"\ntitle = {title}\nas_of = \"{today}\"\nbase_url = \"https://import.invalid\"\n\
         concurrency_max = 1\n\n[sources]\n",
        name = format.name(),
        title = quoted(&format!("{provider} by {}", format.name())),
    );
    let confidence = if format == Format::Openrouter { "official" } else { "third_party" };
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for draft in &mut drafts {
        // Two ids may differ in nothing but what a name cannot hold.
        while !taken.insert(draft.id.clone()) {
            draft.id.push_str("-2");
        }
        let pages: Vec<&str> = draft.pages.iter().map(String::as_str).collect();
        let names =
            if pages.is_empty() { String::new() } else { format!(", which names {}", pages.join(" and ")) };
        let what = quoted(&format!("price list of {}{names}", format.name()));
        let id = quoted(&draft.id);
        let _ =
            writeln!(text, "{id} = {{ what = {what}, date = \"{today}\", confidence = \"{confidence}\" }}");
    }
    let _ = writeln!(
        text,
        "unrated = {{ what = \"the list says nothing of quality: classed a draft\", date = \"{today}\", confidence = \"unverified\" }}"
    );
    text.push_str("\n[outcomes.default]\nsuccess = \"yes\"\n");
    for event in [
        "filtered",
        "refused",
        "rejected",
        "failed",
        "cancelled_queued",
        "cancelled_running",
        "disconnected",
        "timed_out",
    ] {
        let _ = writeln!(text, "{event} = \"unknown\"");
    }
    for draft in &drafts {
        draft.shape(&mut text);
        draft.sheet(&mut text, &draft.id);
        let id = quoted(&draft.id);
        let upstream = quoted(&draft.upstream);
        let _ = writeln!(
            text,
            "\n[[models]]\nid = {id}\nupstream = {upstream}\nshape = {id}\nsheet = {id}\n\
             classes = [{{ class = \"draft\", source = \"unrated\" }}]\nlatency_ms = 20000\nsource = {id}"
        );
    }
    text
}

/// A name without the characters that names of models have no room for.
fn slug(text: &str) -> String {
    text.replace(['/', '@', '#', ' '], "-")
}

/// A TOML text; JSON's escapes are among TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
