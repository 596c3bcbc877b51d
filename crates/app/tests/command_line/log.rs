//! A log that cannot be written any more: the disk below it is full, or whoever reads it has gone.

use crate::support::{Running, gallerist, http, run};
use serde_json::json;
use std::fs::OpenOptions;
use std::process::Stdio;

#[test]
fn a_gateway_whose_log_cannot_be_written_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let fakes = Running::start(gallerist(home.path()).args(["fakes", "--json"]));
    let command = || {
        let mut command = gallerist(home.path());
        let origin = fakes.ready["fakes"]["openai"].as_str().unwrap();
        command
            .env("OPENAI_API_KEY", fakes.ready["fake_keys"]["openai"].as_str().unwrap())
            .env("GALLERIST_OPENAI_BASE_URL", format!("{origin}/v1"))
            .env("GALLERIST_DATA_DIR", home.path().join("books"))
            .env("GALLERIST_ADMIN_KEY", "admin-of-the-log")
            .env("GALLERIST_API_KEY", "client-of-the-log")
            .env("GALLERIST_LISTEN", "127.0.0.1:0");
        command
    };
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let serve = Running::start_with(command().args(["serve", "--json"]), Stdio::from(full));
    let made = run(command().args(["budgets", "create", "--usd", "0.02", "--every", "day"]));
    assert_eq!(made.code, 0, "{}", made.err);
    let url = format!("{}/images/generations", serve.text("base_url"));
    // Thresholds of the budget are told in the log by the thread that writes the books.
    for (number, status) in [(1, 200), (2, 200), (3, 402)] {
        let body = json!({"model": "gpt-image-1-mini", "prompt": format!("kite {number}")});
        let (found, answer) = http("POST", &url, "client-of-the-log", Some(&body));
        assert_eq!(found, status, "{number}: {}", answer["error"]);
    }
    let alerts = run(command().args(["alerts", "list", "--json"])).json();
    assert!(!alerts["data"].as_array().unwrap().is_empty(), "{alerts}");
    assert_eq!(serve.end().code, 0);
}
