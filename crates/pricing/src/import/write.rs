//! Catalogue files made of a foreign list.
//!
//! The simplest honest form: a kind of its own for each provider of the list (`litellm-fal-ai`), whose models
//! have prices and no adapter. So an import never touches a row that is there, and nothing is ordered by it.
//! What is held, unpriced, or priced here from an official source is left out, each with the reason.

use super::compare::{Finding, Standing};
use super::draft::{At, Draft, quoted};
use super::{Entry, Format, Verdict};
use jiff::civil::Date;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Longest kind that is made, in characters: a file is named by it.
const KIND_MAX: usize = 80;

/// What an import writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// File name and text.
    pub files: Vec<(String, String)>,
    /// Price lines in the files. Rows that say the same of a model share one.
    pub lines: usize,
    /// Entries of which at least one price is in the files.
    pub entries: Vec<String>,
    /// Entries whose prices are not, and why.
    pub left_out: Vec<(String, String)>,
    /// Why single rows are not in the files, by the places of their entry and in it.
    rows_left_out: BTreeMap<At, String>,
}

impl Written {
    /// Why a row of the list is not in the files; `None` where it is.
    pub fn left_out(&self, entry: usize, row: usize) -> Option<&str> {
        self.rows_left_out.get(&(entry, row)).map(String::as_str)
    }

    /// Prices of the list that are in the files, and those that are not.
    pub fn prices(&self, entries: &[Entry]) -> (usize, usize) {
        let all: usize = entries.iter().map(|entry| entry.rows().len()).sum();
        (all - self.rows_left_out.len(), self.rows_left_out.len())
    }

    fn leave_out(&mut self, place: usize, entry: &Entry, why: &str) {
        self.rows_left_out.extend((0..entry.rows().len()).map(|row| ((place, row), why.to_owned())));
    }
}

/// The files for what is sound. `findings` come from [`super::compare::compare`] on the same entries.
pub fn files(
    format: Format,
    entries: &[Entry],
    findings: &[Finding],
    today: Date,
    prefer_imported: bool,
) -> Written {
    let (held, official) = (held(findings), official(findings));
    let mut written = Written::default();
    let mut whole: BTreeMap<usize, String> = BTreeMap::new();
    let mut models: BTreeMap<(&str, &str), Vec<(usize, &Entry)>> = BTreeMap::new();
    for (place, entry) in entries.iter().enumerate() {
        let id = entry.id.as_str();
        let why = match &entry.verdict {
            Verdict::Unpriced(reason) => Some(reason.to_string()),
            Verdict::Priced(_) if held.contains_key(id) => Some(held[id].clone()),
            Verdict::Priced(_) if !prefer_imported => official.get(id).map(|offer| {
                format!("ours ({offer}) has an official source; --prefer-imported writes it all the same")
            }),
            Verdict::Priced(_) => None,
        };
        match why {
            Some(why) => drop(whole.insert(place, why)),
            None => models.entry((&entry.provider, &entry.model)).or_default().push((place, entry)),
        }
    }
    let mut kinds: BTreeMap<String, (&str, Vec<Draft>)> = BTreeMap::new();
    for ((provider, model), entries) in &models {
        let drafted = kind(format, provider, &kinds).and_then(|kind| Ok((kind, Draft::of(model, entries)?)));
        match drafted {
            Ok((kind, (draft, left_out))) => {
                written.lines += draft.lines();
                written.rows_left_out.extend(left_out);
                kinds.entry(kind).or_insert((provider, Vec::new())).1.push(draft);
            }
            Err(why) => whole.extend(entries.iter().map(|(place, _)| (*place, why.clone()))),
        }
    }
    for (kind, (provider, drafts)) in kinds {
        written.files.push((format!("{kind}.toml"), file(format, &kind, provider, drafts, today)));
    }
    tell(&mut written, entries, &whole);
    written
}

/// Which entries are in the files and which are not. `whole` are those that are left out with all they have.
fn tell(written: &mut Written, entries: &[Entry], whole: &BTreeMap<usize, String>) {
    for (place, entry) in entries.iter().enumerate() {
        if let Some(why) = whole.get(&place) {
            written.leave_out(place, entry, why);
            written.left_out.push((entry.id.clone(), why.clone()));
            continue;
        }
        let rows = 0..entry.rows().len();
        let why: Vec<Option<&str>> = rows.map(|row| written.left_out(place, row)).collect();
        if why.iter().any(Option::is_none) {
            written.entries.push(entry.id.clone());
        } else {
            let reasons: BTreeSet<&str> = why.into_iter().flatten().collect();
            let reasons = reasons.into_iter().collect::<Vec<_>>().join("; ");
            written.left_out.push((entry.id.clone(), reasons));
        }
    }
}

/// Entries that may not be written, with what is held of them.
fn held(findings: &[Finding]) -> BTreeMap<&str, String> {
    let held = findings.iter().filter(|finding| finding.standing == Standing::Held);
    let told = held.map(|finding| {
        let why = finding.why.as_deref().unwrap_or("not believed");
        (finding.entry.as_str(), format!("held: {}: {why}", finding.what))
    });
    // The first row that is held speaks for the entry.
    told.rev().collect()
}

/// Entries of models that we price from official sources, with ours. It is a matter of the model: else some sizes of
/// it would be written and others not.
fn official(findings: &[Finding]) -> BTreeMap<&str, &str> {
    let official = findings.iter().filter(|finding| finding.offer_confidence == Some("official"));
    official.filter_map(|finding| Some((finding.entry.as_str(), finding.offer.as_deref()?))).collect()
}

/// The kind that a provider of the list becomes: lower-case letters, digits and single dashes.
fn kind(
    format: Format,
    provider: &str,
    taken: &BTreeMap<String, (&str, Vec<Draft>)>,
) -> Result<String, String> {
    let sound = |letter: char| letter.is_ascii_alphanumeric() || "-_. ".contains(letter);
    if !provider.chars().all(sound) || !provider.contains(|letter: char| letter.is_ascii_alphanumeric()) {
        return Err(format!(
            "no kind can be named after the provider {provider:?}: it takes letters, digits, dashes and underscores"
        ));
    }
    let words =
        provider.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-");
    let kind = format!("{}-{name}", format.name());
    if kind.len() > KIND_MAX {
        return Err(format!("the name of its provider is longer than the {KIND_MAX} characters of a kind"));
    }
    match taken.get(&kind) {
        Some((other, _)) if *other != provider => {
            Err(format!("the providers {other:?} and {provider:?} would both be the kind {kind}"))
        }
        _ => Ok(kind),
    }
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
