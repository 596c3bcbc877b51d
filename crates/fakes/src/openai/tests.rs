use image::GenericImageView as _;

use super::*;
use crate::money::{ticks, usd};
use crate::testing::{Answer, script, send, start};
use crate::{Fakes, StandIn};

const AUTH: &str = "authorization: Bearer fake-openai-key";

async fn post(fakes: &Fakes, body: &Value) -> Answer {
    send(stand_in(fakes), "POST", "/v1/images/generations", &[AUTH], body.to_string().as_bytes())
        .await
        .expect("an answer")
}

fn stand_in(fakes: &Fakes) -> &StandIn {
    fakes.get(KIND).expect("it was started")
}

fn small(model: &str) -> Value {
    json!({"model": model, "prompt": "a tin robot", "quality": "low", "size": "1024x1024"})
}

fn picture(encoded: &Value) -> image::DynamicImage {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded.as_str().expect("text"));
    image::load_from_memory(&bytes.expect("base64")).expect("a picture")
}

#[tokio::test]
async fn the_example_of_the_sheet_is_answered_with_its_usage() {
    let fakes = start(KIND).await;
    let request = json!({
        "model": "gpt-image-2.5-flare", "prompt": "a tin robot watering ferns", "size": "1536x1024",
        "quality": "medium", "output_format": "jpeg", "output_compression": 85, "n": 2,
    });
    let answer = post(&fakes, &request).await;
    let body = answer.json();
    assert_eq!(answer.status, 200, "{body}");
    for (field, value) in
        [("background", "opaque"), ("output_format", "jpeg"), ("quality", "medium"), ("size", "1536x1024")]
    {
        assert_eq!(body[field], value);
    }
    assert_eq!(
        body["usage"],
        json!({
            "input_tokens": 14, "input_tokens_details": {"text_tokens": 14, "image_tokens": 0},
            "output_tokens": 686, "output_tokens_details": {"image_tokens": 686, "text_tokens": 0},
            "total_tokens": 700,
        })
    );
    let pictures = body["data"].as_array().expect("a list");
    assert_eq!(pictures.len(), 2);
    assert_ne!(pictures[0], pictures[1]);
    assert_eq!(picture(&pictures[0]["b64_json"]).dimensions(), (1536, 1024));
    let bill = stand_in(&fakes).ctx.bill.entries();
    assert_eq!(bill[0].ticks, 14 * 50_000 + 686 * 300_000);
    assert_eq!(bill[0].request_id.as_deref(), answer.header("x-request-id"));
}

#[test]
fn the_formula_gives_the_tables_of_the_sheet() {
    let model = models::find("gpt-image-2.5-flare", jiff::civil::date(2026, 11, 22)).expect("it is served");
    let sizes = [(1024, 1024), (1536, 1024), (2048, 2048), (2560, 1440), (3840, 2160), (2880, 2880)];
    let rows = [
        [196, 439, 1756, 3122, 7024],
        [158, 343, 1372, 2459, 5488],
        [397, 892, 3568, 6343, 14272],
        [205, 478, 1843, 3276, 7370],
        [371, 865, 3336, 5930, 13342],
        [659, 1483, 5930, 10542, 23719],
    ];
    for ((width, height), row) in sizes.into_iter().zip(rows) {
        for (word, tokens) in ["low", "medium", "high", "xhigh", "max"].into_iter().zip(row) {
            let quality = model.quality(word).expect("a quality of 2.5");
            assert_eq!(model.image_tokens(quality, width, height), tokens, "{word} {width}x{height}");
        }
    }
}

#[test]
fn the_same_word_costs_differently_by_generation() {
    let tokens = |id, word, width, height| {
        let model = models::find(id, jiff::civil::date(2026, 11, 22)).expect("it is served");
        model.image_tokens(model.quality(word).expect("a quality"), width, height)
    };
    assert_eq!(tokens("gpt-image-2", "high", 1024, 1024), 7024);
    assert_eq!(tokens("gpt-image-2", "high", 1792, 1024), 5063);
    assert_eq!(tokens("gpt-image-2", "high", 3584, 2048), 12329);
    assert_eq!(tokens("gpt-image-1.5", "medium", 1536, 1024), 1568);
    assert_eq!(tokens("gpt-image-1-mini", "low", 1024, 1024), 272);
    // Measured 664; the factor that comes nearest gives 649.
    assert_eq!(tokens("gpt-image-2.6-flare", "low", 1536, 1024), 649);
}

