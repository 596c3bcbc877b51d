//! Two gateways that count rates together on one Redis server; and two that share a database alone.

use super::ask;
use crate::database::Database;
use crate::house::{House, incoming, stand_ins};
use crate::redis::{Server, shared};
use gallerist_domain::{Allowance, Payer, RateLimits};
use gallerist_engine::{Incoming, RefusalKind};
use gallerist_fakes::Fakes;
use gallerist_store::counters::{ANSWER, Counters};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

async fn gateway(fakes: &Arc<Fakes>, url: &str, answer: Duration) -> House {
    let counters = Counters::open_within(url.parse().expect("an address"), answer).await;
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    House::on(Arc::clone(fakes), folder, |settings| settings.counters = Some(counters)).await
}

fn of_key(key: &str, images: u32, key_limits: RateLimits) -> Incoming {
    let mut request = ask("bfl/flux-2-klein-4b");
    request.n = images;
    let incoming = incoming(request);
    let payer = Payer { key_id: Some(key.to_owned()), ..Payer::clone(&incoming.payer) };
    let allowance = Allowance { key_limits, ..Allowance::default() };
    Incoming { payer: Arc::new(payer), allowance: Arc::new(allowance), ..incoming }
}

/// Sends many requests of one key to both at once; the pictures that were made and the refusals by a rate.
async fn rush(gateways: [&House; 2], key: &str, limits: RateLimits, requests: u32) -> (u32, u32) {
    let mut tasks = JoinSet::new();
    for number in 0..requests {
        let engine = gateways[number as usize % 2].engine.clone();
        let asked = of_key(key, 1 + number % 2, limits);
        tasks.spawn(async move { engine.generate(asked).await });
    }
    let (mut made, mut refused) = (0, 0);
    while let Some(done) = tasks.join_next().await {
        match done.expect("it does not panic") {
            Ok(answer) => made += u32::try_from(answer.images.len()).expect("few"),
            Err(refusal) => {
                assert_eq!(refusal.kind, RefusalKind::RateLimited, "{}", refusal.message);
                refused += 1;
            }
        }
    }
    (made, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_never_pass_the_limits_of_a_key_together() {
    let Some(url) = shared() else { return };
    let fakes = stand_ins(81).await;
    // However busy the machine is, the server decides.
    let answer = Duration::from_secs(20);
    let (one, two) = (gateway(&fakes, &url, answer).await, gateway(&fakes, &url, answer).await);
    let key = uuid::Uuid::new_v4().to_string();
    let limits =
        RateLimits { images_per_minute: Some(12), requests_per_minute: Some(10), ..RateLimits::NONE };
    let begun = Instant::now();
    let (made, refused) = rush([&one, &two], &key, limits, 30).await;
    let back = u32::try_from(begun.elapsed().as_secs() / 5).expect("small");
    assert!((11..=12 + back).contains(&made), "{made} of 12 a minute");
    assert!(refused >= 30 - 10 - back, "{refused} refused");
    let levels = |house: &House| {
        let asked = of_key(&key, 1, limits);
        let engine = house.engine.clone();
        async move { engine.rate_levels(&asked.payer, &asked.allowance).await }
    };
    let (here, there) = (levels(&one).await, levels(&two).await);
    assert_eq!(here.len(), 2);
    for (here, there) in here.iter().zip(&there) {
        assert!(here.remaining.abs_diff(there.remaining) <= 1, "{here:?} {there:?}");
    }
    for house in [&one, &two] {
        let state = house.engine.shared_rates().expect("they are shared");
        assert_eq!((state.is_up, state.decided_locally), (true, 0));
    }
    for house in [one, two] {
        house.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_of_rates_each_of_two_replicas_lets_in_its_half() {
    let Some(database) = Database::new() else { return };
    let fakes = stand_ins(83).await;
    let replica = async || {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        House::at(Arc::clone(&fakes), folder, Some(&database.url()), |_| {}).await
    };
    let (one, two) = (replica().await, replica().await);
    let begun = Instant::now();
    while one.store.replicas_alive() + two.store.replicas_alive() < 4 {
        assert!(begun.elapsed().as_secs() < 20, "they never hear of each other");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let limits = RateLimits { requests_per_minute: Some(9), ..RateLimits::NONE };
    let begun = Instant::now();
    let refused = [rush([&one, &one], "k", limits, 8).await.1, rush([&two, &two], "k", limits, 8).await.1];
    let back = u32::try_from(begun.elapsed().as_secs() / 15).expect("small");
    for refused in refused {
        assert!((4 - back.min(4)..=4).contains(&refused), "{refused} of 8 refused, four may pass");
    }
    assert!(one.engine.shared_rates().is_none());
    for house in [one, two] {
        house.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_because_the_server_of_rates_is_away() {
    let Some(mut server) = Server::start() else { return };
    let fakes = stand_ins(82).await;
    let url = server.url();
    let (one, two) = (gateway(&fakes, &url, ANSWER).await, gateway(&fakes, &url, ANSWER).await);
    let limits = RateLimits { images_per_minute: Some(1_000), ..RateLimits::NONE };
    assert_eq!(rush([&one, &two], "k", limits, 6).await.1, 0);
    server.signal("STOP");
    assert_eq!(rush([&one, &two], "k", limits, 6).await.1, 0, "it hangs");
    server.kill();
    assert_eq!(rush([&one, &two], "k", limits, 6).await.1, 0, "it is gone");
    let state = one.engine.shared_rates().expect("they are shared");
    assert!(!state.is_up && state.decided_locally >= 3, "{state:?}");
    server.start_again();
    let begun = Instant::now();
    while !one.engine.shared_rates().expect("they are shared").is_up {
        assert!(begun.elapsed().as_secs() < 20, "it never comes back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(rush([&one, &two], "k", limits, 6).await.1, 0, "it is back");
    for house in [one, two] {
        assert!(house.engine.shared_rates().expect("they are shared").losses >= 1);
        house.leave().await;
    }
}
