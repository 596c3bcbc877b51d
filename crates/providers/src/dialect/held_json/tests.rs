use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    data: Vec<Item<'a>>,
    note: String,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    b64_json: HeldText<'a>,
    #[serde(borrow, default)]
    other: Option<HeldText<'a>>,
}

fn frames(bytes: &[u8], length: usize) -> Chunks {
    bytes.chunks(length).map(Bytes::copy_from_slice).collect()
}

fn document(long: &str) -> Vec<u8> {
    let mut text = serde_json::to_vec(&json!({
        "note": "a \"quoted\" \\ word \u{e9}",
        "data": [{"b64_json": "c2hvcnQ=", "other": long}, {"b64_json": long, "more": {"x": [1, "y"]}}],
    }))
    .expect("JSON values can be written");
    text.push(b'\n');
    text
}

/// The same frames, searched as they came in.
fn searched(body: &Chunks) -> Chunks {
    let mut searched = Chunks::new();
    for part in body.parts() {
        searched.push_searched(part.clone());
    }
    searched
}

fn assert_reads(body: &Chunks, long: &str) {
    assert_reads_once(body, long);
    assert_reads_once(&searched(body), long);
}

fn assert_reads_once(body: &Chunks, long: &str) {
    let skeleton = Skeleton::scan(body).expect("the document is well-formed");
    let wire: Wire<'_> = skeleton.read().expect("the document has this type");
    assert_eq!(wire.note, "a \"quoted\" \\ word \u{e9}");
    assert_eq!(skeleton.held(&wire.data[0].b64_json).to_vec(), b"c2hvcnQ=");
    assert_eq!(skeleton.held(&wire.data[1].b64_json).to_vec(), long.as_bytes());
    let other = wire.data[0].other.as_ref().expect("the first item has it");
    assert_eq!(skeleton.text(other), long);
}

#[test]
fn reads_the_same_with_a_frame_boundary_at_every_position() {
    let long = "QUJD".repeat(LIFTED_BYTES_MIN / 4 + 1);
    let bytes = document(&long);
    for cut in 0..bytes.len() {
        let body: Chunks = [&bytes[..cut], &bytes[cut..]].into_iter().map(Bytes::copy_from_slice).collect();
        assert_reads(&body, &long);
    }
    for length in [1, 2, 3, 7, 1000, 4096] {
        assert_reads(&frames(&bytes, length), &long);
    }
}

#[test]
fn resolves_escapes_of_long_strings_at_every_boundary() {
    let plain = "ab/\u{1F600}\"\\\n".repeat(600);
    let written = plain
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
        .replace('/', "\\/")
        .replace('\u{1F600}', "\\ud83d\\uDE00");
    let bytes = format!("{{\"b64_json\":\"{written}\"}}").into_bytes();
    for cut in 0..bytes.len().min(200) {
        let body: Chunks = [&bytes[..cut], &bytes[cut..]].into_iter().map(Bytes::copy_from_slice).collect();
        let skeleton = Skeleton::scan(&body).expect("well-formed");
        let item: Item<'_> = skeleton.read().expect("of this type");
        assert_eq!(skeleton.text(&item.b64_json), plain);
    }
}

#[test]
fn shares_the_frames_of_a_long_string() {
    let bytes = Bytes::from(document(&"A".repeat(100_000)));
    let body = Chunks::from(bytes.clone());
    let skeleton = Skeleton::scan(&body).expect("well-formed");
    assert!(skeleton.text.len() < 300);
    let frame = &skeleton.lifted[1].content.parts()[0];
    let inside = bytes.as_ptr_range();
    assert!(inside.contains(&frame.as_ptr()));
}

#[test]
fn lifts_only_beyond_the_limit() {
    for (length, lifted) in [(LIFTED_BYTES_MIN, 0), (LIFTED_BYTES_MIN + 1, 1)] {
        let body = Chunks::from(format!("[\"{}\"]", "x".repeat(length)).into_bytes());
        assert_eq!(Skeleton::scan(&body).expect("well-formed").lifted.len(), lifted);
    }
}

#[test]
fn a_providers_string_cannot_pass_for_a_placeholder() {
    let long = "x".repeat(LIFTED_BYTES_MIN + 1);
    let forged = Chunks::from(format!("[\"{long}\",\"\\u00010\"]").into_bytes());
    assert!(matches!(Skeleton::scan(&forged), Err(HeldJsonError::Forged)));
    // Unescaped it is not JSON.
    let raw = Chunks::from(format!("[\"{long}\",\"\u{1}0\"]").into_bytes());
    assert!(Skeleton::scan(&raw).expect("scans").read::<Value>().is_err());
    // Behind another character it means nothing.
    let harmless = Chunks::from(format!("[\"{long}\",\"a\\u00010\"]").into_bytes());
    let skeleton = Skeleton::scan(&harmless).expect("scans");
    let texts: Vec<HeldText<'_>> = skeleton.read().expect("reads");
    assert_eq!(skeleton.held(&texts[1]).to_vec(), b"a\x010");
}

#[test]
fn refuses_truncated_and_oversized_documents() {
    assert!(matches!(Skeleton::scan(&Chunks::from(b"{\"a\":\"bc".to_vec())), Err(HeldJsonError::Truncated)));
    assert!(matches!(
        Skeleton::scan(&Chunks::from(b"{\"a\":\"bc\\".to_vec())),
        Err(HeldJsonError::Truncated)
    ));
    let wide = Chunks::from(vec![b' '; SKELETON_BYTES_MAX + 1]);
    assert!(matches!(Skeleton::scan(&wide), Err(HeldJsonError::TooLarge)));
    let deep = Chunks::from("[".repeat(100_000).into_bytes());
    assert!(Skeleton::scan(&deep).expect("scans").read::<Value>().is_err());
    assert!(Skeleton::scan(&Chunks::new()).expect("scans").read::<Value>().is_err());
}

proptest! {
    #[test]
    fn never_panics_and_agrees_with_serde_json(
        text in "[\\[\\]{}:,\"\\\\u01a ]{0,40}",
        length in 1usize..9,
    ) {
        let body = frames(text.as_bytes(), length);
        let read = Skeleton::scan(&body).ok().and_then(|skeleton| skeleton.read::<Value>().ok());
        let direct = serde_json::from_str::<Value>(&text).ok();
        if !text.contains("\\u0001") {
            prop_assert_eq!(read, direct);
        }
    }
}

#[test]
fn base64_text_cannot_write_into_the_json_around_it() {
    let long = "A".repeat(LIFTED_BYTES_MIN + 1);
    let cases = [
        (long.clone(), true),
        ("QUJD".to_owned(), true),
        (format!("{long}\\/+="), true),
        (format!("{long}\\\",\\\"gallerist\\\":1"), false),
        (format!("{long}\\n\\nevent: x"), false),
        (format!("{long}\\\\"), false),
        ("QUJD\\\",\\\"b\\\":\\\"".to_owned(), false),
        ("QUJD\\n".to_owned(), false),
    ];
    for (written, kept) in cases {
        let body = Chunks::from(format!("{{\"b64_json\":\"{written}\"}}").into_bytes());
        let skeleton = Skeleton::scan(&body).expect("it is JSON");
        let item: Item<'_> = skeleton.read().expect("it is an item");
        let (held, text) = (skeleton.held(&item.b64_json), skeleton.base64(&item.b64_json));
        assert_eq!(text, if kept { held } else { Chunks::new() }, "{written:.20}");
    }
}
