//! Commands that ask nobody: quotes, prices, help, and mistakes in the settings.

use crate::support::{gallerist, run};
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

fn members(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn quote(home: &Path, arguments: &[&str]) -> Value {
    run(gallerist(home).arg("quote").args(arguments).args(["--all", "--json"])).json()
}

#[test]
fn a_quote_has_the_form_of_the_api_without_keys_and_server() {
    let home = tempfile::tempdir().unwrap();
    let report = quote(home.path(), &["a kite", "--size", "1024x1024", "--at", "2026-11-25T00:00:00Z"]);
    // The last one is the command's own: whose prices are in it beside the catalogue's.
    assert_eq!(
        members(&report),
        ["instant", "requested_model", "route", "offers", "excluded", "valid_until", "feeds"]
    );
    let offers = report["offers"].as_array().unwrap();
    assert!(offers.len() >= 5);
    for name in
        ["offer", "provider", "model", "tier", "min_usd", "expected_usd", "max_usd", "lines", "warnings"]
    {
        assert!(!offers[0][name].is_null(), "{name} in {}", offers[0]);
    }
    for name in ["meter", "quantity", "unit_price_usd", "amount_usd", "source"] {
        assert!(!offers[0]["lines"][0][name].is_null(), "{name} in {}", offers[0]["lines"]);
    }
    let prices: Vec<&str> = offers.iter().map(|offer| offer["expected_usd"].as_str().unwrap()).collect();
    assert!(prices.is_sorted(), "{prices:?}");
    for name in ["offer", "code", "reason"] {
        assert!(!report["excluded"][0][name].is_null());
    }
    assert!(!home.path().join(".local").exists(), "quoting makes no books");
}

#[test]
fn prices_of_a_day_before_the_record_are_told_as_the_earliest_that_are_known() {
    let home = tempfile::tempdir().unwrap();
    let list = |at: &str, flags: &[&str]| {
        let list = ["prices", "list", "--model", "flux-2-pro", "--provider", "bfl", "--at", at];
        run(gallerist(home.path()).args(list).args(flags))
    };
    assert!(list("2020-01-01", &[]).out.contains("1 of them has no price of 2020-01-01 on record"));
    assert!(list("2020-01-01", &["--json"]).json()["models"][0]["recorded_since"].is_string());
    assert!(!list("2026-11-25", &[]).out.contains("on record"));
    let report = quote(home.path(), &["a kite", "--model", "bfl/flux-2-pro", "--at", "2020-01-01"]);
    assert!(report["offers"][0]["recorded_since"].is_string(), "{report}");
}

#[test]
fn a_quote_takes_a_body_and_flags_say_the_same() {
    let home = tempfile::tempdir().unwrap();
    let mut child = gallerist(home.path())
        .args(["quote", "--body", "-", "--all", "--json", "--at", "2026-11-25T00:00:00Z"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let body = br#"{"prompt":"a kite","n":2,"gallerist":{"providers":{"only":["bfl"]}}}"#;
    child.stdin.take().unwrap().write_all(body).unwrap();
    let from_body: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    let flags = ["a kite", "-n", "2", "--provider", "bfl", "--at", "2026-11-25T00:00:00Z"];
    assert_eq!(from_body, quote(home.path(), &flags));
}

#[test]
fn without_all_only_configured_providers_are_quoted() {
    let home = tempfile::tempdir().unwrap();
    let ran =
        run(gallerist(home.path()).env("BFL_API_KEY", "bfl-secret-1").args(["quote", "a kite", "--json"]));
    let report = ran.json();
    let of_bfl = |list: &Value| {
        list.as_array().unwrap().iter().all(|offer| offer["offer"].as_str().unwrap().starts_with("bfl/"))
    };
    assert!(of_bfl(&report["offers"]) && of_bfl(&report["excluded"]));
    let nobody = run(gallerist(home.path()).args(["quote", "a kite"]));
    assert!(nobody.err.contains("No provider is configured"), "{}", nobody.err);
    assert!(nobody.out.contains("→") && nobody.out.contains("Left out:"), "{}", nobody.out);
}

#[test]
fn wrong_quotes_say_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let both = run(gallerist(home.path()).args(["quote", "a kite", "--size", "12x", "-n", "99"]));
    assert_eq!(both.code, 2);
    assert!(both.err.contains("size must be") && both.err.contains("n must be"), "{}", both.err);
    let unknown = run(gallerist(home.path()).args(["quote", "a kite", "--model", "flux-2-por"]));
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("flux-2-pro"), "{}", unknown.err);
    assert_eq!(run(gallerist(home.path()).arg("quote")).code, 2);
}

#[test]
fn what_has_no_price_or_is_not_offered_yet_says_so() {
    let home = tempfile::tempdir().unwrap();
    let unpriced =
        run(gallerist(home.path()).args(["quote", "a kite", "--model", "ideogram-v4.6", "--all", "-v"]));
    assert!(unpriced.out.contains("its price is not known: no price is published"), "{}", unpriced.out);
    let early = ["quote", "x", "--model", "gpt-image-2.6-flare", "--all", "-v", "--at", "2026-01-01"];
    let early = run(gallerist(home.path()).args(early));
    assert!(early.out.contains("it is offered from 2026-11-04 on"), "{}", early.out);
    let since = ["prices", "changes", "--since", "2026-11-01", "--json"];
    let changes = run(gallerist(home.path()).args(since)).json();
    let released = |change: &&serde_json::Value| change["code"] == "released";
    let released = changes["changes"].as_array().unwrap().iter().filter(released);
    let released: Vec<&str> = released.filter_map(|change| change["model"].as_str()).collect();
    assert_eq!(released, ["seedream-5.5", "gpt-image-2.6-flare", "gpt-image-2.6-sunburst"]);
}

#[test]
fn prices_are_listed_and_shown() {
    let home = tempfile::tempdir().unwrap();
    let list = run(gallerist(home.path()).args(["prices", "list", "--json"])).json();
    assert!(list["models"].as_array().unwrap().len() > 30);
    let azure = run(gallerist(home.path()).args(["prices", "list", "--provider", "azure", "--json"])).json();
    assert!(!azure["models"].as_array().unwrap().is_empty(), "also what is priced only");
    let table = run(gallerist(home.path()).args(["prices", "list", "--provider", "azure"])).out;
    let count = azure["models"].as_array().unwrap().len();
    assert!(table.contains(&format!("{count} more are priced only")), "of that provider alone: {table}");
    let best = run(gallerist(home.path()).args(["quote", "a kite", "--quality", "best"]));
    assert!(best.code != 0 && best.err.contains("no quality of a route"), "{}", best.err);
    let shown = run(gallerist(home.path()).args(["prices", "show", "flux-2-pro", "--json"])).json();
    assert!(shown["offers"].as_array().unwrap().len() >= 2, "several hosts");
    for offer in shown["offers"].as_array().unwrap() {
        let sourced = offer["lines"][0]["source"].is_string();
        assert!(sourced != offer["price_unknown"].is_string(), "a source, or why there is no price: {offer}");
    }
    let table = run(gallerist(home.path()).args(["prices", "show", "gpt-image-2"]));
    assert!(
        table.out.contains("image-out") && table.out.contains("[1]") && table.out.contains("third party, 20"),
        "{}",
        table.out
    );
    assert_eq!(run(gallerist(home.path()).args(["prices", "show", "no-such-model"])).code, 2);
}

#[test]
fn checking_prices_reports_every_planted_mistake_with_its_line() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("catalogue");
    std::fs::create_dir(&folder).unwrap();
    let sound = run(gallerist(home.path()).args(["prices", "check", "catalogue"]));
    assert_eq!(sound.code, 0, "{}", sound.err);
    assert!(sound.err.contains("catalogue holds no KIND.toml file"), "{}", sound.err);
    // Both ways of asking count the same: what is only described is counted apart.
    let built_in = run(gallerist(home.path()).args(["prices", "check"])).out;
    let counts = built_in.strip_suffix(", no mistake.\n").expect("they are sound");
    assert!(sound.out.contains(&format!("With the built-in files: {counts}; and with")), "{}", sound.out);
    std::fs::write(
        folder.join("mine.toml"),
        "kind = \"mine\"\ntitle = 3\nas_of = \"soon\"\nsurprise = true\n",
    )
    .unwrap();
    std::fs::write(folder.join("broken.toml"), "kind = \n").unwrap();
    let ran = run(gallerist(home.path()).args(["prices", "check", "catalogue"]));
    assert_eq!(ran.code, 1);
    for expected in [
        "catalogue/mine.toml:2:",
        "catalogue/mine.toml:3:",
        "catalogue/mine.toml:4:",
        "catalogue/broken.toml:1:",
    ] {
        assert!(ran.out.contains(expected), "{expected} in\n{}", ran.out);
    }
    let json = run(gallerist(home.path()).args(["prices", "check", "catalogue", "--json"]));
    let report: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, &report["catalogue"]), (1, &Value::Null));
    assert!(report["mistakes"].as_array().unwrap().iter().all(|mistake| mistake["line"].is_u64()));
}

