//! One rule a test.

use gallerist_domain::{ProjectId, RequestId, Ticks};

use super::support::*;
use crate::*;

fn default() -> ProjectId {
    ProjectId::default_project()
}

async fn totals(store: &Store) -> (i64, i64, i64) {
    let project = store.project(default()).await.unwrap().unwrap();
    (project.settled.get(), project.held.get(), project.disputed.get())
}

#[tokio::test]
async fn a_settled_attempt_books_five_entries_and_frees_the_rest() {
    let store = store();
    let (request, attempt) = reserved(&store, &default(), 100).await;
    assert_eq!(totals(&store).await, (0, 100, 0));
    let end = conclusion(request, vec![(attempt, settled(60, 1))], Some(finish(RequestStatus::Succeeded)));
    store.conclude(end).await.unwrap();
    assert_eq!(totals(&store).await, (60, 0, 0));
    let detail = store.request(request).await.unwrap().unwrap();
    let entries: Vec<_> =
        detail.entries.iter().map(|e| (e.account.as_str(), e.amount.get(), e.kind)).collect();
    assert_eq!(
        entries,
        [
            ("project:default:available", -100, Movement::Reserve),
            ("project:default:held", 100, Movement::Reserve),
            ("project:default:held", -100, Movement::Settle),
            ("project:default:available", 40, Movement::Settle),
            ("provider:openai:payable", 60, Movement::Settle),
        ]
    );
    assert_eq!(detail.request.status, RequestStatus::Succeeded);
    assert_eq!(detail.request.charged, Ticks::new(60));
    assert_eq!(detail.attempts[0].provider_request_id.as_deref(), Some("theirs"));
    let books = check_books(&store).await;
    assert_eq!((books.open_reservations, books.open_disputes), (0, 0));
}

#[tokio::test]
async fn an_attempt_ends_once_and_repeating_the_same_end_does_nothing() {
    let store = store();
    let (request, attempt) = reserved(&store, &default(), 100).await;
    let end = conclusion(request, vec![(attempt, settled(60, 1))], None);
    store.conclude(end.clone()).await.unwrap();
    store.conclude(end).await.unwrap();
    for other in [settled(61, 1), released(), disputed()] {
        let refused = store.conclude(conclusion(request, vec![(attempt, other)], None)).await;
        assert!(
            matches!(refused, Err(StoreError::AttemptEnded { status: AttemptStatus::Settled, .. })),
            "{refused:?}"
        );
    }
    assert_eq!(totals(&store).await, (60, 0, 0));
    check_books(&store).await;
}

#[tokio::test]
async fn a_conclusion_is_all_or_nothing() {
    let store = store();
    let request = new_request(&default(), 1, None);
    let id = request.id;
    let (one, two) = (attempt(1, "openai", 100), attempt(2, "bfl", 50));
    let (first_id, second_id) = (one.id, two.id);
    store.reserve(first(request, vec![one, two])).await.unwrap();
    store.conclude(conclusion(id, vec![(second_id, released())], None)).await.unwrap();
    let mixed = conclusion(id, vec![(first_id, settled(10, 1)), (second_id, settled(10, 1))], None);
    assert!(store.conclude(mixed).await.is_err());
    assert_eq!(totals(&store).await, (0, 100, 0));
    let open = conclusion(id, vec![], Some(finish(RequestStatus::Failed)));
    assert!(matches!(store.conclude(open).await, Err(StoreError::AttemptsOpen { open: 1, .. })));
    check_books(&store).await;
}

