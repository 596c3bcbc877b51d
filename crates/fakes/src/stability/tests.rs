//! The sheet's examples through the wire, and what each refusal looks like.

use serde_json::{Value, json};

use super::tariff::{Operation, SDXL_TICKS, sd3_model};
use crate::StandIn;
use crate::money::{ticks, usd};
use crate::testing::{Answer, script, send, start};

const AUTHORISATION: &str = "authorization: Bearer fake-stability-key";

async fn form(
    stand_in: &StandIn,
    operation: &str,
    accept: &str,
    fields: &[(&str, &str)],
) -> std::io::Result<Answer> {
    let mut body = String::new();
    for (name, value) in fields {
        body += &format!("--cut\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    body += "--cut--\r\n";
    let accept = format!("accept: {accept}");
    let headers = [AUTHORISATION, &accept, "content-type: multipart/form-data; boundary=cut"];
    let path = format!("/v2beta/stable-image/generate/{operation}");
    send(stand_in, "POST", &path, &headers, body.as_bytes()).await
}

fn size_of(file: &[u8]) -> (u32, u32) {
    let picture = image::load_from_memory(file).expect("a picture");
    (picture.width(), picture.height())
}

#[tokio::test]
async fn json_by_accept_carries_the_media_type_of_the_picture() {
    let fakes = start("stability").await;
    let stand_in = fakes.get("stability").unwrap();
    let fields = [("prompt", "brass desk lamp"), ("seed", "7"), ("output_format", "webp")];
    let answer = form(stand_in, "sd3", "application/json; type=image/webp", &fields).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json; type=image/webp"));
    assert_eq!(answer.header("finish-reason"), Some("SUCCESS"));
    let body = answer.json();
    assert_eq!((&body["seed"], &body["finish_reason"]), (&json!(7), &json!("SUCCESS")));
    use base64::Engine as _;
    let file = base64::engine::general_purpose::STANDARD.decode(body["image"].as_str().unwrap()).unwrap();
    assert!(file.starts_with(b"RIFF"));
    assert_eq!(size_of(&file), (1024, 1024));
    assert_eq!(usd(stand_in.ctx.bill.total_ticks()), "0.0650000000");
}

#[tokio::test]
async fn bytes_by_accept_carry_seed_and_reason_in_headers() {
    let fakes = start("stability").await;
    let stand_in = fakes.get("stability").unwrap();
    let fields = [("prompt", "a kettle"), ("aspect_ratio", "16:9"), ("output_format", "jpeg")];
    let answer = form(stand_in, "core", "image/*", &fields).await.unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("image/jpeg")));
    assert!(answer.header("seed").unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(answer.header("x-request-id").unwrap().len(), 32);
    assert_eq!(size_of(&answer.body), (1632, 920));
    assert_eq!(usd(stand_in.ctx.bill.total_ticks()), "0.0300000000");
}

#[test]
fn prices_are_those_of_the_sheet() {
    assert_eq!(Operation::Ultra.default_model().ticks(), ticks("0.08"));
    assert_eq!(Operation::Core.default_model().ticks(), ticks("0.03"));
    for (model, usd) in [
        ("sd3.5-large", "0.065"),
        ("sd3-large", "0.065"),
        ("sd3.5-large-turbo", "0.04"),
        ("sd3.5-medium", "0.035"),
        ("sd3.5-flash", "0.025"),
    ] {
        assert_eq!(sd3_model(model).unwrap().ticks(), ticks(usd), "{model}");
    }
    assert_eq!(SDXL_TICKS, ticks("0.04"));
}

#[test]
fn sizes_have_about_the_stated_megapixels() {
    for (ratio, usual, larger) in super::tariff::SIZES {
        let (wide, high) = ratio.split_once(':').unwrap();
        let wanted = wide.parse::<f64>().unwrap() / high.parse::<f64>().unwrap();
        for ((width, height), megapixels) in [(*usual, 1.0), (*larger, 1.5)] {
            let pixels = f64::from(width) * f64::from(height) / 1e6;
            assert!((pixels / megapixels - 1.0).abs() < 0.07, "{ratio} has {pixels} MP");
            assert!((f64::from(width) / f64::from(height) / wanted - 1.0).abs() < 0.04, "{ratio}");
        }
    }
    assert_eq!(Operation::Ultra.size_like(2000, 1100), (1344, 768));
}

#[tokio::test]
async fn mistakes_are_400_with_the_field_first_and_cost_nothing() {
    let fakes = start("stability").await;
    let stand_in = fakes.get("stability").unwrap();
    let long = "x".repeat(10_001);
    for (operation, field, value) in [
        ("core", "prompt", ""),
        ("core", "prompt", long.as_str()),
        ("core", "aspect_ratio", "4:3"),
        ("core", "output_format", "gif"),
        ("core", "style_preset", "baroque"),
        ("core", "seed", "4294967295"),
        ("core", "seed", "-1"),
        ("core", "cfg_scale", "5"),
        ("core", "steps", "30"),
        ("sd3", "cfg_scale", "11"),
        ("sd3", "model", "sd2"),
        ("sd3", "mode", "image-to-video"),
        ("sd3", "strength", "0.5"),
        ("ultra", "model", "sd3.5-large"),
    ] {
        let fields = [("prompt", "a"), (field, value)];
        let fields = if field == "prompt" { &fields[1..] } else { &fields[..] };
        let answer = form(stand_in, operation, "application/json", fields).await.unwrap();
        assert_eq!(answer.status, 400, "{field}={value:.9}");
        let body = answer.json();
        assert_eq!(body["name"], "bad_request");
        assert!(body["id"].is_string());
        assert!(body["errors"][0].as_str().unwrap().starts_with(field), "{body}");
    }
    let json_type = [AUTHORISATION, "content-type: application/json"];
    let path = "/v2beta/stable-image/generate/core";
    let answer = send(stand_in, "POST", path, &json_type, br#"{"prompt":"a"}"#).await.unwrap();
    assert_eq!(answer.status, 400);
    let unknown = form(stand_in, "core", "text/html", &[("prompt", "a")]).await.unwrap();
    assert_eq!(unknown.status, 400);
    let keyless = send(stand_in, "POST", path, &[], b"").await.unwrap();
    assert_eq!((keyless.status, keyless.json()["name"].clone()), (401, json!("unauthorized")));
    let large = "x".repeat(10 << 20);
    let answer = form(stand_in, "core", "image/*", &[("prompt", large.as_str())]).await.unwrap();
    assert_eq!((answer.status, answer.json()["name"].clone()), (413, json!("payload_too_large")));
    assert_eq!(stand_in.ctx.bill.total_ticks(), 0);
}

#[tokio::test]
async fn pictures_are_transformed_only_with_strength_and_without_ratio() {
    let fakes = start("stability").await;
    let stand_in = fakes.get("stability").unwrap();
    let mode = ("mode", "image-to-image");
    let answer = form(stand_in, "sd3", "application/json", &[("prompt", "a"), mode]).await.unwrap();
    assert_eq!(answer.status, 400);
    let complaints = answer.json()["errors"].to_string();
    assert!(complaints.contains("strength: is required") && complaints.contains("image: is required"));
}

#[tokio::test]
async fn faults_are_billed_as_the_provider_says() {
    let fakes = start("stability").await;
    let stand_in = fakes.get("stability").unwrap();
    let fields = [("prompt", "a"), ("seed", "3")];
    for (fault, status, name, usd_billed) in [
        ("moderation", 403, "content_moderation", "0.0000000000"),
        ("payment_required", 402, "payment_required", "0.0000000000"),
        ("429", 429, "rate_limit_exceeded", "0.0000000000"),
        ("500", 500, "internal_server_error", "0.0000000000"),
    ] {
        script(stand_in, json!([{"fault": fault}])).await;
        let answer = form(stand_in, "core", "image/*", &fields).await.unwrap();
        assert_eq!((answer.status, answer.json()["name"].as_str()), (status, Some(name)));
        assert_eq!(usd(stand_in.ctx.bill.total_ticks()), usd_billed, "{fault}");
    }
    // The sheet quotes a real 402: lack of credit in these words, 32 digits of id.
    script(stand_in, json!([{"fault": "payment_required"}])).await;
    let unpaid = form(stand_in, "core", "image/*", &fields).await.unwrap().json();
    assert_eq!(unpaid["id"].as_str().unwrap().len(), 32);
    assert!(unpaid["errors"][0].as_str().unwrap().starts_with("You lack sufficient credits"));
    let nowhere =
        send(stand_in, "POST", "/v2beta/stable-image/edit/erase", &[AUTHORISATION], b"").await.unwrap();
    assert_eq!((nowhere.status, nowhere.json()["name"].clone()), (404, json!("not_found")));
    script(stand_in, json!([{"fault": "content_filtered"}])).await;
    let filtered = form(stand_in, "core", "application/json", &fields).await.unwrap();
    assert_eq!((filtered.status, filtered.json()["finish_reason"].clone()), (200, json!("CONTENT_FILTERED")));
    assert_eq!(usd(stand_in.ctx.bill.total_ticks()), "0.0300000000");

    for (fault, usd_billed) in [("reset_before", "0.0300000000"), ("reset_after", "0.0600000000")] {
        script(stand_in, json!([{"fault": fault}])).await;
        assert!(form(stand_in, "core", "image/*", &fields).await.is_err(), "{fault}");
        assert_eq!(usd(stand_in.ctx.bill.total_ticks()), usd_billed, "{fault}");
    }
    script(stand_in, json!([{"fault": "truncated"}])).await;
    assert!(form(stand_in, "core", "image/*", &fields).await.unwrap().is_cut());
    script(stand_in, json!([{"fault": "wrong_size"}])).await;
    let answer = form(stand_in, "core", "image/*", &fields).await.unwrap();
    assert_eq!(size_of(&answer.body), (612, 1224));
}

#[tokio::test]
async fn the_balance_falls_with_the_bill_in_fractions_of_credits() {
    let fakes = start("stability").await;
    let stand_in = fakes.get("stability").unwrap();
    let balance = || async {
        let answer = send(stand_in, "GET", "/v1/user/balance", &[AUTHORISATION], b"").await.unwrap();
        answer.json()["credits"].clone()
    };
    assert_eq!(balance().await, json!(1_000_000.0));
    form(stand_in, "sd3", "image/*", &[("prompt", "a"), ("model", "sd3.5-medium")]).await.unwrap();
    assert_eq!(balance().await, json!(999_996.5));
    script(stand_in, json!([{"fault": "price_changed", "numerator": 2, "denominator": 1}])).await;
    form(stand_in, "sd3", "image/*", &[("prompt", "a"), ("model", "sd3.5-flash")]).await.unwrap();
    assert_eq!(balance().await, json!(999_991.5));
}

#[tokio::test]
async fn the_limit_closes_the_door_for_a_while() {
    let fakes = start("stability").await;
    let stand_in = fakes.get("stability").unwrap();
    let limit = json!([{"fault": "rate_limit", "requests": 2, "window_ms": 60_000, "pause_ms": 60_000}]);
    script(stand_in, limit).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(form(stand_in, "core", "image/*", &[("prompt", "a")]).await.unwrap().status);
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
}

#[tokio::test]
async fn version_1_makes_samples_with_seeds_that_count_up() {
    let fakes = start("stability").await;
    let stand_in = fakes.get("stability").unwrap();
    let path = "/v1/generation/stable-diffusion-xl-1024-v1-0/text-to-image";
    // The sheet's own example.
    let example = json!({"text_prompts":[{"text":"paper crane","weight":1},{"text":"blurry","weight":-1}],
        "width":1024,"height":1024,"cfg_scale":7,"steps":30,"samples":2,"seed":11,"sampler":"K_DPMPP_2M",
        "style_preset":"origami"});
    let headers = [AUTHORISATION, "content-type: application/json"];
    let call = |body: Value| async move {
        send(stand_in, "POST", path, &headers, body.to_string().as_bytes()).await.unwrap()
    };
    let answer = call(example.clone()).await;
    assert_eq!(answer.status, 200);
    let artifacts = answer.json()["artifacts"].clone();
    assert_eq!((&artifacts[0]["seed"], &artifacts[1]["seed"]), (&json!(11), &json!(12)));
    assert_eq!(artifacts[0]["finishReason"], "SUCCESS");
    assert_eq!(usd(stand_in.ctx.bill.total_ticks()), "0.0800000000");
    for (field, value) in [("width", json!(1000)), ("steps", json!(51)), ("samples", json!(11))] {
        let mut wrong = example.clone();
        wrong[field] = value;
        let answer = call(wrong).await;
        assert_eq!(answer.status, 400);
        assert!(answer.json()["message"].as_str().unwrap().contains(field));
    }
}
