use super::*;

#[test]
fn opens_after_failures_in_a_row_and_closes_after_a_probe() {
    let mut health = Health::default();
    for _ in 0..FAILURES_TO_OPEN - 1 {
        assert_eq!(health.failed(0), None);
        assert_eq!(health.verdict(0), Verdict::Ready);
    }
    assert_eq!(health.failed(0), Some(REST_MS));
    assert_eq!(health.verdict(10), Verdict::Resting { for_ms: REST_MS - 10 });
    assert_eq!(health.verdict(REST_MS), Verdict::Probe);
    health.started(REST_MS);
    assert!(matches!(health.verdict(REST_MS), Verdict::Resting { .. }), "only one probe at a time");
    health.succeeded(REST_MS + 5, 5);
    assert_eq!(health.verdict(REST_MS + 5), Verdict::Ready);
}

#[test]
fn a_failed_probe_doubles_the_rest_up_to_a_limit() {
    let mut health = Health::default();
    let mut now_ms = 0;
    for _ in 0..FAILURES_TO_OPEN {
        health.failed(now_ms);
    }
    let mut rest_ms = REST_MS;
    for _ in 0..10 {
        now_ms += rest_ms;
        health.started(now_ms);
        rest_ms = health.failed(now_ms).expect("a failed probe opens the breaker");
    }
    assert_eq!(rest_ms, REST_MS_MAX);
}

#[test]
fn a_success_between_failures_keeps_it_closed() {
    let mut health = Health::default();
    for round in 0..50 {
        assert_eq!(health.failed(round), None);
        health.succeeded(round, 100);
    }
}

#[test]
fn honours_retry_after_without_counting_a_failure() {
    let mut health = Health::default();
    health.asked_to_wait(1_000, 3_000);
    assert_eq!(health.verdict(2_000), Verdict::Resting { for_ms: 2_000 });
    assert_eq!(health.verdict(4_000), Verdict::Ready);
}

#[test]
fn an_offer_that_fails_more_than_its_peers_rests() {
    let mut book = HealthBook::new(3);
    for now_ms in 0..40 {
        book.offers[0].succeeded(now_ms, 10);
        book.offers[1].succeeded(now_ms, 10);
    }
    let mut opened = None;
    for now_ms in 0..40 {
        // Two successes and a failure in turn: never five failures in a row.
        book.offers[2].succeeded(now_ms, 10);
        opened = opened.or(book.failed(2, now_ms));
    }
    assert!(opened.is_some());
}

#[test]
fn latency_forgets_the_past() {
    let mut health = Health::default();
    health.succeeded(0, 1_000);
    health.succeeded(3_600_000, 100);
    assert!(health.latency_ms().unwrap() < 110);
}
