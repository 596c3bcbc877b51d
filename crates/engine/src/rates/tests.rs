use super::*;
use gallerist_domain::FixedClock;

fn clock() -> FixedClock {
    FixedClock::new("2026-11-28T12:00:00Z".parse().expect("an instant"))
}

fn wait(clock: &FixedClock, ms: i64) {
    clock.set(clock.now() + jiff::SignedDuration::from_millis(ms));
}

fn payer(key: &str) -> Payer {
    Payer { key_id: Some(key.to_owned()), ..Payer::of("shop".parse().expect("a name")) }
}

fn door() -> Door {
    Door::new(Arc::new(LocalRates::default()))
}

fn per_minute(requests: Option<u32>, images: Option<u32>) -> RateLimits {
    RateLimits { requests_per_minute: requests, images_per_minute: images, images_at_once: None }
}

fn of_key(key_limits: RateLimits) -> Allowance {
    Allowance { key_limits, ..Allowance::default() }
}

async fn wait_ms(door: &Door, key: &str, allowance: &Allowance, n: u32, clock: &FixedClock) -> Option<u64> {
    match door.pass(&payer(key), allowance, n, clock).await {
        Ok(_) => None,
        Err(refusal) => {
            assert_eq!(refusal.kind, RefusalKind::RateLimited, "{}", refusal.message);
            refusal.retry_after_ms
        }
    }
}

#[tokio::test]
async fn a_request_of_n_pictures_takes_n_and_the_wait_is_exact() {
    let (door, clock) = (door(), clock());
    let allowance = of_key(per_minute(None, Some(6)));
    assert_eq!(wait_ms(&door, "a", &allowance, 4, &clock).await, None);
    assert_eq!(wait_ms(&door, "a", &allowance, 3, &clock).await, Some(10_000));
    assert_eq!(wait_ms(&door, "b", &allowance, 6, &clock).await, None, "another key has its own");
    wait(&clock, 9_999);
    assert_eq!(wait_ms(&door, "a", &allowance, 3, &clock).await, Some(1));
    wait(&clock, 1);
    assert_eq!(wait_ms(&door, "a", &allowance, 3, &clock).await, None);
}

#[tokio::test]
async fn all_limits_are_taken_together_or_none_is() {
    let (door, clock) = (door(), clock());
    let allowance = Allowance {
        key_limits: per_minute(Some(10), None),
        project_limits: per_minute(None, Some(4)),
        ..Allowance::default()
    };
    assert_eq!(wait_ms(&door, "a", &allowance, 4, &clock).await, None);
    for _ in 0..20 {
        assert_eq!(wait_ms(&door, "a", &allowance, 2, &clock).await, Some(30_000));
    }
    assert_eq!(wait_ms(&door, "b", &allowance, 1, &clock).await, Some(15_000), "keys share their project's");
    let levels = door.levels(&payer("a"), &allowance, clock.now()).await;
    let level = |measure, limit, remaining, reset_ms| Level { measure, limit, remaining, reset_ms };
    assert_eq!(
        levels,
        [level(Measure::Requests, 10, 9, 6_000), level(Measure::Images, 4, 0, 60_000)],
        "what was refused took nothing"
    );
}

#[tokio::test]
async fn more_pictures_than_a_limit_ever_lets_in_are_no_matter_of_waiting() {
    let (door, clock) = (door(), clock());
    let at_once = RateLimits { images_at_once: Some(3), ..RateLimits::NONE };
    for limits in [per_minute(None, Some(3)), at_once] {
        let refusal = door.pass(&payer("a"), &of_key(limits), 4, &clock).await.err().expect("too many");
        assert_eq!((refusal.kind, refusal.parameter.as_deref()), (RefusalKind::InvalidRequest, Some("n")));
    }
}

