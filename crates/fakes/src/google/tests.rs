use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::GenericImageView as _;

use super::*;
use crate::money::ticks;
use crate::picture::{PictureFormat, blank};
use crate::testing::{Answer, script, send, start};
use crate::{Fakes, StandIn};

const KEY: &str = "x-goog-api-key: fake-google-key";
const FLAGSHIP: &str = "gemini-nano-banana-2.1";

fn stand_in(fakes: &Fakes) -> &StandIn {
    fakes.get(KIND).expect("it was started")
}

async fn post(fakes: &Fakes, model: &str, body: &Value) -> Answer {
    let path = format!("/v1beta/models/{model}:generateContent");
    send(stand_in(fakes), "POST", &path, &[KEY], body.to_string().as_bytes()).await.expect("an answer")
}

fn plain(config: Value) -> Value {
    json!({"contents": [{"parts": [{"text": "a red cube"}]}], "generationConfig": config})
}

fn reference() -> String {
    STANDARD.encode(blank(64, 64, PictureFormat::Png))
}

fn sheet_example() -> Value {
    json!({
        "contents": [{"role": "user", "parts": [
            {"text": "swap the mug for a teapot"},
            {"inlineData": {"mimeType": "image/png", "data": reference()}},
        ]}],
        "generationConfig": {
            "responseModalities": ["IMAGE"],
            "imageConfig": {"aspectRatio": "3:2", "imageSize": "2K"},
            "thinkingConfig": {"thinkingLevel": "minimal"},
            "seed": 7,
        },
        "safetySettings": [
            {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "threshold": "BLOCK_ONLY_HIGH"},
        ],
        "serviceTier": "standard",
    })
}

fn last_picture(body: &Value) -> (String, (u32, u32)) {
    let parts = body["candidates"][0]["content"]["parts"].as_array().expect("parts");
    let data = parts.last().expect("a part")["inlineData"].clone();
    let bytes = STANDARD.decode(data["data"].as_str().expect("text")).expect("base64");
    let picture = image::load_from_memory(&bytes).expect("a picture");
    (data["mimeType"].as_str().expect("a type").to_owned(), picture.dimensions())
}

#[tokio::test]
async fn cached_input_is_reported_as_a_part_of_the_prompt_and_has_a_rate_of_its_own() {
    let fakes = start(KIND).await;
    script(stand_in(&fakes), json!([{"fault": "cached", "tokens": 4}])).await;
    let answer = post(&fakes, "gemini-3-pro-image", &plain(json!({"responseModalities": ["IMAGE"]}))).await;
    let usage = answer.json()["usageMetadata"].clone();
    assert_eq!((&usage["promptTokenCount"], &usage["cachedContentTokenCount"]), (&json!(6), &json!(4)));
    // 2 x 2 + 4 x 0.20 + 848 thoughts x 12 + 1120 x 120 dollars a million.
    assert_eq!(stand_in(&fakes).ctx.bill.total_ticks(), ticks("0.1445808"));
}

#[tokio::test]
async fn the_example_of_the_sheet_is_answered_with_its_usage() {
    let fakes = start(KIND).await;
    let answer = post(&fakes, FLAGSHIP, &sheet_example()).await;
    let body = answer.json();
    assert_eq!(answer.status, 200, "{body}");
    assert_eq!(
        body["usageMetadata"],
        json!({
            "promptTokenCount": 1130, "candidatesTokenCount": 1680, "thoughtsTokenCount": 212,
            "totalTokenCount": 3022,
            "promptTokensDetails": [
                {"modality": "TEXT", "tokenCount": 10}, {"modality": "IMAGE", "tokenCount": 1120},
            ],
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1680}],
        })
    );
    assert_eq!(body["candidates"][0]["finishReason"], "STOP");
    assert_eq!(body["modelVersion"], FLAGSHIP);
    assert_eq!(last_picture(&body), ("image/png".to_owned(), (2528, 1696)));
    let billed = 1130 * 15_000 + 212 * 75_000 + 1680 * 300_000;
    let entry = stand_in(&fakes).ctx.bill.entries().remove(0);
    assert_eq!((entry.ticks, entry.request_id.as_deref()), (billed, body["responseId"].as_str()));
}

