//! No overspend: 1,000 concurrent requests of mixed prices against nested budgets, with faults and clients
//! that go away. Whoever looks never sees a limit passed, and at the end nearly all of it could be used.

use crate::balance::{Dice, mixed, script};
use crate::house::{House, incoming};
use gallerist_domain::budget::Part;
use gallerist_domain::{
    Budget, BudgetId, BudgetMode, BudgetScope, BudgetUnit, BudgetWindow, ImageRequest, Payer, Ticks,
};
use gallerist_engine::{Incoming, RefusalKind};
use gallerist_store::Store;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_at_once_never_pass_a_limit_and_can_use_nearly_all_of_it() {
    let house = House::with(71, |settings| {
        settings.limits.deadline_ms = 240_000;
        settings.limits.waiting_per_provider_max = REQUESTS;
        // An engine of one's own bills the time that a call stands in its line, so nobody stands there.
        let own = settings.providers.iter_mut().filter(|provider| provider.kind == "automatic1111");
        own.for_each(|provider| provider.concurrency_max = Some(1));
    })
    .await;
    for kind in house.fakes.origins().keys() {
        house.faults(kind, &script(kind));
    }
    let nested = nested();
    for budget in &nested {
        house.store.create_budget(budget.clone()).await.expect("it is made");
    }
    let watcher = tokio::spawn(watch(house.store.clone()));
    let mut dice = Dice(143);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..REQUESTS {
        let mut request = mixed(&mut dice);
        request.stream = false;
        request.partial_images = 0;
        let incoming = by(&mut dice, request);
        let patience = (dice.roll(10) == 0).then(|| Duration::from_millis(*dice.pick(&[1, 40, 400])));
        let engine = house.engine.clone();
        tasks.spawn(async move {
            let work = engine.generate(incoming);
            match patience {
                Some(patience) => tokio::time::timeout(patience, work).await.ok(),
                None => Some(work.await),
            }
        });
    }
    let (mut served, mut refused) = (0, 0);
    while let Some(ended) = tasks.join_next().await {
        match ended.expect("no client panics") {
            Some(Ok(_)) => served += 1,
            Some(Err(refusal)) if refusal.kind == RefusalKind::BudgetExceeded => refused += 1,
            _ => {}
        }
    }
    assert!(served >= 30 && refused >= 100, "{served} were served and {refused} refused by a budget");
    for kind in house.fakes.origins().keys() {
        house.faults(kind, &serde_json::json!([]));
    }
    // The lives of clients that went away end too; then the rest is bought in small pieces.
    house.settled_within(Duration::from_secs(60)).await;
    let mut bought = 0;
    let refusal = loop {
        let mut request = ImageRequest::new("bfl/flux-2-klein-4b", "the rest");
        request.prompt = format!("the rest, piece {bought}");
        match house.engine.generate(incoming(request)).await {
            Ok(_) => bought += 1,
            Err(refusal) => break refusal,
        }
    };
    let breach = refusal.breach.expect("a budget is in the way");
    assert_eq!(breach.budget, Some(nested[0].id));
    let used = breach.limit - breach.left();
    assert!(used * 100 >= breach.limit * 97, "only {used} of {} could be used", breach.limit);
    assert!(!watcher.is_finished(), "a limit was passed");
    watcher.abort();
    check(&house.store).await;
    house.balance().await;
}