#[tokio::test]
async fn pictures_at_once_are_free_again_when_they_are_made() {
    let (door, clock) = (door(), clock());
    let limits = RateLimits { images_at_once: Some(3), ..per_minute(None, Some(100)) };
    let allowance = of_key(limits);
    let two = door.pass(&payer("a"), &allowance, 2, &clock).await.expect("there is room");
    assert_eq!(wait_ms(&door, "a", &allowance, 2, &clock).await, Some(AT_ONCE_RETRY_MS));
    let levels = door.levels(&payer("a"), &allowance, clock.now()).await;
    assert_eq!(levels[0].remaining, 98, "what was refused took nothing of the rate");
    drop(two);
    assert_eq!(wait_ms(&door, "a", &allowance, 3, &clock).await, None);
    assert!(door.at_once.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_rate_that_refuses_gives_back_what_is_held_at_once() {
    let (door, clock) = (door(), clock());
    let limits = RateLimits { images_at_once: Some(2), ..per_minute(Some(1), None) };
    assert_eq!(wait_ms(&door, "a", &of_key(limits), 1, &clock).await, None);
    assert_eq!(wait_ms(&door, "a", &of_key(limits), 1, &clock).await, Some(60_000));
    assert!(door.at_once.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_nobody_out_for_longer_than_a_minute() {
    let (door, clock) = (door(), clock());
    let allowance = of_key(per_minute(Some(6), None));
    for _ in 0..6 {
        assert_eq!(wait_ms(&door, "a", &allowance, 1, &clock).await, None);
    }
    wait(&clock, -600_000);
    let mut waited_ms = 0;
    while let Some(ms) = wait_ms(&door, "a", &allowance, 1, &clock).await {
        waited_ms += ms;
        assert!(waited_ms <= 60_000, "{waited_ms} ms");
        wait(&clock, i64::try_from(ms).expect("it is short"));
    }
    let levels = door.levels(&payer("a"), &allowance, clock.now()).await;
    assert!(levels[0].reset_ms <= 60_000, "{levels:?}");
    // From then on the rate holds as ever.
    let mut let_in = 1;
    while wait_ms(&door, "a", &allowance, 1, &clock).await.is_none() {
        let_in += 1;
    }
    assert!(let_in <= 6, "{let_in}");
}

/// The rate over a long time, against a plain count.
#[test]
fn whatever_is_asked_the_rate_holds_and_what_was_refused_may_come_after_its_wait() {
    let mut seed = 7u64;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for limit in [1u32, 7, 60, 1_000] {
        let (mut bucket, mut taken, mut now_ns) = (Bucket::default(), 0u64, 0i128);
        for _ in 0..2_000 {
            now_ns += i128::from(next(2_000_000_000));
            let cost = 1 + u32::try_from(next(u64::from(limit.min(10)))).unwrap();
            let wait_ns = bucket.wait_ns(limit, cost, now_ns);
            if wait_ns > 0 {
                assert!(
                    bucket.wait_ns(limit, cost, now_ns + wait_ns - 1) > 0,
                    "the wait is no longer than needed"
                );
                now_ns += wait_ns;
                assert_eq!(bucket.wait_ns(limit, cost, now_ns), 0);
            }
            bucket.take(limit, cost, now_ns);
            taken += u64::from(cost);
            let minutes_ns = i128::from(limit) * now_ns / 60_000_000_000;
            assert!(i128::from(taken) <= minutes_ns + i128::from(limit) + 1, "{taken} of {limit}");
        }
    }
}

#[tokio::test]
async fn nobody_without_limits_is_counted() {
    let (rates, clock) = (Arc::new(LocalRates::default()), clock());
    let door = Door::new(rates.clone());
    assert!(door.pass(&payer("a"), &Allowance::default(), 10, &clock).await.is_ok());
    assert!(door.levels(&payer("a"), &Allowance::default(), clock.now()).await.is_empty());
    assert!(rates.buckets.lock().unwrap().is_empty());
}

#[test]
fn buckets_that_are_full_again_are_forgotten() {
    let rates = LocalRates::default();
    let ask = |number: usize| {
        let owner = Owner::Key(number.to_string());
        vec![Ask { owner, measure: Measure::Requests, limit: 60, cost: 1 }]
    };
    let early = clock().now();
    (0..BUCKETS_KEPT).for_each(|number| drop(rates.take_now(ask(number), early)));
    let late = early + jiff::SignedDuration::from_secs(90);
    rates.take_now(ask(BUCKETS_KEPT), late);
    assert_eq!(rates.buckets.lock().unwrap().len(), 1);
}