#[tokio::test]
async fn a_mini_picture_costs_what_a_real_one_did() {
    let fakes = start(KIND).await;
    assert_eq!(post(&fakes, &small("gpt-image-1-mini")).await.status, 200);
    let ticks = stand_in(&fakes).ctx.bill.total_ticks() - 10 * 20_000;
    assert_eq!(usd(ticks), "0.0021760000");
}

#[tokio::test]
async fn a_wrong_key_is_401() {
    let fakes = start(KIND).await;
    for headers in [&[][..], &["authorization: Bearer wrong"][..]] {
        let answer = send(stand_in(&fakes), "GET", "/v1/models", headers, b"").await.expect("an answer");
        assert_eq!(answer.status, 401);
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
        assert!(answer.header("x-request-id").is_some());
    }
}

#[tokio::test]
async fn what_the_api_refuses_is_refused_with_its_code_and_costs_nothing() {
    let fakes = start(KIND).await;
    let cases = [
        (json!({"response_format": "b64_json"}), "response_format", "unknown_parameter"),
        (json!({"gallerist": {}}), "gallerist", "unknown_parameter"),
        (json!({"style": "vivid"}), "style", "unknown_parameter"),
        (json!({"complexity": "low"}), "complexity", "unknown_parameter"),
        (json!({"quality": "xhigh", "model": "gpt-image-2"}), "quality", "invalid_value"),
        (json!({"quality": "hd"}), "quality", "invalid_value"),
        (json!({"n": 0}), "n", "invalid_value"),
        (json!({"n": 11}), "n", "invalid_value"),
        (json!({"n": "2"}), "n", "invalid_type"),
        (json!({"size": "1000x1000"}), "size", "invalid_value"),
        (json!({"size": "512x512"}), "size", "invalid_value"),
        (json!({"size": "3840x1024"}), "size", "invalid_value"),
        (json!({"size": "4096x2048"}), "size", "invalid_value"),
        (json!({"size": "1024x1024 "}), "size", "invalid_value"),
        (json!({"model": "gpt-image-1.5", "size": "1280x1024"}), "size", "invalid_value"),
        (json!({"prompt": ""}), "prompt", "invalid_value"),
        (json!({"prompt": null}), "prompt", "missing_required_parameter"),
        (json!({"output_format": "gif"}), "output_format", "invalid_value"),
        (json!({"output_compression": 50}), "output_compression", "invalid_value"),
        (json!({"background": "transparent", "output_format": "jpeg"}), "background", "invalid_value"),
        (json!({"partial_images": 2}), "partial_images", "invalid_value"),
        (json!({"stream": true, "partial_images": 4}), "partial_images", "invalid_value"),
        (json!({"moderation": "none"}), "moderation", "invalid_value"),
    ];
    for (change, param, code) in cases {
        let mut body = small("gpt-image-2.5-flare");
        for (key, value) in change.as_object().expect("an object") {
            body[key] = value.clone();
        }
        let answer = post(&fakes, &body).await;
        let error = &answer.json()["error"];
        assert_eq!((answer.status, &error["param"], &error["code"]), (400, &json!(param), &json!(code)));
    }
    assert_eq!(stand_in(&fakes).ctx.bill.total_ticks(), 0);
}

#[tokio::test]
async fn models_that_are_gone_are_404_and_leave_the_list() {
    let fakes = start(KIND).await;
    for gone in ["gpt-image-1", "dall-e-3", "dall-e-2", "gpt-image-2.6"] {
        let answer = post(&fakes, &small(gone)).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (404, &json!("model_not_found")),
            "{gone}"
        );
    }
    let list = send(stand_in(&fakes), "GET", "/v1/models", &[AUTH], b"").await.expect("an answer").json();
    let shutdowns: Vec<_> =
        list["data"].as_array().expect("a list").iter().map(|model| &model["shutdown_date"]).collect();
    assert!(shutdowns.contains(&&json!("2026-12-01")) && shutdowns.contains(&&Value::Null));
    assert!(models::find("gpt-image-1.5", jiff::civil::date(2026, 12, 1)).is_none());
}

