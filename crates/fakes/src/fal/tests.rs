//! The queue as its clients see it, prices against the bill, and what each way to fail costs.

use serde_json::{Value, json};

use super::models::find;
use crate::StandIn;
use crate::money::{ticks, usd};
use crate::testing::{Answer, script, send, start};

const KEY: &str = "authorization: Key fake-fal-key";
const ADMIN_KEY: &str = "authorization: Key fake-fal-key-admin";

async fn submit(stand_in: &StandIn, model: &str, input: &Value) -> Answer {
    let body = input.to_string();
    send(stand_in, "POST", &format!("/{model}"), &[KEY], body.as_bytes()).await.unwrap()
}

async fn get(stand_in: &StandIn, address: &str) -> Answer {
    send(stand_in, "GET", address, &[KEY], b"").await.unwrap()
}

async fn until_completed(stand_in: &StandIn, submitted: &Value) -> Answer {
    for _ in 0..200 {
        let status = get(stand_in, submitted["status_url"].as_str().unwrap()).await;
        let body = status.json();
        assert!(body.as_object().unwrap().contains_key("logs"), "logs in every status: {body}");
        if body["status"] == "COMPLETED" {
            assert_eq!(status.status, 200);
            return status;
        }
        assert_eq!(status.status, 202);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the job does not end");
}

/// Submits, waits and fetches the result.
async fn make(stand_in: &StandIn, model: &str, input: &Value) -> Answer {
    let submitted = submit(stand_in, model, input).await;
    assert_eq!(submitted.status, 200);
    let submitted = submitted.json();
    until_completed(stand_in, &submitted).await;
    get(stand_in, submitted["response_url"].as_str().unwrap()).await
}

fn billed(stand_in: &StandIn) -> String {
    usd(stand_in.ctx.bill.total_ticks())
}

/// The sheet's example of a submission.
fn example() -> Value {
    json!({"prompt":"tin robot","image_size":{"width":1280,"height":720},"num_images":2,"seed":4,
        "num_inference_steps":28,"guidance_scale":3.5,"output_format":"png","enable_safety_checker":true})
}

#[tokio::test]
async fn the_sheets_example_runs_through_the_queue() {
    let fakes = start("fal").await;
    let stand_in = fakes.get("fal").unwrap();
    let submitted = submit(stand_in, "fal-ai/flux/dev", &example()).await.json();
    assert_eq!(submitted["status"], "IN_QUEUE");
    assert_eq!(submitted["queue_position"], 0);
    let id = submitted["request_id"].as_str().unwrap();
    let base = format!("{}/fal-ai/flux/requests/{id}", stand_in.origin);
    assert_eq!(submitted["response_url"], json!(base), "the sub path is dropped");
    assert_eq!(submitted["cancel_url"], json!(format!("{base}/cancel")));
    until_completed(stand_in, &submitted).await;
    let result = get(stand_in, &base).await;
    assert_eq!(result.status, 200);
    assert_eq!(result.header("x-fal-request-id"), Some(id));
    assert_eq!(result.header("x-fal-billable-units"), Some("2.0"));
    let body = result.json();
    assert_eq!((&body["seed"], &body["prompt"]), (&json!(4), &json!("tin robot")));
    assert_eq!(body["has_nsfw_concepts"], json!([false, false]));
    let image = &body["images"][1];
    assert_eq!((&image["width"], &image["content_type"]), (&json!(1280), &json!("image/png")));
    // Files need no key.
    let file = send(stand_in, "GET", image["url"].as_str().unwrap(), &[], b"").await.unwrap();
    let picture = image::load_from_memory(&file.body).unwrap();
    assert_eq!((picture.width(), picture.height()), (1280, 720));
    assert_eq!(billed(stand_in), "0.0500000000");
    let wrong = get(stand_in, &format!("/fal-ai/flux/dev/requests/{id}")).await;
    assert_eq!(wrong.status, 404, "addresses with the sub path do not exist");
}

#[test]
fn prices_count_whole_megapixels_for_each_picture() {
    for (model, width, height, price, units) in [
        ("fal-ai/flux/schnell", 1024, 1024, "0.006", "2.0"),
        ("fal-ai/flux/schnell", 1024, 768, "0.003", "1.0"),
        ("fal-ai/flux-pro/v1.1", 1024, 1024, "0.08", "2.0"),
        ("fal-ai/flux-pro/v1.1-ultra", 2752, 1536, "0.06", "1.0"),
        ("fal-ai/flux-2-pro", 1024, 1024, "0.03", "1.0"),
        ("fal-ai/flux-2-pro", 1024, 1025, "0.045", "1.5"),
        ("fal-ai/flux-2-max", 1024, 1024, "0.07", "1.0"),
        ("fal-ai/flux-2-max", 2048, 2048, "0.16", "2.2857142857"),
        ("fal-ai/flux-2-flex", 1536, 1024, "0.1", "2.0"),
        ("fal-ai/flux-2/klein/4b", 512, 512, "0.014", "1.0"),
        ("fal-ai/flux-2/klein/4b/base", 1024, 1024, "0.009", "1.0"),
        ("fal-ai/qwen-image", 1024, 1024, "0.04", "2.0"),
        ("bytedance/seedream/v4", 4096, 4096, "0.03", "1.0"),
    ] {
        let model = find(model).unwrap();
        let cost = model.image_ticks(width, height);
        assert_eq!(usd(cost), usd(ticks(price)), "{} at {width}x{height}", model.id);
        assert_eq!(model.units(cost), units);
        // What a client computes from the header is the cost, to the tick.
        assert_eq!(crate::money::scaled(model.unit_ticks, ticks(units), ticks("1")), cost);
    }
}

#[tokio::test]
async fn invalid_input_is_accepted_and_fails_with_the_result_for_free() {
    let fakes = start("fal").await;
    let stand_in = fakes.get("fal").unwrap();
    for (field, value) in [
        ("prompt", json!(7)),
        ("prompt", Value::Null),
        ("num_images", json!(5)),
        ("num_inference_steps", json!(13)),
        ("guidance_scale", json!("high")),
        ("image_size", json!("poster")),
        ("image_size", json!({"width": 9000, "height": 9000})),
        ("image_size", json!("auto_4K")),
        ("output_format", json!("webp")),
        ("sync_mode", json!("yes")),
        ("safety_tolerance", json!(2)),
    ] {
        let result = make(stand_in, "fal-ai/flux/schnell", &json!({"prompt": "a", field: value})).await;
        assert_eq!(result.status, 422, "{field}");
        assert_eq!(result.json()["detail"][0]["loc"], json!(["body", field]));
        assert_eq!(result.header("x-fal-billable-units"), None);
    }
    assert_eq!(submit(stand_in, "fal-ai/flux/none", &json!({"prompt": "a"})).await.status, 404);
    let webhook = "fal-ai/flux/dev?fal_webhook=https%3A%2F%2Fexample.org";
    assert_eq!(submit(stand_in, webhook, &json!({"prompt": "a"})).await.status, 501);
    let keyless = send(stand_in, "POST", "/fal-ai/flux/dev", &[], b"{}").await.unwrap();
    assert_eq!(keyless.status, 401);
    assert_eq!(billed(stand_in), "0.0000000000");
}

#[tokio::test]
async fn the_synchronous_host_answers_with_the_result() {
    let fakes = start("fal").await;
    let stand_in = fakes.get("fal").unwrap();
    let input = json!({"prompt": "a", "image_size": "square", "sync_mode": true, "output_format": "png"});
    let path = "/run/fal-ai/flux-2-pro";
    let answer = send(stand_in, "POST", path, &[KEY], input.to_string().as_bytes()).await.unwrap();
    assert_eq!((answer.status, answer.header("x-fal-billable-units")), (200, Some("1.0")));
    let body = answer.json();
    assert!(body["images"][0]["url"].as_str().unwrap().starts_with("data:image/png;base64,iVBOR"));
    let invalid = send(stand_in, "POST", path, &[KEY], b"{}").await.unwrap();
    assert_eq!(invalid.status, 422);
    assert_eq!(billed(stand_in), "0.0300000000");
}

#[tokio::test]
async fn cancelling_is_free_in_the_queue_and_too_late_afterwards() {
    let fakes = start("fal").await;
    let stand_in = fakes.get("fal").unwrap();
    let cancel = |job: Value| async move {
        let address = job["cancel_url"].as_str().unwrap().to_owned();
        let answer = send(stand_in, "PUT", &address, &[KEY], b"").await.unwrap();
        (answer.status, answer.json()["status"].as_str().unwrap_or_default().to_owned())
    };
    let word = |status: u16, word: &str| (status, word.to_owned());
    script(stand_in, json!([{"fault": "queue_wait", "ms": 60_000}])).await;
    let queued = submit(stand_in, "fal-ai/flux/dev", &json!({"prompt": "a"})).await.json();
    let status = get(stand_in, queued["status_url"].as_str().unwrap()).await;
    assert_eq!((status.status, status.json()["status"].clone()), (202, json!("IN_QUEUE")));
    let early = get(stand_in, queued["response_url"].as_str().unwrap()).await;
    assert_eq!(early.status, 400);
    assert_eq!(cancel(queued.clone()).await, word(200, "OK"));
    assert_eq!(cancel(queued.clone()).await, word(400, "ALREADY_COMPLETED"));
    assert_eq!(get(stand_in, queued["response_url"].as_str().unwrap()).await.status, 499);
    assert_eq!(billed(stand_in), "0.0000000000");

    script(stand_in, json!([{"fault": "latency", "ms": 60_000}])).await;
    let running = submit(stand_in, "fal-ai/flux/dev", &json!({"prompt": "a"})).await.json();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert_eq!(cancel(running.clone()).await, word(202, "CANCELLATION_REQUESTED"));
    until_completed(stand_in, &running).await;
    assert_eq!(billed(stand_in), "0.0250000000", "a runner had begun");

    script(stand_in, json!([{"fault": "latency", "ms": 150}, {"fault": "cancel_ignored"}])).await;
    let deaf = submit(stand_in, "fal-ai/flux/dev", &json!({"prompt": "a"})).await.json();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert_eq!(cancel(deaf.clone()).await, word(202, "CANCELLATION_REQUESTED"));
    until_completed(stand_in, &deaf).await;
    assert_eq!(get(stand_in, deaf["response_url"].as_str().unwrap()).await.status, 200);
    let nobody = send(stand_in, "PUT", "/fal-ai/flux/requests/none/cancel", &[KEY], b"").await.unwrap();
    assert_eq!((nobody.status, nobody.json()["status"].clone()), (404, json!("NOT_FOUND")));
}

#[tokio::test]
async fn failures_complete_and_cost_what_their_names_say() {
    let fakes = start("fal").await;
    let stand_in = fakes.get("fal").unwrap();
    let input = json!({"prompt": "a", "image_size": "square"});
    for (fault, status, kind, bill) in [
        ("moderation", 422, Some("content_policy_violation"), "0.0000000000"),
        ("completed_error", 500, Some("internal_server_error"), "0.0000000000"),
        ("moderation_billed", 422, Some("content_policy_violation"), "0.0250000000"),
        ("nsfw_black", 200, None, "0.0500000000"),
        ("blank", 200, None, "0.0750000000"),
        ("price_changed", 200, None, "0.1125000000"),
    ] {
        script(stand_in, json!([{"fault": fault}])).await;
        let result = make(stand_in, "fal-ai/flux/dev", &input).await;
        assert_eq!((result.status, result.header("x-fal-error-type")), (status, kind), "{fault}");
        assert_eq!(billed(stand_in), bill, "{fault}");
        assert_eq!(result.json()["has_nsfw_concepts"] == json!([true]), fault == "nsfw_black");
    }
    for (fault, status) in [("500", 500), ("429", 429), ("502", 502)] {
        script(stand_in, json!([{"fault": fault}])).await;
        assert_eq!(submit(stand_in, "fal-ai/flux/dev", &input).await.status, status);
    }
    script(stand_in, json!([{"fault": "reset_after"}])).await;
    assert!(send(stand_in, "POST", "/fal-ai/flux/dev", &[KEY], input.to_string().as_bytes()).await.is_err());
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(billed(stand_in), "0.1375000000", "nobody polls, yet it runs and is billed");
}

#[tokio::test]
async fn a_truncated_picture_shows_at_its_download() {
    let fakes = start("fal").await;
    let stand_in = fakes.get("fal").unwrap();
    script(stand_in, json!([{"fault": "truncated"}])).await;
    let result = make(stand_in, "fal-ai/flux/dev", &json!({"prompt": "a"})).await.json();
    let file = send(stand_in, "GET", result["images"][0]["url"].as_str().unwrap(), &[], b"").await.unwrap();
    assert!(file.is_cut());
}

#[tokio::test]
async fn a_fallback_executes_silently_unless_it_is_disabled() {
    let fakes = start("fal").await;
    let stand_in = fakes.get("fal").unwrap();
    script(stand_in, json!([{"fault": "fallback"}])).await;
    let input = json!({"prompt": "a"}).to_string();
    let disabled = [KEY, "x-app-fal-disable-fallback: true", "x-fal-no-retry: 1"];
    let path = "/run/fal-ai/flux/dev";
    send(stand_in, "POST", path, &[KEY], input.as_bytes()).await.unwrap();
    send(stand_in, "POST", path, &disabled, input.as_bytes()).await.unwrap();
    let models: Vec<String> = stand_in.ctx.bill.entries().into_iter().map(|entry| entry.model).collect();
    assert_eq!(models, ["fal-ai/flux/schnell", "fal-ai/flux/dev"]);
    let submitted =
        send(stand_in, "POST", "/fal-ai/flux/dev", &disabled, input.as_bytes()).await.unwrap().json();
    until_completed(stand_in, &submitted).await;
    let logs = get(stand_in, &format!("{}?logs=1", submitted["status_url"].as_str().unwrap())).await.json();
    assert_eq!(logs["logs"][0]["message"], "x-fal-no-retry: 1");
}

#[tokio::test]
async fn qwen_shortens_large_pictures_silently() {
    let fakes = start("fal").await;
    let stand_in = fakes.get("fal").unwrap();
    let input = json!({"prompt": "a", "image_size": {"width": 4096, "height": 4096}});
    let image = make(stand_in, "fal-ai/qwen-image", &input).await.json()["images"][0].clone();
    assert_eq!((&image["width"], &image["height"]), (&json!(1536), &json!(1536)));
}

#[tokio::test]
async fn prices_are_open_and_billing_events_need_the_admin_key() {
    let fakes = start("fal").await;
    let stand_in = fakes.get("fal").unwrap();
    let prices = get(stand_in, "/v1/models/pricing?endpoint_id=fal-ai/flux/dev").await;
    assert_eq!(
        prices.json(),
        json!({"prices":[{"endpoint_id":"fal-ai/flux/dev","unit_price":0.025,"unit":"megapixels",
            "currency":"USD"}],"next_cursor":null,"has_more":false}),
    );
    let estimate = json!({"estimate_type":"unit_price","endpoints":{"fal-ai/flux/dev":{"unit_quantity":50}}});
    let path = "/v1/models/pricing/estimate";
    let answer = send(stand_in, "POST", path, &[KEY], estimate.to_string().as_bytes()).await.unwrap();
    assert_eq!(answer.json()["total_cost"], 1.25);

    let result = make(stand_in, "fal-ai/flux/dev", &example()).await;
    let id = result.header("x-fal-request-id").unwrap().to_owned();
    let path = format!("/v1/models/billing-events?request_id={id}");
    assert_eq!(get(stand_in, &path).await.status, 403);
    let events = send(stand_in, "GET", &path, &[ADMIN_KEY], b"").await.unwrap().json();
    let event = &events["billing_events"][0];
    assert_eq!(event["output_units"], 2.0);
    assert_eq!((&event["cost_total"], &event["cost_estimate_nano_usd"]), (&json!(0.05), &json!(50_000_000)));
    let balance =
        send(stand_in, "GET", "/v1/account/billing?expand=credits", &[ADMIN_KEY], b"").await.unwrap();
    assert_eq!(balance.json()["credits"]["current_balance"], 9999.95);
}

#[tokio::test]
async fn the_status_stream_ends_with_completed() {
    let fakes = start("fal").await;
    let stand_in = fakes.get("fal").unwrap();
    let submitted = submit(stand_in, "fal-ai/flux/dev", &json!({"prompt": "a"})).await.json();
    let stream = get(stand_in, &format!("{}/stream", submitted["status_url"].as_str().unwrap())).await;
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert!(String::from_utf8(stream.body).unwrap().contains("\"status\":\"COMPLETED\""));
}

#[tokio::test]
async fn models_of_other_makers_are_sold_by_the_picture() {
    let fakes = start("fal").await;
    let stand_in = fakes.get("fal").unwrap();
    let table = [
        ("fal-ai/nano-banana", "16:9", (1344, 768), "0.039"),
        ("fal-ai/nano-banana-2.1", "2:3", (848, 1264), "0.08"),
        ("fal-ai/ideogram/v2", "1:1", (1024, 1024), "0.08"),
        ("fal-ai/ideogram/v2/turbo", "1:1", (1024, 1024), "0.05"),
    ];
    for (model, ratio, (width, height), price) in table {
        let before = stand_in.ctx.bill.total_ticks();
        let result = make(stand_in, model, &json!({"prompt": "x", "aspect_ratio": ratio})).await;
        let image = result.json()["images"][0].clone();
        assert_eq!((&image["width"], &image["height"]), (&json!(width), &json!(height)), "{model}");
        assert_eq!(stand_in.ctx.bill.total_ticks() - before, ticks(price), "{model}");
    }
    let raster = json!({"prompt": "x", "image_size": {"width": 1365, "height": 1024}});
    let result = make(stand_in, "fal-ai/recraft/v3/text-to-image", &raster).await;
    assert_eq!(result.json()["images"][0]["content_type"], "image/webp");
    assert_eq!(result.header("x-fal-billable-units"), Some("1.0"));
}
