//! No overspend: 1,000 concurrent requests of mixed prices against nested budgets, with faults and clients
//! that go away; on SQLite, and on three engines over one PostgreSQL of which one ends without a word in the
//! middle, while its clients repeat their requests at the others. No limit is ever passed, and at the end nearly
//! all of it could be used. On SQLite whoever looks sees that, again and again; on PostgreSQL the database itself
//! looks at each counter at every commit (`levels.rs`).

use crate::balance::{Dice, mixed, script};
use crate::database::Database;
use crate::house::{House, incoming, stand_ins};
use crate::levels::Levels;
use gallerist_domain::budget::Part;
use gallerist_domain::{
    Budget, BudgetId, BudgetMode, BudgetScope, BudgetUnit, BudgetWindow, ImageRequest, Payer, Ticks,
};
use gallerist_engine::{Engine, EngineSettings, Incoming, RefusalKind};
use gallerist_store::{RequestDetail, RequestFilter, RequestStatus, Store};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinSet;

const REQUESTS: usize = 1_000;
const USERS: [&str; 5] = ["ann", "bob", "cem", "dia", "eve"];

fn budget(scope: BudgetScope, unit: BudgetUnit, limit: i64) -> Budget {
    Budget {
        id: BudgetId::generate(),
        name: String::new(),
        scope,
        unit,
        limit,
        // No window ends while the test runs.
        window: BudgetWindow::Forever,
        zone: "UTC".to_owned(),
        mode: BudgetMode::Hard,
        thresholds_percent: vec![50, 80, 100],
        created_at: Timestamp::now(),
    }
}

fn usd(text: &str) -> i64 {
    text.parse::<Ticks>().expect("an amount").get()
}

/// Everything; one provider; each end user; a tag, in pictures.
fn nested() -> [Budget; 4] {
    let fal = BudgetScope { provider: Part::Only("fal".to_owned()), ..BudgetScope::default() };
    let users = BudgetScope { end_user: Part::Each, ..BudgetScope::default() };
    let tag = Some(("team".to_owned(), Part::Each));
    let teams = BudgetScope { tag, ..BudgetScope::default() };
    [
        budget(BudgetScope::default(), BudgetUnit::Usd, usd("2")),
        budget(fal, BudgetUnit::Usd, usd("0.3")),
        budget(users, BudgetUnit::Usd, usd("0.35")),
        budget(teams, BudgetUnit::Images, 30),
    ]
}

fn by(dice: &mut Dice, request: ImageRequest) -> Incoming {
    let incoming = incoming(request);
    let user = (dice.roll(4) > 0).then(|| (*dice.pick(&USERS)).to_owned());
    let team = ["red", "blue"].map(str::to_owned);
    let tags = match dice.roll(2) {
        0 => std::iter::once(("team".to_owned(), dice.pick(&team).clone())).collect(),
        _ => Payer::clone(&incoming.payer).tags,
    };
    let payer = Payer { end_user: user, tags, ..Payer::clone(&incoming.payer) };
    Incoming { payer: Arc::new(payer), ..incoming }
}

