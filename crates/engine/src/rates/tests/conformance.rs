//! What holds of rates wherever they are kept. Names are of each test's own, because a server may be shared.

use super::rates;
use crate::rates::*;
use gallerist_domain::FixedClock;

struct World {
    door: Door,
    clock: FixedClock,
    unique: String,
}

impl World {
    async fn new() -> Option<World> {
        let door = Door::new(rates().await?, Sharers::new(|| 1));
        let clock = FixedClock::new("2026-11-28T12:00:00Z".parse().expect("an instant"));
        Some(World { door, clock, unique: uuid::Uuid::new_v4().simple().to_string() })
    }

    fn payer(&self, key: &str) -> Payer {
        let project = format!("shop-{}", self.unique);
        Payer {
            key_id: Some(format!("{key}-{}", self.unique)),
            ..Payer::of(project.parse().expect("a name"))
        }
    }

    fn wait(&self, ms: i64) {
        self.clock.set(self.clock.now() + jiff::SignedDuration::from_millis(ms));
    }

    async fn wait_ms(&self, key: &str, allowance: &Allowance, n: u32) -> Option<u64> {
        match self.door.pass(&self.payer(key), allowance, n, &self.clock).await {
            Ok(_) => None,
            Err(refusal) => {
                assert_eq!(refusal.kind, RefusalKind::RateLimited, "{}", refusal.message);
                refusal.retry_after_ms
            }
        }
    }

    async fn levels(&self, key: &str, allowance: &Allowance) -> Vec<Level> {
        self.door.levels(&self.payer(key), allowance, self.clock.now()).await
    }
}

fn per_minute(requests: Option<u32>, images: Option<u32>) -> RateLimits {
    RateLimits { requests_per_minute: requests, images_per_minute: images, images_at_once: None }
}

fn of_key(key_limits: RateLimits) -> Allowance {
    Allowance { key_limits, ..Allowance::default() }
}

#[tokio::test]
async fn a_request_of_n_pictures_takes_n_and_the_wait_is_exact() {
    let Some(world) = World::new().await else { return };
    let allowance = of_key(per_minute(None, Some(6)));
    assert_eq!(world.wait_ms("a", &allowance, 4).await, None);
    assert_eq!(world.wait_ms("a", &allowance, 3).await, Some(10_000));
    assert_eq!(world.wait_ms("b", &allowance, 6).await, None, "another key has its own");
    world.wait(9_999);
    assert_eq!(world.wait_ms("a", &allowance, 3).await, Some(1));
    world.wait(1);
    assert_eq!(world.wait_ms("a", &allowance, 3).await, None);
}

#[tokio::test]
async fn all_limits_are_taken_together_or_none_is() {
    let Some(world) = World::new().await else { return };
    let allowance = Allowance {
        key_limits: per_minute(Some(10), None),
        project_limits: per_minute(None, Some(4)),
        ..Allowance::default()
    };
    assert_eq!(world.wait_ms("a", &allowance, 4).await, None);
    for _ in 0..20 {
        assert_eq!(world.wait_ms("a", &allowance, 2).await, Some(30_000));
    }
    assert_eq!(world.wait_ms("b", &allowance, 1).await, Some(15_000), "keys share their project's");
    let level = |measure, limit, remaining, reset_ms| Level { measure, limit, remaining, reset_ms };
    assert_eq!(
        world.levels("a", &allowance).await,
        [level(Measure::Requests, 10, 9, 6_000), level(Measure::Images, 4, 0, 60_000)],
        "what was refused took nothing"
    );
}

#[tokio::test]
async fn the_longest_wait_is_told() {
    let Some(world) = World::new().await else { return };
    let allowance = Allowance {
        key_limits: per_minute(Some(1), Some(2)),
        project_limits: per_minute(Some(2), None),
        ..Allowance::default()
    };
    assert_eq!(world.wait_ms("a", &allowance, 2).await, None);
    assert_eq!(world.wait_ms("a", &allowance, 2).await, Some(60_000));
    assert_eq!(world.wait_ms("b", &allowance, 1).await, None);
    assert_eq!(world.wait_ms("c", &allowance, 1).await, Some(30_000), "of the project alone");
}

