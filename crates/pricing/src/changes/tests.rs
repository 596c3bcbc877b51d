use super::*;
use crate::testing::instant;

const FILE: &str = r#"
kind = "shop"
title = "Shop"
as_of = "2026-11-22"
base_url = "https://example.org"
concurrency_max = 1
[sources]
list = { what = "price list", date = "2026-11-22", confidence = "official" }
[[currencies]]
code = "CNY"
usd = "0.14"
until = "2026-07-01"
source = "list"
[[currencies]]
code = "CNY"
usd = "0.15"
since = "2026-07-01"
source = "list"
[outcomes.default]
success = "yes"
filtered = "yes"
refused = "no"
rejected = "no"
failed = "no"
cancelled_queued = "no"
cancelled_running = "unknown"
disconnected = "unknown"
timed_out = "unknown"
[shapes.plain]
images_per_call_max = 1
prompt_characters_max = 100
sizes = { listed = ["512x512"] }
size_default = "512x512"
formats = ["png"]
format_default = "png"
[sheets.gpu]
prices = [
    { line = "hour", meter = "gpu_seconds", amount = "3.99", per = 3600, since = "2026-10-01", was = [
        { amount = "3.29", since = "2026-08-19" }, { amount = "3.49", since = "2026-09-25" },
    ], source = "list" },
    { line = "picture", meter = "images", amount = "0.20", currency = "CNY", source = "list" },
]
estimates = [{ meter = "gpu_seconds", each = "image", form = { fixed = { min = 1, expected = 1, max = 1 } }, source = "list" }]
[[models]]
id = "gpu"
shape = "plain"
sheet = "gpu"
retires_on = "2027-01-01"
successors = ["other"]
redirect = { to = "other", quality = "low", since = "2027-01-01", source = "list" }
classes = [{ class = "draft", source = "list" }]
latency_ms = 1000
source = "list"
[shapes.labelled]
images_per_call_max = 1
prompt_characters_max = 100
sizes = { listed = ["512x512"] }
size_default = "512x512"
qualities = ["low"]
quality_default = "low"
formats = ["png"]
format_default = "png"
[sheets.other]
prices = [{ line = "picture", meter = "images", amount = "0.02", source = "list" }]
[[models]]
id = "other"
shape = "labelled"
sheet = "other"
classes = [{ class = "draft", source = "list" }]
latency_ms = 1000
source = "list"
"#;

fn catalogue() -> Catalogue {
    Catalogue::from_files(vec![("shop.toml".to_owned(), FILE.to_owned())]).expect("sound")
}

/// Code, line and basis points, newest first.
fn told(since: &str, until: &str) -> Vec<(String, Option<String>, Option<i64>)> {
    let catalogue = catalogue();
    let found = changes(&catalogue, instant(since), instant(until));
    let tell = |change: &Change<'_>| {
        let line = change.turn.line().map(str::to_owned);
        (change.turn.code().to_owned(), line, change.turn.basis_points())
    };
    found.iter().map(tell).collect()
}

#[test]
fn a_history_is_told_newest_first_with_what_moved() {
    let line = |name: &str| Some(name.to_owned());
    // 3.49 to 3.99 is +14.33 %, 0.14 to 0.15 a yuan +7.14 %, 3.29 to 3.49 +6.08 %.
    assert_eq!(
        told("2026-08-20T00:00:00Z", "2026-12-01T00:00:00Z"),
        [("price".to_owned(), line("hour"), Some(1_433)), ("price".to_owned(), line("hour"), Some(608)),]
    );
    let whole = told("2026-01-01T00:00:00Z", "2028-01-01T00:00:00Z");
    let codes: Vec<_> = whole.iter().map(|(code, _, _)| code.as_str()).collect();
    assert_eq!(codes, ["retired", "redirected", "price", "price", "line_began", "price"]);
    assert_eq!(whole[5].2, Some(714));
}

/// A host of another's model has it at the earliest when its maker has: since when, nobody knows.
#[test]
fn a_release_is_an_event_of_the_maker_alone() {
    let of = |maker: &str| {
        let words = format!("id = \"other\"\n{maker}released_on = \"2026-11-04\"\ndeprecated = true\n");
        let text = FILE.replace("id = \"other\"\n", &words);
        let catalogue = Catalogue::from_files(vec![("shop.toml".to_owned(), text)]).expect("sound");
        let found = changes(&catalogue, instant("2026-11-04T00:00:00Z"), instant("2026-11-05T00:00:00Z"));
        let tell = |change: &Change<'_>| (change.turn.code(), change.at.to_string(), change.model.id.clone());
        found.iter().map(tell).collect::<Vec<_>>()
    };
    assert_eq!(of("maker = true\n"), [("released", "2026-11-04T00:00:00Z".to_owned(), "other".to_owned())]);
    // Nor is a day told on which it was only read that a model is deprecated.
    assert_eq!(of(""), []);
}

