use super::*;
use gallerist_domain::{Chunks, Size};
use http::HeaderMap;

fn endpoint() -> Endpoint {
    Endpoint { base_url: "https://api.stability.ai/".to_owned(), key: "k".to_owned() }
}

fn call(model: &str) -> ImageCall {
    ImageCall { aspect_ratio: "1:1".to_owned(), ..ImageCall::example(model, Size::new(1024, 1024)) }
}

#[test]
fn the_model_chooses_the_path() {
    for (model, path) in [("ultra", "ultra"), ("core", "core"), ("sd3.5-medium", "sd3")] {
        let http = Stability.prepare(&call(model), &endpoint()).expect("it can be asked");
        assert_eq!(http.url, format!("https://api.stability.ai/v2beta/stable-image/generate/{path}"));
    }
}

#[test]
fn what_an_endpoint_cannot_say_is_refused() {
    let kind = |call: &ImageCall| Stability.prepare(call, &endpoint()).map_err(|fault| fault.kind).err();
    let unsupported = [
        ImageCall { n: 2, ..call("core") },
        ImageCall { steps: 30, ..call("core") },
        ImageCall { guidance_milli: Some(1), ..call("ultra") },
        ImageCall { steps: 30, ..call("stable-diffusion-xl-1024-v1-0") },
        ImageCall { aspect_ratio: String::new(), ..call("stable-diffusion-xl-1024-v1-0") },
        call("esrgan"),
    ];
    for call in unsupported {
        assert_eq!(kind(&call), Some(FaultKind::Unsupported), "{call:?}");
    }
    for options in [r#"{"style_preset":["anime"]}"#, r#"{"model":"sd3.5-large"}"#, r#"{"image":"x"}"#, "1"] {
        let call = ImageCall { provider_options: options.to_owned(), ..call("sd3.5-flash") };
        assert_eq!(kind(&call), Some(FaultKind::InvalidRequest), "{options}");
    }
}

#[test]
fn an_end_user_that_cannot_stand_in_a_header_is_left_out() {
    for (user, sent) in [("user-1", true), ("Zoë\n", false), (&*"x".repeat(300), false)] {
        let call = ImageCall { user: Some(user.to_owned()), ..call("core") };
        let http = Stability.prepare(&call, &endpoint()).expect("the user never decides");
        assert_eq!(http.headers.iter().any(|(name, _)| *name == CLIENT_USER_ID), sent, "{user}");
    }
}

#[test]
fn a_picture_stays_in_the_frames_it_came_in() {
    let frame = Bytes::from(vec![b'A'; 9_000]);
    let mut body =
        Chunks::from(Bytes::from_static(b"{\"finish_reason\":\"SUCCESS\",\"seed\":1,\"image\":\""));
    body.push(frame.clone());
    body.push(Bytes::from_static(b"\"}"));
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json; type=image/webp"));
    let answer = HttpReply { status: 200, headers, body };
    match Stability.interpret(&call("core"), None, &answer) {
        Step::Done(outcome) => match &outcome.images[0].data {
            gallerist_domain::ImageData::Base64(held) => {
                assert_eq!(held.parts()[0].as_ptr(), frame.as_ptr());
                assert_eq!(held.len(), frame.len());
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}
