use super::*;
use crate::answer::tests::{meta, written};
use crate::state::AppSettings;
use crate::testing::settings;
use gallerist_domain::Ticks;
use gallerist_engine::{Engine, Refusal, RefusalKind, StreamOrigin};
use gallerist_store::Store;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The event name and the data of the one event that `parts` must be.
fn event(parts: Parts) -> (String, Value) {
    let text = String::from_utf8(written(parts)).unwrap();
    let lines: Vec<&str> = text.split('\n').collect();
    let [name, data, "", ""] = lines[..] else { panic!("two lines and a blank one, not {text:?}") };
    let name = name.strip_prefix("event: ").unwrap().to_owned();
    (name, serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap())
}

#[test]
fn a_partial_picture_is_an_event() {
    let look = Look {
        created: 7,
        format: OutputFormat::Webp,
        size: Size::new(64, 32),
        quality: "",
        background: Background::Auto,
    };
    let image = Chunks::from(Bytes::from(vec![b'A'; 20_000]));
    let (name, data) = event(partial(1, &image, &look));
    assert_eq!(name, "image_generation.partial_image");
    let expected = json!({"type": "image_generation.partial_image", "b64_json": "A".repeat(20_000),
        "created_at": 7, "size": "64x32", "quality": "auto", "background": "auto", "output_format": "webp",
        "partial_image_index": 1});
    assert_eq!(data, expected);
}

#[test]
fn the_completed_event_carries_usage_and_cost() {
    let image = DeliveredImage {
        data: ImageData::Bytes(Chunks::from(vec![0u8; 9_000])),
        format: OutputFormat::Png,
        size: Size::new(64, 32),
        revised_prompt: Some("line\nbreak".into()),
        url_path: None,
    };
    let (name, data) = event(completed(&image, &meta(), Background::Opaque, true));
    assert_eq!(name, "image_generation.completed");
    assert_eq!(data["type"], "image_generation.completed");
    assert_eq!(data["b64_json"], "A".repeat(12_000));
    assert_eq!(data["created_at"], 1_795_305_600);
    assert_eq!(data["background"], "opaque");
    assert_eq!(data["quality"], "medium");
    assert_eq!(data["revised_prompt"], "line\nbreak");
    assert_eq!(data["usage"]["total_tokens"], 703);
    assert!(data["usage"].get("output_tokens_details").is_none());
    assert_eq!(data["gallerist"]["cost"]["charged_usd"], "0.0400000000");
    let (_, one_of_several) = event(completed(&image, &meta(), Background::Opaque, false));
    assert!(one_of_several.get("usage").is_none() && one_of_several["gallerist"].get("cost").is_none());
    assert_eq!(one_of_several["gallerist"]["offer"], data["gallerist"]["offer"]);
}

#[test]
fn a_line_break_inside_a_picture_begins_no_event() {
    let hostile = format!("{}\n\nevent: image_generation.completed\rdata: {{}}\n\n", "A".repeat(9_000));
    let image = DeliveredImage {
        data: ImageData::Base64(Chunks::from(hostile.clone().into_bytes())),
        format: OutputFormat::Png,
        size: Size::new(64, 32),
        revised_prompt: None,
        url_path: None,
    };
    event(completed(&image, &meta(), Background::Auto, true));
    let look = Look {
        created: 7,
        format: OutputFormat::Png,
        size: Size::new(64, 32),
        quality: "",
        background: Background::Auto,
    };
    event(partial(0, &Chunks::from(hostile.into_bytes()), &look));
}

#[test]
fn a_late_failure_is_an_event_that_both_sdks_raise() {
    let mut refusal = Refusal::new(RefusalKind::UpstreamFailed, "it broke\noff");
    refusal.disputed = Ticks::new(5);
    let (name, data) = event(failed(&Failure::from(refusal)));
    assert_eq!(name, "error");
    assert_eq!(data["type"], "error");
    assert_eq!(data["error"]["code"], "upstream_failed");
    assert_eq!(data["error"]["message"], "it broke\noff");
    assert_eq!(data["error"]["gallerist"]["disputed_usd"], "0.0000000005");
}

/// The HTTP side of an engine that can buy nothing.
async fn state() -> AppState {
    let settings = settings(Store::open_temporary(Timestamp::now()).unwrap(), Vec::new());
    AppState::new(AppSettings::new(Engine::start(settings).await.unwrap()))
}

#[tokio::test]
async fn pictures_that_wait_behind_another_event_are_kept_when_the_client_goes() {
    let state = state().await;
    let image = |byte: u8| DeliveredImage {
        data: ImageData::Bytes(Chunks::from(vec![byte; 100])),
        format: OutputFormat::Png,
        size: Size::new(64, 32),
        revised_prompt: None,
        url_path: None,
    };
    let (sender, events) = tokio::sync::mpsc::channel(8);
    let (format, size, quality) = (OutputFormat::Png, Size::new(64, 32), String::new());
    let image_of_partial = Chunks::from(vec![b'A'; 8]);
    let meta = Arc::new(meta());
    let (provider, model) = (meta.provider.clone(), meta.model.clone());
    let origin = Arc::new(StreamOrigin { request_id: meta.request_id, provider, model });
    let partial = StreamEvent::Partial { origin, index: 0, image: image_of_partial, format, size, quality };
    sender.try_send(partial).unwrap();
    for byte in [1, 2] {
        let meta = Arc::clone(&meta);
        sender.try_send(StreamEvent::Completed { image: image(byte), meta }).unwrap();
    }
    drop(sender);
    let response = response(&state, events, None).await.unwrap();
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let id = Some(meta.request_id.to_string());
    assert_eq!((header("x-request-id"), header("x-gallerist-request-id")), (id.clone(), id));
    assert_eq!(header("x-gallerist-provider").as_deref(), Some(meta.provider.as_str()));
    assert_eq!(header("x-gallerist-model").as_deref(), Some(meta.model.as_str()));
    assert_eq!(header("x-gallerist-cost-usd"), None, "nobody knows it yet");
    drop(response);
    state.engine().shut_down(10_000).await;
    for index in [0u32, 1] {
        let picture = state.engine().store().picture(meta.request_id, index, Timestamp::now()).await.unwrap();
        assert_eq!(picture.expect("it was kept").data[0], u8::try_from(index).unwrap() + 1);
    }
}
