use super::*;
use crate::answer::tests::{meta, written};
use gallerist_domain::{ImageData, Ticks};
use gallerist_engine::{Refusal, RefusalKind};
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
    let (name, data) = event(completed(&image, &meta(), Background::Opaque));
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
