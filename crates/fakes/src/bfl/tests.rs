use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::GenericImageView as _;

use super::*;
use crate::money::ticks;
use crate::picture::{PictureFormat, blank};
use crate::testing::{Answer, script, send, start};
use crate::{Fakes, StandIn};

const KEY: &str = "x-key: fake-bfl-key";

fn stand_in(fakes: &Fakes) -> &StandIn {
    fakes.get(KIND).expect("it was started")
}

async fn post(fakes: &Fakes, model: &str, body: &Value) -> Answer {
    let body = body.to_string();
    send(stand_in(fakes), "POST", &format!("/v1/{model}"), &[KEY], body.as_bytes()).await.expect("an answer")
}

async fn poll_once(fakes: &Fakes, accepted: &Value) -> Answer {
    let url = accepted["polling_url"].as_str().expect("a link");
    send(stand_in(fakes), "GET", url, &[KEY], b"").await.expect("an answer")
}

/// Polls until something else than work is reported; the words on the way.
async fn poll_to_end(fakes: &Fakes, accepted: &Value) -> (Answer, Vec<String>) {
    let mut words = Vec::new();
    loop {
        let answer = poll_once(fakes, accepted).await;
        let word = answer.json()["status"].as_str().expect("a status").to_owned();
        if !["Pending", "Reasoning", "Generating"].contains(&word.as_str()) {
            return (answer, words);
        }
        words.push(word);
    }
}

fn sheet_example() -> Value {
    json!({
        "prompt": "a fox made of paper", "width": 1024, "height": 1024, "seed": 42,
        "output_format": "png", "safety_tolerance": 2,
    })
}

