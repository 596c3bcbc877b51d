//! Streamed requests: partial pictures, then the whole one with the cost; and streams that break.

use super::{ask, ask_at, bytes, usd};
use crate::house::{House, incoming};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gallerist_domain::ImageRequest;
use gallerist_engine::{RefusalKind, StreamEvent};
use gallerist_store::{AttemptStatus, RequestStatus};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn streaming(mut request: ImageRequest, partial_images: u8) -> ImageRequest {
    request.stream = true;
    request.partial_images = partial_images;
    request
}

async fn events(house: &House, request: ImageRequest) -> Vec<StreamEvent> {
    let mut receiver = house.engine.generate_stream(incoming(request));
    let mut events = Vec::new();
    while let Some(event) = receiver.recv().await {
        events.push(event);
    }
    events
}

/// `p` partial, `c` completed, `f` failed.
fn kinds(events: &[StreamEvent]) -> String {
    let kind = |event: &StreamEvent| match event {
        StreamEvent::Partial { .. } => 'p',
        StreamEvent::Completed { .. } => 'c',
        StreamEvent::Failed(_) => 'f',
    };
    events.iter().map(kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn partials_come_first_and_the_cost_rides_in_the_completed_event() {
    let house = House::open(61).await;
    let events = events(&house, streaming(ask("openai/gpt-image-2"), 2)).await;
    assert_eq!(kinds(&events), "ppc");
    let Some(StreamEvent::Completed { image, meta }) = events.last() else { panic!("the last is completed") };
    assert_eq!(meta.cost.charged_usd.get(), house.billed("openai"));
    assert!(!bytes(image).is_empty());
    assert_eq!(meta.attempts, 1);
    let StreamEvent::Partial { index: 0, size, .. } = &events[0] else { panic!("the first is partial 0") };
    assert_eq!(size.to_string(), "1024x1024");
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_partials_settle_what_was_received() {
    let house = House::open(62).await;
    house.faults("openai", &json!([{"fault": "fewer_partials"}]));
    let events = events(&house, streaming(ask("openai/gpt-image-2"), 3)).await;
    assert_eq!(kinds(&events), "ppc");
    house.engine.shut_down(10_000).await;
    let attempt = house.settled().await.attempts.remove(0);
    assert_eq!(attempt.charged.get(), house.billed("openai"));
    assert!(attempt.charged < attempt.reserved);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_tried_elsewhere_after_the_first_event() {
    let house = House::open(63).await;
    for fault in ["stream_cut", "stream_error"] {
        house.faults("openai", &json!([{"fault": fault, "count": 1}]));
        let events = events(&house, streaming(ask_at(&["openai", "bfl"]), 1)).await;
        assert_eq!(kinds(&events), "pf", "{fault}");
        let Some(StreamEvent::Failed(refusal)) = events.last() else { panic!("the last is failed") };
        assert_eq!(refusal.kind, RefusalKind::UpstreamFailed);
        let detail = house.settled().await;
        assert_eq!(detail.attempts.len(), 1, "{fault}");
        assert_eq!(detail.attempts[0].status, AttemptStatus::Disputed);
        assert_eq!(refusal.disputed, detail.attempts[0].reserved);
    }
    house.balance().await;
}

/// An upstream that begins a stream with these events, and breaks off in the middle of the next one.
async fn breaks_after(events: Vec<(&'static str, Value)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
    let origin = format!("http://{}", listener.local_addr().expect("it is bound"));
    let mut text = String::new();
    for (name, data) in events {
        text.push_str(&format!("event: {name}\ndata: {data}\n\n"));
    }
    text.push_str("event: image_generation.completed\ndata: {");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 4 << 10];
            // The request is read whole, so that its rest resets nothing.
            while let Ok(Ok(1..)) =
                tokio::time::timeout(Duration::from_millis(200), stream.read(&mut asked)).await
            {}
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            let _ = stream.write_all(format!("{head}{:x}\r\n{text}\r\n", text.len()).as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    origin
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_that_came_whole_are_delivered_when_the_stream_breaks_later() {
    let house = House::open(69).await;
    let made = house.engine.generate(incoming(ask("openai/gpt-image-2"))).await.expect("it is made");
    let picture = bytes(&made.images[0]);
    house.balance().await;
    let completed = json!({
        "type": "image_generation.completed",
        "b64_json": STANDARD.encode(&picture),
        "output_format": "png",
        "usage": {"input_tokens": 10, "output_tokens": 100, "total_tokens": 110},
    });
    let failed = json!({"error": {"type": "server_error", "code": "server_error", "message": "it broke"}});
    for last in [None, Some(("error", failed))] {
        let begun = [("image_generation.completed", completed.clone())].into_iter().chain(last).collect();
        let origin = breaks_after(begun).await;
        let house = House::with(70, |settings| {
            settings.providers.retain(|provider| provider.kind == "openai");
            settings.providers[0].base_url = origin;
        })
        .await;
        let mut request = streaming(ask("openai/gpt-image-2"), 0);
        request.n = 2;
        let events = events(&house, request).await;
        assert_eq!(kinds(&events), "c");
        let Some(StreamEvent::Completed { image, meta }) = events.last() else { panic!("it is completed") };
        assert!(bytes(image) == picture);
        assert_eq!(meta.missing.as_ref().map(|missing| missing.count), Some(1));
        let detail = house.settled().await;
        let attempt = &detail.attempts[0];
        // What the call cost nobody knows.
        assert_eq!((attempt.status, detail.attempts.len()), (AttemptStatus::Disputed, 1));
        assert_eq!(meta.cost.disputed_usd, Some(attempt.reserved));
        assert_eq!((detail.request.status, detail.request.images_delivered), (RequestStatus::Partial, 1));
        house.engine.shut_down(10_000).await;
        assert!(house.store.books().await.expect("the store reads").balance());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_event_the_next_offer_is_tried() {
    let house = House::open(64).await;
    for fault in ["429", "stream_cut", "reset_before"] {
        house.faults("openai", &json!([{"fault": fault, "count": 1}]));
        let request = streaming(ask_at(&["openai", "bfl"]), 0);
        let order = house.order(&request);
        // Whoever may have charged is asked no more.
        let next = if fault == "429" { &order[1] } else { "bfl/flux-2-klein-4b" };
        let events = events(&house, request).await;
        assert_eq!(kinds(&events), "c", "{fault}");
        let Some(StreamEvent::Completed { meta, .. }) = events.last() else { panic!("it is completed") };
        assert_eq!((meta.attempts, meta.offer.as_str()), (2, next));
    }
    house.balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_does_not_stream_gives_one_completed_event() {
    let house = House::open(65).await;
    for model in ["bfl/flux-2-pro", "stability/sd3.5-large", "google/gemini-nano-banana-2.1"] {
        assert_eq!(kinds(&events(&house, streaming(ask(model), 2)).await), "c", "{model}");
    }
    let mut request = streaming(ask("bfl/flux-2-pro"), 0);
    request.n = 3;
    assert_eq!(kinds(&events(&house, request).await), "ccc");
    assert_eq!(kinds(&events(&house, streaming(ask("nothing-like-it"), 0)).await), "f");
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_read_to_its_end_for_a_client_that_left() {
    let house = House::open(66).await;
    house.faults("openai", &json!([{"fault": "latency", "ms": 100}]));
    let receiver = house.engine.generate_stream(incoming(streaming(ask("openai/gpt-image-2"), 2)));
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(receiver);
    house.engine.shut_down(10_000).await;
    let detail = house.settled().await;
    assert_eq!(detail.request.status, RequestStatus::Succeeded);
    let replayed = house.engine.replay(detail.request.id).await.expect("it is kept").expect("it is whole");
    assert_eq!(replayed.images.len(), 1);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_delays_no_settlement() {
    let house = House::open(67).await;
    let mut request = streaming(ask("openai/gpt-image-2"), 0);
    request.n = 10;
    let unread = house.engine.generate_stream(incoming(request));
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let attempts = house.attempts().await;
        if attempts.iter().any(|attempt| attempt.status == AttemptStatus::Settled) {
            drop(unread);
            assert_eq!(house.balance().await, 0);
            return;
        }
    }
    panic!("the settlement waits for a client that does not read");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cost_limit_holds_for_streams() {
    let house = House::open(68).await;
    let mut request = streaming(ask("openai/gpt-image-2"), 3);
    request.max_cost = Some(usd("0.0529"));
    let events = events(&house, request).await;
    assert_eq!(kinds(&events), "f", "three partial pictures pass the limit");
    assert_eq!(house.balance().await, 0);
}