#[tokio::test]
async fn a_stream_has_its_partials_and_one_completed_event_and_charges_both() {
    let fakes = start(KIND).await;
    let mut body = small("gpt-image-2");
    body["stream"] = json!(true);
    body["partial_images"] = json!(2);
    let answer = post(&fakes, &body).await;
    assert!(answer.header("content-type").expect("a type").starts_with("text/event-stream"));
    let text = String::from_utf8(answer.body).expect("text");
    let events: Vec<&str> = text.split("\n\n").filter(|event| !event.is_empty()).collect();
    assert_eq!(events.len(), 3);
    assert!(events[1].starts_with("event: image_generation.partial_image\ndata: {"));
    let (_, data) = events[2].split_once("data: ").expect("data");
    let completed: Value = serde_json::from_str(data).expect("JSON");
    assert_eq!(completed["type"], "image_generation.completed");
    assert_eq!(completed["usage"]["output_tokens"], 196 + 200);
    assert!(completed["usage"].get("output_tokens_details").is_none());
    assert_eq!(picture(&completed["b64_json"]).dimensions(), (1024, 1024));
    assert_eq!(stand_in(&fakes).ctx.bill.total_ticks(), 10 * 50_000 + 396 * 300_000);
}

#[tokio::test]
async fn partials_that_never_came_are_not_charged() {
    let fakes = start(KIND).await;
    script(stand_in(&fakes), json!([{"fault": "fewer_partials"}])).await;
    let mut body = small("gpt-image-2");
    body["stream"] = json!(true);
    body["partial_images"] = json!(1);
    let text = String::from_utf8(post(&fakes, &body).await.body).expect("text");
    assert_eq!(text.matches("event: ").count(), 1);
    assert_eq!(stand_in(&fakes).ctx.bill.total_ticks(), 10 * 50_000 + 196 * 300_000);
}

#[tokio::test]
async fn broken_streams_end_after_a_partial_and_were_paid() {
    let fakes = start(KIND).await;
    let mut body = small("gpt-image-2");
    body["stream"] = json!(true);
    body["partial_images"] = json!(1);
    for (fault, ending) in
        [("stream_cut", "partial_image_index\":0}\n\n"), ("stream_error", "\"server_error\"")]
    {
        script(stand_in(&fakes), json!([{"fault": fault}])).await;
        let text = String::from_utf8(post(&fakes, &body).await.body).expect("text");
        assert!(text.contains(ending) && !text.contains("completed"), "{fault}");
    }
    assert_eq!(stand_in(&fakes).ctx.bill.entries().len(), 2);
}

#[tokio::test]
async fn refusals_of_the_script_look_like_the_providers() {
    let fakes = start(KIND).await;
    let cases = [
        ("429", 429, "rate_limit_exceeded"),
        ("rate_limited_long", 429, "rate_limit_exceeded"),
        ("insufficient_quota", 429, "credit_balance_exhausted"),
        ("billing_hard_limit", 400, "billing_hard_limit_reached"),
        ("moderation", 400, "moderation_blocked"),
        ("moderation_output", 400, "moderation_blocked"),
    ];
    for (fault, status, code) in cases {
        script(stand_in(&fakes), json!([{"fault": fault, "count": 1}])).await;
        let answer = post(&fakes, &small("gpt-image-2")).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (status, &json!(code)), "{fault}");
    }
    let billed = stand_in(&fakes).ctx.bill.entries();
    assert_eq!(billed.len(), 1, "only the output that was made and then blocked");
    script(stand_in(&fakes), json!([{"fault": 429, "retry_after_s": 7}])).await;
    assert_eq!(post(&fakes, &small("gpt-image-2")).await.header("retry-after"), Some("7"));
}

#[tokio::test]
async fn spoilt_pictures_are_charged_like_good_ones() {
    let fakes = start(KIND).await;
    script(stand_in(&fakes), json!([{"fault": "wrong_size", "width": 640, "height": 512}])).await;
    let body = post(&fakes, &small("gpt-image-2")).await.json();
    assert_eq!(body["size"], "1024x1024");
    assert_eq!(picture(&body["data"][0]["b64_json"]).dimensions(), (640, 512));
    script(stand_in(&fakes), json!([{"fault": "blank"}])).await;
    let blank = picture(&post(&fakes, &small("gpt-image-2")).await.json()["data"][0]["b64_json"]).to_rgb8();
    assert!(blank.pixels().all(|pixel| pixel == blank.get_pixel(0, 0)));
    assert_eq!(stand_in(&fakes).ctx.bill.total_ticks(), 2 * (10 * 50_000 + ticks("0.0058800000")));
}
