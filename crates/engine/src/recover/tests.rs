use super::*;
use crate::settings::EngineSettings;
use gallerist_domain::{OfferId, Operation, Payer, ProjectId, SystemClock, Ticks};
use gallerist_pricing::Catalogue;
use gallerist_store::{NewAttempt, NewRequest, Reservation, Store};
use jiff::Timestamp;

async fn shared() -> Shared {
    let store = Store::open_temporary(Timestamp::now()).expect("a temporary store");
    let catalogue = Arc::new(Catalogue::embedded());
    let settings = EngineSettings::new(catalogue, Vec::new(), store, Arc::new(SystemClock));
    Shared::new(settings).await.expect("it starts")
}

async fn reserve(shared: &Shared) -> RequestId {
    let (id, now) = (RequestId::generate(), Timestamp::now());
    let payer = Arc::new(Payer::of(ProjectId::default_project()));
    let new_request = NewRequest {
        id,
        payer: Arc::clone(&payer),
        accepted_at: now,
        model: "auto".to_owned(),
        operation: Operation::Generate,
        n: 1,
        plan_json: "{}".to_owned(),
        asked_json: None,
        prompt: None,
        fingerprint: [7; 32],
        idempotency_key: None,
    };
    let attempt = NewAttempt {
        id: AttemptId::generate(),
        number: 1,
        offer: OfferId::new("bfl", "flux-2-pro"),
        images: 1,
        maximum: Ticks::new(100),
        call_json: "{}".to_owned(),
        catalogue_digest: String::new(),
    };
    let new_request = Some(new_request);
    let reservation = Reservation { request: id, payer, new_request, attempts: vec![attempt], now };
    shared.store.reserve(reservation).await.expect("it is held");
    id
}

#[tokio::test]
async fn a_request_that_broke_off_is_ended_and_one_that_runs_is_not() {
    let shared = shared().await;
    let (broken, running) = (reserve(&shared).await, reserve(&shared).await);
    let caller = Arc::new(Payer::of(ProjectId::default_project()));
    let _announce = shared.joining.begin(running, (caller, [7; 32]));
    let mut suspects = BTreeSet::new();
    for (round, ended) in [(1, false), (2, true), (3, true)] {
        end_broken_off(&shared, &mut suspects).await.expect("it is written");
        let detail = shared.store.request(broken).await.expect("it reads").expect("it is there");
        let status = if ended { AttemptStatus::Disputed } else { AttemptStatus::Reserved };
        assert_eq!(detail.attempts[0].status, status, "round {round}");
        assert_eq!(detail.request.status == RequestStatus::Failed, ended, "round {round}");
        let other = shared.store.request(running).await.expect("it reads").expect("it is there");
        assert_eq!(other.attempts[0].status, AttemptStatus::Reserved);
    }
    assert!(shared.store.books().await.expect("it reads").balance());
}

#[test]
fn an_old_job_is_asked_for_more_and_more_rarely() {
    let minute = SignedDuration::from_mins(1);
    assert!(is_due(minute * 600, None), "a start asks at once");
    let (mut age, mut asked_at, mut questions) = (SignedDuration::ZERO, None, 0);
    while age < ASKED_FOR {
        if is_due(age, asked_at.map(|at| age - at)) {
            asked_at = Some(age);
            questions += 1;
        }
        if age < minute * 5 {
            assert_eq!(asked_at, Some(age), "a young one is asked for in every sweep");
        }
        age += minute / 2;
    }
    assert!((50..100).contains(&questions), "{questions} questions in a day");
}
