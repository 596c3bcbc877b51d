use super::*;
use crate::state::AppSettings;
use crate::testing::settings;
use gallerist_domain::{Chunks, ImageData, OutputFormat, RequestId, Size, Ticks};
use gallerist_engine::{CostLine, Engine};
use gallerist_store::Store;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) fn meta() -> AnswerMeta {
    AnswerMeta {
        request_id: "0192f3c4-0000-7000-8000-000000000001".parse::<RequestId>().unwrap(),
        created: 1_795_305_600,
        provider: "openai".into(),
        model: "gpt-image-2".into(),
        offer: "openai/gpt-image-2".into(),
        size: Size::new(1536, 1024),
        quality: "medium".into(),
        output_format: OutputFormat::Png,
        cost: Cost {
            charged_usd: "0.04".parse().unwrap(),
            basis: "usage".into(),
            lines: vec![CostLine {
                line: "image".into(),
                meter: "image_output_tokens".into(),
                quantity: "1000".into(),
                unit_price_usd: "40.0000000000 / 1000000".into(),
                times: None,
                amount_usd: "0.04".parse().unwrap(),
                source: "a \"quoted\" page".into(),
                confidence: Some("third_party".into()),
                as_of: Some("2026-11-22".parse().unwrap()),
            }]
            .into(),
            disputed_usd: None,
            overrun_usd: None,
        },
        attempts: 2,
        saved_usd: Some(Ticks::new(1)),
        list: Some(AnsweredList {
            list_usd: "0.0400000001".parse().unwrap(),
            list_confidence: Some("derived".into()),
            list_as_of: Some("2026-11-20".parse().unwrap()),
        }),
        cached: false,
        requested_model: "kite".into(),
        route: None,
        warnings: vec!["it retires soon".into()],
        missing: None,
        usage: Some(TokenUsage {
            text_input_tokens: 14,
            image_input_tokens: 1,
            text_output_tokens: 2,
            image_output_tokens: 686,
        }),
        revised_prompts: vec![None, Some("a \"kite\"\n".into())],
    }
}

fn image(data: ImageData, revised: Option<&str>, url_path: Option<&str>) -> DeliveredImage {
    DeliveredImage {
        data,
        format: OutputFormat::Png,
        size: Size::new(1536, 1024),
        revised_prompt: revised.map(str::to_owned),
        url_path: url_path.map(str::to_owned),
    }
}

pub(crate) fn written(mut parts: Parts) -> Vec<u8> {
    let promised = parts.length();
    let mut out = Vec::new();
    while let Some(frame) = parts.next_frame() {
        out.extend_from_slice(&frame);
    }
    assert_eq!(u64::try_from(out.len()).unwrap(), promised, "the length is exact");
    out
}

fn echo(response_format: ResponseFormat) -> Echo {
    Echo { background: None, response_format }
}

#[test]
fn an_answer_has_openais_shape_and_ours_beside_it() {
    let large = vec![b'x'; 30_000];
    let answer = Answer {
        images: vec![
            image(ImageData::Base64(Chunks::from(Bytes::from_static(b"QUJD"))), None, None),
            image(ImageData::Bytes(Chunks::from(large.clone())), Some("a \"kite\"\n"), None),
        ],
        meta: Arc::new(meta()),
    };
    let echo = Echo { background: Some(Background::Opaque), response_format: ResponseFormat::Base64 };
    let body: Value = serde_json::from_slice(&written(body(&answer, echo, ""))).unwrap();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &large);
    let expected = json!({
        "created": 1_795_305_600, "background": "opaque", "output_format": "png", "quality": "medium",
        "size": "1536x1024",
        "usage": {"input_tokens": 15, "input_tokens_details": {"text_tokens": 14, "image_tokens": 1},
            "output_tokens": 688, "output_tokens_details": {"text_tokens": 2, "image_tokens": 686},
            "total_tokens": 703},
        "gallerist": {"request_id": "0192f3c4-0000-7000-8000-000000000001", "provider": "openai",
            "model": "gpt-image-2", "requested_model": "kite", "offer": "openai/gpt-image-2",
            "cost": {"charged_usd": "0.0400000000", "basis": "usage", "lines": [{"line": "image",
                "meter": "image_output_tokens", "quantity": "1000", "unit_price_usd": "40.0000000000 / 1000000",
                "amount_usd": "0.0400000000", "source": "a \"quoted\" page",
                "confidence": "third_party", "as_of": "2026-11-22"}]},
            "attempts": 2, "saved_usd": "0.0000000001",
            "list_usd": "0.0400000001", "list_confidence": "derived", "list_as_of": "2026-11-20", "cached": false, "warnings": ["it retires soon"]},
        "data": [{"b64_json": "QUJD"}, {"b64_json": encoded, "revised_prompt": "a \"kite\"\n"}],
    });
    assert_eq!(body, expected);
}