#[test]
fn the_price_of_an_instant_is_the_one_that_held_then() {
    let catalogue = catalogue();
    let lines = &catalogue.providers[0].models[0].sheet.lines;
    let held = |id: &str, at: &str| {
        let at = instant(at);
        let found: Vec<_> = lines.iter().filter(|line| line.id == id && line.period.contains(at)).collect();
        assert!(found.len() <= 1, "one price at a time");
        found.first().map(|line| line.price_expected.amount.to_string())
    };
    assert_eq!(held("hour", "2026-08-18T23:59:59Z"), None);
    assert_eq!(held("hour", "2026-08-19T00:00:00Z").as_deref(), Some("3.2900000000"));
    assert_eq!(held("hour", "2026-09-24T23:59:59Z").as_deref(), Some("3.2900000000"));
    assert_eq!(held("hour", "2026-10-01T00:00:00Z").as_deref(), Some("3.9900000000"));
    assert_eq!(held("picture", "2026-06-30T23:59:59Z").as_deref(), Some("0.0280000000"));
    assert_eq!(held("picture", "2026-07-01T00:00:00Z").as_deref(), Some("0.0300000000"));
}

/// The same file, where pictures were sold singly, then by the thousand, at half the price for a week.
fn by_the_thousand() -> Vec<ChangeReport> {
    let other = r#"prices = [{ line = "picture", meter = "images", amount = "0.02", source = "list" }]"#;
    let dated = r#"prices = [
    { line = "picture", meter = "images", amount = "0.02", until = "2026-09-01", source = "list" },
    { line = "picture", meter = "images", amount = "25.0000000001", per = 1000, since = "2026-09-01", source = "list" },
]
factors = [
    { factor = "launch", numerator = 50, denominator = 100, since = "2026-10-01", until = "2026-10-08", source = "list" },
    { factor = "perhaps", numerator = 1, numerator_max = 2, denominator = 2, since = "2026-10-09", source = "list" },
    { factor = "perhaps-less", numerator = 5, numerator_max = 8, denominator = 10, since = "2026-10-10", source = "list" },
]"#;
    assert!(FILE.contains(other));
    let file = vec![("shop.toml".to_owned(), FILE.replace(other, dated))];
    let catalogue = Catalogue::from_files(file).expect("sound");
    let found = changes(&catalogue, instant("2026-01-01T00:00:00Z"), instant("2026-12-01T00:00:00Z"));
    found.iter().filter(|change| change.model.id == "other").map(ChangeReport::from).collect()
}

#[test]
fn both_amounts_are_told_for_the_same_number_of_units() {
    let reports = by_the_thousand();
    let price = reports.iter().find(|report| report.code == "price").expect("it became another");
    let dollars = |amount: Option<Ticks>| amount.expect("there is one").to_string();
    assert_eq!(
        (dollars(price.old_usd), dollars(price.new_usd)),
        ("20.0000000000".into(), "25.0000000001".into())
    );
    assert_eq!((price.per.as_deref(), price.meter), (Some("1000"), Some("images")));
    // An hour of seconds, counted as people count them.
    let catalogue = catalogue();
    let found = changes(&catalogue, instant("2026-09-30T00:00:00Z"), instant("2026-10-02T00:00:00Z"));
    let hour = ChangeReport::from(&found[0]);
    assert_eq!((hour.per.as_deref(), hour.meter), (Some("3600"), Some("gpu_seconds")));
    assert_eq!(
        (dollars(hour.old_usd), dollars(hour.new_usd)),
        ("3.4900000000".into(), "3.9900000000".into())
    );
}

#[test]
fn a_factor_says_what_it_multiplies_by_before_and_after() {
    let reports = by_the_thousand();
    let of = |code: &str, id: &str| {
        let mut found = reports.iter().filter(|report| report.code == code);
        let report = found.find(|report| report.line.as_deref() == Some(id)).expect("it is told");
        assert_eq!((report.old_usd, report.new_usd, &report.per, report.meter), (None, None, &None, None));
        (
            report.old_factor.clone().unwrap(),
            report.new_factor.clone().unwrap(),
            report.percent.clone().unwrap(),
        )
    };
    let told = |old: &str, new: &str, percent: &str| (old.to_owned(), new.to_owned(), percent.to_owned());
    assert_eq!(of("factor_began", "launch"), told("1", "1/2", "-50.00"));
    assert_eq!(of("factor_ended", "launch"), told("1/2", "1", "+100.00"));
    assert_eq!(of("factor_began", "perhaps"), told("1", "1/2 to 1", "+0.00"));
    assert_eq!(of("factor_began", "perhaps-less"), told("1", "1/2 to 4/5", "-20.00"));
    assert!(reports.iter().filter(|report| report.code == "price").all(|report| report.old_factor.is_none()));
}
