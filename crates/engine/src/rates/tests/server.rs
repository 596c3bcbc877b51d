//! Shared rates when their server comes and goes. Each test has a server that it may stop.

use super::super::*;
use super::redis::Server;
use gallerist_store::counters::{ANSWER, Counters};
use std::time::{Duration, Instant};

/// The limit for one script, and what a busy machine adds.
const AT_MOST: Duration = Duration::from_millis(400);
/// Until it is known that a server hangs, and what a busy machine adds.
const KNOWN_WITHIN: Duration = Duration::from_millis(1_000);

/// However busy the machine is, the server decides.
async fn replica(server: &Server, replicas: u32) -> SharedRates {
    replica_within(server, replicas, Duration::from_secs(20)).await
}

async fn replica_within(server: &Server, replicas: u32, answer: Duration) -> SharedRates {
    let counters = Counters::open_within(server.url().parse().expect("an address"), answer).await;
    SharedRates::new(counters, Sharers::new(move || replicas))
}

fn of(project: &str, limit: u32, cost: u32) -> Vec<Ask> {
    vec![Ask { owner: Owner::Project(project.to_owned()), measure: Measure::Images, limit, cost }]
}

async fn take(rates: &SharedRates, limit: u32, cost: u32) -> bool {
    matches!(rates.take(of("shop", limit, cost), Timestamp::now()).await, Taken::All(_))
}

/// How many single pictures each of two replicas lets in, in turns.
async fn let_in(replicas: [&SharedRates; 2], limit: u32) -> [u32; 2] {
    let mut let_in = [0, 0];
    for at in 0..40 {
        let_in[at % 2] += u32::from(take(replicas[at % 2], limit, 1).await);
    }
    let_in
}

fn state(rates: &SharedRates) -> SharedState {
    rates.shared_state().expect("they are shared")
}

async fn until_up(rates: &SharedRates) {
    let until = Instant::now() + Duration::from_secs(20);
    while !state(rates).is_up {
        assert!(Instant::now() < until, "it never comes back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_never_pass_a_limit_together_whatever_becomes_of_their_server() {
    let Some(mut server) = Server::start() else { return };
    let (one, two) = (replica(&server, 2).await, replica(&server, 2).await);
    // 9 a minute: one more comes back every 6.7 seconds.
    let begun = Instant::now();
    let back = || u32::try_from(begun.elapsed().as_secs() / 6).expect("small");
    let counted = let_in([&one, &two], 9).await;
    assert!((9..=9 + back()).contains(&(counted[0] + counted[1])), "{counted:?}");
    assert_eq!((state(&one).decided_locally, state(&one).losses), (0, 0));
    server.kill();
    let alone = let_in([&one, &two], 9).await;
    assert!(alone[0] + alone[1] <= 1 + back(), "each had its share already, or nearly: {alone:?}");
    assert!(!state(&one).is_up && !state(&two).is_up);
    assert_eq!((state(&one).decided_locally, state(&two).losses), (20, 1));
    // It comes back and knows nothing.
    server.start_again();
    until_up(&one).await;
    until_up(&two).await;
    let again = let_in([&one, &two], 9).await;
    assert!(alone[0] + alone[1] + again[0] + again[1] <= 1 + back(), "{alone:?} {again:?}");
    // Who comes new finds what the others count, and they count it too.
    let three = replica(&server, 3).await;
    assert!(take(&three, 1_000, 500).await);
    assert_eq!(state(&three).decided_locally, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_server_each_replica_has_its_share_and_none_is_refused_for_that() {
    let Some(mut server) = Server::start() else { return };
    server.kill();
    let rates = replica(&server, 3).await;
    assert_eq!(state(&rates), SharedState { is_up: false, losses: 1, decided_locally: 0 });
    let taken = rates.take(of("shop", 10, 1), Timestamp::now()).await;
    let Taken::All(levels) = taken else { panic!("{taken:?}") };
    assert_eq!((levels[0].limit, levels[0].remaining), (10, 2), "a third of ten is three");
    assert!(take(&rates, 10, 2).await && !take(&rates, 10, 1).await);
    assert_eq!(state(&rates).decided_locally, 3);
    server.start_again();
    until_up(&rates).await;
    let other = rates.take(of("other", 10, 10), Timestamp::now()).await;
    assert!(matches!(other, Taken::All(_)), "more than the share, once: {other:?}");
    assert_eq!(state(&rates).decided_locally, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_costs_the_time_limit_and_soon_nothing() {
    let Some(server) = Server::start() else { return };
    let rates = replica_within(&server, 1, ANSWER).await;
    assert!(take(&rates, 100, 1).await);
    server.signal("STOP");
    let begun = Instant::now();
    assert!(take(&rates, 100, 1).await, "the local share decides");
    let first = begun.elapsed();
    assert!((Duration::from_millis(49)..AT_MOST).contains(&first), "{first:?}");
    while state(&rates).is_up {
        assert!(take(&rates, 100, 1).await);
        assert!(begun.elapsed() < KNOWN_WITHIN, "it takes {:?} to know", begun.elapsed());
    }
    let waited = state(&rates).decided_locally;
    assert!((1..=20).contains(&waited), "{waited} waited");
    let begun = Instant::now();
    for _ in 0..50 {
        assert!(take(&rates, 100, 1).await);
    }
    assert!(begun.elapsed() < AT_MOST, "nobody waits any more: {:?}", begun.elapsed());
    let decided_locally = waited + 50;
    assert_eq!(state(&rates), SharedState { is_up: false, losses: 1, decided_locally });
    server.signal("CONT");
    until_up(&rates).await;
    assert!(take(&rates, 100, 1).await);
    assert_eq!(state(&rates), SharedState { is_up: true, losses: 1, decided_locally });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_is_that_of_the_server_also_where_nobody_asks() {
    let Some(mut server) = Server::start() else { return };
    let rates = replica(&server, 1).await;
    server.kill();
    let until = Instant::now() + Duration::from_secs(20);
    while state(&rates).is_up {
        assert!(Instant::now() < until, "it never notices");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(state(&rates), SharedState { is_up: false, losses: 1, decided_locally: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_the_servers_clock_replicas_agree_however_wrong_their_own_are() {
    let Some(server) = Server::start() else { return };
    let (one, two) = (replica(&server, 2).await, replica(&server, 2).await);
    let late = Timestamp::now() + jiff::SignedDuration::from_mins(10);
    assert!(take(&one, 6, 6).await);
    let taken = two.take(of("shop", 6, 3), late).await;
    let Taken::Refused { ask: 0, retry_after_ms } = taken else { panic!("{taken:?}") };
    assert!((20_000..=30_000).contains(&retry_after_ms), "{retry_after_ms}");
}