#[tokio::test]
async fn the_example_of_the_sheet_goes_its_whole_way() {
    let fakes = start(KIND).await;
    let answer = post(&fakes, "flux-2-pro", &sheet_example()).await;
    let text = String::from_utf8(answer.body.clone()).expect("text");
    assert!(text.ends_with(r#""cost":3.0,"input_mp":0,"output_mp":1.0}"#), "{text}");
    let accepted = answer.json();
    assert!(accepted["polling_url"].as_str().expect("a link").starts_with(&stand_in(&fakes).origin));
    let (answer, words) = poll_to_end(&fakes, &accepted).await;
    assert!((2..=4).contains(&words.len()) && words.iter().all(|word| word == "Pending"), "{words:?}");
    let ready = answer.json();
    assert_eq!((&ready["status"], &ready["id"]), (&json!("Ready"), &accepted["id"]));
    assert_eq!((&ready["result"]["seed"], &ready["cost"]), (&json!(42), &json!(3.0)));
    let sample = ready["result"]["sample"].as_str().expect("a link");
    let picture = send(stand_in(&fakes), "GET", sample, &[], b"").await.expect("an answer");
    assert_eq!(picture.header("content-type"), Some("image/png"));
    assert_eq!(image::load_from_memory(&picture.body).expect("a picture").dimensions(), (1024, 1024));
    let bill = stand_in(&fakes).ctx.bill.entries();
    assert_eq!((bill[0].ticks, bill[0].request_id.as_deref()), (ticks("0.03"), accepted["id"].as_str()));
}

#[test]
fn the_prices_are_those_of_the_sheet() {
    let square = 1024 * 1024;
    let cases: &[(&str, u64, &[u64], &str)] = &[
        ("flux-2-klein-4b", square, &[], "0.014"),
        ("flux-2-klein-9b", 2 * square, &[square], "0.019"),
        ("flux-2-pro", 1440 * 1440, &[], "0.045"),
        ("flux-2-pro", square, &[square, 100], "0.06"),
        ("flux-2-pro", square, &[9 * square], "0.09"),
        ("flux-2-max", square + 1, &[], "0.1"),
        ("flux-2-flex", square, &[square], "0.12"),
        ("flux-pro-1.1", 1024 * 768, &[], "0.04"),
        ("flux-pro-1.1-ultra", 4 * square, &[], "0.06"),
        ("flux-dev", square, &[], "0.025"),
        ("flux-kontext-max", square, &[square], "0.08"),
        ("flux-3-image", square, &[square], "0.048"),
        ("flux-3-image-klein", square, &[], "0.009"),
    ];
    for (path, pixels, inputs, usd) in cases {
        let model = models::find(path).expect("a model");
        assert_eq!(model.pricing.list_ticks(*pixels, inputs, 1), ticks(usd), "{path} {pixels} {inputs:?}");
    }
    let big = models::find("flux-3-image").expect("a model").pricing;
    let tiers: Vec<i64> = (0..5).map(|tier| big.list_ticks(square, &[], tier)).collect();
    assert_eq!(tiers, ["0.041", "0.048", "0.070", "0.100", "0.607"].map(ticks));
    assert_eq!(models::shown_megapixels(1440 * 1440), "1.98");
}

#[tokio::test]
async fn the_key_probe_is_422_with_a_good_key_and_403_with_a_bad_one() {
    let fakes = start(KIND).await;
    let good = post(&fakes, "flux-2-pro", &json!({})).await;
    assert_eq!((good.status, &good.json()["detail"][0]["loc"]), (422, &json!(["body", "prompt"])));
    let bad = send(stand_in(&fakes), "POST", "/v1/flux-2-pro", &["x-key: no"], b"{}").await;
    let bad = bad.expect("an answer");
    assert_eq!((bad.status, bad.json()), (403, json!({"detail": "Not authenticated"})));
}

#[tokio::test]
async fn wrong_values_are_refused_and_free() {
    let fakes = start(KIND).await;
    let cases = [
        ("flux-2-pro", json!({"width": 1000}), 422),
        ("flux-2-pro", json!({"width": 48}), 422),
        ("flux-2-pro", json!({"width": 4096, "height": 2048}), 400),
        ("flux-2-pro", json!({"safety_tolerance": 6}), 422),
        ("flux-2-pro", json!({"output_format": "gif"}), 422),
        ("flux-2-pro", json!({"input_image": "no picture"}), 422),
        ("flux-2-flex", json!({"steps": 51}), 422),
        ("flux-pro-1.1", json!({"width": 1504}), 422),
        ("flux-pro-1.1", json!({"height": 1040}), 422),
        ("flux-pro-1.1-ultra", json!({"aspect_ratio": "3:1"}), 422),
        ("flux-3-image", json!({"seed": 1}), 422),
        ("flux-3-image", json!({"width": 1024, "height": 1024}), 422),
        ("flux-3-image", json!({"resolution": "8k"}), 422),
        ("flux-3-image", json!({"safety_tolerance": 5}), 422),
        ("flux-3-image-klein", json!({"steps": 17}), 422),
        ("flux-2-dev", json!({}), 404),
    ];
    for (model, mut body, status) in cases {
        body["prompt"] = json!("x");
        let answer = post(&fakes, model, &body).await;
        assert_eq!(answer.status, status, "{model} {body}");
        assert!(!answer.json()["detail"].is_null());
    }
    assert_eq!(stand_in(&fakes).ctx.bill.total_ticks(), 0);
    let ignored = post(&fakes, "flux-2-pro", &json!({"prompt": "x", "gallerist": 1})).await;
    assert_eq!(ignored.status, 200, "FLUX.2 ignores what it does not know");
}

#[tokio::test]
async fn flux_3_names_its_stages_and_makes_png_of_its_ratio() {
    let fakes = start(KIND).await;
    let body = json!({"prompt": "x", "aspect_ratio": "16:9", "resolution": "2k"});
    let accepted = post(&fakes, "flux-3-image", &body).await.json();
    assert_eq!(accepted["cost"], json!(10.0));
    let (ready, words) = poll_to_end(&fakes, &accepted).await;
    assert_eq!(words[..2], ["Pending", "Reasoning"]);
    let sample = ready.json()["result"]["sample"].as_str().expect("a link").to_owned();
    let picture = send(stand_in(&fakes), "GET", &sample, &[], b"").await.expect("an answer");
    let picture = image::load_from_memory_with_format(&picture.body, image::ImageFormat::Png).expect("a PNG");
    assert_eq!(picture.dimensions(), (2736, 1536));
}

#[tokio::test]
async fn inputs_are_counted_and_give_the_size() {
    let fakes = start(KIND).await;
    let input = STANDARD.encode(blank(1200, 1008, PictureFormat::Jpeg));
    let accepted = post(&fakes, "flux-2-pro", &json!({"prompt": "x", "input_image": input})).await.json();
    assert_eq!((&accepted["cost"], &accepted["input_mp"]), (&json!(7.5), &json!(1.15)));
    assert_eq!(accepted["output_mp"], json!(1.15));
}

#[tokio::test]
async fn tasks_end_as_the_script_says_and_cost_what_they_should() {
    let fakes = start(KIND).await;
    let cases = [
        (json!([{"fault": "moderation"}]), 200, "Request Moderated", "0"),
        (json!([{"fault": "moderation_422"}]), 422, "Request Moderated", "0"),
        (json!([{"fault": "content_moderated"}]), 200, "Content Moderated", "0.03"),
        (
            json!([{"fault": "content_moderated"}, {"fault": "moderation_422"}]),
            422,
            "Content Moderated",
            "0.03",
        ),
        (json!([{"fault": "task_error"}]), 200, "Error", "0"),
        (json!([{"fault": "failed_500"}]), 500, "Error", "0"),
        (json!([{"fault": "settled_differs"}]), 200, "Ready", "0.045"),
    ];
    for (faults, status, word, usd) in cases {
        stand_in(&fakes).ctx.bill.reset();
        script(stand_in(&fakes), faults.clone()).await;
        let accepted = post(&fakes, "flux-2-pro", &sheet_example()).await.json();
        let (answer, _) = poll_to_end(&fakes, &accepted).await;
        assert_eq!((answer.status, &answer.json()["status"]), (status, &json!(word)), "{faults}");
        assert_eq!(stand_in(&fakes).ctx.bill.total_ticks(), ticks(usd), "{faults}");
        let shown = answer.json()["cost"].as_f64().expect("a cost");
        assert!((shown - ticks(usd) as f64 / 1e8).abs() < 1e-9, "{faults}");
    }
}

#[tokio::test]
async fn costs_can_be_absent_and_prices_can_rise() {
    let fakes = start(KIND).await;
    script(stand_in(&fakes), json!([{"fault": "null_cost"}])).await;
    let accepted = post(&fakes, "flux-2-pro", &sheet_example()).await.json();
    assert!(accepted["cost"].is_null());
    assert!(poll_to_end(&fakes, &accepted).await.0.json().get("cost").is_none());
    script(stand_in(&fakes), json!([{"fault": "price_changed", "numerator": 2, "denominator": 1}])).await;
    let accepted = post(&fakes, "flux-2-pro", &sheet_example()).await.json();
    assert_eq!(accepted["cost"], json!(6.0));
    assert_eq!(stand_in(&fakes).ctx.bill.total_ticks(), ticks("0.09"));
    let credits = send(stand_in(&fakes), "GET", "/v1/credits", &[KEY], b"").await.expect("an answer");
    assert_eq!(credits.json()["credits"], json!(999_991.0));
}

#[tokio::test]
async fn a_finetuned_model_wants_to_know_which() {
    let fakes = start(KIND).await;
    let body = json!({"prompt": "x", "aspect_ratio": "1:1"});
    let refused = post(&fakes, "flux-pro-1.1-ultra-finetuned", &body).await;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.json()["detail"][0]["loc"], json!(["body", "finetune_id"]));
    let body = json!({"prompt": "x", "aspect_ratio": "1:1", "finetune_id": "own", "finetune_strength": 1.2});
    assert_eq!(post(&fakes, "flux-pro-1.1-ultra-finetuned", &body).await.json()["cost"], json!(7.0));
    assert_eq!(stand_in(&fakes).ctx.bill.total_ticks(), ticks("0.07"));
}

#[tokio::test]
async fn links_can_be_late_elsewhere_and_dead() {
    let fakes = start(KIND).await;
    let faults = [
        json!({"fault": "not_found_first", "ms": 100}),
        json!({"fault": "other_host"}),
        json!({"fault": "sample_expires"}),
    ];
    script(stand_in(&fakes), json!(faults)).await;
    let accepted = post(&fakes, "flux-2-pro", &sheet_example()).await.json();
    assert!(accepted["polling_url"].as_str().expect("a link").starts_with("http://localhost:"));
    let early = poll_once(&fakes, &accepted).await;
    assert_eq!((early.status, &early.json()["status"]), (404, &json!("Task not found")));
    tokio::time::sleep(Duration::from_millis(120)).await;
    let (ready, _) = poll_to_end(&fakes, &accepted).await;
    let sample = ready.json()["result"]["sample"].as_str().expect("a link").to_owned();
    assert_eq!(send(stand_in(&fakes), "GET", &sample, &[], b"").await.expect("an answer").status, 403);
}

#[tokio::test]
async fn the_25th_task_must_wait_until_one_has_ended() {
    let fakes = start(KIND).await;
    let mut accepted = Vec::new();
    for _ in 0..RUNNING_MAX {
        accepted.push(post(&fakes, "flux-2-pro", &sheet_example()).await.json());
    }
    assert_eq!(post(&fakes, "flux-2-pro", &sheet_example()).await.status, 429);
    poll_to_end(&fakes, &accepted[0]).await;
    assert_eq!(post(&fakes, "flux-2-pro", &sheet_example()).await.status, 200);
    assert_eq!(stand_in(&fakes).ctx.bill.entries().len(), 25, "polled or not");
}

#[tokio::test]
async fn faults_of_polls_and_downloads_are_named_by_their_operation() {
    let fakes = start(KIND).await;
    script(stand_in(&fakes), json!([{"fault": "500", "operation": "poll", "count": 1}])).await;
    let accepted = post(&fakes, "flux-2-pro", &sheet_example()).await.json();
    assert_eq!(poll_once(&fakes, &accepted).await.status, 500);
    let (ready, _) = poll_to_end(&fakes, &accepted).await;
    script(stand_in(&fakes), json!([{"fault": "truncated", "operation": "download"}])).await;
    let sample = ready.json()["result"]["sample"].as_str().expect("a link").to_owned();
    assert!(send(stand_in(&fakes), "GET", &sample, &[], b"").await.expect("half an answer").is_cut());
}

#[tokio::test]
async fn a_webhook_takes_the_place_of_the_polling_link() {
    let fakes = start(KIND).await;
    let body = json!({"prompt": "x", "webhook_url": "https://example.com/hook"});
    let accepted = post(&fakes, "flux-2-pro", &body).await.json();
    assert!(accepted.get("polling_url").is_none());
    assert_eq!(accepted["webhook_url"], "https://example.com/hook");
}