#[tokio::test]
async fn both_cases_of_keys_and_any_case_of_enums_are_read_under_both_versions() {
    let fakes = start(KIND).await;
    let body = json!({
        "contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": reference()}}, ]},
                     {"parts": [{"text": "x"}]}],
        "generation_config": {
            "response_modalities": ["image"], "image_config": {"aspect_ratio": "16:9"},
            "thinkingConfig": {"thinking_level": "HIGH"}, "candidateCount": "1",
        },
    });
    for version in ["v1", "v1beta"] {
        let path = format!("/{version}/models/{FLAGSHIP}:generateContent?key=fake-google-key");
        let answer = send(stand_in(&fakes), "POST", &path, &[], body.to_string().as_bytes()).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 200, "{:?}", answer.json());
        assert_eq!(last_picture(&answer.json()).1, (1376, 768));
    }
}

#[tokio::test]
async fn pictures_cost_what_the_sheet_says_by_model_and_tier() {
    let cases = [
        ("gemini-nano-banana-2.1", "1K", "0.0336"),
        ("gemini-nano-banana-2.1", "2K", "0.0504"),
        ("gemini-nano-banana-2.1", "4K", "0.1134"),
        ("gemini-3.1-flash-image", "512", "0.04482"),
        ("gemini-3.1-flash-image", "1K", "0.0672"),
        ("gemini-3.1-flash-image", "4K", "0.1512"),
        ("gemini-3.1-flash-lite-image", "1K", "0.0336"),
        ("gemini-3-pro-image", "2K", "0.1344"),
        ("gemini-3-pro-image", "4K", "0.24"),
    ];
    for (id, tier, usd) in cases {
        let model = models::MODELS.iter().find(|model| model.id == id).expect("a model");
        let tier = model.tier(tier).expect("a tier");
        let usage = models::Usage { image_out: model.image_tokens(tier), ..Default::default() };
        assert_eq!(model.price(&usage, 100), ticks(usd), "{id}");
        assert_eq!(model.price(&usage, 50) * 2, ticks(usd), "{id} flex");
    }
}

#[tokio::test]
async fn what_a_model_does_not_know_is_refused_and_free() {
    let fakes = start(KIND).await;
    let cases = [
        (FLAGSHIP, plain(json!({"imageConfig": {"imageSize": "512"}}))),
        (FLAGSHIP, plain(json!({"imageConfig": {"imageSize": "2k"}}))),
        (FLAGSHIP, plain(json!({"imageConfig": {"aspectRatio": "7:5"}}))),
        (FLAGSHIP, plain(json!({"imageConfig": {"imageOutputOptions": {}}}))),
        (FLAGSHIP, plain(json!({"thinkingConfig": {"thinkingLevel": "xhigh"}}))),
        (FLAGSHIP, plain(json!({"candidateCount": 2}))),
        (FLAGSHIP, plain(json!({"responseModalities": ["SOUND"]}))),
        (FLAGSHIP, plain(json!({"negativePrompt": "x"}))),
        (FLAGSHIP, json!({"contents": []})),
        (FLAGSHIP, json!({"contents": [{"parts": [{"text": "x"}]}], "gallerist": {}})),
        (
            FLAGSHIP,
            json!({"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "%"}}]}]}),
        ),
        (
            FLAGSHIP,
            json!({"contents": [{"role": "model", "parts": [
                {"inlineData": {"mimeType": "image/png", "data": reference()}},
            ]}]}),
        ),
        ("gemini-3.1-flash-lite-image", plain(json!({"imageConfig": {"imageSize": "2K"}}))),
        ("gemini-3-pro-image", plain(json!({"imageConfig": {"aspectRatio": "8:1"}}))),
    ];
    for (model, body) in cases {
        let answer = post(&fakes, model, &body).await;
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, &error["status"]), (400, &json!("INVALID_ARGUMENT")), "{body}");
    }
    for retired in ["gemini-3-pro-image-preview", "gemini-2.5-flash-image", "imagen-4.0-generate-001"] {
        let answer = post(&fakes, retired, &plain(json!({}))).await;
        assert_eq!((answer.status, &answer.json()["error"]["status"]), (404, &json!("NOT_FOUND")));
    }
    assert_eq!(stand_in(&fakes).ctx.bill.total_ticks(), 0);
}

#[tokio::test]
async fn a_bad_key_is_400_and_no_key_403() {
    let fakes = start(KIND).await;
    let list = |headers: &'static [&'static str]| send(stand_in(&fakes), "GET", "/v1/models", headers, b"");
    let bad = list(&["x-goog-api-key: wrong"]).await.expect("an answer");
    assert_eq!((bad.status, &bad.json()["error"]["status"]), (400, &json!("INVALID_ARGUMENT")));
    assert_eq!(list(&[]).await.expect("an answer").status, 403);
    let listed = list(&[KEY]).await.expect("an answer").json();
    assert_eq!(listed["models"].as_array().expect("a list").len(), 4);
}

