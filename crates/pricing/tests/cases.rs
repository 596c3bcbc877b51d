//! Worked cases: what a call costs, reckoned by hand from a provider's published prices.
//!
//! Each file `cases/<kind>.toml` holds calls at models of that kind with the exact figures, the arithmetic in
//! words and the source. The figures are never taken from this program: they say what it must answer. Both
//! folders are read where they lie, and `CATALOGUE_DIR` and `CASES_DIR` name others, so that a price can be
//! tried without building anything again.

use gallerist_domain::{
    Billed, ChargeEvent, ImageCall, Ingredients, Metered, OptionWord, Size, Sizes, Ticks,
};
use gallerist_pricing::catalogue::{ModelSheet, Origin};
use gallerist_pricing::{Bounds, Catalogue, Evidence, Facts, bounds, settle};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    cases: Vec<Case>,
    outcomes: Option<Vec<OutcomeCase>>,
}

/// What is charged when a call ends in this way, by the words of a provider's sheet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutcomeCase {
    model: String,
    operation: Option<gallerist_domain::Operation>,
    #[serde(default)]
    region: String,
    success: Billed,
    filtered: Billed,
    refused: Billed,
    failed: Billed,
    cancelled_queued: Billed,
    cancelled_running: Billed,
    timed_out: Billed,
    arithmetic: String,
    source: String,
}

impl OutcomeCase {
    /// In the order of the table in the documentation.
    fn events(&self) -> [(ChargeEvent, Billed); 7] {
        [
            (ChargeEvent::Success, self.success),
            (ChargeEvent::Filtered, self.filtered),
            (ChargeEvent::Refused, self.refused),
            (ChargeEvent::Failed, self.failed),
            (ChargeEvent::CancelledQueued, self.cancelled_queued),
            (ChargeEvent::CancelledRunning, self.cancelled_running),
            (ChargeEvent::TimedOut, self.timed_out),
        ]
    }

    fn row(&self, kind: &str) -> String {
        let operation = self.operation.map(|operation| format!(" {operation}")).unwrap_or_default();
        let region = if self.region.is_empty() { String::new() } else { format!(" at {}", self.region) };
        let words = self.events().map(|(_, billed)| word(billed));
        format!("| `{kind}/{}`{operation}{region} | {} |", self.model, words.join(" | "))
    }
}

const fn word(billed: Billed) -> &'static str {
    match billed {
        Billed::Yes => "yes",
        Billed::No => "no",
        Billed::Unknown => "unknown",
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    what: String,
    model: String,
    #[serde(default = "day_of_the_sheets")]
    at: Timestamp,
    operation: Option<gallerist_domain::Operation>,
    #[serde(default = "one")]
    n: u32,
    size: Option<Size>,
    quality: Option<String>,
    resolution: Option<String>,
    steps: Option<u32>,
    guidance_milli: Option<u32>,
    tier: Option<String>,
    #[serde(default)]
    region: String,
    #[serde(default)]
    partial_images: u8,
    /// ASCII characters of the prompt.
    #[serde(default = "forty")]
    prompt_characters: usize,
    #[serde(default)]
    options: BTreeMap<String, String>,
    #[serde(default)]
    ingredients: Ingredients,
    /// What it costs, where the sheet leaves nothing open …
    usd: Option<Ticks>,
    /// … else the bounds.
    min_usd: Option<Ticks>,
    expected_usd: Option<Ticks>,
    max_usd: Option<Ticks>,
    /// The sheet does not say what this costs: it must be refused.
    #[serde(default)]
    unpriced: bool,
    /// Pictures that came, where it is not as many as were asked for.
    made: Option<u32>,
    /// Counts of the provider, in base units by meter, and what they come to.
    #[serde(default)]
    usage: BTreeMap<String, i64>,
    settled_usd: Option<Ticks>,
    arithmetic: String,
    source: String,
}

fn day_of_the_sheets() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().expect("an instant")
}

const fn one() -> u32 {
    1
}

const fn forty() -> usize {
    40
}

impl Case {
    fn call(&self, model: &ModelSheet) -> ImageCall {
        let shape = &model.capabilities;
        let size = self.size.unwrap_or(shape.size_default);
        let mut call = ImageCall::example(&model.upstream, size);
        call.prompt = "a".repeat(self.prompt_characters);
        call.operation = self.operation.unwrap_or(shape.operations[0]);
        call.n = self.n;
        call.quality = self.quality.clone().unwrap_or_else(|| shape.quality_default.clone());
        call.steps = self.steps.or(shape.steps.map(|limit| limit.default)).unwrap_or(0);
        call.guidance_milli = self.guidance_milli;
        call.output_format = shape.format_default;
        call.tier = self.tier.clone().unwrap_or(call.tier);
        call.region = self.region.clone();
        call.stream = self.partial_images > 0;
        call.partial_images = self.partial_images;
        call.resolution = self.resolution.clone().unwrap_or_else(|| match &shape.sizes {
            Sizes::Ratios(rows) => {
                rows.iter().find(|row| row.size == size).map(|row| row.resolution.clone()).unwrap_or_default()
            }
            _ => String::new(),
        });
        let word =
            |(name, value): (&String, &String)| OptionWord { name: name.clone(), value: value.clone() };
        call.option_words = self.options.iter().map(word).collect();
        call.ingredients = self.ingredients.clone();
        call
    }