#[test]
fn mistakes_in_the_settings_are_reported_together_and_show_no_secret() {
    let home = tempfile::tempdir().unwrap();
    let text = "lisen = \"127.0.0.1:1\"\ncheck = \"eyes\"\n[[providers]]\nkind = \"openai\"\nkey = \"sk-written-here\"\n";
    std::fs::write(home.path().join("gallerist.toml"), text).unwrap();
    let ran = run(gallerist(home.path())
        .env("GALLERIST_CONFIG", "gallerist.toml")
        .env("GALLERIST_LISTEN", "nowhere")
        .env("GALLERIST_BFL_BASE_URL", "sk-pasted-into-the-wrong-variable")
        .env("BFL_API_KEY", "bfl-secret")
        .arg("serve"));
    assert_eq!(ran.code, 2);
    for expected in [
        "gallerist.toml:1: unknown entry \"lisen\"",
        "gallerist.toml:2: check is",
        "gallerist.toml:5: a key does not belong",
        "GALLERIST_LISTEN: \"nowhere\"",
        "GALLERIST_BFL_BASE_URL: this is no base URL",
    ] {
        assert!(ran.err.contains(expected), "{expected} in\n{}", ran.err);
    }
    assert!(!ran.err.contains("sk-") && !ran.err.contains("bfl-secret"), "{}", ran.err);
}

