use super::*;
use gallerist_domain::{Chunks, Size};
use http::HeaderMap;
use std::collections::BTreeMap;

fn call(model: &str) -> ImageCall {
    ImageCall::example(model, Size::new(1024, 1024))
}

fn job() -> Pending {
    let base = "https://queue.fal.run/fal-ai/flux/requests/1";
    let state = [
        (STAGE, STAGE_STATUS.to_owned()),
        (STATUS_URL, format!("{base}/status?x=1")),
        (RESPONSE_URL, base.to_owned()),
    ];
    let state: BTreeMap<String, String> = state.map(|(name, value)| (name.to_owned(), value)).into();
    Pending { version: PENDING_VERSION, job: "1".to_owned(), state }
}

fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> HttpReply {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, HeaderValue::from_static(value));
    }
    HttpReply { status, headers: map, body: Chunks::from(body.as_bytes().to_vec()) }
}

/// Follows the stages, with one answer for each, until an end comes.
fn run(status: &HttpReply, result: &HttpReply) -> (u32, Step) {
    let mut pending = job();
    for calls in 1..100 {
        let fetches = pending.state.get(STAGE).map(String::as_str) == Some(STAGE_RESULT);
        let reply = if fetches { result } else { status };
        match Fal.interpret(&call("fal-ai/flux/dev"), Some(&pending), reply) {
            Step::Wait { pending: next, .. } => pending = next,
            end => return (calls, end),
        }
    }
    panic!("it waits for ever");
}

