//! The demo, from outside: what scripts and strangers see.

use crate::support::{Running, gallerist, http, run};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Digits of an amount as a whole number of 10⁻¹⁰ dollar.
fn ticks(value: &Value) -> i64 {
    value.as_str().unwrap_or_else(|| panic!("an amount: {value}")).replace('.', "").parse().unwrap()
}

#[test]
fn once_makes_pictures_at_several_providers_and_the_books_balance() {
    let home = tempfile::tempdir().unwrap();
    let ran = run(gallerist(home.path()).args(["demo", "--once", "--json", "--port", "0", "--out", "out"]));
    let lines = ran.lines();
    assert_eq!(lines[0]["event"], "ready");
    assert_eq!(lines[0]["fakes"].as_object().unwrap().len(), 6);
    let images: Vec<_> = lines.iter().filter(|line| line["event"] == "image").collect();
    assert!(images.len() >= 3, "{}", ran.out);
    let providers: BTreeSet<_> = images.iter().map(|image| image["provider"].as_str().unwrap()).collect();
    assert!(providers.len() >= 2, "{providers:?}");
    for image in &images {
        let bytes = std::fs::read(home.path().join(image["path"].as_str().unwrap())).unwrap();
        assert!(bytes.starts_with(b"\x89PNG") || bytes.starts_with(b"\xff\xd8"), "{image}");
        assert!(ticks(&image["cost_usd"]) > 0);
    }
    let failover = images.iter().find(|image| image["scene"] == "failover").unwrap();
    assert!(failover["attempts"].as_u64().unwrap() >= 2);
    assert_ne!(failover["provider"], images[0]["provider"]);
    let summary = lines.last().unwrap();
    assert_eq!(summary["event"], "summary");
    assert_eq!(summary["images"], images.len());
    assert!(ticks(&summary["charged_usd"]) > 0);
    assert_eq!(summary["charged_usd"], summary["billed_usd"]);
    let costs: i64 = images.iter().map(|image| ticks(&image["cost_usd"])).sum();
    assert_eq!(costs, ticks(&summary["charged_usd"]));
    assert_eq!(ran.err, "", "nothing is said beside the result");
}

#[test]
fn a_port_that_is_taken_is_told_with_the_flags_that_a_demo_has() {
    let home = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ran = run(gallerist(home.path()).args(["demo", "--once", "--port", &port]));
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{}", ran.err);
    assert!(ran.err.contains("--port 0 takes any free one") && !ran.err.contains("--listen"), "{}", ran.err);
}

#[test]
fn stays_up_with_bills_that_survive_the_failover() {
    let home = tempfile::tempdir().unwrap();
    let mut demo = Running::start(gallerist(home.path()).args(["demo", "--json", "--port", "0"]));
    let summary = loop {
        let line = demo.line();
        if line["event"] == "summary" {
            break line;
        }
    };
    let bills: i64 = demo.ready["fakes"]
        .as_object()
        .unwrap()
        .values()
        .map(|origin| {
            ticks(&http("GET", &format!("{}/_fake/bill", origin.as_str().unwrap()), "", None).1["total_usd"])
        })
        .sum();
    assert_eq!(bills, ticks(&summary["billed_usd"]));
    let url = format!("{}/images/generations", demo.text("base_url"));
    let (status, _) = http("POST", &url, &demo.text("api_key"), Some(&json!({"prompt": "one more"})));
    assert_eq!(status, 200);
    assert_eq!(demo.end().code, 0);
}

#[test]
fn without_images_it_is_ready_at_once_and_takes_no_settings_of_ours() {
    let home = tempfile::tempdir().unwrap();
    let demo = Running::start(
        gallerist(home.path())
            .env("OPENAI_API_KEY", "sk-the-developers-own")
            .env("GALLERIST_OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
            .env("GALLERIST_DATA_DIR", home.path().join("real-books"))
            .args(["demo", "--json", "--no-images", "--port", "0", "--data-dir", "books"]),
    );
    let url = format!("{}/images/generations", demo.text("base_url"));
    let body = json!({"prompt": "a kite", "model": "openai/gpt-image-2"});
    let (status, answer) = http("POST", &url, &demo.text("api_key"), Some(&body));
    assert_eq!((status, &answer["gallerist"]["provider"]), (200, &json!("openai")));
    assert!(!home.path().join("real-books").exists());
    let ended = demo.end();
    assert_eq!((ended.code, ended.out.as_str()), (0, ""));
}

#[test]
fn the_table_of_the_documentation_is_markdown() {
    let home = tempfile::tempdir().unwrap();
    let ran = run(gallerist(home.path()).args(["demo", "--markdown", "--port", "0"]));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("| offer | a red kite"), "{}", ran.out);
    assert!(ran.out.contains("(baseline)") && ran.out.contains("| paid |") && ran.out.contains("→ $"));
}
