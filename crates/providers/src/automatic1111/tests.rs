use super::*;
use crate::dialect::reply::chunks;
use gallerist_domain::{Billed, Size};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

fn call() -> ImageCall {
    ImageCall { steps: 20, ..ImageCall::example("default", Size::new(512, 512)) }
}

fn endpoint(key: &str) -> Endpoint {
    Endpoint { base_url: "http://127.0.0.1:7860".to_owned(), key: key.to_owned() }
}

fn step(status: u16, time: &'static str, body: &str) -> Step {
    let headers: HeaderMap =
        [(http::HeaderName::from_static(TIME_HEADER), HeaderValue::from_static(time))].into_iter().collect();
    Automatic1111.interpret(&call(), None, &HttpReply { status, headers, body: chunks(body) })
}

#[test]
fn the_key_is_user_and_password() {
    let request = Automatic1111.prepare(&call(), &endpoint("user:password")).expect("it can be said");
    let header = request.headers.iter().find(|header| header.0 == AUTHORIZATION).expect("it has the header");
    assert_eq!(header.1, "Basic dXNlcjpwYXNzd29yZA==");
    assert!(header.1.is_sensitive());
    let refused = Automatic1111.prepare(&call(), &endpoint("password")).expect_err("no user");
    assert_eq!(refused.kind, FaultKind::Unauthorized);
    assert!(!refused.detail.contains(" password,"));
}

#[test]
fn seeds_are_kept_where_they_can_be_read() {
    for (info, seed) in [
        (r#""{\"all_seeds\":[7]}""#, Some(7)),
        (r#"{"all_seeds":[7]}"#, Some(7)),
        (r#""""#, None),
        (r#""not JSON""#, None),
        ("null", None),
        ("{}", None),
        (r#"{"all_seeds":["x"]}"#, None),
    ] {
        let Step::Done(outcome) = step(200, "1", &format!(r#"{{"images":["eA=="],"info":{info}}}"#)) else {
            panic!("{info} is no reason to lose a picture");
        };
        assert_eq!(outcome.images[0].seed, seed, "{info}");
    }
}

#[test]
fn time_is_spent_on_failures_but_not_on_refusals() {
    let Step::Fault(failed) = step(500, "2.5", "Internal Server Error") else { panic!("a fault") };
    assert_eq!((failed.kind, failed.billed), (FaultKind::UpstreamError, Some(Billed::Yes)));
    assert_eq!(failed.usage, [Metered { meter: Meter::GpuSeconds, quantity: 2_500_000 }]);
    let Step::Fault(refused) = step(401, "0.1", r#"{"detail":"Incorrect username or password"}"#) else {
        panic!("a fault")
    };
    assert_eq!((refused.kind, refused.billed), (FaultKind::Unauthorized, None));
    let Step::Fault(empty) = step(200, "fast", r#"{"images":[]}"#) else { panic!("a fault") };
    assert_eq!((empty.kind, empty.billed), (FaultKind::NoImage, None));
}

#[test]
fn options_reach_neither_settings_nor_scripts() {
    for name in RESERVED {
        let options = json!({ *name: {} }).to_string();
        let call = ImageCall { provider_options: options, ..call() };
        let refused = Automatic1111.prepare(&call, &endpoint("")).expect_err("reserved");
        assert_eq!(refused.kind, FaultKind::InvalidRequest, "{name}");
    }
}