fn fault(step: Step) -> Fault {
    match step {
        Step::Fault(fault) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_job_that_is_said_to_be_done_and_never_is_comes_to_an_end() {
    let done = answer(200, &[], r#"{"status":"COMPLETED"}"#);
    let (_, end) = run(&done, &answer(400, &[], r#"{"detail":"Request is still in progress"}"#));
    assert_eq!(fault(end).kind, FaultKind::InvalidRequest);
    let (_, end) = run(&done, &answer(502, &[], "<html>nginx</html>"));
    let end = fault(end);
    assert_eq!((end.kind, end.billed), (FaultKind::UpstreamError, Some(gallerist_domain::Billed::Unknown)));
    let (_, end) = run(&answer(200, &[], "<html>"), &done);
    assert_eq!(fault(end).kind, FaultKind::Malformed);
}

#[test]
fn a_result_that_cannot_be_fetched_for_a_moment_is_fetched_again_unless_the_job_is_known_to_have_failed() {
    let busy = answer(500, &[("x-fal-error-type", "internal_server_error")], r#"{"detail":"Internal"}"#);
    let wait = |status: &str| {
        let Step::Wait { pending, .. } =
            Fal.interpret(&call("fal-ai/flux/dev"), Some(&job()), &answer(200, &[], status))
        else {
            panic!("the result is to be fetched")
        };
        Fal.interpret(&call("fal-ai/flux/dev"), Some(&pending), &busy)
    };
    assert!(matches!(wait(r#"{"status":"COMPLETED","error":null}"#), Step::Wait { .. }));
    // Cancelled while it ran, and charged: this is not its own word.
    assert!(matches!(
        wait(r#"{"status":"COMPLETED","error":"cancelled","error_type":"client_cancelled"}"#),
        Step::Wait { .. }
    ));
    let failed = wait(r#"{"status":"COMPLETED","error":"Internal","error_type":"internal_server_error"}"#);
    assert_eq!(fault(failed).kind, FaultKind::UpstreamError);
}

#[test]
fn below_500_only_units_tell_whether_a_failed_result_was_charged() {
    use gallerist_domain::Billed;
    let done = answer(200, &[], r#"{"status":"COMPLETED"}"#);
    let units = |units: &'static str| [("x-fal-billable-units", units)];
    let refused = |status: u16, kind: &str, headers: &[(&'static str, &'static str)]| {
        fault(run(&done, &answer(status, headers, &format!(r#"{{"detail":[{{"type":"{kind}"}}]}}"#))).1)
            .billed
    };
    for kind in ["image_load_error", "value_error", "content_policy_violation"] {
        assert_eq!(refused(422, kind, &[]), Some(Billed::Unknown), "{kind}: a runner may have worked");
        assert_eq!(refused(422, kind, &units("0")), Some(Billed::No), "{kind}");
        assert_eq!(refused(422, kind, &units("1.5")), Some(Billed::Yes), "{kind}");
    }
    assert_eq!(refused(400, "value_error", &[]), Some(Billed::Unknown));
    assert_eq!(refused(413, "value_error", &[]), Some(Billed::Unknown));
    // A failure of fal's own is never charged; the outcome matrix says so.
    assert_eq!(refused(500, "internal_server_error", &[]), None);
}

#[test]
fn a_submission_that_something_between_us_failed_may_have_begun() {
    use gallerist_domain::Billed;
    let submitted = |status: u16, body: &str| {
        let fault = fault(Fal.interpret(&call("fal-ai/flux/dev"), None, &answer(status, &[], body)));
        (fault.kind, fault.billed)
    };
    for status in [500, 502, 503] {
        let expected = (FaultKind::UpstreamError, Some(Billed::Unknown));
        assert_eq!(submitted(status, "<html>nginx</html>"), expected, "{status}");
        let own = r#"{"detail":"Internal Server Error"}"#;
        assert_eq!(submitted(status, own), (FaultKind::UpstreamError, None), "{status}");
    }
    assert_eq!(submitted(504, "<html>"), (FaultKind::Timeout, Some(Billed::Unknown)));
    assert_eq!(submitted(504, r#"{"detail":"timed out"}"#), (FaultKind::Timeout, Some(Billed::No)));
    assert_eq!(submitted(422, r#"{"detail":"no"}"#), (FaultKind::InvalidRequest, None));
}

#[test]
fn an_empty_balance_is_not_read_from_words() {
    for detail in ["User is locked. Reason: Exhausted balance.", "Forbidden"] {
        let body = format!(r#"{{"detail":"{detail}"}}"#);
        let end = fault(Fal.interpret(&call("fal-ai/flux/dev"), None, &answer(403, &[], &body)));
        assert_eq!((end.kind, end.billed), (FaultKind::Unauthorized, None), "{detail}");
    }
}

#[test]
fn units_of_zero_prove_that_a_failure_is_free() {
    let done = answer(200, &[], r#"{"status":"COMPLETED"}"#);
    let refused = answer(422, &[("x-fal-billable-units", "0")], r#"{"detail":[{"type":"image_too_large"}]}"#);
    let end = fault(run(&done, &refused).1);
    assert_eq!((end.kind, end.billed), (FaultKind::InvalidRequest, Some(gallerist_domain::Billed::No)));
}

#[test]
fn units_are_kept_from_their_digits() {
    let done = answer(200, &[], r#"{"status":"COMPLETED"}"#);
    let body = r#"{"images":[{"url":"https://v3.fal.media/a.png"}],"seed":18446744073709551615}"#;
    for (digits, millionths) in [("1.048576", 1_048_576), ("30", 30_000_000), ("2.12345651", 2_123_457)] {
        let made = answer(200, &[("x-fal-billable-units", digits)], body);
        match run(&done, &made).1 {
            Step::Done(outcome) => {
                assert_eq!(outcome.usage[0].quantity, millionths);
                assert_eq!(outcome.images[0].seed, Some(u64::MAX));
            }
            other => panic!("{other:?}"),
        }
    }
    for digits in ["-1", "NaN", "many"] {
        match run(&done, &answer(200, &[("x-fal-billable-units", digits)], body)).1 {
            Step::Done(outcome) => assert!(outcome.usage.is_empty(), "{digits}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_model_s_path_is_kept_and_cannot_leave_its_place() {
    assert_eq!(path("fal-ai/flux-2-pro/edit").as_deref(), Ok("/fal-ai/flux-2-pro/edit"));
    assert_eq!(path("a/b?c").as_deref(), Ok("/a/b%3Fc"));
    for bad in ["flux", "a//b", "a/../b", ""] {
        assert_eq!(path(bad).map_err(|fault| fault.kind), Err(FaultKind::Unsupported), "{bad}");
    }
}

#[test]
fn the_addresses_of_the_submission_are_followed() {
    let endpoint = Endpoint { base_url: "https://queue.fal.run".to_owned(), key: "k".to_owned() };
    let look_up = Fal.look_up(&job(), &endpoint).expect("it can be asked");
    assert_eq!(look_up.url, "https://queue.fal.run/fal-ai/flux/requests/1/status?x=1&logs=0");
    assert!(Fal.cancel(&job(), &endpoint).is_none(), "the submission named no address for it");
}
