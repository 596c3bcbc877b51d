use image::{ExtendedColorType, ImageEncoder as _};
use serde_json::json;

use super::*;
use crate::Fakes;
use crate::picture::{PictureFormat, blank};
use crate::testing::{Answer, send, start};

const AUTH: &str = "authorization: Bearer fake-openai-key";

async fn post(fakes: &Fakes, kind: &str, body: &[u8]) -> Answer {
    let stand_in = fakes.get("openai").expect("it was started");
    let kind = format!("content-type: {kind}");
    send(stand_in, "POST", "/v1/images/edits", &[AUTH, &kind], body).await.expect("an answer")
}

fn data_url(bytes: &[u8]) -> Value {
    json!({"image_url": format!("data:image/png;base64,{}", STANDARD.encode(bytes))})
}

fn mask(width: u32, height: u32, alpha: u8) -> Vec<u8> {
    let pixels = [0, 0, 0, alpha].repeat((width * height) as usize);
    let mut bytes = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    encoder.write_image(&pixels, width, height, ExtendedColorType::Rgba8).expect("a PNG");
    bytes
}

fn body(change: Value) -> Vec<u8> {
    let picture = blank(1024, 1024, PictureFormat::Png);
    let mut body = json!({
        "model": "gpt-image-2.6-sunburst", "prompt": "replace the sky with dusk",
        "images": [data_url(&picture)], "size": "1024x1024", "quality": "high",
    });
    for (key, value) in change.as_object().expect("an object") {
        body[key] = value.clone();
    }
    body.to_string().into_bytes()
}

#[tokio::test]
async fn json_with_a_mask_is_answered_and_its_picture_is_charged() {
    let fakes = start("openai").await;
    let answer =
        post(&fakes, "application/json", &body(json!({"mask": data_url(&mask(1024, 1024, 0))}))).await;
    let reply = answer.json();
    assert_eq!(answer.status, 200, "{reply}");
    assert_eq!(reply["usage"]["input_tokens_details"], json!({"text_tokens": 14, "image_tokens": 1024}));
    let entry = fakes.get("openai").expect("it was started").ctx.bill.entries().remove(0);
    assert_eq!(entry.operation, "edit");
    assert_eq!(entry.ticks, 14 * 50_000 + 1024 * 80_000 + 1756 * 300_000);
}

#[tokio::test]
async fn the_form_of_the_sdks_is_read() {
    let fakes = start("openai").await;
    let picture = blank(64, 64, PictureFormat::Png);
    let mut form = Vec::new();
    for (name, value) in
        [("model", "gpt-image-2"), ("prompt", "x"), ("n", "2"), ("quality", "low"), ("stream", "false")]
    {
        form.extend(
            format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes(),
        );
    }
    for _ in 0..2 {
        form.extend(b"--b\r\ncontent-disposition: form-data; name=\"image[]\"; filename=\"upload\"\r\n\r\n");
        form.extend(&picture[..]);
        form.extend(b"\r\n");
    }
    form.extend(b"--b--\r\n");
    let answer = post(&fakes, "multipart/form-data; boundary=b", &form).await.json();
    assert_eq!(answer["data"].as_array().map(Vec::len), Some(2), "{answer}");
    assert_eq!(answer["usage"]["input_tokens_details"]["image_tokens"], 8);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_free() {
    let fakes = start("openai").await;
    let cases = [
        (json!({"images": []}), "image"),
        (json!({"images": [{"image_url": "data:image/png;base64,AAAA"}]}), "image"),
        (json!({"images": [{"file_id": "a", "image_url": "b"}]}), "images"),
        (json!({"mask": data_url(&mask(64, 64, 0))}), "mask"),
        (json!({"mask": data_url(&mask(1024, 1024, 255))}), "mask"),
        (json!({"mask": {"file_id": "f"}, "markup": {"file_id": "g"}}), "markup"),
        (json!({"model": "gpt-image-2", "markup": {"file_id": "g"}}), "markup"),
        (json!({"input_fidelity": "high"}), "input_fidelity"),
        (json!({"model": "gpt-image-1-mini", "input_fidelity": "high"}), "input_fidelity"),
    ];
    for (change, param) in cases {
        let answer = post(&fakes, "application/json", &body(change.clone())).await;
        assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!(param)), "{change}");
    }
    assert_eq!(fakes.billed_ticks(), 0);
}
