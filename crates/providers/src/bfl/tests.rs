use super::*;
use gallerist_domain::{Chunks, Size};
use http::HeaderMap;
use std::collections::BTreeMap;

const ADDRESS: &str = "https://api.us.bfl.ai/v1/get_result?id=1";

fn call(model: &str) -> ImageCall {
    ImageCall::example(model, Size::new(1024, 1024))
}

fn job(address: &str) -> Pending {
    let state = BTreeMap::from([(POLLING_URL.to_owned(), address.to_owned())]);
    Pending { version: PENDING_VERSION, job: "1".to_owned(), state }
}

fn endpoint(base_url: &str) -> Endpoint {
    Endpoint { base_url: base_url.to_owned(), key: "k".to_owned() }
}

fn answer(status: u16, body: &str) -> HttpReply {
    HttpReply { status, headers: HeaderMap::new(), body: Chunks::from(body.as_bytes().to_vec()) }
}

/// Polls with the same answer until a fault comes; gives the number of polls and the fault.
fn polls_until_fault(answer: &HttpReply) -> (u32, Fault) {
    let mut pending = job(ADDRESS);
    for polls in 1..100 {
        match Bfl.interpret(&call("flux-2-pro"), Some(&pending), answer) {
            Step::Wait { pending: next, .. } => pending = next,
            Step::Fault(fault) => return (polls, fault),
            Step::Done(outcome) => panic!("{outcome:?}"),
        }
    }
    panic!("it waits for ever");
}

#[test]
fn a_dead_task_is_given_up_and_a_late_one_is_awaited() {
    let (polls, fault) = polls_until_fault(&answer(503, "{\"detail\":\"x\"}"));
    assert_eq!((polls, fault.kind), (3, FaultKind::UpstreamError));
    let (polls, fault) = polls_until_fault(&answer(404, "{}"));
    assert_eq!((polls, fault.kind), (12, FaultKind::ResultUnavailable));
    let (polls, fault) = polls_until_fault(&answer(200, "<html>"));
    assert_eq!((polls, fault.kind), (3, FaultKind::Malformed));
}

#[test]
fn a_good_poll_forgets_the_failed_ones() {
    let mut pending = job(ADDRESS);
    for reply in
        [answer(500, ""), answer(500, ""), answer(200, "{\"status\":\"Pending\"}")].iter().cycle().take(30)
    {
        match Bfl.interpret(&call("flux-2-pro"), Some(&pending), reply) {
            Step::Wait { pending: next, .. } => pending = next,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_failed_poll_with_a_last_word_ends_the_job_at_once() {
    let (polls, fault) = polls_until_fault(&answer(500, r#"{"status":"Error","cost":1.5}"#));
    assert_eq!(
        (polls, fault.kind, fault.billed),
        (1, FaultKind::UpstreamError, Some(gallerist_domain::Billed::Yes))
    );
    assert_eq!(fault.usage[0].quantity, 1_500_000);
}

#[test]
fn a_refused_poll_does_not_say_that_the_job_is_free() {
    let (_, fault) = polls_until_fault(&answer(401, "{}"));
    assert_eq!(
        (fault.kind, fault.billed),
        (FaultKind::Unauthorized, Some(gallerist_domain::Billed::Unknown))
    );
}

#[test]
fn stand_ins_may_send_the_poll_to_another_loopback_host() {
    let local = endpoint("http://127.0.0.1:9103/v1");
    assert!(Bfl.look_up(&job("http://localhost:9103/v1/get_result?id=1"), &local).is_some());
    assert!(Bfl.look_up(&job(ADDRESS), &local).is_none());
    let mut old = job(ADDRESS);
    old.version = 0;
    assert!(Bfl.look_up(&old, &endpoint("https://api.bfl.ai/v1")).is_none());
}

#[test]
fn what_a_schema_cannot_say_is_refused() {
    let kind =
        |call: &ImageCall| Bfl.prepare(call, &endpoint("https://api.bfl.ai/v1")).map_err(|fault| fault.kind);
    let ratio = |model: &str| ImageCall {
        aspect_ratio: "1:1".to_owned(),
        resolution: "1k".to_owned(),
        ..call(model)
    };
    let unsupported = [
        ImageCall { seed: Some(1), ..ratio("flux-3-image") },
        ImageCall { negative_prompt: Some("x".to_owned()), ..call("flux-2-pro") },
        ImageCall { n: 2, ..call("flux-2-pro") },
        call("flux-pro-1.1-ultra"),
        ImageCall { resolution: String::new(), ..ratio("flux-3-image") },
        ratio("flux-2-max"),
        call(".."),
    ];
    for call in unsupported {
        assert_eq!(kind(&call).err(), Some(FaultKind::Unsupported), "{call:?}");
    }
    for options in
        [r#"{"input_image_2":"https://x"}"#, r#"{"webhook_url":"https://x"}"#, r#"{"steps":1}"#, "[]"]
    {
        let call = ImageCall { provider_options: options.to_owned(), ..call("flux-2-pro") };
        assert_eq!(kind(&call).err(), Some(FaultKind::InvalidRequest), "{options}");
    }
    let strict = ImageCall { provider_options: r#"{"raw":true}"#.to_owned(), ..ratio("flux-3-image") };
    assert_eq!(kind(&strict).err(), Some(FaultKind::InvalidRequest));
    let grounded =
        ImageCall { provider_options: r#"{"grounding":false}"#.to_owned(), ..ratio("flux-3-image") };
    assert!(kind(&grounded).is_ok());
    assert!(kind(&ImageCall { seed: Some(1), steps: 4, ..ratio("flux-3-image-klein") }).is_ok());
}
