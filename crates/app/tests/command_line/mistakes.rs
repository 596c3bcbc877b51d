//! What is asked wrongly: the same mistake has the same exit code and says what to do, whatever the command.

use crate::support::{Ran, gallerist, run};
use std::path::Path;

fn wrong(home: &Path, arguments: &[&str]) -> Ran {
    let ran = run(gallerist(home).args(arguments));
    assert_eq!(ran.code, 2, "{arguments:?}: {}{}", ran.out, ran.err);
    assert!(ran.out.is_empty(), "{arguments:?}: {}", ran.out);
    ran
}

#[test]
fn a_name_that_the_catalogue_does_not_have_is_asked_wrongly_everywhere() {
    let home = tempfile::tempdir().unwrap();
    for arguments in [
        &["prices", "list", "--model", "flux2porr"][..],
        &["prices", "list", "--json", "--model", "flux2porr"],
        &["prices", "show", "flux2porr"],
        &["quote", "x", "--model", "flux2porr"],
        &["quote", "x", "--all", "--model", "flux2porr"],
    ] {
        let err = wrong(home.path(), arguments).err;
        assert!(err.contains("there is no model \"flux2porr\"") && err.contains("flux-2-pro"), "{err}");
    }
    for arguments in [
        &["prices", "list", "--provider", "opnai"][..],
        &["prices", "changes", "--provider", "opnai"],
        &["quote", "x", "--provider", "opnai"],
    ] {
        let err = wrong(home.path(), arguments).err;
        assert!(err.contains("there is no provider \"opnai\"") && err.contains("openai"), "{err}");
    }
    let nameless = wrong(home.path(), &["prices", "show", ""]).err;
    assert!(nameless.contains("a model must be named") && !nameless.contains("auto"), "{nameless}");
    // What would be refused is not advised.
    let near_a_route = wrong(home.path(), &["prices", "show", "aut"]).err;
    assert!(!near_a_route.contains("auto"), "{near_a_route}");
    wrong(home.path(), &["prices", "list", "--model", "auto"]);
}

#[test]
fn a_model_is_named_alike_in_a_list_and_in_a_quote() {
    let home = tempfile::tempdir().unwrap();
    let offers = |name: &str| -> Vec<String> {
        let list = run(gallerist(home.path()).args(["prices", "list", "--json", "--model", name])).json();
        let models = list["models"].as_array().unwrap().iter();
        models.map(|model| model["offer"].as_str().unwrap().to_owned()).collect()
    };
    assert!(offers("openai/gpt-image-2").iter().all(|offer| offer.starts_with("openai/gpt-image-2")));
    assert!(!offers("openai/gpt-image-2").is_empty());
    assert_eq!(offers("bfl/flux-2-pro#standard"), ["bfl/flux-2-pro"]);
    assert_eq!(offers("gpt-image-2@2026-04-21"), offers("gpt-image-2-2026-04-21"));
    assert!(offers("gpt-image-2").len() > offers("openai/gpt-image-2").len());
}

#[test]
fn a_model_at_the_wrong_host_or_in_the_wrong_version_names_the_right_ones() {
    let home = tempfile::tempdir().unwrap();
    for arguments in
        [&["prices", "show", "bfl/gpt-image-2"][..], &["quote", "x", "--model", "bfl/gpt-image-2"]]
    {
        let err = wrong(home.path(), arguments).err;
        assert!(
            err.contains("bfl does not have gpt-image-2, which is at ") && err.contains("openai"),
            "{err}"
        );
    }
    for name in ["gpt-image-2@9999", "openai/gpt-image-2@9999"] {
        for arguments in [&["prices", "show", name][..], &["quote", "x", "--model", name]] {
            let err = wrong(home.path(), arguments).err;
            assert!(err.contains("gpt-image-2 has no version 9999, but 2026-04-21"), "{err}");
        }
    }
    // Nobody who is on has the model, and that is not what is wrong.
    let mut quote = gallerist(home.path());
    quote.env("BFL_API_KEY", "x").args(["quote", "x", "--model", "gpt-image-2@9999"]);
    let ran = run(&mut quote);
    assert!(ran.code == 2 && ran.err.contains("but 2026-04-21"), "{}", ran.err);
    for name in ["openai/gpt-image-1@2025-04-15", "gpt-image-1@2025-04-15"] {
        let gone = wrong(home.path(), &["quote", "x", "--model", name]).err;
        assert!(gone.contains("use gpt-image-2.6-sunburst or gpt-image-2.5-sunburst"), "{gone}");
    }
}

