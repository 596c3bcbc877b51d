//! Two gateways on one PostgreSQL: what one of them began, the other one ends, or waits for. Where only the books
//! matter, the test itself is the other gateway.

use super::ask;
use crate::database::Database;
use crate::house::{House, incoming, stand_ins};
use gallerist_engine::{Incoming, RefusalKind};
use gallerist_fakes::Fakes;
use gallerist_store::{AttemptEnd, AttemptStatus, Conclusion, End, RequestEnd, RequestStatus};
use jiff::Timestamp;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

async fn replica(fakes: &Arc<Fakes>, database: &Database) -> House {
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    House::at(Arc::clone(fakes), folder, Some(&database.url()), |settings| {
        settings.limits.sweep_every_ms = 200;
    })
    .await
}

/// Waits until a call of this replica is in the books.
async fn until_reserved(house: &House) {
    while house.store.open_attempts().await.expect("the books can be read").is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repetition_at_another_replica_waits_and_is_not_bought_again() {
    let Some(database) = Database::new() else { return };
    let fakes = stand_ins(51).await;
    let (one, two) = (replica(&fakes, &database).await, replica(&fakes, &database).await);
    one.faults("openai", &json!([{"fault": "latency", "ms": 1_500}]));
    let keyed =
        Incoming { idempotency_key: Some("both-1".to_owned()), ..incoming(ask("openai/gpt-image-2")) };
    let repeated = Incoming { retry_count: 1, ..keyed.clone() };
    let later = async {
        until_reserved(&one).await;
        two.engine.generate(repeated).await
    };
    let (first, second) = tokio::join!(one.engine.generate(keyed), later);
    let (first, second) = (first.expect("it is made"), second.expect("it is replayed"));
    assert_eq!(second.meta.request_id, first.meta.request_id);
    assert!(second.meta.cached && !first.meta.cached);
    assert_eq!(fakes.get("openai").expect("a known kind").ctx.bill.entries().len(), 1);
    // Without a key, the automatic repetition of an SDK finds what runs elsewhere, too.
    let plain = incoming(ask("openai/gpt-image-2"));
    let repeated = Incoming { retry_count: 1, ..plain.clone() };
    let later = async {
        until_reserved(&one).await;
        two.engine.generate(repeated).await
    };
    let (first, second) = tokio::join!(one.engine.generate(plain), later);
    first.expect("it is made");
    // Its client had the picture, which was not kept; so there is none to give, and none is bought.
    match second {
        Ok(answer) => assert!(answer.meta.cached),
        Err(refusal) => assert_eq!(refusal.kind, RefusalKind::IdempotencyConflict),
    }
    assert_eq!(fakes.get("openai").expect("a known kind").ctx.bill.entries().len(), 2);
    one.balance().await;
}

#[test]
fn what_a_replica_left_in_the_middle_of_a_job_is_settled_by_another() {
    let Some(database) = Database::new() else { return };
    let outer = tokio::runtime::Runtime::new().expect("a runtime");
    let fakes = outer.block_on(stand_ins(52));
    fakes
        .get("bfl")
        .expect("a known kind")
        .ctx
        .faults
        .set(&json!([{"fault": "latency", "ms": 1_200}]))
        .expect("a script");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (world, request) = (Arc::clone(&fakes), incoming(ask("bfl/flux-2-pro")));
    runtime.block_on(async {
        let house = replica(&world, &database).await;
        let engine = house.engine.clone();
        tokio::spawn(async move { engine.generate(request).await });
        tokio::time::sleep(Duration::from_millis(700)).await;
    });
    // Its tasks end without a word; its store says that it has ended.
    runtime.shutdown_timeout(Duration::from_secs(10));
    outer.block_on(async {
        let house = replica(&fakes, &database).await;
        let detail = house.settled_within(Duration::from_secs(20)).await;
        assert_eq!(detail.request.status, RequestStatus::Succeeded, "{detail:?}");
        assert_eq!(detail.attempts[0].status, AttemptStatus::Settled);
        house.balance().await;
    });
}

/// Ends the newest request as a sweep does that takes its owner for gone.
async fn take_for_gone(house: &House) {
    let detail = house.newest().await;
    let dispute = |attempt| AttemptEnd {
        attempt,
        end: End::Disputed {
            reason: "the request broke off inside the gateway".to_owned(),
            doubtful: None,
            fault_json: None,
            provider_request_id: None,
        },
    };
    let finish = RequestEnd {
        status: RequestStatus::Failed,
        http_status: 502,
        error_code: Some("upstream_failed".to_owned()),
        answer_json: None,
        images_delivered: 0,
        list: None,
        saved: None,
        free_idempotency_key: false,
    };
    let ends = detail.attempts.iter().map(|attempt| dispute(attempt.id)).collect();
    let gone = Conclusion { request: detail.request.id, ends, finish: Some(finish), now: Timestamp::now() };
    house.store.conclude(gone).await.expect("it is still running");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_end_resolves_the_dispute_of_a_sweep_that_took_its_owner_for_gone() {
    let house = House::open(53).await;
    house.faults("openai", &json!([{"fault": "latency", "ms": 800}]));
    let mut request = ask("openai/gpt-image-2");
    for (n, key) in [(1, None), (2, Some("gone-1"))] {
        request.n = n;
        let asked = Incoming { idempotency_key: key.map(str::to_owned), ..incoming(request.clone()) };
        let early = async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            take_for_gone(&house).await;
        };
        let (answer, ()) = tokio::join!(house.engine.generate(asked), early);
        let answer = answer.expect("it is made");
        let mut detail = house.newest().await;
        for _ in 0..200 {
            if detail.attempts[0].status != AttemptStatus::Disputed {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            detail = house.newest().await;
        }
        let attempt = &detail.attempts[0];
        assert_eq!((attempt.status, attempt.images), (AttemptStatus::Settled, n));
        assert_eq!(attempt.charged, answer.meta.cost.charged_usd);
        assert!(attempt.charge_json.is_some() && attempt.basis.is_some());
        let found = &detail.request;
        assert_eq!((found.status, found.images_delivered), (RequestStatus::Succeeded, n));
    }
    // Nothing was charged, and that is known as well.
    house.faults("openai", &json!([{"fault": "latency", "ms": 800}, {"fault": "429"}]));
    let early = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        take_for_gone(&house).await;
    };
    request.prompt = "another heron".to_owned();
    let (refused, ()) = tokio::join!(house.engine.generate(incoming(request)), early);
    refused.expect_err("it is refused");
    for _ in 0..200 {
        if house.newest().await.attempts[0].status != AttemptStatus::Disputed {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(house.newest().await.attempts[0].status, AttemptStatus::Released);
    assert_eq!(house.balance().await, 0);
}