    fn check(&self, catalogue: &Catalogue, kind: &str) -> Result<(), String> {
        let provider = catalogue.provider(kind).ok_or("no such kind")?;
        let model =
            provider.models.iter().find(|model| model.is_named(&self.model)).ok_or("no such model")?;
        let call = self.call(model);
        let facts = Facts::of(&call);
        let quoted = bounds(&model.sheet, &facts, self.at);
        if self.unpriced {
            return quoted.map_or(Ok(()), |bounds| Err(format!("is quoted at {bounds:?}, not refused")));
        }
        let quoted = quoted.map_err(|unpriced| unpriced.to_string())?;
        let given = |own: Option<Ticks>| own.or(self.usd);
        let open = "says `usd`, or `min_usd`, `expected_usd` and `max_usd`";
        let wanted = Bounds {
            min: given(self.min_usd).ok_or(open)?,
            expected: given(self.expected_usd).ok_or(open)?,
            max: given(self.max_usd).ok_or(open)?,
        };
        if quoted != wanted {
            return Err(format!("is quoted at\n  {quoted:?}, by hand it is\n  {wanted:?}"));
        }
        let Some(settled) = self.settled_usd else { return Ok(()) };
        let meter = |name: &str| {
            let meter = gallerist_domain::Meter::ALL.iter().find(|meter| meter.name() == name);
            meter.copied().ok_or_else(|| format!("there is no meter {name}"))
        };
        let usage = self
            .usage
            .iter()
            .map(|(name, quantity)| Ok::<_, String>(Metered { meter: meter(name)?, quantity: *quantity }));
        let usage = usage.collect::<Result<Vec<_>, _>>()?;
        let evidence = Evidence { images: self.made.unwrap_or(self.n), usage: &usage, reported: None };
        let charge = settle(&model.sheet, &provider.currencies, &facts, evidence, self.at);
        let charged = charge.map_err(|unpriced| unpriced.to_string())?.amount;
        if charged == settled { Ok(()) } else { Err(format!("settles at {charged}, by hand at {settled}")) }
    }
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

/// With the described models, which are switched off by default.
fn catalogue() -> Catalogue {
    let directory = Some(folder("CATALOGUE_DIR", "../../catalog"));
    let read = Origin { directory, described: true }.whole();
    read.unwrap_or_else(|mistakes| {
        panic!("{}", mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
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

/// Every matrix of every provider of the sheets has a case, and says what the sheet says.
#[test]
fn what_is_charged_when_things_go_wrong_is_what_the_sheets_say() {
    let catalogue = catalogue();
    let files: BTreeMap<String, File> = files().into_iter().collect();
    let mut wrong = Vec::new();
    for provider in catalogue.providers.iter().filter(|provider| !provider.kind.starts_with("described-")) {
        let cases = files[&provider.kind].outcomes.as_deref().unwrap_or_default();
        let mut covered: Vec<Vec<(ChargeEvent, Billed)>> = Vec::new();
        for case in cases {
            assert!(!case.arithmetic.is_empty() && !case.source.is_empty(), "{}", case.row(&provider.kind));
            let model = provider.models.iter().find(|model| model.is_named(&case.model));
            let Some(model) = model else { panic!("{}/{} is no model", provider.kind, case.model) };
            let operation = case.operation.unwrap_or(model.capabilities.operations[0]);
            let matrix = model.outcomes.of(operation, &case.region);
            covered.push(matrix.rows().to_vec());
            for (event, billed) in case.events().into_iter().filter(|(event, b)| matrix.billed(*event) != *b)
            {
                let (wanted, known) = (word(billed), word(matrix.billed(event)));
                wrong.push(format!(
                    "{}/{} {event:?}: {known}, by the sheet {wanted}",
                    provider.kind, case.model
                ));
            }
        }
        for model in &provider.models {
            for matrix in model.outcomes.all() {
                if !covered.iter().any(|rows| rows == matrix.rows()) {
                    wrong.push(format!("{}/{} has a matrix without a case", provider.kind, model.id));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pricing.md");
    let text = std::fs::read_to_string(path).expect("the documentation is here");
    let (_, rest) = text.split_once("<!-- outcomes -->").expect("the table begins");
    let (table, _) = rest.split_once("<!-- /outcomes -->").expect("the table ends");
    let mut shown: Vec<String> =
        table.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect();
    let all =
        files.iter().flat_map(|(kind, file)| file.outcomes.iter().flatten().map(move |case| case.row(kind)));
    let mut cases: Vec<String> = all.collect();
    shown.sort();
    cases.sort();
    assert_eq!(shown, cases, "the documentation shows each case");
}

/// The table of billing forms in the documentation shows these cases, word for word.
#[test]
fn the_documented_forms_are_worked_cases() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pricing.md");
    let text = std::fs::read_to_string(path).expect("the documentation is here");
    let (_, rest) = text.split_once("<!-- forms -->").expect("the table begins");
    let (table, _) = rest.split_once("<!-- /forms -->").expect("the table ends");
    let files: BTreeMap<String, File> = files().into_iter().collect();
    let mut shown = 0;
    for row in table.lines().filter(|line| line.starts_with("| ")).skip(2) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, example, arithmetic, usd] = cells[..] else { panic!("four cells: {row}") };
        let (name, what) = example.split_once("`: ").expect("`kind/model`: what");
        let (kind, model) = name.trim_start_matches('`').split_once('/').expect("kind/model");
        let mut cases = files[kind].cases.iter().filter(|case| case.model == model && case.what == what);
        let case = cases.next().unwrap_or_else(|| panic!("no such case: {row}"));
        assert_eq!(case.arithmetic, arithmetic, "{row}");
        let expected = case.expected_usd.or(case.usd);
        assert_eq!(expected, usd.parse::<Ticks>().ok(), "{row}");
        assert_eq!(expected.is_none(), case.unpriced, "{row}");
        shown += 1;
    }
    assert!(shown >= 40, "only {shown} forms are shown");
}
