//! A stand-in's own bill against the books: every dispute is resolved, and the sums are equal to the last digit.

use crate::house::House;
use gallerist_domain::Ticks;
use serde_json::{Value, json};

const MODELS: [(&str, &str); 4] = [
    ("bfl", "bfl/flux-2-pro"),
    ("fal", "fal/flux-schnell"),
    ("stability", "stability/sd3.5-large"),
    ("openai", "openai/gpt-image-1"),
];

/// The bill of a stand-in as a CSV file.
fn exported(house: &House, provider: &str) -> String {
    let bill = house.fakes.get(provider).unwrap().ctx.bill.to_json();
    let mut text = "id,at,model,usd,request_id\n".to_owned();
    for entry in bill["entries"].as_array().unwrap() {
        let said = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let fields = ["id", "at", "model", "usd", "request_id"].map(said);
        text.push_str(&fields.join(","));
        text.push('\n');
    }
    text
}

fn order(house: &House, provider: &str) -> Value {
    json!({
        "provider": provider,
        "bill": exported(house, provider),
        "columns": {"time": "at", "amount": "usd", "request_id": "request_id", "model": "model"},
        "from": "2020-01-01T00:00:00Z",
        "to": "2100-01-01T00:00:00Z",
        "close": true,
    })
}

async fn spend(house: &House) {
    let faults = json!([
        {"fault": "reset_after", "probability": 0.4},
        {"fault": "reset_before", "probability": 0.2},
    ]);
    for (provider, model) in MODELS {
        house.faults(provider, &faults);
        for number in 0..8 {
            let body = json!({"model": model, "prompt": format!("a tin robot, {number}")});
            house.generate(&body).await;
        }
        house.faults(provider, &json!([]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stand_ins_bill_resolves_every_dispute_and_the_books_equal_it() {
    let house = House::open().await;
    spend(&house).await;
    let before = house.store.books().await.unwrap();
    assert!(before.open_disputes > 0, "the faults left something to reconcile");
    for (provider, _) in MODELS {
        let mut dry = order(&house, provider);
        dry["dry_run"] = true.into();
        let shown = house.admin("POST", "/v1/reconciliations", &dry).await;
        assert_eq!(shown.status, 200, "{}", String::from_utf8_lossy(&shown.body));
        let untouched = house.store.books().await.unwrap();
        let done = house.admin("POST", "/v1/reconciliations", &order(&house, provider)).await.json();
        assert_eq!(done["disputes"], shown.json()["disputes"], "a dry run shows what is written");
        assert_eq!(shown.json()["id"], Value::Null, "and is not kept");
        let id = done["id"].as_str().unwrap();
        let kept = house.admin("GET", &format!("/v1/reconciliations/{id}"), &Value::Null).await;
        assert_eq!(kept.json(), done, "it is shown again as it was told");
        let path = format!("/v1/reconciliations?provider={provider}");
        let listed = house.admin("GET", &path, &Value::Null).await.json();
        assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
        let row = &listed["data"][0];
        for same in
            ["id", "created_at", "provider", "from", "to", "lines", "matched", "billed_usd", "charged_usd"]
        {
            assert_eq!(row[same], done[same], "{same}");
        }
        assert_eq!(row["actor"], "key");
        let (disputes, changed) = (done["disputes"].as_array().unwrap(), house.store.books().await.unwrap());
        let resolved = untouched.open_disputes - changed.open_disputes;
        assert_eq!(u64::try_from(disputes.len()).unwrap(), resolved, "{provider}");
        assert_eq!(done["theirs_only"], json!([]), "{provider}: every charge has its attempt");
        assert_eq!(done["ours_only"], json!([]), "{provider}: every attempt has its charge");
        assert_eq!(done["differs"], json!([]), "{provider}");
        let again = house.admin("POST", "/v1/reconciliations", &order(&house, provider)).await.json();
        assert_eq!(again["disputes"], json!([]), "nothing is left to resolve");
        assert_eq!(again["charged_usd"], again["billed_usd"], "{provider}");
        for grade in again["grades"].as_array().unwrap() {
            assert_eq!(
                (&grade["error_percent"], &grade["drifts"]),
                (&json!("0.00"), &json!(false)),
                "{grade}"
            );
        }
    }
    let books = house.store.books().await.unwrap();
    assert!(books.balance(), "{books:#?}");
    assert_eq!(books.open_disputes, 0);
    for (provider, _) in MODELS {
        let billed = house.fakes.get(provider).unwrap().ctx.bill.total_ticks();
        let account = format!("provider:{provider}:payable");
        let ours = books.accounts.iter().find(|one| one.account == account).map(|one| one.balance);
        assert_eq!(ours.unwrap_or(Ticks::ZERO), Ticks::new(billed), "{provider}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_that_changed_silently_is_graded_told_and_alarmed() {
    let house = House::open().await;
    let change = json!([{"fault": "price_changed", "numerator": 3, "denominator": 2}]);
    house.faults("stability", &change);
    for number in 0..3 {
        let body = json!({"model": "stability/sd3.5-large", "prompt": format!("robot {number}")});
        assert_eq!(house.generate(&body).await.status, 200);
    }
    let report = house.admin("POST", "/v1/reconciliations", &order(&house, "stability")).await.json();
    assert_eq!(report["differs_count"], 3, "{report}");
    assert_eq!(report["grades"][0]["error_percent"], "50.00");
    assert_eq!((&report["grades"][0]["drifts"], &report["grades"][0]["attempts"]), (&json!(true), &json!(3)));
    let alerts = house.store.alerts(gallerist_store::AlertFilter { limit: 9, ..Default::default() }).await;
    let alerts = alerts.unwrap().alerts;
    assert_eq!(alerts.iter().filter(|alert| alert.kind == "price.drift").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_cannot_be_carried_out_names_its_parameter() {
    let house = House::open().await;
    let columns = json!({"time": "at", "amount": "usd"});
    for (parameter, order) in [
        ("columns", json!({"provider": "fal", "bill": ""})),
        ("columns", json!({"provider": "fal", "bill": "{}", "form": "fal", "columns": columns})),
        ("form", json!({"provider": "fal", "bill": "", "form": "pdf"})),
        ("bill", json!({"provider": "fal", "bill": "a,b\n1,2\n", "columns": columns})),
        ("bill", json!({"provider": "fal", "bill": "no json", "form": "fal"})),
        ("from", json!({"provider": "fal", "bill": "at,usd\n", "columns": columns})),
        ("from", json!({"provider": "fal", "bill": "at,usd\n", "columns": columns, "from": "yesterday"})),
        ("provider", json!({"provider": "fall", "bill": "at,usd\n2026-11-01,1\n", "columns": columns})),
        ("window_s", json!({"provider": "fal", "bill": "at,usd\n", "columns": columns, "window_s": 90_000})),
        ("drift_percent", json!({"provider": "fal", "bill": "", "columns": columns, "drift_percent": "-1"})),
    ] {
        let reply = house.admin("POST", "/v1/reconciliations", &order).await;
        assert_eq!((reply.status, &reply.json()["parameter"]), (400, &json!(parameter)), "{order}");
    }
    let of_days = json!({"provider": "fal", "bill": "at,usd\n", "columns": columns, "dry_run": true,
        "from": "2026-11-01", "to": "2026-12-01"});
    let reply = house.admin("POST", "/v1/reconciliations", &of_days).await.json();
    assert_eq!(
        (&reply["from"], &reply["to"]),
        (&json!("2026-11-01T00:00:00Z"), &json!("2026-12-01T00:00:00Z"))
    );
    assert_eq!(house.call("POST", "/v1/reconciliations", &json!({})).await.status, 403);
}
