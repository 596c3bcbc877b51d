//! Prices from elsewhere: feeds that are polled.

use crate::support::{Running, gallerist, http, run};
use serde_json::{Value, json};
use std::path::Path;

fn sync(home: &Path, arguments: &[&str]) -> Value {
    let told =
        run(gallerist(home).args(["prices", "sync", "--config", "settings.toml", "--json"]).args(arguments))
            .json();
    told["prices"].as_array().unwrap().first().cloned().unwrap_or(Value::Null)
}

const QUOTE: [&str; 6] = ["quote", "a kite", "--model", "bfl/flux-1.1-pro", "--all", "--json"];

fn price(home: &Path) -> String {
    let report = run(gallerist(home).args(QUOTE).args(["--config", "settings.toml"])).json();
    report["offers"][0]["expected_usd"].as_str().unwrap().to_owned()
}

/// As `price`, from another shell: nobody names the settings, and nobody is asked. With the feeds that are in it.
fn price_elsewhere(home: &Path, flags: &[&str]) -> (String, Vec<String>) {
    let names = |told: &Value| {
        let feeds = told["feeds"].as_array().unwrap().iter();
        feeds.map(|feed| feed["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let quoted = run(gallerist(home).args(QUOTE).args(flags)).json();
    let list = ["prices", "list", "--provider", "bfl", "--model", "flux-1.1-pro", "--json"];
    let listed = run(gallerist(home).args(list).args(flags)).json();
    let price = quoted["offers"][0]["expected_usd"].as_str().unwrap().to_owned();
    assert_eq!(listed["models"][0]["expected_usd"], price, "{listed}");
    let show = ["prices", "show", "bfl/flux-1.1-pro", "--json"];
    let shown = run(gallerist(home).args(show).args(flags)).json();
    assert_eq!(shown["catalogue"], listed["catalogue"]);
    let changes = run(gallerist(home).args(["prices", "changes", "--json"]).args(flags)).json();
    for other in [&quoted, &shown, &changes] {
        assert_eq!(names(other), names(&listed));
    }
    (price, names(&listed))
}

#[test]
fn a_feed_of_a_line_that_nobody_has_is_told_without_being_asked() {
    let home = tempfile::tempdir().unwrap();
    let of = |offer: &str, line: &str| {
        let settings = format!(
            "[[feeds]]\nkind = \"json\"\nname = \"house\"\nurl = \"http://127.0.0.1:1/prices\"\n\
             prices = [{{ offer = \"{offer}\", line = \"{line}\", pointer = \"/usd\" }}]\n"
        );
        std::fs::write(home.path().join("settings.toml"), settings).unwrap();
        let ran = run(gallerist(home.path()).args(QUOTE).args(["--config", "settings.toml"]));
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.err
    };
    let told = "the feed house tells bfl/flux-1.1-pro pictre, and the catalogue has no such line now";
    let slip = of("bfl/flux-1.1-pro", "pictre");
    assert!(slip.contains(told), "{slip}");
    assert!(!of("bfl/flux-1.1-pro", "picture").contains("no such line"));
    let priced_only = of("azure/gpt-image-2", "image-out");
    assert!(!priced_only.contains("no such line"), "{priced_only}");
}

#[test]
fn a_polled_price_counts_from_its_instant_and_a_jump_waits() {
    let home = tempfile::tempdir().unwrap();
    let fakes = Running::start(gallerist(home.path()).args(["fakes", "--json"]));
    let origin = fakes.ready["fakes"]["bfl"].as_str().unwrap().to_owned();
    let settings = format!(
        "[[feeds]]\nkind = \"json\"\nagreeing_polls = 1\nurl = \"{origin}/_fake/feeds/json\"\n\
         prices = [{{ offer = \"bfl/flux-1.1-pro\", line = \"picture\", pointer = \"/prices/flux-1.1-pro/cents\", usd = \"0.01\" }}]\n"
    );
    std::fs::write(home.path().join("settings.toml"), settings).unwrap();
    assert_eq!(price(home.path()), "0.0400000000");
    let told = sync(home.path(), &[]);
    assert_eq!((&told["decision"], &told["old_usd"]), (&json!("accepted"), &json!("0.0400000000")), "{told}");
    assert_eq!(price(home.path()), "0.0500000000");
    assert_eq!(sync(home.path(), &[])["decision"], "same");

    let cents = |amount: &str| {
        let feed: Value =
            serde_json::from_str(&format!(r#"{{"prices": {{"flux-1.1-pro": {{"cents": {amount}}}}}}}"#))
                .unwrap();
        assert_eq!(http("PUT", &format!("{origin}/_fake/feeds/json"), "", Some(&feed)).0, 204);
    };
    cents("20");
    assert_eq!(sync(home.path(), &[])["decision"], "held");
    assert_eq!(price(home.path()), "0.0500000000", "the last known good price stays");
    assert_eq!(sync(home.path(), &[])["decision"], "accepted", "a second poll agrees");
    assert_eq!(price(home.path()), "0.2000000000");
    cents("2000");
    assert_eq!(sync(home.path(), &[])["decision"], "held");
    assert_eq!(sync(home.path(), &[])["decision"], "held", "cents against dollars: a person is asked");
    assert_eq!(sync(home.path(), &["--confirm"])["decision"], "confirmed");
    assert_eq!(price(home.path()), "20.0000000000");
}

#[test]
fn a_spot_feed_needs_no_mapping_and_a_feed_that_is_gone_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let fakes = Running::start(gallerist(home.path()).args(["fakes", "--json"]));
    let origin = fakes.ready["fakes"]["bfl"].as_str().unwrap().to_owned();
    let settings = format!("[[feeds]]\nkind = \"spot\"\nurl = \"{origin}/_fake/feeds/spot\"\n");
    std::fs::write(home.path().join("settings.toml"), settings).unwrap();
    assert_eq!(sync(home.path(), &[])["decision"], "accepted");
    drop(fakes);
    let gone = run(gallerist(home.path()).args(["prices", "sync", "--config", "settings.toml", "--json"]));
    let told: Value = serde_json::from_str(&gone.out).expect("what there is to tell comes first");
    assert_eq!((&told["prices"][0]["decision"], gone.code), (&json!("unreachable"), 1));
    assert!(gone.err.contains("the feed spot is unreachable"), "{}", gone.err);
    assert_eq!(price(home.path()), "0.0500000000", "the last known good price stays");
}

#[test]
fn a_running_gateway_is_asked_to_poll_and_to_believe() {
    let home = tempfile::tempdir().unwrap();
    let fakes = Running::start(gallerist(home.path()).args(["fakes", "--json"]));
    let origin = fakes.ready["fakes"]["bfl"].as_str().unwrap().to_owned();
    let settings = format!(
        "listen = \"127.0.0.1:0\"\n[[feeds]]\nkind = \"spot\"\nurl = \"{origin}/_fake/feeds/spot\"\n"
    );
    std::fs::write(home.path().join("settings.toml"), settings).unwrap();
    let serve = ["serve", "--config", "settings.toml", "--json"];
    let mut command = gallerist(home.path());
    command.env("BFL_API_KEY", "fake-bfl-key").env("GALLERIST_BFL_BASE_URL", format!("{origin}/v1"));
    let _gateway = Running::start(command.args(serve));
    let cents = |amount: &str| {
        let line = json!({"offer": "bfl/flux-1.1-pro", "line": "picture", "usd": amount});
        let feed = json!({"prices": [line]});
        assert_eq!(http("PUT", &format!("{origin}/_fake/feeds/spot"), "", Some(&feed)).0, 204);
    };
    // Its own first poll and this one see the same.
    sync(home.path(), &[]);
    cents("0.06");
    assert_eq!(sync(home.path(), &[])["decision"], "accepted");
    let elsewhere = price_elsewhere(home.path(), &[]);
    assert_eq!(elsewhere, ("0.0600000000".to_owned(), vec!["spot".to_owned()]), "as the gateway believes");
    let files = price_elsewhere(home.path(), &["--catalogue-only"]);
    assert_eq!(files, ("0.0400000000".to_owned(), vec![]), "the catalogue's own");
    let text = run(gallerist(home.path()).args(["prices", "list", "--model", "flux-1.1-pro"]));
    assert!(text.out.contains("With what the feed spot told until 20"), "{}", text.out);
    assert!(!text.out.contains("nobody has asked since"), "{}", text.out);
    cents("0.90");
    let held = sync(home.path(), &[]);
    assert_eq!((&held["decision"], &held["old_usd"]), (&json!("held"), &json!("0.0600000000")), "{held}");
    assert_eq!((&held["meter"], &held["units"]), (&json!("images"), &json!("1")), "{held}");
    let confirmed = sync(home.path(), &["--confirm", "bfl/flux-1.1-pro", "picture"]);
    assert_eq!(
        (&confirmed["decision"], &confirmed["new_usd"]),
        (&json!("confirmed"), &json!("0.9000000000"))
    );
    assert_eq!((&confirmed["old_usd"], &confirmed["percent"]), (&json!("0.0600000000"), &json!("+1400.00")));
    assert_eq!(price(home.path()), "0.9000000000", "it is kept beside the books too");
}

/// Prices are for looking at: whoever has no feed loses nothing by a book that is spoilt, and is told of it.
#[test]
fn an_old_book_that_is_none_is_remarked_where_no_feed_is_configured() {
    let home = tempfile::tempdir().unwrap();
    let listed = |flags: &[&str]| {
        let list = ["prices", "list", "--data-dir", ".", "--json"];
        let ran = run(gallerist(home.path()).args(list).args(flags));
        (ran.json()["feeds"].clone(), ran.err)
    };
    assert_eq!(listed(&[]), (json!([]), String::new()), "no books are no news");
    std::fs::write(home.path().join("feeds.json"), "{").unwrap();
    let (feeds, err) = listed(&[]);
    assert_eq!(feeds, json!([]));
    assert!(err.contains("feeds.json is no book of feeds") && err.contains("the catalogue's own"), "{err}");
    assert_eq!(listed(&["--catalogue-only"]).1, "");
    let settings = "[[feeds]]\nkind = \"spot\"\nurl = \"https://prices.example\"\n";
    std::fs::write(home.path().join("settings.toml"), settings).unwrap();
    let list = ["prices", "list", "--data-dir", ".", "--config", "settings.toml"];
    let ran = run(gallerist(home.path()).args(list));
    assert!(ran.code == 2 && ran.err.contains("feeds.json: is no book"), "{}", ran.err);
}

#[test]
fn a_gateway_whose_books_lie_elsewhere_is_remarked() {
    let home = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::fs::write(home.path().join("gallerist.address"), address).unwrap();
    let remarked = || run(gallerist(home.path()).args(["prices", "changes", "--data-dir", "."])).err;
    assert!(remarked().contains("GALLERIST_STORE_URL"), "{}", remarked());
    drop(listener);
    assert_eq!(remarked(), "", "it runs no more");
}

#[test]
fn a_feed_that_nobody_can_read_is_a_mistake_of_the_settings() {
    let home = tempfile::tempdir().unwrap();
    let settings =
        "[[feeds]]\nkind = \"moon\"\nurl = \"https://x\"\n[[feeds]]\nkind = \"json\"\nurl = \"x\"\n";
    std::fs::write(home.path().join("settings.toml"), settings).unwrap();
    let ran = run(gallerist(home.path()).args(["prices", "sync", "--config", "settings.toml"]));
    assert_ne!(ran.code, 0);
    assert!(ran.err.contains("settings.toml:1") && ran.err.contains("settings.toml:4"), "{}", ran.err);
}
