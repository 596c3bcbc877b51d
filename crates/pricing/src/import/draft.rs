//! One model of a foreign list, as it will stand in a catalogue file: which of its prices can stand together.
//!
//! A picture is charged either as a whole or by what was counted of it, never both, and a thing has one price. What
//! cannot stand beside the rest is left out and said, row by row.

use super::{Entry, Key, Row};
use gallerist_domain::{Meter, Size};
use jiff::civil::Date;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Entries that are named where more price a thing.
const NAMED_MAX: usize = 2;

/// A row of a list: the place of its entry, and its place in it.
pub(super) type At = (usize, usize);

/// Why rows are left out.
pub(super) type LeftOut = BTreeMap<At, String>;

/// One model, as it will stand in a file.
pub(super) struct Draft {
    pub id: String,
    pub upstream: String,
    edits_only: bool,
    pub pages: BTreeSet<String>,
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

/// A row where it stands.
struct Placed<'e> {
    at: At,
    entry: &'e Entry,
    row: &'e Row,
}

impl Draft {
    /// Also which rows are left out. `entries` are all of one model, with their places in the list.
    pub fn of(model: &str, entries: &[(usize, &Entry)]) -> Result<(Draft, LeftOut), String> {
        if model.chars().any(char::is_control) {
            return Err(format!("the model's name {model:?} holds control characters"));
        }
        let mut left_out = LeftOut::new();
        let all = entries.iter().flat_map(|(place, entry)| {
            let rows = entry.rows().iter().enumerate();
            rows.map(|(index, row)| Placed { at: (*place, index), entry, row })
        });
        let (tiers, rest): (Vec<_>, Vec<_>) = all.partition(|placed| placed.row.key.tier.is_some());
        for placed in tiers {
            // Tiers are terms of orders.
            left_out.insert(
                placed.at,
                "priced at a service tier, and nothing is ordered by an import".to_owned(),
            );
        }
        let (mut pictures, others): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|placed| placed.row.of_picture());
        // What is keyed by more is tried first.
        pictures.sort_by_key(|placed| std::cmp::Reverse(specific(&placed.row.key)));
        let others = without_tokens(others, &pictures, &mut left_out);
        let pictures = single(&pictures, |row| row.key.clone())?;
        let others = single(&others, |row| row.meter)?;
        if pictures.is_empty() && others.is_empty() {
            return Err("it has prices at service tiers only".to_owned());
        }
        let each = || entries.iter().map(|(_, entry)| *entry);
        let pages = each().filter_map(|entry| entry.page.clone());
        let draft = Draft {
            id: slug(model),
            upstream: model.to_owned(),
            edits_only: each().all(|entry| entry.edits_only),
            pages: pages.filter(|page| !page.chars().any(char::is_control)).collect(),
            retires_on: each().filter_map(|entry| entry.retires_on).min(),
            sizes: Shape::of(&pictures)?,
            pictures,
            others,
        };
        Ok((draft, left_out))
    }

    /// Price lines that it makes.
    pub fn lines(&self) -> usize {
        self.pictures.len() + self.others.len()
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

    pub fn shape(&self, text: &mut String) {
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

    pub fn sheet(&self, text: &mut String, source: &str) {
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

/// Where whole pictures are priced, their tokens would be counted a second time.
fn without_tokens<'e>(
    others: Vec<Placed<'e>>,
    pictures: &[Placed<'e>],
    left_out: &mut LeftOut,
) -> Vec<Placed<'e>> {
    let by: BTreeSet<&str> = pictures.iter().map(|placed| placed.entry.id.as_str()).collect();
    let why = |entry: &Entry| {
        if by.contains(entry.id.as_str()) {
            return "priced per picture by the same entry".to_owned();
        }
        let named: Vec<&str> = by.iter().copied().take(NAMED_MAX).collect();
        let more = match by.len() - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("priced per picture by {}{more}", named.join(", "))
    };
    let (tokens, rest): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|placed| !by.is_empty() && placed.row.meter.is_tokens());
    left_out.extend(tokens.into_iter().map(|placed| (placed.at, why(placed.entry))));
    rest
}

/// Each thing once: a second row of the same thing says the same, or nobody knows which holds.
fn single<T: PartialEq>(rows: &[Placed<'_>], thing: impl Fn(&Row) -> T) -> Result<Vec<Row>, String> {
    let mut kept: Vec<&Placed<'_>> = Vec::new();
    for placed in rows {
        let price = |row: &Row| (row.meter, row.price, row.round_up);
        match kept.iter().find(|other| thing(other.row) == thing(placed.row)) {
            None => kept.push(placed),
            Some(other) if price(other.row) == price(placed.row) => {}
            Some(other) => {
                let (one, two) = (said(other), said(placed));
                return Err(format!("{one} and {two} price the same thing differently"));
            }
        }
    }
    Ok(kept.into_iter().map(|placed| placed.row.clone()).collect())
}

fn said(placed: &Placed<'_>) -> String {
    format!("{} of {}", placed.row.field, placed.entry.id)
}

/// A name without the characters that names of models have no room for.
pub(super) fn slug(text: &str) -> String {
    text.replace(['/', '@', '#', ' '], "-")
}

/// A TOML text; JSON's escapes are among TOML's.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
