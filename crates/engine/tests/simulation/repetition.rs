//! What a request repeats: looked up on a disk that fails at that moment, and after a picture has come late.

use crate::client::{bytes, incoming};
use crate::gateway::Gateway;
use crate::run::{folder, runtime};
use crate::scenario::Wish;
use crate::world::World;
use gallerist_domain::{ImageRequest, Size, SizeChoice};
use gallerist_engine::RefusalKind;
use gallerist_store::simulation::Fate;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn wish(model: &str) -> Wish {
    let mut request = ImageRequest::new(model, "a heron on one leg");
    request.size = SizeChoice::Exact(Size::new(1024, 1024));
    Wish {
        number: 0,
        at_ms: 0,
        request,
        user: "ann",
        key: None,
        patience_ms: None,
        returns: true,
        stubborn: false,
        tries_max: 1,
        again_ms: None,
    }
}

/// Stand-ins that do nothing wrong, and a gateway in front of them.
async fn house(folder: &Path) -> (Arc<World>, Gateway) {
    let mut world = World::new(0);
    world.scenario.deadline_ms = 60_000;
    for provider in &world.providers {
        provider.ctx.faults.set(&json!([])).expect("a valid script");
    }
    let world = Arc::new(world);
    let gateway = Gateway::begin(&world, folder).await;
    (world, gateway)
}

#[test]
fn a_picture_that_comes_late_and_was_made_elsewhere_meanwhile_is_no_part_of_the_answer() {
    let folder = folder();
    runtime().block_on(async {
        let (world, gateway) = house(folder.path()).await;
        let wish = Wish { key: Some("once".to_owned()), ..wish("flux-2-pro") };
        // Nobody hears of the first picture until another one is made.
        let cut = json!([{"fault": "truncated", "operation": "result", "count": 6}]);
        world.provider("fal").ctx.faults.set(&cut).expect("a valid script");
        let answer =
            gateway.engine.generate(incoming(&world, &wish, 0)).await.expect("another host makes it");
        assert_eq!((answer.images.len(), answer.meta.provider.as_str()), (1, "bfl"));
        tokio::time::sleep(Duration::from_secs(100)).await;
        let books = gateway.store.books().await.expect("it reads");
        assert_eq!(books.open_disputes, 0, "the sweep has found the first picture");
        let again = gateway.engine.generate(incoming(&world, &wish, 0)).await.expect("it is kept");
        assert_eq!(again.images.len(), 1, "one picture was asked for");
        assert_eq!(bytes(&again.images[0]), bytes(&answer.images[0]));
        let detail =
            gateway.store.request(answer.meta.request_id).await.expect("it reads").expect("it is there");
        assert_eq!(detail.request.images_delivered, 1);
        assert_eq!(detail.attempts.iter().map(|attempt| attempt.images).sum::<u32>(), 2);
    });
}

#[test]
fn a_repetition_that_cannot_be_looked_up_is_asked_to_come_back_and_buys_nothing() {
    let folder = folder();
    runtime().block_on(async {
        let (world, gateway) = house(folder.path()).await;
        let (wish, openai) = (wish("openai/gpt-image-2"), world.provider("openai"));
        openai.ctx.faults.set(&json!([{"fault": "reset_after", "count": 1}])).expect("a valid script");
        let refusal = gateway.engine.generate(incoming(&world, &wish, 0)).await.expect_err("it is lost");
        assert!(refusal.may_have_charged());
        // What the memory knows needs no disk.
        gateway.crash(&world);
        let gateway = Gateway::begin(&world, folder.path()).await;
        // What the start looks at beside requests is over, so that the disk fails these.
        tokio::time::sleep(Duration::from_secs(1)).await;
        for fate in [Fate::Failed, Fate::Away, Fate::Unanswered] {
            world.next_fates.lock().expect("no holder panics").push_back(fate);
            let refusal =
                gateway.engine.generate(incoming(&world, &wish, 1)).await.expect_err("it is unclear");
            assert_eq!(refusal.kind, RefusalKind::Overloaded, "{fate:?}: {refusal:?}");
            assert!(
                refusal.retry_after_ms.is_some() && !refusal.may_have_charged(),
                "{fate:?}: an SDK asks again"
            );
        }
        let refusal = gateway.engine.generate(incoming(&world, &wish, 2)).await.expect_err("it was lost");
        assert!(refusal.may_have_charged());
        assert_eq!(openai.ctx.bill.entries().len(), 1, "it was bought once");
    });
}

#[test]
fn what_is_held_by_a_commit_that_nobody_answered_is_given_back_at_once() {
    for (key, fate) in [
        (None, Fate::Unanswered),
        (Some("once".to_owned()), Fate::Unanswered),
        (Some("once".to_owned()), Fate::Away),
    ] {
        let folder = folder();
        runtime().block_on(async {
            let (world, gateway) = house(folder.path()).await;
            let (wish, openai) =
                (Wish { key: key.clone(), ..wish("openai/gpt-image-2") }, world.provider("openai"));
            // Between what the gateway writes by itself, at its start and every second.
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            // A key is looked up first.
            let looked_up = key.iter().map(|_| Fate::Kept);
            world.next_fates.lock().expect("no holder panics").extend(looked_up.chain([fate]));
            let refused = gateway.engine.generate(incoming(&world, &wish, 0)).await;
            let refusal = refused.map(|answer| answer.meta.request_id).expect_err("it is unclear");
            assert_eq!(refusal.kind, RefusalKind::Overloaded, "{refusal:?}");
            assert!(refusal.retry_after_ms.is_some() && !refusal.may_have_charged());
            tokio::time::sleep(Duration::from_secs(1)).await;
            let books = gateway.store.books().await.expect("it reads");
            assert!(books.balance(), "{books:?}");
            assert_eq!((books.open_reservations, books.open_disputes), (0, 0), "{key:?}, {fate:?}");
            assert!(gateway.store.unfinished_requests().await.expect("it reads").is_empty());
            let answer = gateway.engine.generate(incoming(&world, &wish, 1)).await.expect("it is bought now");
            assert_eq!(answer.images.len(), 1);
            assert_eq!(openai.ctx.bill.entries().len(), 1, "and once");
        });
    }
}

#[test]
fn what_was_answered_under_a_key_while_the_store_was_away_is_answered_again_after_a_crash() {
    let folder = folder();
    runtime().block_on(async {
        let (world, gateway) = house(folder.path()).await;
        let openai = world.provider("openai");
        let slow = json!([{"fault": "latency", "ms": 1_500, "count": 1}]);
        openai.ctx.faults.set(&slow).expect("a valid script");
        let wish = Wish { key: Some("once".to_owned()), ..wish("openai/gpt-image-2") };
        // The picture is kept at the third try, and so is the end of the request.
        let outage = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let away = [Fate::Away, Fate::Away, Fate::Kept];
            world.next_fates.lock().expect("no holder panics").extend([away, away].concat());
        };
        let generate = gateway.engine.generate(incoming(&world, &wish, 0));
        let (answer, ()) = tokio::join!(generate, outage);
        let answer = answer.expect("it is made");
        assert!(
            world.next_fates.lock().expect("no holder panics").is_empty(),
            "the answer waits for the store"
        );
        gateway.crash(&world);
        let gateway = Gateway::begin(&world, folder.path()).await;
        let again = gateway.engine.generate(incoming(&world, &wish, 1)).await.expect("it is kept");
        assert_eq!(again.meta.request_id, answer.meta.request_id);
        assert_eq!(bytes(&again.images[0]), bytes(&answer.images[0]));
        assert_eq!(openai.ctx.bill.entries().len(), 1, "it was bought once");
    });
}