#[tokio::test]
async fn a_dispute_is_held_apart_until_it_is_resolved() {
    let store = store();
    for (charge, status) in [(70, AttemptStatus::Settled), (0, AttemptStatus::Released)] {
        let before = totals(&store).await;
        let (request, attempt) = reserved(&store, &default(), 100).await;
        store.store_pending(attempt, r#"{"job":"7"}"#.to_owned(), at(1)).await.unwrap();
        let end = conclusion(request, vec![(attempt, disputed())], Some(finish(RequestStatus::Failed)));
        store.conclude(end).await.unwrap();
        assert_eq!(totals(&store).await, (before.0, 0, 100));
        let found = store.disputed_attempts().await.unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].call_json.is_some(), "a dispute with a job keeps its call");
        let resolution = Resolution::of_bill(attempt, Ticks::new(charge), "provider_usage", at(9));
        store.resolve_dispute(resolution.clone()).await.unwrap();
        assert_eq!(totals(&store).await, (before.0 + charge, 0, 0));
        assert!(matches!(store.resolve_dispute(resolution).await, Err(StoreError::NotDisputed { .. })));
        assert_eq!(store.request(request).await.unwrap().unwrap().attempts[0].status, status);
        check_books(&store).await;
    }
}

#[tokio::test]
async fn an_overrun_is_booked_beyond_the_cap_and_stops_what_follows() {
    let store = store();
    store.set_cap(default(), Some(Ticks::new(100)), at(0)).await.unwrap();
    let (request, attempt_id) = reserved(&store, &default(), 100).await;
    store.conclude(conclusion(request, vec![(attempt_id, settled(130, 1))], None)).await.unwrap();
    assert_eq!(totals(&store).await, (130, 0, 0));
    let refused = store.reserve(first(new_request(&default(), 1, None), vec![attempt(1, "openai", 1)])).await;
    assert!(matches!(refused, Err(StoreError::BudgetExceeded(breach)) if breach.settled == 130));
    check_books(&store).await;
}