#[test]
fn every_command_has_help_with_an_example() {
    let home = tempfile::tempdir().unwrap();
    let commands: &[&[&str]] = &[
        &[],
        &["demo"],
        &["serve"],
        &["generate"],
        &["quote"],
        &["prices"],
        &["prices", "list"],
        &["prices", "show"],
        &["prices", "check"],
        &["keys"],
        &["keys", "create"],
        &["keys", "list"],
        &["keys", "change"],
        &["keys", "rotate"],
        &["keys", "revoke"],
        &["projects"],
        &["projects", "list"],
        &["projects", "create"],
        &["projects", "cap"],
        &["projects", "show"],
        &["projects", "limit"],
        &["audit"],
        &["requests"],
        &["requests", "list"],
        &["requests", "show"],
        &["credits"],
        &["credits", "add"],
        &["credits", "list"],
        &["credits", "forecast"],
        &["credits", "balance"],
        &["reconcile"],
        &["reconcile", "list"],
        &["reconcile", "show"],
        &["usage"],
        &["fakes"],
    ];
    for command in commands {
        let ran = run(gallerist(home.path()).args(*command).arg("--help"));
        assert_eq!(ran.code, 0, "{command:?}");
        assert!(ran.out.contains("Example") && ran.out.contains("--json"), "{command:?}\n{}", ran.out);
    }
    assert_eq!(run(gallerist(home.path()).args(["serve", "--no-such-flag"])).code, 2);
}