#[test]
fn a_file_that_is_not_there_is_asked_wrongly_as_a_broken_one_is() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("broken.json"), "{").unwrap();
    wrong(home.path(), &["quote", "--body", "broken.json"]);
    let err = wrong(home.path(), &["quote", "--body", "missing.json"]).err;
    assert!(err.contains("missing.json cannot be read"), "{err}");
    let list = ["prices", "import", "missing.json", "--format", "litellm", "--compare"];
    assert!(wrong(home.path(), &list).err.contains("missing.json cannot be read"));
}

#[test]
fn a_time_that_ends_before_it_begins_names_both_ends() {
    let home = tempfile::tempdir().unwrap();
    let changes = ["prices", "changes", "--since", "2026-11-02", "--until", "2026-11-01"];
    let err = wrong(home.path(), &changes).err;
    assert!(err.contains("--since (2026-11-02") && err.contains("--until (2026-11-01"), "{err}");
    let err = wrong(home.path(), &["usage", "--from", "2026-11-02", "--to", "2026-11-01"]).err;
    assert!(err.contains("--from (2026-11-02") && err.contains("--to (2026-11-01"), "{err}");
}

/// Books that no gateway has open.
fn credits(home: &Path, arguments: &[&str]) -> Ran {
    run(gallerist(home).args(["credits"]).args(arguments))
}

#[test]
fn a_mistaken_purchase_names_its_argument() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(credits(home.path(), &["add", "bfl", "10", "1", "--purchased-at", "2026-01-01"]).code, 0);
    for (arguments, words) in [
        (&["add", "bfl", "-5", "9"][..], "CREDITS must be more than 0 and at most 1000000000"),
        (&["add", "bfl", "10", "-1"], "an amount of dollars is not negative"),
        (&["add", "bfl", "0.0000001", "9"], "CREDITS must have at most six digits"),
        (
            &["add", "bfl", "10", "1", "--purchased-at", "2026-01-02", "--expires-at", "2026-01-01"],
            "--expires-at must be after --purchased-at",
        ),
        (&["add", "bfl", "10", "1", "--purchased-at", "2099-01-01"], "--purchased-at (2099-01-01"),
        (&["add", "bfl", "10", "1", "--fee-percent", "-1"], "--fee-percent must be 0 to 100"),
        (&["use", "bfl", "0"], "CREDITS must be more than 0 credits"),
        (&["use", "bfl", "-5"], "CREDITS must be more than 0 credits"),
        (&["use", "bfl", "11"], "only 10 credits of bfl are left"),
        (&["balance", "bfl", "-5"], "CREDITS must be 0 credits or more"),
        (&["add", "bfll", "10", "1"], "there is no \"bfll\", configured or known; the nearest: bfl"),
        (&["use", "bfll", "10"], "there is no \"bfll\", configured or known; the nearest: bfl"),
    ] {
        let ran = credits(home.path(), arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(words) && !ran.err.contains("the books"), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn a_lot_is_listed_with_its_day_and_id_and_taken_back_while_nothing_was_used() {
    let home = tempfile::tempdir().unwrap();
    let add = ["add", "bfl", "10", "1", "--purchased-at", "2026-01-01", "--json"];
    let id = credits(home.path(), &add).json()["id"].as_str().unwrap().to_owned();
    let list = credits(home.path(), &["list"]).out;
    assert!(list.contains(&id) && list.contains("2026-01-01"), "{list}");
    let forecast = credits(home.path(), &["forecast"]).out;
    assert!(forecast.contains("charged in 1 day."), "{forecast}");
    assert_eq!(credits(home.path(), &["remove", "nothing"]).code, 2);
    assert_eq!(credits(home.path(), &["remove", &id]).code, 0);
    let again = credits(home.path(), &["remove", &id]);
    assert!(again.code == 1 && again.err.contains("there is no lot of credits"), "{}", again.err);
    let used = credits(home.path(), &add).json()["id"].as_str().unwrap().to_owned();
    assert_eq!(credits(home.path(), &["use", "bfl", "1"]).code, 0);
    let stays = credits(home.path(), &["remove", &used]);
    assert!(stays.code == 1 && stays.err.contains("so it stays in the books"), "{}", stays.err);
}

#[test]
fn a_negative_figure_is_told_as_what_it_is() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, flag) in [
        (&["quote", "x", "--max-cost-usd", "-1"][..], "--max-cost-usd must"),
        (&["quote", "x", "--steps", "-5"], "--steps must"),
        (&["quote", "x", "-n", "-1"], "-n must"),
        (&["quote", "x", "--seed", "-1"], "--seed must"),
        (&["quote", "x", "--guidance", "-1"], "--guidance must"),
        (&["quote", "x", "--max-latency-ms", "-1"], "--max-latency-ms must"),
        (&["budgets", "create", "--usd", "-1"], "not negative"),
    ] {
        let err = wrong(home.path(), arguments).err;
        assert!(err.contains(flag) && !err.contains("unexpected argument"), "{arguments:?}: {err}");
    }
}