#[tokio::test]
async fn more_pictures_than_a_limit_ever_lets_in_are_no_matter_of_waiting() {
    let Some(world) = World::new().await else { return };
    let at_once = RateLimits { images_at_once: Some(3), ..RateLimits::NONE };
    for limits in [per_minute(None, Some(3)), at_once] {
        let passed = world.door.pass(&world.payer("a"), &of_key(limits), 4, &world.clock).await;
        let refusal = passed.err().expect("too many");
        assert_eq!((refusal.kind, refusal.parameter.as_deref()), (RefusalKind::InvalidRequest, Some("n")));
    }
}

#[tokio::test]
async fn pictures_at_once_are_free_again_when_they_are_made() {
    let Some(world) = World::new().await else { return };
    let limits = RateLimits { images_at_once: Some(3), ..per_minute(None, Some(100)) };
    let allowance = of_key(limits);
    let two = world.door.pass(&world.payer("a"), &allowance, 2, &world.clock).await.expect("there is room");
    assert_eq!(world.wait_ms("a", &allowance, 2).await, Some(AT_ONCE_RETRY_MS));
    let levels = world.levels("a", &allowance).await;
    assert_eq!(levels[0].remaining, 98, "what was refused took nothing of the rate");
    drop(two);
    assert_eq!(world.wait_ms("a", &allowance, 3).await, None);
    assert!(world.door.at_once.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_rate_that_refuses_gives_back_what_is_held_at_once() {
    let Some(world) = World::new().await else { return };
    let limits = RateLimits { images_at_once: Some(2), ..per_minute(Some(1), None) };
    assert_eq!(world.wait_ms("a", &of_key(limits), 1).await, None);
    assert_eq!(world.wait_ms("a", &of_key(limits), 1).await, Some(60_000));
    assert!(world.door.at_once.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_nobody_out_for_longer_than_a_minute() {
    let Some(world) = World::new().await else { return };
    let allowance = of_key(per_minute(Some(6), None));
    for _ in 0..6 {
        assert_eq!(world.wait_ms("a", &allowance, 1).await, None);
    }
    world.wait(-600_000);
    let mut waited_ms = 0;
    while let Some(ms) = world.wait_ms("a", &allowance, 1).await {
        waited_ms += ms;
        assert!(waited_ms <= 60_000, "{waited_ms} ms");
        world.wait(i64::try_from(ms).expect("it is short"));
    }
    let levels = world.levels("a", &allowance).await;
    assert!(levels[0].reset_ms <= 60_000, "{levels:?}");
    // From then on the rate holds as ever.
    let mut let_in = 1;
    while world.wait_ms("a", &allowance, 1).await.is_none() {
        let_in += 1;
    }
    assert!(let_in <= 6, "{let_in}");
}

/// Every answer to a long series of mixed wishes, against one bucket a limit that is reckoned here.
#[tokio::test]
async fn whatever_is_asked_the_answers_are_those_of_the_buckets() {
    let Some(rates) = rates().await else { return };
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let mut seed = 11u64;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((seed >> 33) % below).expect("small")
    };
    let mut now: Timestamp = "2026-11-28T12:00:00Z".parse().expect("an instant");
    let limits = [7, 60, 1_000_000];
    let mut buckets = [bucket::Bucket::default(); 3];
    for _ in 0..600 {
        now += jiff::SignedDuration::from_micros(i64::from(next(4_000_000)));
        let (now_us, first) = (now.as_microsecond(), next(3) as usize);
        let wanted: Vec<usize> = (first..3).collect();
        let costs = [next(5), next(30), next(400_000)];
        let ask = |at: &usize| Ask {
            owner: Owner::Project(format!("{at}-{unique}")),
            measure: Measure::Images,
            limit: limits[*at],
            cost: costs[*at],
        };
        let taken = rates.take(wanted.iter().map(ask).collect(), now).await;
        let waits = wanted.iter().map(|at| buckets[*at].wait_us(limits[*at], costs[*at], now_us));
        let longest = waits.enumerate().max_by_key(|(_, wait_us)| *wait_us).expect("one at least");
        if longest.1 > 0 {
            let retry_after_ms = milliseconds(longest.1);
            assert_eq!(taken, Taken::Refused { ask: longest.0, retry_after_ms });
            continue;
        }
        let mut expected = Vec::new();
        for at in wanted {
            buckets[at].take(limits[at], costs[at], now_us);
            let (remaining, reset_us) = buckets[at].level(limits[at], now_us);
            let reset_ms = milliseconds(reset_us);
            expected.push(Level { measure: Measure::Images, limit: limits[at], remaining, reset_ms });
        }
        assert_eq!(taken, Taken::All(expected));
    }
}
