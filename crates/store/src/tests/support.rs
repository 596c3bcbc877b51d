//! Short ways to say what the tests mean.

use gallerist_domain::{AttemptId, OfferId, Operation, Payer, ProjectId, RequestId, Ticks};
use jiff::Timestamp;
use std::sync::Arc;

use super::Engine;
use crate::*;

/// A store that goes with its place.
pub struct TestStore {
    store: Store,
    place: Place,
}

impl std::ops::Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl TestStore {
    /// From now on no attempt can end: stands for a full disk.
    pub fn refuse_ends(&self) {
        self.place.engine.run(super::REFUSE_ENDS);
    }

    pub fn take_ends_again(&self) {
        self.place.engine.run(super::TAKE_ENDS_AGAIN);
    }
}

/// An empty place for a store, which can be opened several times; deleted when it is dropped.
pub struct Place {
    folder: tempfile::TempDir,
    pub engine: Engine,
}

impl Place {
    pub fn options(&self) -> StoreOptions {
        let options = StoreOptions::new(self.folder.path(), at(0));
        StoreOptions { durable: false, url: self.engine.url(), ..options }
    }

    pub fn open(&self) -> Store {
        Store::open(self.options()).unwrap()
    }
}

pub fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(folder.path());
    Place { folder, engine }
}

pub fn store() -> TestStore {
    let place = place();
    TestStore { store: place.open(), place }
}

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + second).unwrap()
}

pub fn project(name: &str) -> ProjectId {
    name.parse().unwrap()
}

pub fn payer(project: &ProjectId) -> Arc<Payer> {
    Arc::new(Payer { key_id: Some("key_1".to_owned()), ..Payer::of(project.clone()) })
}

pub fn new_request(project: &ProjectId, fingerprint: u8, idempotency_key: Option<&str>) -> NewRequest {
    NewRequest {
        id: RequestId::generate(),
        payer: payer(project),
        accepted_at: at(0),
        model: "auto".to_owned(),
        operation: Operation::Generate,
        n: 1,
        plan_json: r#"{"offers":[]}"#.to_owned(),
        asked_json: None,
        prompt: None,
        fingerprint: [fingerprint; 32],
        idempotency_key: idempotency_key.map(str::to_owned),
    }
}

pub fn attempt(number: u32, provider: &str, maximum: i64) -> NewAttempt {
    NewAttempt {
        id: AttemptId::generate(),
        number,
        offer: OfferId::new(provider, &format!("{provider}-model")),
        images: 1,
        maximum: Ticks::new(maximum),
        call_json: r#"{"prompt":"a tin robot"}"#.to_owned(),
        catalogue_digest: "digest".to_owned(),
    }
}

/// The first reservation of a new request.
pub fn first(request: NewRequest, attempts: Vec<NewAttempt>) -> Reservation {
    Reservation {
        request: request.id,
        payer: Arc::clone(&request.payer),
        new_request: Some(request),
        attempts,
        now: at(0),
    }
}

/// Everything that usage can be grouped by.
pub fn usage_keys() -> impl Iterator<Item = UsageKey> {
    let words = ["project", "key", "user", "tag", "tag:team", "provider", "model", "operation", "day"];
    words.into_iter().map(|word| UsageKey::from_word(word).unwrap())
}

pub fn settled(charge: i64, images: u32) -> End {
    End::Settled {
        charge: Ticks::new(charge),
        basis: "price_list".to_owned(),
        charge_json: r#"{"lines":[]}"#.to_owned(),
        doubtful: Ticks::new(charge / 3),
        images,
        provider_request_id: Some("theirs".to_owned()),
        fault_json: None,
    }
}

pub fn released() -> End {
    End::Released { fault_json: Some("{}".to_owned()), provider_request_id: None }
}

pub fn disputed() -> End {
    End::Disputed {
        reason: "timeout".to_owned(),
        doubtful: Some(Ticks::new(3)),
        fault_json: None,
        provider_request_id: Some("theirs".to_owned()),
    }
}

/// A list price of which a quarter is doubtful.
pub fn list_price(amount: i64) -> ListPrice {
    ListPrice {
        amount: Ticks::new(amount),
        doubtful: Ticks::new(amount / 4),
        trust: Some(("third_party".to_owned(), jiff::civil::date(2026, 11, 22))),
    }
}

pub fn finish(status: RequestStatus) -> RequestEnd {
    RequestEnd {
        status,
        http_status: 200,
        error_code: None,
        answer_json: Some("{}".to_owned()),
        images_delivered: 1,
        list: Some(list_price(100)),
        saved: Some(Ticks::new(40)),
        free_idempotency_key: false,
    }
}

pub fn conclusion(request: RequestId, ends: Vec<(AttemptId, End)>, finish: Option<RequestEnd>) -> Conclusion {
    let ends = ends.into_iter().map(|(attempt, end)| AttemptEnd { attempt, end }).collect();
    Conclusion { request, ends, finish, now: at(1) }
}

/// Reserves one attempt of a new request; both ids.
pub async fn reserved(store: &Store, project: &ProjectId, maximum: i64) -> (RequestId, AttemptId) {
    let request = new_request(project, 1, None);
    let attempt = attempt(1, "openai", maximum);
    let ids = (request.id, attempt.id);
    assert_eq!(store.reserve(first(request, vec![attempt])).await.unwrap(), Reserved::Held);
    ids
}

pub async fn check_books(store: &Store) -> Books {
    let books = store.books().await.unwrap();
    assert!(books.balance(), "{books:#?}");
    books
}