#[test]
fn a_folder_of_prices_that_is_not_there_is_a_mistake_of_its_setting() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("settings.toml"), "\ncatalogue_dir = \"nowhere\"\n").unwrap();
    let err = wrong(home.path(), &["prices", "list", "--config", "settings.toml"]).err;
    assert!(err.contains("settings.toml:2: catalogue_dir: nowhere cannot be read"), "{err}");
    assert!(!err.contains("nowhere:1"), "{err}");
}

#[test]
fn a_model_without_a_price_of_its_own_says_what_it_needs() {
    let home = tempfile::tempdir().unwrap();
    let list = ["prices", "list", "--model", "bfl/flux-1.1-pro-ultra-finetuned"];
    let table = run(gallerist(home.path()).args(list)).out;
    assert!(table.contains("active; no default price: ") && table.contains("finetune_id"), "{table}");
    assert!(table.contains("\n1 offer. "), "{table}");
    let json = run(gallerist(home.path()).args(list).arg("--json")).json();
    let why = json["models"][0]["unpriced_because"].as_str().unwrap();
    assert!(why.contains("finetune_id") && json["models"][0]["expected_usd"].is_null(), "{json}");
    let priced = ["prices", "list", "--model", "bfl/flux-2-pro", "--json"];
    let priced = run(gallerist(home.path()).args(priced)).json();
    assert!(priced["models"][0]["unpriced_because"].is_null(), "{priced}");
}

#[test]
fn a_day_that_has_not_come_is_remarked_in_a_checked_file() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("prices");
    std::fs::create_dir(&folder).unwrap();
    let sheet =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../catalog/bfl.toml")).unwrap();
    let ahead = sheet.replacen("as_of = \"2026-", "as_of = \"2199-", 1);
    assert_ne!(sheet, ahead);
    std::fs::write(folder.join("bfl.toml"), ahead).unwrap();
    let checked = run(gallerist(home.path()).args(["prices", "check", "prices"]));
    assert_eq!(checked.code, 0, "{}", checked.err);
    assert!(checked.err.contains("bfl: as_of = 2199-"), "{}", checked.err);
    let json = run(gallerist(home.path()).args(["prices", "check", "prices", "--json"])).json();
    assert!(json["remarks"].to_string().contains("bfl: as_of = 2199-"), "{json}");
}
