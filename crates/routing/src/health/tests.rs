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

#[test]
fn a_rest_that_another_replica_found_is_kept_as_its_own() {
    let mut health = Health::default();
    health.told(1_000, Told::Rest { for_ms: 5_000, openings: 0 });
    assert_eq!(health.verdict(2_000), Verdict::Resting { for_ms: 4_000 });
    // What is shorter takes nothing away, and neither does a success elsewhere.
    health.told(2_000, Told::Rest { for_ms: 1_000, openings: 0 });
    health.told(2_000, Told::Well);
    assert_eq!(health.rest(2_000), (4_000, 0));
    assert_eq!(health.verdict(6_000), Verdict::Ready, "it was asked to wait, which is no failure");
    assert!(!health.is_known(2_000), "it was not tried here");
}

#[test]
fn an_opening_elsewhere_lengthens_the_next_one_here_until_somebody_succeeds() {
    let mut health = Health::default();
    health.told(0, Told::Rest { for_ms: 2_000, openings: 2 });
    assert!(health.is_out());
    assert_eq!(health.verdict(2_000), Verdict::Probe);
    health.started(2_000);
    assert_eq!(health.failed(2_010), Some(4 * REST_MS), "the third opening rests four times as long");
    health.told(3_000, Told::Well);
    assert_eq!(health.rest(3_000), (3_010, 0), "its own rest goes on");
    assert_eq!(health.verdict(6_010), Verdict::Ready);
    for _ in 0..FAILURES_TO_OPEN - 1 {
        assert_eq!(health.failed(6_010), None, "the count of failures begins anew");
    }
    assert_eq!(health.failed(6_010), Some(REST_MS));
}

#[test]
fn failures_before_an_opening_elsewhere_do_not_open_it_once_more() {
    let mut health = Health::default();
    for _ in 0..FAILURES_TO_OPEN - 1 {
        assert_eq!(health.failed(0), None);
    }
    health.told(0, Told::Rest { for_ms: REST_MS, openings: 1 });
    assert_eq!(health.failed(1), None, "a call that was under way");
    assert_eq!(health.rest(1), (REST_MS - 1, 1));
    // What a provider asks for is no failure, and leaves the count as it is.
    let mut asked = Health::default();
    for _ in 0..FAILURES_TO_OPEN - 1 {
        asked.failed(0);
    }
    asked.told(0, Told::Rest { for_ms: 10, openings: 0 });
    assert_eq!(asked.failed(1), Some(REST_MS));
}

#[test]
fn a_probe_is_left_to_another_replica_for_its_turn_and_no_longer() {
    let mut health = Health::default();
    health.told(0, Told::Rest { for_ms: 1_000, openings: 1 });
    health.leave_probe_until(2_500);
    assert_eq!(health.verdict(1_500), Verdict::Resting { for_ms: 1_000 }, "another one's turn");
    assert!(!health.started(1_500) && !health.is_probing(), "who asks for it alone is not the probe");
    assert_eq!(health.verdict(2_500), Verdict::Probe);
    health.leave_probe_until(4_000);
    assert_eq!(health.verdict(2_500), Verdict::Resting { for_ms: 1_500 }, "the turn goes on");
    health.leave_probe_until(0);
    assert!(health.started(2_500) && health.is_probing());
    assert!(health.succeeded(2_600, 100), "it was out");
    assert!(!health.succeeded(2_700, 100));
    health.leave_probe_until(9_000);
    assert_eq!((health.verdict(2_700), health.is_probing()), (Verdict::Ready, false), "nothing to probe");
}

#[test]
fn nobody_is_believed_beyond_the_longest_rest() {
    let mut health = Health::default();
    health.told(7, Told::Rest { for_ms: u64::MAX, openings: u32::MAX });
    assert_eq!(health.rest(7), (REST_TOLD_MS_MAX, OPENINGS_MAX));
    let mut now_ms = 7 + REST_TOLD_MS_MAX;
    health.started(now_ms);
    assert_eq!(health.failed(now_ms), Some(REST_MS_MAX));
    now_ms += REST_MS_MAX;
    assert_eq!(health.verdict(now_ms), Verdict::Probe);
}
