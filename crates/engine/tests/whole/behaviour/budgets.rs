//! Budgets in front of the stand-ins: what they refuse, name, route around and degrade.

use super::{ask, usd};
use crate::house::{House, incoming};
use gallerist_domain::budget::Part;
use gallerist_domain::{
    Budget, BudgetId, BudgetMode, BudgetScope, BudgetUnit, BudgetWindow, Objective, Payer, QualityClass,
    Ticks,
};
use gallerist_engine::{Answer, Incoming, RefusalKind};
use gallerist_routing::{NameBook, Route};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

fn budget(scope: BudgetScope, limit: Ticks, mode: BudgetMode) -> Budget {
    Budget {
        id: BudgetId::generate(),
        name: String::new(),
        scope,
        unit: BudgetUnit::Usd,
        limit: limit.get(),
        window: BudgetWindow::Day,
        zone: "UTC".to_owned(),
        mode,
        thresholds_percent: vec![50, 100],
        created_at: Timestamp::now(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_the_limit_what_is_left_and_what_would_fit() {
    let house = House::open(61).await;
    let daily = budget(BudgetScope::default(), usd("0.02"), BudgetMode::Hard);
    house.store.create_budget(daily.clone()).await.expect("it is made");
    let mut request = ask("auto");
    (request.n, request.class) = (4, Some(QualityClass::High));
    let refusal = house.engine.generate(incoming(request)).await.expect_err("four of the best are too dear");
    assert_eq!(refusal.kind, RefusalKind::BudgetExceeded);
    let breach = refusal.breach.expect("it says which");
    assert_eq!((breach.budget, breach.left()), (Some(daily.id), usd("0.02").get()));
    assert!(breach.resets_at.is_some());
    let fitting = refusal.fitting.expect("a draft would fit");
    assert!(fitting.maximum <= usd("0.02"), "{fitting:?}");
    // What it names can be had.
    let mut request = ask(&fitting.offer.to_string());
    request.n = fitting.n;
    house.engine.generate(incoming(request)).await.expect("it fits");
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_refusal_says_would_fit_fits_under_every_other_limit_too() {
    let house = House::open(67).await;
    let daily = budget(BudgetScope::default(), usd("0.02"), BudgetMode::Hard);
    house.store.create_budget(daily).await.expect("it is made");
    let many = |prompt: &str| {
        let mut request = ask("auto");
        (request.n, request.class, request.prompt) = (4, Some(QualityClass::High), prompt.to_owned());
        incoming(request)
    };
    let refusal = house.engine.generate(many("fish")).await.expect_err("four of the best are too dear");
    let fitting = refusal.fitting.expect("a draft would fit");
    assert!(refusal.message.contains(&format!("by {}", fitting.offer)), "{}", refusal.message);
    // The provider of that draft is closed by a limit of its own.
    let scope =
        BudgetScope { provider: Part::Only(fitting.offer.provider.clone()), ..BudgetScope::default() };
    house.store.create_budget(budget(scope, Ticks::ZERO, BudgetMode::Hard)).await.expect("it is made");
    let refusal = house.engine.generate(many("more fish")).await.expect_err("they still are");
    let other = refusal.fitting.expect("another draft would fit");
    assert_ne!(other.offer.provider, fitting.offer.provider);
    let mut request = ask(&other.offer.to_string());
    (request.n, request.quality) = (other.n, other.quality.clone());
    house.engine.generate(incoming(request)).await.expect("it fits");
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_in_pictures_says_how_many_would_fit() {
    let house = House::open(68).await;
    let of_default = BudgetScope { project: Part::Only("default".to_owned()), ..BudgetScope::default() };
    let two = Budget {
        unit: BudgetUnit::Images,
        limit: 2,
        zone: "Europe/Vienna".to_owned(),
        ..budget(of_default, Ticks::ZERO, BudgetMode::Hard)
    };
    house.store.create_budget(two).await.expect("it is made");
    let mut request = ask("auto");
    request.n = 3;
    let refusal = house.engine.generate(incoming(request)).await.expect_err("three are too many");
    let expected = "The budget of 2 images per day (Europe/Vienna) for project default has 2 images left, and this \
                    request could take 3 images (0 images settled,";
    assert!(refusal.message.starts_with(expected), "{}", refusal.message);
    assert!(refusal.message.contains("ask for fewer pictures. 2 pictures by "), "{}", refusal.message);
    let fitting = refusal.fitting.expect("two would fit");
    assert_eq!(fitting.n, 2);
    let mut request = ask("auto");
    request.n = 2;
    house.engine.generate(incoming(request)).await.expect("two fit");
    let refusal = house.engine.generate(incoming(ask("auto"))).await.expect_err("no third");
    assert!(
        refusal.fitting.is_none() && refusal.message.ends_with("ask for fewer pictures."),
        "{}",
        refusal.message
    );
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_one_provider_sends_the_request_to_another() {
    let house = House::open(62).await;
    let first = house.order(&ask("auto"))[0].parse::<gallerist_domain::OfferId>().expect("it is an offer");
    let scope = BudgetScope { provider: Part::Only(first.provider.clone()), ..BudgetScope::default() };
    house.store.create_budget(budget(scope, Ticks::ZERO, BudgetMode::Hard)).await.expect("it is made");
    let answer = house.engine.generate(incoming(ask("auto"))).await.expect("others may be asked");
    assert_ne!(answer.meta.provider, first.provider);
    let refusal = house.engine.generate(incoming(ask(&first.to_string()))).await.expect_err("it may not");
    assert!(refusal.breach.is_some_and(|breach| breach.about_offers));
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_user_is_stopped_alone() {
    let house = House::open(63).await;
    let scope = BudgetScope { end_user: Part::Each, ..BudgetScope::default() };
    house.store.create_budget(budget(scope, usd("0.02"), BudgetMode::Hard)).await.expect("it is made");
    let by = |user: &str, number: u32| {
        let mut request = ask("bfl/flux-2-klein-4b");
        request.prompt = format!("fish {number} of {user}");
        let incoming = incoming(request);
        let payer = Payer { end_user: Some(user.to_owned()), ..Payer::clone(&incoming.payer) };
        Incoming { payer: Arc::new(payer), ..incoming }
    };
    house.engine.generate(by("ann", 1)).await.expect("the first fits");
    let refusal = house.engine.generate(by("ann", 2)).await.expect_err("the second does not");
    assert_eq!(refusal.breach.expect("it says which").subject, r#"user="ann""#);
    house.engine.generate(by("bob", 1)).await.expect("bob has a budget of his own");
    assert_eq!(house.balance().await, 0);
}

/// What is told once one per cent is used, whatever more it is.
const SHARE_USED: &str = "at least 1 % of the budget of ";

#[tokio::test(flavor = "multi_thread")]
async fn above_its_share_a_degrading_budget_buys_drafts_and_says_so() {
    let house = House::open(64).await;
    let dear = house.engine.generate(incoming(ask("auto"))).await.expect("nothing is in the way");
    let mode = BudgetMode::Degrade { share_percent: 1 };
    house.store.create_budget(budget(BudgetScope::default(), usd("0.5"), mode)).await.expect("it is made");
    let mut again = ask("auto");
    again.prompt = "another fish".to_owned();
    let thrifty = house.engine.generate(incoming(again)).await.expect("drafts are had");
    let (thrifty_usd, dear_usd) = (thrifty.meta.cost.charged_usd, dear.meta.cost.charged_usd);
    assert!(thrifty_usd + thrifty_usd < dear_usd, "{:?}", thrifty.meta);
    assert!(thrifty.meta.warnings.iter().any(|warning| warning.contains(SHARE_USED)));
    // A class that the client has named is not taken away.
    let mut named = ask("auto");
    (named.prompt, named.class) = ("a third fish".to_owned(), Some(QualityClass::Standard));
    let kept = house.engine.generate(incoming(named)).await.expect("there is room");
    assert_eq!(kept.meta.offer, dear.meta.offer);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_degrading_budget_buys_drafts_for_quality_auto_as_for_none() {
    let house = House::open(66).await;
    let auto = |prompt: &str| {
        let mut request = ask("auto");
        (request.prompt, request.quality) = (prompt.to_owned(), Some("auto".to_owned()));
        incoming(request)
    };
    let dear = house.engine.generate(auto("a fish")).await.expect("nothing is in the way");
    let mode = BudgetMode::Degrade { share_percent: 1 };
    house.store.create_budget(budget(BudgetScope::default(), usd("0.5"), mode)).await.expect("it is made");
    let thrifty = house.engine.generate(auto("another fish")).await.expect("drafts are had");
    assert!(thrifty.meta.warnings.iter().any(|warning| warning.contains(SHARE_USED)));
    let (thrifty_usd, dear_usd) = (thrifty.meta.cost.charged_usd, dear.meta.cost.charged_usd);
    assert!(thrifty_usd + thrifty_usd < dear_usd, "{:?}", thrifty.meta);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_degrading_budget_and_a_refusal_keep_to_the_class_of_a_route() {
    let house = House::with(65, |settings| {
        let high = |name: &str| Route { class: Some(QualityClass::High), ..Route::named(name) };
        let best = Route { objective: Some(Objective::Quality), ..high("best") };
        settings.names = NameBook::new(vec![best, high("high")], BTreeMap::new());
    })
    .await;
    let cheapest = house.order(&ask("high"))[0].clone();
    let first = house.engine.generate(incoming(ask("high"))).await.expect("nothing is in the way");
    assert_eq!(first.meta.offer, cheapest);
    let mode = BudgetMode::Degrade { share_percent: 1 };
    house.store.create_budget(budget(BudgetScope::default(), usd("0.5"), mode)).await.expect("it is made");
    let another = |route: &str| {
        let mut request = ask(route);
        request.prompt = format!("another fish by {route}");
        incoming(request)
    };
    let told = |answer: &Answer| answer.meta.warnings.iter().any(|warning| warning.contains("of class high"));
    let best = house.engine.generate(another("best")).await.expect("there is room");
    assert_eq!(best.meta.offer, cheapest, "by cost instead of quality, and no draft");
    assert!(told(&best), "{:?}", best.meta.warnings);
    let high = house.engine.generate(another("high")).await.expect("there is room");
    assert_eq!(high.meta.offer, cheapest);
    assert!(!told(&high), "it buys the cheapest anyway");
    // A draft would fit under this limit, and the route buys none.
    house
        .store
        .create_budget(budget(BudgetScope::default(), usd("0.02"), BudgetMode::Hard))
        .await
        .expect("it is made");
    let mut many = ask("high");
    (many.n, many.prompt) = (4, "many fish".to_owned());
    let refusal = house.engine.generate(incoming(many)).await.expect_err("four of the best are too dear");
    assert_eq!(refusal.kind, RefusalKind::BudgetExceeded);
    assert!(refusal.fitting.is_none(), "{:?}", refusal.fitting);
    assert_eq!(house.balance().await, 0);
}