#[tokio::test]
async fn a_refused_reservation_leaves_no_trace() {
    let store = store();
    store.set_cap(default(), Some(Ticks::new(99)), at(0)).await.unwrap();
    let request = new_request(&default(), 1, Some("again"));
    let id = request.id;
    let refused = store.reserve(first(request, vec![attempt(1, "new", 50), attempt(2, "new", 50)])).await;
    let Err(StoreError::BudgetExceeded(breach)) = refused else { panic!("{refused:?}") };
    assert_eq!((breach.limit, breach.held, breach.asked, breach.left()), (99, 0, 100, 99));
    assert!(store.request(id).await.unwrap().is_none());
    assert!(store.idempotent(default(), "again", at(0)).await.unwrap().is_none());
    assert_eq!(totals(&store).await, (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_reservations_fill_a_cap_and_never_pass_it() {
    let store = store();
    store.set_cap(default(), Some(Ticks::new(10_000)), at(0)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..200 {
        let store = store.clone();
        tasks.spawn(async move {
            // 73 does not divide the cap; every third settles at once.
            let request = new_request(&default(), 1, None);
            let attempt = attempt(1, "openai", 73);
            let (id, attempt_id) = (request.id, attempt.id);
            match store.reserve(first(request, vec![attempt])).await {
                Ok(_) if i % 3 == 0 => {
                    let end = conclusion(id, vec![(attempt_id, settled(73, 1))], None);
                    store.conclude(end).await.unwrap();
                }
                Ok(_) | Err(StoreError::BudgetExceeded { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            let project = store.project(default()).await.unwrap().unwrap();
            assert!(project.settled + project.held + project.disputed <= project.cap.unwrap());
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let project = store.project(default()).await.unwrap().unwrap();
    assert!(project.left().unwrap() < Ticks::new(300), "at least 97 % is used: {project:?}");
    check_books(&store).await;
}

#[tokio::test]
async fn an_idempotency_key_is_bound_to_one_request_for_a_day() {
    let store = store();
    let request = new_request(&default(), 1, Some("k"));
    let id = request.id;
    store.reserve(first(request, vec![attempt(1, "openai", 5)])).await.unwrap();
    let again =
        store.reserve(first(new_request(&default(), 1, Some("k")), vec![attempt(1, "openai", 5)])).await;
    assert_eq!(again.unwrap(), Reserved::Existing { request: id, same_body: true });
    let other = new_request(&default(), 2, Some("k"));
    let reserve = |request: &NewRequest, second| {
        let reservation = first(request.clone(), vec![attempt(1, "openai", 5)]);
        store.reserve(Reservation { now: at(second), ..reservation })
    };
    let existing = Reserved::Existing { request: id, same_body: false };
    assert_eq!(reserve(&other, 86_399).await.unwrap(), existing);
    assert_eq!(totals(&store).await, (0, 5, 0));
    assert_eq!(store.bound_until(id).await.unwrap(), Some(at(86_400)));
    assert_eq!(reserve(&other, 86_400).await.unwrap(), Reserved::Held);
    assert_eq!(store.idempotent(default(), "k", at(86_401)).await.unwrap().unwrap().request, other.id);
    assert_eq!(store.bound_until(id).await.unwrap(), None);
    // Another project has keys of its own.
    store.create_project(project("other"), None, at(0)).await.unwrap();
    let elsewhere = new_request(&project("other"), 1, Some("k"));
    assert_eq!(reserve(&elsewhere, 0).await.unwrap(), Reserved::Held);
}

#[tokio::test]
async fn a_request_is_as_old_as_its_acceptance_and_its_attempt_as_its_reservation() {
    let store = store();
    let request = NewRequest { accepted_at: at(3), ..new_request(&default(), 1, None) };
    let id = request.id;
    let reservation = first(request, vec![attempt(1, "openai", 5)]);
    store.reserve(Reservation { now: at(20), ..reservation }).await.unwrap();
    let detail = store.request(id).await.unwrap().unwrap();
    assert_eq!((detail.request.created_at, detail.attempts[0].created_at), (at(3), at(20)));
    let open = store.open_attempts().await.unwrap();
    assert_eq!((open[0].request_created_at, open[0].created_at), (at(3), at(20)));
}

#[tokio::test]
async fn what_was_charged_is_counted_once_and_only_when_it_is_written() {
    let store = store();
    let (request, attempt_id) = reserved(&store, &default(), 100).await;
    let end = conclusion(request, vec![(attempt_id, settled(60, 1))], Some(finish(RequestStatus::Succeeded)));
    store.conclude(end.clone()).await.unwrap();
    store.conclude(end).await.unwrap();
    assert_eq!(store.charged_since_opened(), Ticks::new(60), "the identical end counts once");
    // Refused after its money had moved: another attempt is still open.
    let request = new_request(&default(), 1, None);
    let (one, two) = (attempt(1, "openai", 10), attempt(2, "openai", 10));
    let (id, one_id, two_id) = (request.id, one.id, two.id);
    store.reserve(first(request, vec![one, two])).await.unwrap();
    let end = conclusion(id, vec![(one_id, settled(10, 1))], Some(finish(RequestStatus::Failed)));
    assert!(store.conclude(end).await.is_err());
    assert_eq!(store.charged_since_opened(), Ticks::new(60));
    store.conclude(conclusion(id, vec![(one_id, released()), (two_id, disputed())], None)).await.unwrap();
    let resolution = Resolution::of_bill(two_id, Ticks::new(7), "resolved", at(9));
    store.resolve_dispute(resolution).await.unwrap();
    assert_eq!(store.charged_since_opened(), Ticks::new(67));
    assert_eq!(check_books(&store).await.open_reservations, 0);
}

#[tokio::test]
async fn an_idempotency_key_is_freed_only_when_nothing_can_have_been_charged() {
    let store = store();
    let freeing = || RequestEnd { free_idempotency_key: true, ..finish(RequestStatus::Failed) };
    for (key, end, stays) in [("a", released(), false), ("b", disputed(), true), ("c", settled(3, 0), true)] {
        let request = new_request(&default(), 1, Some(key));
        let attempt = attempt(1, "openai", 5);
        let (id, attempt_id) = (request.id, attempt.id);
        store.reserve(first(request, vec![attempt])).await.unwrap();
        let done = store.conclude(conclusion(id, vec![(attempt_id, end)], Some(freeing()))).await;
        assert_eq!(matches!(done, Err(StoreError::KeyMustStay(_))), stays, "{done:?}");
        assert_eq!(store.idempotent(default(), key, at(2)).await.unwrap().is_some(), stays);
    }
}

#[tokio::test]
async fn a_command_that_fails_after_writing_does_not_hurt_the_others_of_its_group() {
    let store = store();
    let (request, attempt_id) = reserved(&store, &default(), 10).await;
    // The second attempt of the pair has the id of an earlier one: the first was written by then.
    let mut twin = attempt(2, "bfl", 7);
    twin.id = attempt_id;
    let spoiled = first(new_request(&default(), 1, None), vec![attempt(1, "unheard", 7), twin]);
    let fine = |maximum| first(new_request(&default(), 1, None), vec![attempt(1, "openai", maximum)]);
    let end = conclusion(request, vec![(attempt_id, settled(10, 1))], None);
    // Joined, they are queued before the writer has committed the first: one group or several, alike.
    let (one, two, three, four) = tokio::join!(
        store.reserve(fine(1)),
        store.reserve(spoiled),
        store.reserve(fine(2)),
        store.conclude(end)
    );
    one.unwrap();
    assert!(matches!(two, Err(StoreError::Database(_))), "{two:?}");
    three.unwrap();
    four.unwrap();
    assert_eq!(totals(&store).await, (10, 3, 0));
    let (request, attempt_id) = reserved(&store, &default(), 5).await;
    store.conclude(conclusion(request, vec![(attempt_id, settled(5, 1))], None)).await.unwrap();
    check_books(&store).await;
}

#[tokio::test]
async fn later_attempts_join_a_running_request_only() {
    let store = store();
    let (request, attempt_id) = reserved(&store, &default(), 10).await;
    let more = |number, id: RequestId| Reservation {
        request: id,
        payer: payer(&default()),
        new_request: None,
        attempts: vec![attempt(number, "bfl", 7)],
        now: at(2),
    };
    let second = more(2, request);
    let second_id = second.attempts[0].id;
    store.reserve(second).await.unwrap();
    let ends = vec![(attempt_id, released()), (second_id, settled(7, 1))];
    store.conclude(conclusion(request, ends, Some(finish(RequestStatus::Succeeded)))).await.unwrap();
    assert!(matches!(store.reserve(more(3, request)).await, Err(StoreError::RequestFinished(_))));
    let unknown = store.reserve(more(1, RequestId::generate())).await;
    assert!(matches!(unknown, Err(StoreError::UnknownRequest(_))));
    assert_eq!(totals(&store).await, (7, 0, 0));
    check_books(&store).await;
}

#[tokio::test]
async fn amounts_out_of_range_are_refused() {
    let store = store();
    for maximum in [-1, i64::MAX] {
        let refused =
            store.reserve(first(new_request(&default(), 1, None), vec![attempt(1, "x", maximum)])).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    }
    let none = store.reserve(first(new_request(&default(), 1, None), vec![])).await;
    assert!(matches!(none, Err(StoreError::Invalid(_))));
    let unknown =
        store.reserve(first(new_request(&project("nobody"), 1, None), vec![attempt(1, "x", 1)])).await;
    assert!(matches!(unknown, Err(StoreError::UnknownProject(_))));
}

#[tokio::test]
async fn a_free_call_is_settled_at_zero() {
    let store = store();
    let (request, attempt) = reserved(&store, &default(), 0).await;
    store.conclude(conclusion(request, vec![(attempt, settled(0, 1))], None)).await.unwrap();
    let detail = store.request(request).await.unwrap().unwrap();
    assert_eq!(detail.attempts[0].status, AttemptStatus::Settled);
    assert_eq!(detail.entries.len(), 4);
    check_books(&store).await;
}

#[tokio::test]
async fn a_dispute_that_nobody_can_be_asked_about_keeps_no_prompt() {
    let store = store();
    let (request, attempt) = reserved(&store, &default(), 100).await;
    let end = conclusion(request, vec![(attempt, disputed())], Some(finish(RequestStatus::Failed)));
    store.conclude(end).await.unwrap();
    let found = store.disputed_attempts().await.unwrap();
    assert_eq!((found.len(), found[0].call_json.as_deref()), (1, None));
}

#[tokio::test]
async fn a_dispute_that_ends_with_a_picture_changes_the_figures_of_its_request() {
    let store = store();
    // It had failed; or one of two pictures was answered, and the dispute counted as spent.
    for (before, answer, after) in [
        (RequestStatus::Failed, Some(r#"{"late":true}"#), (RequestStatus::Succeeded, 1, 200, None)),
        (RequestStatus::Failed, None, (RequestStatus::Failed, 1, 504, None)),
        (RequestStatus::Partial, None, (RequestStatus::Succeeded, 2, 200, Some(70))),
    ] {
        let mut request = new_request(&default(), 1, None);
        let failed = before == RequestStatus::Failed;
        request.n = if failed { 1 } else { 2 };
        let attempt = attempt(1, "openai", 100);
        let (id, attempt_id) = (request.id, attempt.id);
        store.reserve(first(request, vec![attempt])).await.unwrap();
        store.store_pending(attempt_id, r#"{"job":"7"}"#.to_owned(), at(1)).await.unwrap();
        let end = RequestEnd {
            http_status: if failed { 504 } else { 200 },
            images_delivered: u32::from(!failed),
            list: (!failed).then(|| list_price(140)),
            saved: (!failed).then_some(Ticks::new(40)),
            ..finish(before)
        };
        store.conclude(conclusion(id, vec![(attempt_id, disputed())], Some(end))).await.unwrap();
        let resolution = Resolution {
            images: 1,
            provider_request_id: Some("job-7".to_owned()),
            answer_json: answer.map(str::to_owned),
            ..Resolution::of_bill(attempt_id, Ticks::new(70), "usage", at(9))
        };
        store.resolve_dispute(resolution).await.unwrap();
        let detail = store.request(id).await.unwrap().unwrap();
        let found = &detail.request;
        let (status, images, http_status, saved) = after;
        assert_eq!((found.status, found.images_delivered), (status, images), "{before}, {answer:?}");
        assert_eq!((found.http_status, found.saved), (Some(http_status), saved.map(Ticks::new)));
        if answer.is_some() {
            assert_eq!(found.answer_json.as_deref(), answer);
        }
        assert_eq!(detail.attempts[0].images, 1);
        assert_eq!(detail.attempts[0].provider_request_id.as_deref(), Some("job-7"));
    }
    let usage = store.usage(UsageQuery { group_by: Vec::new(), ..UsageQuery::default() }).await.unwrap();
    assert_eq!((usage.totals.images, usage.totals.wasted), (3, Ticks::ZERO));
    check_books(&store).await;
}

#[tokio::test]
async fn a_job_that_is_forgotten_leaves_its_dispute() {
    let store = store();
    let (request, attempt) = reserved(&store, &default(), 100).await;
    store.store_pending(attempt, r#"{"job":"7"}"#.to_owned(), at(1)).await.unwrap();
    store.conclude(conclusion(request, vec![(attempt, disputed())], None)).await.unwrap();
    store.forget_job(attempt).await.unwrap();
    let found = store.disputed_attempts().await.unwrap().remove(0);
    assert_eq!((found.pending_json, found.call_json), (None, None));
    assert_eq!(totals(&store).await, (0, 0, 100));
}

#[tokio::test]
async fn a_settlement_that_could_not_be_written_is_handed_back() {
    let store = store();
    let (request, attempt) = reserved(&store, &default(), 100).await;
    // Stands for a full disk: the row of the attempt cannot be written.
    store.refuse_ends();
    let (sender, back) = tokio::sync::oneshot::channel();
    let end = conclusion(request, vec![(attempt, settled(60, 1))], Some(finish(RequestStatus::Succeeded)));
    store.conclude_later(end.clone(), move |conclusion, error| {
        sender.send((conclusion, error)).unwrap();
    });
    let (conclusion, error) = back.await.unwrap();
    assert!(error.may_pass(), "{error}");
    assert_eq!(conclusion, end);
    store.take_ends_again();
    store.conclude(conclusion).await.unwrap();
    assert_eq!(totals(&store).await, (60, 0, 0));
    check_books(&store).await;
}

/// A command that holds the writer up, so that what is asked meanwhile becomes one group.
async fn hold_up(store: &Store) {
    let wait = |_: &mut crate::writer::Writing<'_>| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        Ok(())
    };
    store.write(wait).await.unwrap();
}

#[tokio::test]
async fn a_group_counts_what_its_commands_moved_and_nothing_of_those_that_it_refuses() {
    let store = store();
    store.set_cap(default(), Some(Ticks::new(100)), at(0)).await.unwrap();
    let reserve = |maximum| first(new_request(&default(), 1, None), vec![attempt(1, "openai", maximum)]);
    let ending = reserve(30);
    let end = conclusion(ending.request, vec![(ending.attempts[0].id, settled(20, 1))], None);
    // It finds room under the cap before it finds that its request is unknown.
    let stray = Reservation { new_request: None, ..reserve(70) };
    let (_, one, two, three, four, five, six, seven) = tokio::join!(
        hold_up(&store),
        store.reserve(ending),
        store.reserve(stray),
        store.reserve(reserve(71)),
        store.reserve(reserve(70)),
        store.conclude(end),
        store.reserve(reserve(11)),
        store.reserve(reserve(10)),
    );
    assert_eq!(one.unwrap(), Reserved::Held);
    assert!(matches!(two, Err(StoreError::UnknownRequest(_))), "{two:?}");
    assert!(matches!(&three, Err(StoreError::BudgetExceeded(breach)) if breach.held == 30), "{three:?}");
    assert_eq!(four.unwrap(), Reserved::Held);
    five.unwrap();
    let Err(StoreError::BudgetExceeded(breach)) = six else { panic!("{six:?}") };
    assert_eq!((breach.settled, breach.held, breach.asked), (20, 70, 11));
    assert_eq!(seven.unwrap(), Reserved::Held);
    assert_eq!(totals(&store).await, (20, 80, 0));
    check_books(&store).await;
}

#[tokio::test]
async fn a_cap_that_changes_within_a_group_counts_from_there_on() {
    let store = store();
    let reserve = |maximum| first(new_request(&default(), 1, None), vec![attempt(1, "openai", maximum)]);
    let (_, before, set, after) = tokio::join!(
        hold_up(&store),
        store.reserve(reserve(60)),
        store.set_cap(default(), Some(Ticks::new(70)), at(0)),
        store.reserve(reserve(11)),
    );
    before.unwrap();
    set.unwrap();
    assert!(matches!(&after, Err(StoreError::BudgetExceeded(breach)) if breach.held == 60), "{after:?}");
    store.reserve(reserve(10)).await.unwrap();
    assert_eq!(totals(&store).await, (0, 70, 0));
    check_books(&store).await;
}

#[tokio::test]
async fn an_attempt_that_a_conclusion_names_twice_ends_once() {
    let store = store();
    let (request, attempt) = reserved(&store, &default(), 10).await;
    let twice = |end| conclusion(request, vec![(attempt, settled(5, 1)), (attempt, end)], None);
    let ended = store.conclude(twice(released())).await;
    assert!(matches!(ended, Err(StoreError::AttemptEnded { .. })), "{ended:?}");
    assert_eq!(totals(&store).await, (0, 10, 0), "all or none");
    store.conclude(twice(settled(5, 1))).await.unwrap();
    assert_eq!(totals(&store).await, (5, 0, 0));
    check_books(&store).await;
}
