//! What stops a request before or between payments: its own limit, the project's cap, no offer.

use super::{ask, ask_at, usd};
use crate::house::{House, incoming};
use gallerist_domain::{Grants, ImageRequest, ProjectId, Size, SizeChoice, Ticks};
use gallerist_engine::RefusalKind;
use gallerist_store::AlertFilter;
use serde_json::json;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn the_cost_limit_bounds_held_and_charged_over_all_attempts() {
    let house = House::open(21).await;
    for fault in ["reset_after", "blank"] {
        // 0.025 may be or is charged at the first; the second could cost 0.05 and so pass the limit.
        house.faults("bfl", &json!([{"fault": fault, "count": 1}]));
        let mut request = ask("flux-1-dev");
        request.max_cost = Some(usd("0.0749"));
        let refusal = house.engine.generate(incoming(request.clone())).await.expect_err("no money is left");
        assert_eq!(refusal.attempts.len(), 1, "{fault}");
        assert_eq!(refusal.charged + refusal.disputed, usd("0.025"));
        assert!(refusal.may_have_charged());
        if fault == "reset_after" {
            assert!(refusal.message.contains("0.025 USD were charged is not known"), "{}", refusal.message);
        }
        house.faults("bfl", &json!([{"fault": fault, "count": 1}]));
        request.max_cost = Some(usd("0.075"));
        let answer = house.engine.generate(incoming(request)).await.expect("two fit");
        let cost = &answer.meta.cost;
        assert_eq!(cost.charged_usd + cost.disputed_usd.unwrap_or_default(), usd("0.075"), "{fault}");
        assert_eq!(answer.meta.offer, "fal/flux-1-dev");
    }
    assert_eq!(house.balance().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_free_fault_the_whole_limit_is_there_again() {
    let house = House::open(22).await;
    house.faults("bfl", &json!([{"fault": "429", "count": 1}]));
    let mut request = ask("flux-1.1-pro");
    request.max_cost = Some(usd("0.08"));
    let answer = house.engine.generate(incoming(request)).await.expect("nothing was charged at the first");
    assert_eq!((answer.meta.cost.charged_usd, answer.meta.attempts), (usd("0.08"), 2));
    assert_eq!(house.balance().await, 0);
}

async fn spent(house: &House) -> Ticks {
    let project = house.store.project(ProjectId::default_project()).await.expect("it reads").expect("it is");
    project.settled + project.held + project.disputed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_at_once_never_pass_the_cap() {
    let house = House::open(23).await;
    let cap = usd("0.10");
    house
        .store
        .set_cap(ProjectId::default_project(), Some(cap), jiff::Timestamp::now())
        .await
        .expect("it is set");
    house.faults("bfl", &json!([{"fault": "reset_after", "count": 2}, {"fault": "429", "count": 3}]));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..100 {
        let engine = house.engine.clone();
        tasks.spawn(async move {
            let mut request = ask("bfl/flux-2-klein-4b");
            request.prompt = format!("fish number {number}");
            engine.generate(incoming(request)).await
        });
    }
    let watched = house.store.clone();
    let watcher = tokio::spawn(async move {
        let mut most = Ticks::ZERO;
        loop {
            let Ok(Some(project)) = watched.project(ProjectId::default_project()).await else { return most };
            most = most.max(project.settled + project.held + project.disputed);
            if most > usd("0.10") {
                return most;
            }
            tokio::task::yield_now().await;
        }
    });
    let (mut made, mut refused) = (0, 0);
    while let Some(ended) = tasks.join_next().await {
        match ended.expect("no client panics") {
            Ok(_) => made += 1,
            Err(refusal) if refusal.kind == RefusalKind::BudgetExceeded => {
                refused += 1;
                for figure in ["0.10 USD", "default", "0.014"] {
                    assert!(refusal.message.contains(figure), "{figure}: {}", refusal.message);
                }
                assert!(!refusal.may_have_charged());
            }
            Err(refusal) => assert!(!refusal.attempts.is_empty(), "{refusal:?}"),
        }
    }
    assert!(!watcher.is_finished(), "the cap was passed");
    watcher.abort();
    assert!((2..=7).contains(&made), "{made} were made");
    assert!(refused >= 90, "{refused} were refused");
    assert!(spent(&house).await <= cap);
    let told = told_refusals(&house, 1).await;
    assert!(
        told[0].starts_with("The cap (0.10 USD in all for project default) has begun to refuse"),
        "{told:?}"
    );
    assert!(told.len() == 1, "once, of {refused} refusals: {told:?}");
    assert_eq!(house.balance().await, 2);
}

/// What was told of limits that refuse, once there are so many.
async fn told_refusals(house: &House, at_least: usize) -> Vec<String> {
    let filter = AlertFilter { kind: Some("budget.refused".to_owned()), limit: 10, ..AlertFilter::default() };
    for _ in 0..500 {
        let page = house.store.alerts(filter.clone()).await.expect("they are read");
        if page.alerts.len() >= at_least {
            return page.alerts.into_iter().map(|alert| alert.message).collect();
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it was not told");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_free_fault_gave_back_can_be_spent_on_the_next_offer() {
    let house = House::open(24).await;
    house
        .store
        .set_cap(ProjectId::default_project(), Some(usd("0.03")), jiff::Timestamp::now())
        .await
        .expect("it is set");
    house.faults("fal", &json!([{"fault": "429", "count": 1}]));
    let answer = house.engine.generate(incoming(ask("flux-2-pro"))).await.expect("the money is back");
    assert_eq!(answer.meta.offer, "bfl/flux-2-pro");
    let refusal = house.engine.generate(incoming(ask("flux-2-pro"))).await.expect_err("nothing is left");
    assert_eq!(refusal.kind, RefusalKind::BudgetExceeded);
    assert_eq!(house.balance().await, 0);
}

async fn refused(house: &House, request: ImageRequest) -> (RefusalKind, Option<String>, String) {
    let refusal = house.engine.generate(incoming(request)).await.expect_err("it is refused");
    assert!(!refusal.may_have_charged());
    (refusal.kind, refusal.parameter, refusal.message)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_bought_is_refused_with_what_to_do() {
    let house = House::open(25).await;
    let (kind, parameter, message) = refused(&house, ask("flux-2-porr")).await;
    assert_eq!((kind, parameter.as_deref()), (RefusalKind::ModelNotFound, Some("model")));
    assert!(message.contains("flux-2-pro"), "{message}");

    let mut request = ask("auto");
    request.quality = Some("superb".to_owned());
    let (kind, parameter, message) = refused(&house, request).await;
    assert_eq!((kind, parameter.as_deref()), (RefusalKind::InvalidRequest, Some("quality")));
    assert!(message.contains("superb") && message.contains("medium"), "{message}");

    let mut request = ask("flux-2-pro");
    request.negative_prompt = Some("people".to_owned());
    let (kind, _, message) = refused(&house, request).await;
    assert_eq!(kind, RefusalKind::NoOffer);
    assert!(message.contains("leave out gallerist.negative_prompt"), "{message}");

    let mut request = ask("flux-2-pro");
    request.max_cost = Some(usd("0.0299"));
    let (kind, parameter, message) = refused(&house, request).await;
    assert_eq!(
        (kind, parameter.as_deref()),
        (RefusalKind::CostLimitExceeded, Some("gallerist.max_cost_usd"))
    );
    assert!(message.contains("0.03 ") && message.contains("0.0299"), "{message}");

    let mut request = ask("auto");
    request.size = SizeChoice::Exact(Size::new(9_999, 7));
    assert_eq!(refused(&house, request).await.0, RefusalKind::NoOffer);
    assert_eq!(refused(&house, ask("openai/dall-e-3")).await.0, RefusalKind::NoOffer);
    assert_eq!(refused(&house, ask_at(&["nobody"])).await.0, RefusalKind::NoOffer);
    assert_eq!(house.attempts().await.len(), 0);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_price_is_never_zero() {
    let house = House::with(26, |settings| {
        let catalogue = Arc::make_mut(&mut settings.catalogue);
        for provider in &mut catalogue.providers {
            let provider = Arc::make_mut(provider);
            for model in provider.models.iter_mut().filter(|model| model.id == "flux-2-pro") {
                let model = Arc::make_mut(model);
                Arc::make_mut(&mut model.sheet).lines.clear();
            }
        }
    })
    .await;
    let (kind, _, message) = refused(&house, ask("flux-2-pro")).await;
    assert_eq!(kind, RefusalKind::PriceUnknown, "{message}");
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_house_refuses_with_a_time_to_wait() {
    let house = House::with(27, |settings| settings.limits.requests_max = 1).await;
    house.faults("openai", &json!([{"fault": "latency", "ms": 400}]));
    let engine = house.engine.clone();
    let first = tokio::spawn(async move { engine.generate(incoming(ask("openai/gpt-image-2"))).await });
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    let refusal = house.engine.generate(incoming(ask("bfl/flux-2-pro"))).await.expect_err("it is full");
    assert_eq!(refusal.kind, RefusalKind::Overloaded);
    assert!(refusal.retry_after_ms.is_some());
    first.await.expect("no panic").expect("the first is served");
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_beyond_the_cap_leaves_the_place_to_a_cheaper_one() {
    let house = House::open(28).await;
    let mut request = ask_at(&["openai", "bfl"]);
    request.objective = Some(gallerist_domain::Objective::Quality);
    let maxima: Vec<_> = house.engine.quotes(&request, Grants::ALL, None).expect("a known model").offers;
    let cap = maxima.iter().map(|quote| quote.max_usd).min().expect("there are offers");
    assert!(maxima[0].max_usd > cap, "the first is a dear one");
    house
        .store
        .set_cap(ProjectId::default_project(), Some(cap), jiff::Timestamp::now())
        .await
        .expect("it is set");
    let answer = house.engine.generate(incoming(request.clone())).await.expect("one fits");
    assert_eq!(answer.meta.attempts, 1);
    assert!(answer.meta.cost.charged_usd <= cap);
    let refusal = house.engine.generate(incoming(request)).await.expect_err("nothing fits any more");
    assert_eq!(refusal.kind, RefusalKind::BudgetExceeded);
    for figure in [cap.short().as_str(), "default", "left, and this request could take"] {
        assert!(refusal.message.contains(figure), "{figure}: {}", refusal.message);
    }
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_that_cannot_be_afforded_use_up_no_tries() {
    let house = House::with(29, |settings| settings.limits.offers_tried_max = 3).await;
    let mut request = ask_at(&["bfl", "fal"]);
    request.objective = Some(gallerist_domain::Objective::Quality);
    request.max_cost = Some(usd("0.07"));
    let order = house.order(&request);
    assert_eq!(order[..2], ["bfl/flux-2-pro", "bfl/flux-2-pro-preview"]);
    // 0.03 are charged for nothing, so that only offers for at most 0.04 are left; the first of them is busy,
    // and dearer ones stand before the next.
    house.faults("bfl", &json!([{"fault": "blank"}]));
    house.faults("fal", &json!([{"fault": "429", "count": 1}]));
    let answer = house.engine.generate(incoming(request)).await.expect("a cheap one is left");
    assert_eq!((answer.meta.attempts, answer.meta.offer.as_str()), (3, "fal/flux-2-klein-4b"));
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stored_plan_says_why_each_other_offer_was_left_out() {
    let house = House::open(30).await;
    let mut request = ask_at(&["bfl", "fal"]);
    request.max_cost = Some(usd("0.02"));
    request.model = "auto".to_owned();
    house.engine.generate(incoming(request)).await.expect("one fits");
    let plan: serde_json::Value =
        serde_json::from_str(&house.settled().await.request.plan_json).expect("it is JSON");
    let excluded = plan["excluded"].as_array().expect("a list");
    assert!(!excluded.is_empty());
    for offer in excluded {
        assert!(offer["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{offer}");
    }
    let dear = excluded.iter().find(|offer| offer["code"] == "over_max_cost").expect("some are dear");
    assert!(dear["reason"].as_str().is_some_and(|reason| reason.contains("USD")), "{dear}");
    assert_eq!(house.balance().await, 0);
}