/// Looks at every counter again and again; ends with a panic when one has passed its limit.
async fn watch(store: Store) {
    loop {
        check(&store).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn check(store: &Store) {
    for record in store.budgets(Timestamp::now()).await.expect("it reads") {
        for counter in &record.counters {
            let (used, limit) = (counter.used(), record.budget.limit);
            assert!(used <= limit, "{} {}: {used} of {limit}", record.budget.words(), counter.subject);
        }
    }
}

fn adjust(settings: &mut EngineSettings) {
    settings.limits.deadline_ms = 240_000;
    settings.limits.waiting_per_provider_max = REQUESTS;
    // What an engine leaves is taken over soon.
    settings.limits.sweep_every_ms = 500;
    // A stand-in's broken file stays broken.
    settings.limits.look_up_ms = 2_000;
    settings.limits.job_wait_ms = 20_000;
    // An engine of one's own bills the time that a call stands in its line, so nobody stands there.
    let own = settings.providers.iter_mut().filter(|provider| provider.kind == "automatic1111");
    own.for_each(|provider| provider.concurrency_max = Some(1));
}

/// An engine, on the runtime that it runs on; gone once it has crashed.
#[derive(Clone)]
struct Place(Arc<Mutex<Option<(Engine, Handle)>>>);

impl Place {
    fn new(engine: &Engine, handle: &Handle) -> Place {
        Place(Arc::new(Mutex::new(Some((engine.clone(), handle.clone())))))
    }

    /// `None` where there is no engine, or it ended before it answered.
    async fn generate(&self, wish: Incoming) -> Option<Result<(), RefusalKind>> {
        let (engine, handle) = self.0.lock().expect("nobody panics with it").clone()?;
        let work = handle.spawn(async move { engine.generate(wish).await });
        let ended = work.await.ok()?;
        Some(ended.map(drop).map_err(|refusal| refusal.kind))
    }
}

/// The thousand at once, each at one engine and again at the next where that one ended; how many were served, and
/// how many refused by a budget.
fn storm(places: &[Place]) -> JoinSet<Option<Result<(), RefusalKind>>> {
    let (mut dice, mut tasks) = (Dice(143), JoinSet::new());
    for number in 0..REQUESTS {
        let mut request = mixed(&mut dice);
        request.stream = false;
        request.partial_images = 0;
        let key = Some(format!("wish-{number}"));
        let incoming = Incoming { idempotency_key: key, ..by(&mut dice, request) };
        let patience = (dice.roll(10) == 0).then(|| Duration::from_millis(*dice.pick(&[1, 40, 400])));
        let places = places.to_vec();
        tasks.spawn(async move {
            let work = async {
                for retry in 0..places.len() {
                    let retry_count = u32::try_from(retry).expect("there are few");
                    let wish = Incoming { retry_count, ..incoming.clone() };
                    let ended = places[(number + retry) % places.len()].generate(wish).await;
                    if ended.is_some() {
                        return ended;
                    }
                }
                None
            };
            match patience {
                Some(patience) => tokio::time::timeout(patience, work).await.ok().flatten(),
                None => work.await,
            }
        });
    }
    tasks
}

/// Waits for all clients: many were refused by a budget, and some served.
async fn count(mut tasks: JoinSet<Option<Result<(), RefusalKind>>>, served_min: usize) {
    let mut kinds = BTreeMap::<String, usize>::new();
    while let Some(ended) = tasks.join_next().await {
        let kind = match ended.expect("no client panics") {
            Some(Ok(())) => "served".to_owned(),
            Some(Err(kind)) => format!("{kind:?}"),
            None => "went away".to_owned(),
        };
        *kinds.entry(kind).or_default() += 1;
    }
    let of = |kind: &str| kinds.get(kind).copied().unwrap_or(0);
    assert!(of("served") >= served_min && of("BudgetExceeded") >= 100, "{kinds:?}");
}

/// Waits until everything has ended: also the lives of clients that went away, and what a crash left.
async fn ended(store: &Store) {
    let begun = Instant::now();
    while store.books().await.expect("it reads").open_reservations > 0 {
        if begun.elapsed() >= Duration::from_secs(90) {
            panic!("something never ends: {:#?}", running(store).await);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The requests that run, with their attempts.
async fn running(store: &Store) -> Vec<RequestDetail> {
    let filter = RequestFilter { limit: 1_000, ..RequestFilter::default() };
    let page = store.requests(filter).await.expect("it reads");
    let mut running = Vec::new();
    for request in page.requests.iter().filter(|request| request.status == RequestStatus::Running) {
        running.extend(store.request(request.id).await.expect("it reads"));
    }
    running
}

/// Buys the rest in small pieces: nearly all of the outermost budget could be used.
async fn use_up(engine: &Engine, outermost: BudgetId) {
    let mut bought = 0;
    let refusal = loop {
        let mut request = ImageRequest::new("bfl/flux-2-klein-4b", "the rest");
        request.prompt = format!("the rest, piece {bought}");
        match engine.generate(incoming(request)).await {
            Ok(_) => bought += 1,
            Err(refusal) => break refusal,
        }
    };
    let breach = refusal.breach.expect("a budget is in the way");
    assert_eq!(breach.budget, Some(outermost));
    let used = breach.limit - breach.left();
    assert!(used * 100 >= breach.limit * 97, "only {used} of {} could be used", breach.limit);
}

/// Makes the faults, and the budgets; returns the outermost.
async fn prepare(house: &House) -> BudgetId {
    for kind in house.fakes.origins().keys() {
        house.faults(kind, &script(kind));
    }
    let nested = nested();
    for budget in &nested {
        house.store.create_budget(budget.clone()).await.expect("it is made");
    }
    nested[0].id
}

fn end_faults(house: &House) {
    for kind in house.fakes.origins().keys() {
        house.faults(kind, &serde_json::json!([]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_at_once_never_pass_a_limit_and_can_use_nearly_all_of_it() {
    let house = House::with(71, adjust).await;
    let outermost = prepare(&house).await;
    let watcher = tokio::spawn(watch(house.store.clone()));
    count(storm(&[Place::new(&house.engine, &Handle::current())]), 30).await;
    end_faults(&house);
    ended(&house.store).await;
    use_up(&house.engine, outermost).await;
    assert!(!watcher.is_finished(), "a limit was passed");
    watcher.abort();
    check(&house.store).await;
    house.balance().await;
}

#[test]
fn a_thousand_at_three_replicas_of_which_one_crashes_never_pass_a_limit() {
    let Some(database) = Database::new() else { return };
    let url = database.url();
    let [runtime, doomed] = [(); 2].map(|()| Runtime::new().expect("a runtime"));
    let open = async |fakes: &Arc<gallerist_fakes::Fakes>| {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        House::at(Arc::clone(fakes), folder, Some(&url), adjust).await
    };
    let (houses, outermost) = runtime.block_on(async {
        let fakes = stand_ins(72).await;
        let houses = [open(&fakes).await, open(&fakes).await];
        let outermost = prepare(&houses[0]).await;
        (houses, outermost)
    });
    let levels = Levels::watch(Path::new("psql"), &url);
    let third = doomed.block_on(open(&houses[0].fakes));
    let crashing = Place::new(&third.engine, doomed.handle());
    drop(third);
    let places: Vec<Place> = houses.iter().map(|house| Place::new(&house.engine, runtime.handle())).collect();
    let tasks = runtime.block_on(async { storm(&[&places[..], std::slice::from_ref(&crashing)].concat()) });
    std::thread::sleep(Duration::from_secs(1));
    crashing.0.lock().expect("nobody panics with it").take();
    doomed.shutdown_timeout(Duration::from_secs(10));
    runtime.block_on(async {
        // Nobody stands in a line at first, so what fits is held at once, and who comes later is refused.
        count(tasks, 1).await;
        end_faults(&houses[0]);
        ended(&houses[0].store).await;
        use_up(&houses[1].engine, outermost).await;
        houses[1].engine.shut_down(60_000).await;
        houses[0].disputes_beside(true).await;
    });
    let highest = levels.highest();
    assert!(highest.iter().all(|level| level.highest <= level.limit), "a limit was passed: {highest:?}");
    assert!(highest.iter().map(|level| level.looks).sum::<i64>() > 100, "{highest:?}");
}