#[tokio::test]
async fn refusals_come_inside_a_200_and_cost_what_they_report() {
    let fakes = start(KIND).await;
    let body = plain(json!({"responseModalities": ["IMAGE"]}));
    // "a red cube" is 6 tokens; the default level thinks 424.
    let (input, thoughts, picture) = (6 * 15_000, 424 * 75_000, 1120 * 300_000);

    script(stand_in(&fakes), json!([{"fault": "moderation", "count": 1}])).await;
    let blocked = post(&fakes, FLAGSHIP, &body).await.json();
    assert_eq!(blocked["promptFeedback"]["blockReason"], "PROHIBITED_CONTENT");
    assert!(blocked.get("candidates").is_none());
    assert_eq!(stand_in(&fakes).ctx.bill.total_ticks(), input);

    script(stand_in(&fakes), json!([{"fault": "image_safety"}])).await;
    let withheld = post(&fakes, FLAGSHIP, &body).await.json();
    assert_eq!(withheld["candidates"][0]["finishReason"], "IMAGE_SAFETY");
    assert_eq!(withheld["usageMetadata"]["candidatesTokenCount"], 1120);
    assert_eq!(stand_in(&fakes).ctx.bill.total_ticks(), 2 * input + thoughts + picture);

    script(stand_in(&fakes), json!([{"fault": "image_safety", "charged": false}])).await;
    let withheld = post(&fakes, FLAGSHIP, &body).await.json();
    assert!(withheld["usageMetadata"].get("candidatesTokenCount").is_none());
    assert_eq!(stand_in(&fakes).ctx.bill.total_ticks(), 3 * input + 2 * thoughts + picture);

    script(stand_in(&fakes), json!([{"fault": "no_image", "reason": "NO_IMAGE"}])).await;
    let text = post(&fakes, FLAGSHIP, &body).await.json();
    assert_eq!(text["candidates"][0]["finishReason"], "NO_IMAGE");
    assert!(text["candidates"][0]["content"]["parts"][0]["text"].is_string());
}

#[tokio::test]
async fn errors_of_the_script_have_googles_envelope() {
    let fakes = start(KIND).await;
    script(stand_in(&fakes), json!([{"fault": "429"}])).await;
    let limited = post(&fakes, FLAGSHIP, &plain(json!({}))).await;
    assert_eq!(limited.status, 429);
    assert_eq!(limited.json()["error"]["details"][1]["retryDelay"], "23s");
    for (fault, status, word) in [("500", 500, "INTERNAL"), ("unavailable", 503, "UNAVAILABLE")] {
        script(stand_in(&fakes), json!([{"fault": fault}])).await;
        let answer = post(&fakes, FLAGSHIP, &plain(json!({}))).await;
        assert_eq!((answer.status, &answer.json()["error"]["status"]), (status, &json!(word)));
    }
    assert_eq!(stand_in(&fakes).ctx.bill.total_ticks(), 0);
}

#[tokio::test]
async fn drafts_come_before_the_final_picture_and_are_free() {
    let fakes = start(KIND).await;
    let body = plain(json!({"responseModalities": ["IMAGE"], "thinkingConfig": {"includeThoughts": true}}));
    script(stand_in(&fakes), json!([{"fault": "drafts"}])).await;
    let answer = post(&fakes, FLAGSHIP, &body).await.json();
    let parts = answer["candidates"][0]["content"]["parts"].as_array().expect("parts").len();
    assert_eq!((parts, &answer["usageMetadata"]["candidatesTokenCount"]), (4, &json!(1120)));
}

#[tokio::test]
async fn the_pro_model_answers_jpeg_and_follows_the_picture_sent_in() {
    let fakes = start(KIND).await;
    let mut body = sheet_example();
    body["generationConfig"] = json!({"imageConfig": {}});
    body["contents"][0]["parts"][1]["inlineData"]["data"] =
        json!(STANDARD.encode(blank(1920, 1080, PictureFormat::Png)));
    let answer = post(&fakes, "gemini-3-pro-image", &body).await.json();
    assert_eq!(last_picture(&answer), ("image/jpeg".to_owned(), (1376, 768)));
    assert_eq!(answer["usageMetadata"]["promptTokensDetails"][1]["tokenCount"], 560);
    assert_eq!(answer["usageMetadata"]["candidatesTokensDetails"][0]["modality"], "TEXT");
}
