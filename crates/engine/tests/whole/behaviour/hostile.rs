//! An upstream that answers what no provider should.

use super::{ask, usd};
use crate::house::{House, incoming};
use gallerist_domain::{ImageData, OutputFormat};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const KEY: &str = "id-5d1f0c77:a-secret-of-ours-8812";

/// Answers each POST with `status` and the body that `body` makes of the origin, each GET with 404; counts
/// the GETs.
pub(super) async fn upstream(
    status: u16,
    body: impl Fn(&str) -> String + Send + 'static,
) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
    let origin = format!("http://{}", listener.local_addr().expect("it is bound"));
    let fetched = Arc::new(AtomicUsize::new(0));
    let (address, count) = (origin.clone(), Arc::clone(&fetched));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 64 << 10];
            let read = stream.read(&mut head).await.unwrap_or(0);
            let (status, body) = match head[..read].starts_with(b"POST") {
                true => (status, body(&address)),
                false => {
                    count.fetch_add(1, Ordering::SeqCst);
                    (404, String::new())
                }
            };
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (origin, fetched)
}

async fn house_before(origin: &str, seed: u64) -> House {
    House::with(seed, |settings| {
        settings.providers.retain(|provider| provider.kind == "openai");
        settings.providers[0].base_url = origin.to_owned();
        settings.providers[0].key = KEY.into();
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_beyond_the_number_asked_for_are_not_fetched() {
    let (origin, fetched) = upstream(200, |origin| {
        let items: Vec<_> = (0..200).map(|at| json!({"url": format!("{origin}/{at}")})).collect();
        json!({"created": 1, "data": items}).to_string()
    })
    .await;
    let house = house_before(&origin, 111).await;
    house.engine.generate(incoming(ask("openai/gpt-image-2"))).await.expect_err("nothing can be fetched");
    // One picture, tried three times.
    assert_eq!(fetched.load(Ordering::SeqCst), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_an_error_repeats_goes_nowhere() {
    for body in [
        |_: &str| json!({"error": {"message": format!("cannot use api_key={KEY}, sorry")}}).to_string(),
        |_: &str| format!("proxy: no route for authorization:\n\"{KEY}\""),
        |_: &str| format!("{}{KEY}", "x".repeat(375)),
        |_: &str| json!({"error": {"message": "the secret a-secret-of-ours-8812 is too old"}}).to_string(),
    ] {
        let (origin, _) = upstream(400, body).await;
        let house = house_before(&origin, 112).await;
        let refusal =
            house.engine.generate(incoming(ask("openai/gpt-image-2"))).await.expect_err("it is 400");
        let detail = house.settled().await;
        for text in [format!("{refusal:?}"), format!("{detail:?}")] {
            assert!(text.contains("[removed]"), "{text}");
            assert!(!text.contains("5d1f0c77") && !text.contains("a-secret"), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_in_another_format_than_was_named_is_a_failed_delivery() {
    let house = House::open(113).await;
    let mut request = ask("openai/gpt-image-2");
    request.output_format = Some(OutputFormat::Jpeg);
    let answer = house.engine.generate(incoming(request)).await.expect("it is made");
    let ImageData::Base64(jpeg) = &answer.images[0].data else { panic!("it comes as base64") };
    let jpeg = String::from_utf8(jpeg.to_vec()).expect("base64 is text");
    let (origin, _) =
        upstream(200, move |_| json!({"created": 1, "data": [{"b64_json": jpeg}]}).to_string()).await;
    let house = house_before(&origin, 114).await;
    let mut request = ask("openai/gpt-image-2");
    let answer = house.engine.generate(incoming(request.clone())).await.expect("no format was named");
    assert_eq!(answer.meta.output_format, OutputFormat::Jpeg, "the answer tells the true one");
    request.output_format = Some(OutputFormat::Png);
    let refusal = house.engine.generate(incoming(request)).await.expect_err("it is no PNG");
    assert_eq!(refusal.attempts.len(), 1);
    assert!(refusal.message.contains("the picture is jpeg, not png"), "{}", refusal.message);
    assert!(refusal.charged > usd("0"), "it was made, so it was charged");
}
