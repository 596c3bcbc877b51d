//! A known end that the database refused is written again: it is what somebody paid.
//!
//! A client that sent an `Idempotency-Key` waits for it a little, because what it is told must be on disk for whoever
//! repeats the request. Beyond that it happens in a task of the engine, while no client waits: soon at first, then
//! again and again for as long as the database fails. What waits for long is taken for broken off by a sweep
//! (`recover.rs`), here or at another replica, which disputes it because nobody else knows how it ended. Here it is
//! known: such a dispute is resolved by the end that was to be written.

use crate::shared::Shared;
use gallerist_domain::{AttemptId, Clock, Ticks};
use gallerist_store::{
    AttemptEnd, AttemptStatus, Conclusion, End, RequestStatus, Resolution, Store, StoreError,
};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Pauses before the first further tries; together shorter than the pause between two sweeps, which would take
/// the request for one that broke off.
const PAUSES: &[Duration] = &[
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(1_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Pauses of a [`Patience`]: in all about as long as a database takes that is restarted, and less than clients wait.
const AWAITED_PAUSES: &[Duration] = &[
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(1_500),
    Duration::from_secs(3),
    Duration::from_secs(5),
];

/// Pause between two tries after these.
const LONG_PAUSE: Duration = Duration::from_secs(3);

/// How long a client is made to wait for a database that is away, before it is told what should be on disk by then:
/// 10 s of pauses for everything that is written for it.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    paused: usize,
}

impl Patience {
    /// Waits a little for the next try; false, at once, where it is at its end.
    pub(crate) async fn pause(&mut self) -> bool {
        let Some(pause) = AWAITED_PAUSES.get(self.paused) else { return false };
        self.paused += 1;
        sleep(*pause).await;
        true
    }
}

/// Goes on trying to write a conclusion whose first try failed with `error`, for as long as the client has patience;
/// then in the background.
pub(crate) async fn before_the_answer(
    shared: &Arc<Shared>,
    conclusion: Conclusion,
    mut error: StoreError,
    patience: &mut Patience,
) {
    let Shared { store, clock, .. } = &**shared;
    while error.may_pass() && patience.pause().await {
        match write(store, &**clock, conclusion.clone()).await {
            Ok(()) => return,
            Err(again) => error = again,
        }
    }
    in_background(shared, conclusion, error);
}

/// Goes on trying to write a conclusion whose first try failed with `error`. Must be called inside tokio.
pub(crate) fn in_background(shared: &Arc<Shared>, conclusion: Conclusion, error: StoreError) {
    let shared_by_task = Arc::clone(shared);
    shared.tasks.spawn(async move {
        let request = conclusion.request;
        let Shared { store, clock, .. } = &*shared_by_task;
        let written = persevere(PAUSES, error, || write(store, &**clock, conclusion.clone())).await;
        match written {
            Ok(()) => tracing::warn!(%request, "the end of a request was written after all"),
            Err(error) => tracing::error!(%request, %error, "the end of a request could not be written"),
        }
    });
}

/// Writes until it succeeds or is refused, however long the database fails. A refusal of the first try is
/// written once more: what another has ended meanwhile is settled by the writing.
async fn persevere<F>(pauses: &[Duration], error: StoreError, write: impl Fn() -> F) -> Result<(), StoreError>
where
    F: Future<Output = Result<(), StoreError>>,
{
    let mut written = if error.may_pass() { persist(pauses, error, &write).await } else { write().await };
    while written.as_ref().is_err_and(StoreError::may_pass) {
        sleep(LONG_PAUSE).await;
        written = write().await;
    }
    written
}

/// Writes a conclusion of which others may have ended parts. Doing it twice is doing it once.
async fn write(store: &Store, clock: &dyn Clock, mut conclusion: Conclusion) -> Result<(), StoreError> {
    loop {
        // It is written now, however long it has waited: the roll-up of its day may be made by this time.
        conclusion.now = clock.now();
        let Err(error) = store.conclude(conclusion.clone()).await else { return Ok(()) };
        let request = conclusion.request;
        match error {
            StoreError::AttemptEnded { attempt, status } => {
                let ends = &mut conclusion.ends;
                let Some(place) = ends.iter().position(|end| end.attempt == attempt) else {
                    return Err(StoreError::AttemptEnded { attempt, status });
                };
                // All are written or none: one that has ended must not keep the others from it.
                let AttemptEnd { end, .. } = ends.remove(place);
                tracing::warn!(%request, %attempt, %status, "an attempt was ended elsewhere");
                if status == AttemptStatus::Disputed {
                    resolve(store, &conclusion, attempt, end).await?;
                }
            }
            // What may have been written was not: there is nothing to release, and no request that ends.
            StoreError::UnknownAttempt(attempt) if releases(&conclusion.ends, attempt) => {
                conclusion.ends.retain(|end| end.attempt != attempt);
            }
            StoreError::UnknownRequest(_) if conclusion.ends.iter().all(is_release) => return Ok(()),
            // By whoever took this gateway for gone; the money is written all the same.
            StoreError::RequestFinished(_) if conclusion.finish.is_some() => {
                tracing::warn!(%request, "a request was finished elsewhere");
                conclusion.finish = None;
            }
            error => return Err(error),
        }
    }
}

fn is_release(end: &AttemptEnd) -> bool {
    matches!(end.end, End::Released { .. })
}

fn releases(ends: &[AttemptEnd], attempt: AttemptId) -> bool {
    ends.iter().any(|end| end.attempt == attempt && is_release(end))
}

/// Resolves a dispute by the end that is known here, with the answer where the request has one.
async fn resolve(
    store: &Store,
    conclusion: &Conclusion,
    attempt: AttemptId,
    end: End,
) -> Result<(), StoreError> {
    let Some(resolution) = resolution_by(attempt, end, conclusion.now) else { return Ok(()) };
    let answered = conclusion
        .finish
        .as_ref()
        .filter(|finish| matches!(finish.status, RequestStatus::Succeeded | RequestStatus::Partial));
    let answer_json =
        answered.filter(|_| resolution.images > 0).and_then(|finish| finish.answer_json.clone());
    match store.resolve_dispute(Resolution { answer_json, ..resolution }).await {
        // A look-up or a person was faster.
        Ok(()) | Err(StoreError::NotDisputed { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// How a dispute ends by an end that came to light; `None` where that is as unsure.
pub(crate) fn resolution_by(attempt: AttemptId, end: End, now: Timestamp) -> Option<Resolution> {
    match end {
        End::Settled { charge, basis, charge_json, doubtful, images, provider_request_id, .. } => {
            Some(Resolution {
                charge_json: Some(charge_json),
                doubtful,
                images,
                provider_request_id,
                ..Resolution::of_bill(attempt, charge, &basis, now)
            })
        }
        End::Released { provider_request_id, .. } => Some(Resolution {
            provider_request_id,
            ..Resolution::of_bill(attempt, Ticks::ZERO, "computed", now)
        }),
        End::Disputed { .. } => None,
    }
}

/// Repeats a write until it succeeds, is refused, or has failed too often.
async fn persist<F>(
    pauses: &[Duration],
    mut error: StoreError,
    write: impl Fn() -> F,
) -> Result<(), StoreError>
where
    F: Future<Output = Result<(), StoreError>>,
{
    for pause in pauses {
        if !error.may_pass() {
            break;
        }
        sleep(*pause).await;
        match write().await {
            Ok(()) => return Ok(()),
            Err(again) => error = again,
        }
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gallerist_domain::{FixedClock, OfferId, Operation, Payer, ProjectId, RequestId};
    use gallerist_store::{NewAttempt, NewRequest, RequestEnd, Reservation, Reserved, StoreOptions};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn full() -> StoreError {
        let source = Arc::new(std::io::Error::from(std::io::ErrorKind::StorageFull));
        StoreError::File { path: "gallerist.sqlite".into(), source }
    }

    const SOON: &[Duration] = &[Duration::ZERO; 4];

    #[tokio::test]
    async fn a_settlement_is_written_again_until_the_disk_takes_it() {
        let tries = AtomicUsize::new(0);
        let write = || {
            let free = tries.fetch_add(1, Ordering::SeqCst) >= 2;
            async move { if free { Ok(()) } else { Err(full()) } }
        };
        persist(SOON, full(), write).await.expect("the third try is taken");
        assert_eq!(tries.load(Ordering::SeqCst), 3);
        let tries = AtomicUsize::new(0);
        let write = || {
            tries.fetch_add(1, Ordering::SeqCst);
            async { Err(full()) }
        };
        persist(SOON, full(), write).await.expect_err("the disk stays full");
        assert_eq!(tries.load(Ordering::SeqCst), SOON.len(), "the trying is bounded");
        persist(SOON, StoreError::Closed, || async { Ok(()) }).await.expect_err("a refusal is not repeated");
    }

    fn away() -> StoreError {
        StoreError::Away(Arc::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)))
    }

    fn timed_out() -> StoreError {
        StoreError::Database(Arc::new(std::io::Error::from(std::io::ErrorKind::TimedOut)))
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_outlives_an_outage_and_the_errors_that_follow_it() {
        let answers = [away(), away(), timed_out(), away(), full(), timed_out()];
        let tries = AtomicUsize::new(0);
        let write = || {
            let answer = answers.get(tries.fetch_add(1, Ordering::SeqCst)).cloned();
            async { answer.map_or(Ok(()), Err) }
        };
        persevere(&SOON[..1], away(), write).await.expect("it is written in the end");
        assert_eq!(tries.load(Ordering::SeqCst), answers.len() + 1);
        let tries = AtomicUsize::new(0);
        let write = || {
            tries.fetch_add(1, Ordering::SeqCst);
            async { Err(StoreError::Closed) }
        };
        persevere(SOON, away(), write).await.expect_err("a refusal stays one");
        assert_eq!(tries.load(Ordering::SeqCst), 1);
    }

    /// A store with one request of two attempts, reserved at `now`.
    async fn reserved(folder: &std::path::Path, now: Timestamp) -> (Store, RequestId, [AttemptId; 2]) {
        let options = StoreOptions { durable: false, ..StoreOptions::new(folder, now) };
        let store = Store::open(options).expect("the store opens");
        let (request, payer) = (RequestId::generate(), Arc::new(Payer::of(ProjectId::default_project())));
        let attempt = |number| NewAttempt {
            id: AttemptId::generate(),
            number,
            offer: OfferId::new("bfl", "flux-2-pro"),
            images: 1,
            maximum: Ticks::new(100),
            call_json: "{}".to_owned(),
            catalogue_digest: "digest".to_owned(),
        };
        let attempts = vec![attempt(1), attempt(2)];
        let ids = [attempts[0].id, attempts[1].id];
        let new_request = NewRequest {
            id: request,
            payer: Arc::clone(&payer),
            accepted_at: now,
            model: "auto".to_owned(),
            operation: Operation::Generate,
            n: 2,
            plan_json: "{}".to_owned(),
            asked_json: None,
            prompt: None,
            fingerprint: [1; 32],
            idempotency_key: None,
        };
        let reservation = Reservation { request, payer, new_request: Some(new_request), attempts, now };
        assert_eq!(store.reserve(reservation).await.expect("it fits"), Reserved::Held);
        (store, request, ids)
    }

    fn settled(charge: i64) -> End {
        End::Settled {
            charge: Ticks::new(charge),
            basis: "usage".to_owned(),
            charge_json: "{}".to_owned(),
            doubtful: Ticks::ZERO,
            images: 1,
            provider_request_id: None,
            fault_json: None,
        }
    }

    fn finish(status: RequestStatus, images_delivered: u32, answer_json: Option<&str>) -> RequestEnd {
        RequestEnd {
            status,
            http_status: 200,
            error_code: None,
            answer_json: answer_json.map(str::to_owned),
            images_delivered,
            list: None,
            saved: None,
            free_idempotency_key: false,
        }
    }

    #[tokio::test]
    async fn what_a_sweep_disputed_is_resolved_by_what_is_known_and_the_rest_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let now: Timestamp = "2026-11-28T12:00:00Z".parse().expect("an instant");
        let clock = FixedClock::new(now);
        for finished in [false, true] {
            let folder = folder.path().join(finished.to_string());
            let (store, request, [one, two]) = reserved(&folder, now).await;
            let unknown = || End::Disputed {
                reason: "it broke off".to_owned(),
                doubtful: None,
                fault_json: None,
                provider_request_id: None,
            };
            // The sweep got as far as one attempt, or to the end.
            let swept = if finished { vec![one, two] } else { vec![one] };
            let ends = swept.into_iter().map(|attempt| AttemptEnd { attempt, end: unknown() }).collect();
            let failed = finished.then(|| finish(RequestStatus::Failed, 0, None));
            store.conclude(Conclusion { request, ends, finish: failed, now }).await.expect("they are open");
            let ends = vec![
                AttemptEnd { attempt: one, end: settled(60) },
                AttemptEnd {
                    attempt: two,
                    end: End::Released { fault_json: None, provider_request_id: None },
                },
            ];
            let end = finish(RequestStatus::Partial, 1, Some("{\"an\":\"answer\"}"));
            let known = Conclusion { request, ends, finish: Some(end), now };
            let error = store.conclude(known.clone()).await.expect_err("one has ended otherwise");
            let writing = || write(&store, &clock, known.clone());
            persevere(SOON, error, writing).await.expect("it is written after all");
            writing().await.expect("twice is once");
            let detail = store.request(request).await.expect("it reads").expect("it is there");
            let ended: Vec<_> =
                detail.attempts.iter().map(|attempt| (attempt.status, attempt.charged.get())).collect();
            assert_eq!(ended, [(AttemptStatus::Settled, 60), (AttemptStatus::Released, 0)]);
            let found = &detail.request;
            assert_eq!((found.status, found.images_delivered), (RequestStatus::Partial, 1));
            assert_eq!(found.answer_json.as_deref(), Some("{\"an\":\"answer\"}"));
            let books = store.books().await.expect("it reads");
            assert!(books.balance() && books.open_disputes == 0, "{books:?}");
        }
    }

    #[tokio::test]
    async fn an_end_that_is_written_days_later_makes_the_roll_up_of_its_day_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let then: Timestamp = "2026-11-27T23:59:00Z".parse().expect("an instant");
        let clock = FixedClock::new(then);
        let (store, request, [one, two]) = reserved(folder.path(), then).await;
        clock.set("2026-11-28T03:00:00Z".parse().expect("an instant"));
        assert_eq!(store.roll_up(clock.now()).await.expect("it is written"), 1);
        let ends = [one, two].map(|attempt| AttemptEnd { attempt, end: settled(60) }).to_vec();
        let known = Conclusion { request, ends, finish: None, now: then };
        write(&store, &clock, known).await.expect("they are open");
        let books = store.books().await.expect("it reads");
        assert!(books.balance(), "{books:?}");
    }
}
