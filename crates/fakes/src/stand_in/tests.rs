use std::time::Duration;

use axum::Json;
use axum::routing::post;
use serde_json::json;

use super::*;
use crate::faults::Fault;
use crate::testing::{script, send};
use crate::{Faults, wire};

/// A provider with one endpoint which bills a dollar and answers a long body.
async fn make(axum::extract::State(ctx): axum::extract::State<Arc<Ctx>>) -> Response {
    let drawn = ctx.draw("make");
    match drawn.fault() {
        Some(Fault::ResetBefore) => return wire::reset(),
        Some(Fault::BadGateway) => return wire::bad_gateway(),
        _ => {}
    }
    ctx.charge("one", "make", "model", crate::money::TICKS_PER_USD);
    ctx.work(&drawn).await;
    ctx.deliver(&drawn, Json(json!({"long": "x".repeat(10_000)})).into_response()).await
}

async fn provider() -> StandIn {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mut ctx = Ctx::new("test", Faults::new(&[], &[]), 1, 0, None);
    ctx.origin = format!("http://{}", listener.local_addr().expect("a bound listener"));
    let ctx = Arc::new(ctx);
    let router = Router::new().route("/make", post(make)).with_state(Arc::clone(&ctx));
    StandIn::start(ctx, router, listener, None).expect("it starts")
}

#[tokio::test]
async fn a_whole_answer_and_its_bill() {
    let provider = provider().await;
    let answer = send(&provider, "POST", "/make", &[], b"").await.expect("an answer");
    assert_eq!((answer.status, answer.is_cut()), (200, false));
    let bill = send(&provider, "GET", "/_fake/bill", &[], b"").await.expect("a bill").json();
    assert_eq!(bill["total_usd"], "1.0000000000");
    assert_eq!(bill["entries"][0]["model"], "model");
    provider.shutdown().await;
}

#[tokio::test]
async fn resets_are_real_and_only_the_later_one_is_billed() {
    let provider = provider().await;
    for (fault, billed) in [("reset_before", 0), ("reset_after", 1)] {
        script(&provider, json!([{"fault": fault}])).await;
        let error = send(&provider, "POST", "/make", &[], b"").await.expect_err("no answer");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{fault}");
        assert_eq!(provider.ctx.bill.entries().len(), billed, "{fault}");
    }
}

#[tokio::test]
async fn a_truncated_answer_stops_within_its_length() {
    let provider = provider().await;
    script(&provider, json!([{"fault": "truncated"}])).await;
    let answer = send(&provider, "POST", "/make", &[], b"").await.expect("half an answer");
    assert_eq!(answer.status, 200);
    assert!(answer.is_cut() && answer.body.len() > 1000, "{}", answer.body.len());
    assert_eq!(provider.ctx.bill.entries().len(), 1);
}

#[tokio::test]
async fn a_malformed_answer_is_no_json() {
    let provider = provider().await;
    script(&provider, json!([{"fault": "malformed"}])).await;
    let answer = send(&provider, "POST", "/make", &[], b"").await.expect("an answer");
    assert_eq!(answer.status, 200);
    assert!(serde_json::from_slice::<serde_json::Value>(&answer.body).is_err());
}

#[tokio::test]
async fn a_hanging_request_is_billed_although_its_client_left() {
    let provider = provider().await;
    script(&provider, json!([{"fault": "hang", "ms": 60_000}])).await;
    let patience = Duration::from_millis(100);
    let answer = tokio::time::timeout(patience, send(&provider, "POST", "/make", &[], b"")).await;
    assert!(answer.is_err(), "it hangs");
    assert_eq!(provider.ctx.bill.entries().len(), 1);
    provider.shutdown().await;
}

#[tokio::test]
async fn a_changed_price_is_charged_silently() {
    let provider = provider().await;
    script(&provider, json!([{"fault": "price_changed", "numerator": 1, "denominator": 4}])).await;
    send(&provider, "POST", "/make", &[], b"").await.expect("an answer");
    assert_eq!(provider.ctx.bill.total_ticks(), crate::money::TICKS_PER_USD / 4);
}

#[tokio::test]
async fn an_unknown_fault_is_refused_and_names_the_known() {
    let provider = provider().await;
    let body = json!([{"fault": "fire"}]).to_string();
    let answer = send(&provider, "PUT", "/_fake/faults", &[], body.as_bytes()).await.expect("an answer");
    assert_eq!(answer.status, 400);
    assert!(answer.json()["error"].to_string().contains("price_changed"));
}

#[tokio::test]
async fn the_same_seed_repeats_the_same_identifiers() {
    let provider = provider().await;
    let first = provider.ctx.id();
    send(&provider, "PUT", "/_fake/seed", &[], b"{\"seed\": 1}").await.expect("an answer");
    assert_eq!(provider.ctx.id(), first);
}

#[tokio::test]
async fn dropping_it_frees_its_port() {
    let provider = provider().await;
    let origin = provider.origin.clone();
    provider.shutdown().await;
    let connected = TcpStream::connect(origin.trim_start_matches("http://")).await;
    assert!(connected.is_err());
}