#[test]
fn what_is_not_known_is_left_out() {
    let bare = AnswerMeta { usage: None, quality: String::new(), saved_usd: None, list: None, ..meta() };
    let missing = Some(Missing { count: 1, reason: "filtered".into() });
    let answer = Answer { images: vec![], meta: Arc::new(AnswerMeta { missing, ..bare }) };
    let bytes = written(body(&answer, echo(ResponseFormat::Base64), ""));
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(body["data"], json!([]));
    assert_eq!(body["gallerist"]["missing"], json!({"count": 1, "reason": "filtered"}));
    for absent in ["usage", "quality", "background"] {
        assert!(body.get(absent).is_none(), "{absent}");
    }
    assert!(body["gallerist"].get("saved_usd").is_none());
    assert!(body["gallerist"].get("list_usd").is_none());
}

#[test]
fn a_url_is_given_where_one_was_asked_for_and_exists() {
    let data = ImageData::Base64(Chunks::from(Bytes::from_static(b"QUJD")));
    let images = vec![image(data.clone(), None, Some("/v1/pictures/x/0?expires=1")), image(data, None, None)];
    let answer = Answer { images, meta: Arc::new(meta()) };
    let bytes = written(body(&answer, echo(ResponseFormat::Url), "http://h:1"));
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(body["data"], json!([{"url": "http://h:1/v1/pictures/x/0?expires=1"}, {"b64_json": "QUJD"}]));
}

#[test]
fn headers_say_what_it_cost() {
    let headers = headers(&AnswerMeta { provider: "my\nprovider".into(), ..meta() });
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(text("x-gallerist-request-id"), Some("0192f3c4-0000-7000-8000-000000000001"));
    assert_eq!(text("x-request-id"), text("x-gallerist-request-id"));
    assert_eq!(text("x-gallerist-provider"), None, "what no header can hold stays out of it");
    assert_eq!(text("x-gallerist-model"), Some("gpt-image-2"));
    assert_eq!(text("x-gallerist-cost-usd"), Some("0.0400000000"));
    assert_eq!(text("x-gallerist-cost-basis"), Some("usage"));
    assert_eq!(text("x-gallerist-attempts"), Some("2"));
}

/// The HTTP side of an engine that can buy nothing, with this room for pictures on their way.
pub(crate) async fn state(retained_bytes_max: usize) -> AppState {
    let settings = settings(Store::open_temporary(Timestamp::now()).unwrap(), Vec::new());
    let engine = Engine::start(settings).await.unwrap();
    AppState::new(AppSettings { retained_bytes_max, ..AppSettings::new(engine) })
}

pub(crate) fn two_pictures() -> Answer {
    let picture = |byte: u8| image(ImageData::Bytes(Chunks::from(vec![byte; 30_000])), None, None);
    Answer { images: vec![picture(0), picture(1)], meta: Arc::new(meta()) }
}

async fn kept(state: &AppState) -> u32 {
    state.engine().store().picture_count(meta().request_id, Timestamp::now()).await.unwrap()
}

#[tokio::test]
async fn an_answer_that_there_is_no_room_to_hold_is_on_disk_before_it_is_sent() {
    let state = state(40_000).await;
    let held = response(&state, two_pictures(), echo(ResponseFormat::Base64), "").await;
    assert_eq!(kept(&state).await, 2, "two times 30,000 bytes do not fit");
    // Its client goes away before it has read anything.
    drop(held);
    state.engine().shut_down(10_000).await;
    for index in [0u32, 1] {
        let picture =
            state.engine().store().picture(meta().request_id, index, Timestamp::now()).await.unwrap();
        assert_eq!(picture.expect("it was kept").data[0], u8::try_from(index).unwrap());
    }
}

#[tokio::test]
async fn an_answer_that_is_held_touches_the_disk_only_when_its_client_leaves() {
    let state = state(100_000).await;
    let sent = response(&state, two_pictures(), echo(ResponseFormat::Base64), "").await;
    let body = http_body_util::BodyExt::collect(sent.into_body()).await.unwrap().to_bytes();
    assert!(body.len() > 80_000);
    assert_eq!(kept(&state).await, 0);
    // What was sent whole has left its room for the next one.
    let cut_off = response(&state, two_pictures(), echo(ResponseFormat::Base64), "").await;
    assert_eq!(kept(&state).await, 0);
    drop(cut_off);
    state.engine().shut_down(10_000).await;
    assert_eq!(kept(&state).await, 2);
}
