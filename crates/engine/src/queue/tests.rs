use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

fn places(places: u32, images_per_minute: Option<u32>, waiting_max: usize) -> Arc<Places> {
    shared_places(places, images_per_minute, waiting_max, Sharers::new(|| 1))
}

fn shared_places(
    places: u32,
    images_per_minute: Option<u32>,
    waiting_max: usize,
    sharers: Sharers,
) -> Arc<Places> {
    Arc::new(Places::new(AccountLimits { places, images_per_minute, waiting_max }, sharers))
}

fn caller(project: &str, request: RequestId) -> Caller {
    Caller::of(&project.parse().expect("a name"), request, 1, 2_000)
}

fn in_ms(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms)
}

/// Waits for a place, tells its name and the time, and stays for a while.
fn guest(
    places: &Arc<Places>,
    project: &'static str,
    stay_ms: u64,
    told: &Arc<Mutex<Vec<(&'static str, u64)>>>,
) -> tokio::task::JoinHandle<()> {
    let (places, told) = (Arc::clone(places), Arc::clone(told));
    tokio::spawn(async move {
        let place = places.place(caller(project, RequestId::generate()), in_ms(600_000)).await;
        let place = place.expect("in time");
        told.lock().unwrap().push((project, places.now_ms()));
        tokio::time::sleep(Duration::from_millis(stay_ms)).await;
        drop(place);
    })
}

#[tokio::test(start_paused = true)]
async fn projects_take_turns_however_many_calls_one_of_them_has() {
    let (places, told) = (places(1, None, 100), Arc::default());
    let mut guests: Vec<_> = (0..5).map(|_| guest(&places, "many", 100, &told)).collect();
    tokio::task::yield_now().await;
    guests.extend((0..2).map(|_| guest(&places, "few", 100, &told)));
    for guest in guests {
        guest.await.unwrap();
    }
    let names: Vec<_> = told.lock().unwrap().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["many", "many", "few", "many", "few", "many", "many"]);
}

#[tokio::test(start_paused = true)]
async fn the_minute_opens_for_the_next_without_anybody_leaving() {
    let (places, told) = (places(10, Some(2), 100), Arc::default());
    let guests: Vec<_> = (0..5).map(|_| guest(&places, "shop", 300_000, &told)).collect();
    for guest in guests {
        guest.await.unwrap();
    }
    let times: Vec<_> = told.lock().unwrap().iter().map(|(_, at_ms)| *at_ms / 1_000).collect();
    assert_eq!(times, [0, 0, 60, 60, 120]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_or_goes_away_holds_nobody_up() {
    let places = places(1, None, 100);
    let shop = || caller("shop", RequestId::generate());
    let held = places.place(shop(), in_ms(10)).await.expect("it is free");
    let fault = places.place(shop(), in_ms(50)).await.err().expect("nothing becomes free");
    assert_eq!(fault.kind, FaultKind::HeldBack);
    let gone = tokio::time::timeout(Duration::from_millis(5), places.place(shop(), in_ms(500)));
    assert!(gone.await.is_err());
    let next = places.place(shop(), in_ms(500));
    let (next, ()) = tokio::join!(next, async { drop(held) });
    drop(next.expect("the place is free"));
    assert!(places.place(shop(), in_ms(1)).await.is_ok());
    assert!(places.lock().waiting.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_waiting_request_knows_where_it_stands() {
    let places = places(1, None, 100);
    let (first, second) = (RequestId::generate(), RequestId::generate());
    let _held = places.place(caller("shop", first), in_ms(10)).await.expect("it is free");
    assert!(places.standings(first).is_empty(), "it does not wait");
    let waiting = Arc::clone(&places);
    let task =
        tokio::spawn(async move { waiting.place(caller("shop", second), in_ms(60_000)).await.map(drop) });
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_millis(500)).await;
    assert_eq!(places.standings(second), [Standing { position: 1, starts_in_ms: 1_500 }]);
    task.abort();
    let _ = task.await;
    assert!(places.standings(second).is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_newest_call_of_the_largest_project_makes_room() {
    let places = places(1, None, 2);
    let held = places.place(caller("many", RequestId::generate()), in_ms(10)).await.expect("free");
    let wait = |project: &'static str| {
        let places = Arc::clone(&places);
        tokio::spawn(async move {
            places.place(caller(project, RequestId::generate()), in_ms(60_000)).await.map(drop)
        })
    };
    let (older, newer) = (wait("many"), wait("many"));
    tokio::task::yield_now().await;
    let few = wait("few");
    let pushed_out = newer.await.unwrap().expect_err("it makes room");
    assert!(pushed_out.detail.contains("of this project"), "{}", pushed_out.detail);
    let refused = wait("many").await.unwrap().expect_err("it has as many as anybody");
    assert_eq!(refused.kind, FaultKind::HeldBack);
    drop(held);
    assert!(older.await.unwrap().is_ok() && few.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn each_replica_keeps_to_its_share_of_an_account() {
    let replicas = Arc::new(AtomicU32::new(3));
    let heard = Arc::clone(&replicas);
    let places = shared_places(7, None, 100, Sharers::new(move || heard.load(Ordering::Relaxed)));
    let held: Vec<_> = [1, 2].map(|_| places.place(caller("shop", RequestId::generate()), in_ms(10))).into();
    let held = futures_util::future::join_all(held).await;
    assert!(held.iter().all(Result::is_ok), "two of seven");
    let third = || places.place(caller("shop", RequestId::generate()), in_ms(10));
    assert!(third().await.is_err(), "the rest belongs to the others");
    replicas.store(2, Ordering::Relaxed);
    assert!(third().await.is_ok(), "one of them is gone");
    replicas.store(9, Ordering::Relaxed);
    assert!(third().await.is_err(), "what runs goes on");
    drop(held);
    assert!(third().await.is_ok(), "one at least");
}
