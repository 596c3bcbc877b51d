//! The tables of `docs/pricing.md`, which show worked cases word for word.

use crate::{File, files};
use gallerist_domain::Ticks;
use std::collections::BTreeMap;
use std::path::Path;

/// The rows of the table that stands between `<!-- name -->` and `<!-- /name -->`, its head left out.
pub fn rows(name: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pricing.md");
    let text = std::fs::read_to_string(path).expect("the documentation is here");
    let (_, rest) = text.split_once(&format!("<!-- {name} -->")).expect("the table begins");
    let (table, _) = rest.split_once(&format!("<!-- /{name} -->")).expect("the table ends");
    table.lines().filter(|line| line.starts_with("| ")).skip(2).map(str::to_owned).collect()
}

/// A row of the table of billing forms.
pub struct Row {
    pub form: String,
    /// `kind/model`: what.
    pub example: String,
    arithmetic: String,
    usd: String,
}

/// The rows of the table of billing forms.
pub fn forms() -> Vec<Row> {
    let row = |row: &String| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [form, example, arithmetic, usd] = cells[..] else { panic!("four cells: {row}") };
        let [form, example, arithmetic, usd] = [form, example, arithmetic, usd].map(str::to_owned);
        Row { form, example, arithmetic, usd }
    };
    rows("forms").iter().map(row).collect()
}

/// What a documented row must say, from the case that it shows.
struct Shown<'a> {
    forms: &'a [String],
    arithmetic: &'a str,
    expected: Option<Ticks>,
}

fn shown<'a>(files: &'a BTreeMap<String, File>, row: &Row) -> Option<Shown<'a>> {
    let (name, what) = row.example.split_once("`: ").expect("`kind/model`: what");
    let (kind, model) = name.trim_start_matches('`').split_once('/').expect("kind/model");
    let file = files.get(kind)?;
    let case = file.cases.iter().find(|case| case.model == model && case.what == what);
    if let Some(case) = case {
        let expected = case.expected_usd.or(case.usd);
        assert_eq!(expected.is_none(), case.unpriced, "{}", row.example);
        return Some(Shown { forms: &case.forms, arithmetic: &case.arithmetic, expected });
    }
    let lot = file.lots.iter().find(|lot| lot.model == model && lot.what == what)?;
    Some(Shown { forms: &lot.forms, arithmetic: &lot.arithmetic, expected: Some(lot.cost_usd) })
}

/// The table of billing forms shows worked cases, word for word, and each is a case of the form that it stands for.
#[test]
fn the_documented_forms_are_worked_cases() {
    let files: BTreeMap<String, File> = files().into_iter().collect();
    for row in forms() {
        let Some(shown) = shown(&files, &row) else { panic!("no such case: {}", row.example) };
        assert_eq!(shown.arithmetic, row.arithmetic, "{}", row.example);
        assert_eq!(shown.expected, row.usd.parse::<Ticks>().ok(), "{}", row.example);
        let is_of_it = shown.forms.contains(&row.form);
        assert!(is_of_it, "{} is no case of the form {:?}: {:?}", row.example, row.form, shown.forms);
    }
}
