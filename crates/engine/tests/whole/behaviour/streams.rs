//! Streamed requests: partial pictures, then the whole one with the cost; and streams that break.

use super::{ask, ask_at, bytes, usd};
use crate::house::{House, incoming};
use gallerist_domain::ImageRequest;
use gallerist_engine::{RefusalKind, StreamEvent};
use gallerist_store::{AttemptStatus, RequestStatus};
use serde_json::json;
use std::time::Duration;

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
