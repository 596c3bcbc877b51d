//! Three gateways on one PostgreSQL that tell each other on Redis which offers rest, and three that do not.

use super::ask;
use super::health::resting;
use crate::database::Database;
use crate::house::{House, incoming, stand_ins};
use crate::redis::Server;
use gallerist_fakes::Fakes;
use gallerist_store::counters::Counters;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::sleep;

const MODEL: &str = "flux-1.1-pro";
/// The cheapest host of the model, which is down; another one serves.
const OFFER: &str = "bfl/flux-1.1-pro";
/// In which every replica has heard what one found, with what a busy machine adds.
const HEARD_WITHIN: Duration = Duration::from_secs(10);

/// Gateways in front of the same providers, with one database.
struct Replicas {
    fakes: Arc<Fakes>,
    database: Database,
    redis: Option<String>,
    houses: Vec<House>,
}

impl Replicas {
    /// `None` where there is no PostgreSQL.
    async fn start(seed: u64, redis: Option<&Server>) -> Option<Replicas> {
        let (database, fakes) = (Database::new()?, stand_ins(seed).await);
        let mut replicas = Replicas { fakes, database, redis: redis.map(Server::url), houses: Vec::new() };
        for _ in 0..3 {
            replicas.add().await;
        }
        Some(replicas)
    }

    async fn add(&mut self) {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        let mut counters = None;
        if let Some(url) = &self.redis {
            // However busy the machine is, the server is not away.
            let answer = Duration::from_secs(20);
            counters = Some(Counters::open_within(url.parse().expect("an address"), answer).await);
        }
        let (fakes, url) = (Arc::clone(&self.fakes), self.database.url());
        let adjust = |settings: &mut gallerist_engine::EngineSettings| settings.counters = counters;
        self.houses.push(House::at(fakes, folder, Some(&url), adjust).await);
    }

    fn faults(&self, script: &Value) {
        self.houses[0].faults("bfl", script);
    }

    /// Calls that failed at the offer that is down.
    fn failed_calls(&self) -> u64 {
        self.houses[0].hits("bfl").values().sum()
    }

    /// One picture at a replica; the offer that served it.
    async fn picture(&self, at: usize) -> String {
        let answer = self.houses[at].engine.generate(incoming(ask(MODEL))).await;
        answer.expect("one of the two serves").meta.offer.to_string()
    }

    /// Requests in turns for a time, twenty a second, whether or not those before are done.
    async fn requests_for(&self, time: Duration) {
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for house in self.houses.iter().cycle() {
            if begun.elapsed() >= time {
                break;
            }
            let engine = house.engine.clone();
            tasks.spawn(async move { engine.generate(incoming(ask(MODEL))).await });
            sleep(Duration::from_millis(50)).await;
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("it does not panic").expect("one of the two serves");
        }
    }

    async fn until(&self, what: &str, holds: impl Fn(&House) -> bool) {
        let until = Instant::now() + HEARD_WITHIN;
        while !self.houses.iter().all(&holds) {
            assert!(Instant::now() < until, "{what}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn heard(&self) -> Vec<Option<u64>> {
        self.houses.iter().map(|house| house.engine.rests_heard()).collect()
    }

    async fn leave(self) {
        for house in self.houses {
            house.leave().await;
        }
    }
}

fn rests(house: &House) -> bool {
    resting(house, MODEL) == [OFFER]
}

/// Calls that were refused with `retry-after` when each of three replicas and one that starts later had a request.
async fn calls_until_all_know_the_wait(redis: Option<&Server>) -> Option<u64> {
    let mut replicas = Replicas::start(91, redis).await?;
    replicas.faults(&json!([{"fault": "429", "retry_after_s": 30}]));
    replicas.picture(0).await;
    if redis.is_some() {
        replicas.until("the wish is never heard", rests).await;
    }
    replicas.add().await;
    for at in 1..replicas.houses.len() {
        assert_ne!(replicas.picture(at).await, OFFER);
    }
    assert!(replicas.houses.iter().all(rests));
    let heard = if redis.is_some() { vec![Some(0), Some(1), Some(1), Some(1)] } else { vec![None; 4] };
    assert_eq!(replicas.heard(), heard);
    let calls = replicas.failed_calls();
    replicas.leave().await;
    Some(calls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_provider_asked_of_one_replica_all_of_them_keep() {
    let Some(server) = Server::start() else { return };
    let Some(alone) = calls_until_all_know_the_wait(None).await else { return };
    assert_eq!(alone, 4, "each finds it by itself");
    assert_eq!(calls_until_all_know_the_wait(Some(&server)).await, Some(1));
}

/// Failing calls in some three and a half seconds of requests at three replicas, with a fourth from the middle on.
async fn calls_in_an_outage(redis: Option<&Server>) -> Option<u64> {
    let mut replicas = Replicas::start(92, redis).await?;
    replicas.faults(&json!([{"fault": "500"}]));
    replicas.requests_for(Duration::from_secs(2)).await;
    replicas.add().await;
    replicas.requests_for(Duration::from_millis(1_500)).await;
    let calls = replicas.failed_calls();
    replicas.faults(&json!([]));
    if redis.is_some() {
        // It works again: who finds that tells the others.
        let until = Instant::now() + Duration::from_secs(20);
        while replicas.picture(0).await != OFFER {
            assert!(Instant::now() < until, "it never comes back");
            sleep(Duration::from_millis(50)).await;
        }
        replicas.until("the recovery is never heard", |house| !rests(house)).await;
        for at in 0..replicas.houses.len() {
            assert_eq!(replicas.picture(at).await, OFFER, "{at}");
        }
    }
    replicas.leave().await;
    Some(calls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_that_is_down_is_tried_less_often_when_replicas_tell_each_other() {
    let Some(server) = Server::start() else { return };
    let Some(alone) = calls_in_an_outage(None).await else { return };
    let together = calls_in_an_outage(Some(&server)).await.expect("there is a database");
    eprintln!("failing calls of three replicas and a fourth: {alone} alone, {together} together");
    // Each opens its breaker after five failures of its own, and probes by itself.
    assert!(alone >= 20, "{alone} alone");
    // At most five of each until the first opening is heard; then one probe for all after each rest, and none of
    // the fourth.
    assert!(together < alone && together <= 15 + 4, "{together} together, {alone} alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_each_goes_by_its_own_health_and_no_request_waits() {
    let Some(mut server) = Server::start() else { return };
    let Some(replicas) = Replicas::start(93, Some(&server)).await else { return };
    server.signal("STOP");
    replicas.faults(&json!([{"fault": "429", "retry_after_s": 30}]));
    let begun = Instant::now();
    assert_ne!(replicas.picture(0).await, OFFER);
    assert!(begun.elapsed() < Duration::from_secs(5), "it waited {:?}", begun.elapsed());
    let [first, ..] = &replicas.houses[..] else { panic!("three replicas") };
    assert!(rests(first), "its own health");
    assert!(!rests(&replicas.houses[1]), "the others cannot know");
    server.kill();
    assert_ne!(replicas.picture(1).await, OFFER);
    assert_eq!(replicas.failed_calls(), 2);
    server.start_again();
    // What was found meanwhile is told when it is back.
    replicas.until("it is never told", rests).await;
    assert_ne!(replicas.picture(2).await, OFFER);
    assert_eq!(replicas.failed_calls(), 2);
    replicas.leave().await;
}
