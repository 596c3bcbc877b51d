//! The suite of rates on both of their implementations, and what each of them promises alone.

// The suite is compiled once for each implementation.
#![expect(clippy::duplicate_mod)]

mod local;
#[path = "../../tests/whole/redis.rs"]
mod redis;
mod server;
mod shared;

use super::bucket::Bucket;
use super::local::BUCKETS_KEPT;
use super::*;
use gallerist_domain::FixedClock;

fn noon() -> Timestamp {
    "2026-11-28T12:00:00Z".parse().expect("an instant")
}

fn in_ms(ms: i64) -> Timestamp {
    noon() + jiff::SignedDuration::from_millis(ms)
}

fn alone() -> Sharers {
    Sharers::new(|| 1)
}

fn ask(key: &str, limit: u32, cost: u32) -> Vec<Ask> {
    vec![Ask { owner: Owner::Key(key.to_owned()), measure: Measure::Requests, limit, cost }]
}

fn wait_ms(taken: Taken) -> Option<u64> {
    match taken {
        Taken::All(_) => None,
        Taken::Refused { retry_after_ms, .. } => Some(retry_after_ms),
    }
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
        let (mut bucket, mut taken, mut now_us) = (Bucket::default(), 0i64, 0i64);
        for _ in 0..2_000 {
            now_us += i64::try_from(next(2_000_000)).unwrap();
            let cost = 1 + u32::try_from(next(u64::from(limit.min(10)))).unwrap();
            let wait_us = bucket.wait_us(limit, cost, now_us);
            if wait_us > 0 {
                assert!(
                    bucket.wait_us(limit, cost, now_us + wait_us - 1) > 0,
                    "the wait is no longer than needed"
                );
                now_us += wait_us;
                assert_eq!(bucket.wait_us(limit, cost, now_us), 0);
            }
            bucket.take(limit, cost, now_us);
            taken += i64::from(cost);
            let minutes_us = i64::from(limit) * now_us / 60_000_000;
            assert!(taken <= minutes_us + i64::from(limit) + 1, "{taken} of {limit}");
        }
    }
}

#[test]
fn a_replica_has_its_share_and_what_is_more_waits_until_that_is_whole() {
    let rates = LocalRates::new(Sharers::new(|| 3));
    let take = |cost, ms| wait_ms(rates.take_now(&ask("a", 8, cost), in_ms(ms)));
    assert_eq!(take(2, 0), None, "a third of eight is two");
    assert_eq!(take(1, 0), Some(30_000));
    assert_eq!(take(5, 0), Some(60_000), "five are let in, when nothing else was");
    assert_eq!(take(5, 60_000), None);
    assert_eq!(take(1, 60_000), Some(120_000), "and are paid off afterwards");
    let Taken::All(levels) = rates.take_now(&ask("b", 8, 1), noon()) else { panic!("another key") };
    assert_eq!((levels[0].limit, levels[0].remaining), (8, 1));
}

#[test]
fn what_was_let_in_elsewhere_empties_a_bucket_at_most() {
    let rates = LocalRates::new(Sharers::new(|| 3));
    rates.note(&ask("a", 6, 1), noon());
    assert_eq!(wait_ms(rates.take_now(&ask("a", 6, 1), noon())), None);
    rates.note(&ask("a", 6, 6), noon());
    assert_eq!(wait_ms(rates.take_now(&ask("a", 6, 1), noon())), Some(30_000));
    assert_eq!(wait_ms(rates.take_now(&ask("a", 6, 1), in_ms(30_000))), None);
    rates.give_back(&ask("a", 6, 1));
    assert_eq!(wait_ms(rates.take_now(&ask("a", 6, 1), in_ms(30_000))), None);
}

#[tokio::test]
async fn pictures_at_once_are_counted_for_a_share_too() {
    let limits = RateLimits { images_at_once: Some(5), ..RateLimits::NONE };
    let allowance = Allowance { key_limits: limits, ..Allowance::default() };
    let sharers = Sharers::new(|| 2);
    let door = Door::new(Arc::new(LocalRates::new(sharers.clone())), sharers);
    let payer = Payer { key_id: Some("a".to_owned()), ..Payer::of("shop".parse().expect("a name")) };
    let clock = FixedClock::new(noon());
    let pass = async |images| door.pass(&payer, &allowance, images, &clock).await;
    let one = pass(1).await.expect("there is room");
    let refusal = pass(2).await.err().expect("a half of five is two");
    assert!(refusal.message.contains("is 5 images at once (2 at this replica)"), "{}", refusal.message);
    drop(one);
    let all = pass(5).await.expect("alone it may be more");
    assert!(pass(1).await.is_err());
    drop(all);
    assert!(pass(2).await.is_ok());
}

#[tokio::test]
async fn nobody_without_limits_is_counted() {
    let rates = Arc::new(LocalRates::new(alone()));
    let door = Door::new(rates.clone(), alone());
    let payer = Payer::of("shop".parse().expect("a name"));
    assert!(door.pass(&payer, &Allowance::default(), 10, &FixedClock::new(noon())).await.is_ok());
    assert!(door.levels(&payer, &Allowance::default(), noon()).await.is_empty());
    assert!(rates.buckets.lock().unwrap().is_empty());
}

#[test]
fn buckets_that_are_full_again_are_forgotten() {
    let rates = LocalRates::new(alone());
    let take = |number: usize, now| drop(rates.take_now(&ask(&number.to_string(), 60, 1), now));
    (0..BUCKETS_KEPT).for_each(|number| take(number, noon()));
    take(BUCKETS_KEPT, in_ms(90_000));
    assert_eq!(rates.buckets.lock().unwrap().len(), 1);
}
