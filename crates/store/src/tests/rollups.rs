//! Roll-ups: exactly the raw rows at every moment, whatever comes late.

use gallerist_domain::{AttemptId, OfferId, Payer, ProjectId, RequestId, Ticks};
use proptest::prelude::*;
use std::sync::Arc;

use super::support::*;
use crate::usage::rolled;
use crate::*;

const DAY: i64 = 86_400;

#[derive(Clone, Debug)]
enum Step {
    /// A request of this day by this payer, with attempts at these offers; each ends as told or stays open.
    Request {
        day: i64,
        payer: usize,
        attempts: Vec<(usize, usize)>,
        list: bool,
    },
    /// Ends what is still open, on this day.
    Late {
        day: i64,
        which: usize,
        charge: i64,
    },
    /// Ends a dispute, on this day.
    Resolve {
        day: i64,
        which: usize,
        charge: i64,
        images: u32,
    },
    RollUp {
        day: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let attempts = prop::collection::vec((0usize..5, 0usize..5), 0..4);
    prop_oneof![
        5 => (0i64..4, 0usize..4, attempts, any::<bool>())
            .prop_map(|(day, payer, attempts, list)| Step::Request { day, payer, attempts, list }),
        2 => (0i64..6, any::<usize>(), 0i64..90)
            .prop_map(|(day, which, charge)| Step::Late { day, which, charge }),
        2 => (0i64..6, any::<usize>(), 0i64..90, 0u32..2)
            .prop_map(|(day, which, charge, images)| Step::Resolve { day, which, charge, images }),
        2 => (0i64..6).prop_map(|day| Step::RollUp { day }),
    ]
}

fn someone(which: usize) -> Arc<Payer> {
    let project = ProjectId::default_project();
    let tags = [("team", "red"), ("team", "blue"), ("site", "a")];
    let tags = tags.iter().take(which).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Arc::new(Payer {
        key_id: (which > 0).then(|| format!("key_{}", which % 2)),
        end_user: (which > 1).then(|| format!("user-{which}")),
        tags: tags.collect(),
        project,
    })
}

const OFFERS: [&str; 5] = ["openai/one", "openai/two", "bfl/one", "bfl/one#batch", "fal/two#flex"];

#[derive(Default)]
struct Books {
    open: Vec<(RequestId, AttemptId)>,
    disputed: Vec<AttemptId>,
    /// Days that have passed; never fewer.
    today: i64,
}

impl Books {
    fn pass(&mut self, day: i64) -> jiff::Timestamp {
        self.today = self.today.max(day);
        at(self.today * DAY)
    }

    async fn take(&mut self, store: &Store, step: &Step) {
        match step {
            Step::Request { day, payer, attempts, list } => {
                self.pass(*day);
                self.request(store, at(day * DAY), someone(*payer), attempts, *list).await;
            }
            Step::Late { day, which, charge } if !self.open.is_empty() => {
                let (request, attempt) = self.open.swap_remove(which % self.open.len());
                let end = settled(*charge, u32::from(charge % 2 == 0));
                let mut conclusion = conclusion(request, vec![(attempt, end)], None);
                conclusion.now = self.pass(*day);
                store.conclude(conclusion).await.unwrap();
            }
            Step::Resolve { day, which, charge, images } if !self.disputed.is_empty() => {
                let attempt = self.disputed.swap_remove(which % self.disputed.len());
                let bill = Resolution::of_bill(attempt, Ticks::new(*charge), "invoice", self.pass(*day));
                store.resolve_dispute(Resolution { images: *images, ..bill }).await.unwrap();
            }
            Step::RollUp { day } => drop(store.roll_up(self.pass(*day)).await.unwrap()),
            Step::Late { .. } | Step::Resolve { .. } => {}
        }
    }

    async fn request(
        &mut self,
        store: &Store,
        accepted_at: jiff::Timestamp,
        payer: Arc<Payer>,
        wanted: &[(usize, usize)],
        list: bool,
    ) {
        let fresh = new_request(&payer.project, 7, None);
        let fresh = NewRequest { payer: Arc::clone(&payer), accepted_at, ..fresh };
        let now = at(self.today * DAY);
        let id = fresh.id;
        let mut ends = Vec::new();
        let mut attempts = Vec::new();
        for (number, (offer, end)) in (1..).zip(wanted) {
            let offer: OfferId = OFFERS[*offer].parse().unwrap();
            let one = NewAttempt { offer, ..attempt(number, "openai", 50 + i64::from(number)) };
            match end {
                0 => ends.push((one.id, settled(40, 1))),
                1 => ends.push((one.id, settled(30, 0))),
                2 => ends.push((one.id, released())),
                3 => {
                    self.disputed.push(one.id);
                    ends.push((one.id, disputed()));
                }
                _ => self.open.push((id, one.id)),
            }
            attempts.push(one);
        }
        if attempts.is_empty() {
            return;
        }
        let closed = ends.len() == attempts.len();
        let reservation = Reservation { now, ..first(fresh, attempts) };
        store.reserve(reservation).await.unwrap();
        let mut end = finish(RequestStatus::Succeeded);
        if !list {
            (end.list, end.saved) = (None, None);
        }
        let mut conclusion = conclusion(id, ends, closed.then_some(end));
        conclusion.now = now;
        store.conclude(conclusion).await.unwrap();
    }
}

/// Reports of every grouping by one or two keys, and of some filters and times.
async fn reports(store: &Store) -> Vec<UsageReport> {
    let mut queries: Vec<UsageQuery> = Vec::new();
    for one in usage_keys() {
        for two in usage_keys().filter(|two| *two != one) {
            queries.push(UsageQuery { group_by: vec![one.clone(), two], ..UsageQuery::default() });
        }
        let group_by = vec![one];
        let part = UsageQuery {
            from: Some(at(DAY / 3)),
            to: Some(at(DAY * 5 / 2)),
            group_by: group_by.clone(),
            ..UsageQuery::default()
        };
        let model = Some("one".to_owned());
        queries.push(UsageQuery { model, group_by: group_by.clone(), ..UsageQuery::default() });
        let (provider, user) = (Some("bfl".to_owned()), Some("user-2".to_owned()));
        queries.push(UsageQuery { provider, user, group_by: group_by.clone(), ..part.clone() });
        let tag = Some(("team".to_owned(), "red".to_owned()));
        queries.push(UsageQuery { tag, group_by, ..UsageQuery::default() });
        queries.push(part);
    }
    let mut reports = Vec::new();
    for query in queries {
        reports.push(store.usage(query).await.unwrap());
    }
    reports
}

/// Reports of every grouping over all time.
async fn whole_reports(store: &Store) -> Vec<UsageReport> {
    let mut reports = Vec::new();
    for key in usage_keys() {
        reports.push(store.usage(UsageQuery { group_by: vec![key], ..UsageQuery::default() }).await.unwrap());
    }
    reports
}

async fn purge(store: &Store, now: jiff::Timestamp) -> u64 {
    let mut requests = 0;
    loop {
        let step = store.purge(RETENTION_DAYS_MIN, now).await.unwrap();
        requests += step.requests;
        check_books(store).await;
        if !step.has_more {
            return requests;
        }
    }
}

async fn make_stale(store: &Store) {
    store
        .write(|writing| {
            writing.connection.execute("UPDATE usage_states SET version = version + 1", &[]).map(drop)
        })
        .await
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24 / super::CASES_FEWER, ..ProptestConfig::default() })]

    #[test]
    fn rolled_up_figures_are_exactly_those_of_the_raw_rows(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = store();
            let mut books = Books::default();
            for step in &steps {
                books.take(&store, step).await;
                check_books(&store).await;
            }
            let mixed = reports(&store).await;
            store.roll_up(at(30 * DAY)).await.unwrap();
            let rolled = reports(&store).await;
            make_stale(&store).await;
            let raw = reports(&store).await;
            assert_eq!(mixed, raw);
            assert_eq!(rolled, raw);
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16 / super::CASES_FEWER, ..ProptestConfig::default() })]

    #[test]
    fn deleting_old_requests_changes_no_sum(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = store();
            let mut books = Books::default();
            for step in &steps {
                books.take(&store, step).await;
            }
            let (late, later) = (at(40 * DAY), at(50 * DAY));
            store.roll_up(late).await.unwrap();
            let (before, accounts) = (whole_reports(&store).await, check_books(&store).await.accounts);
            purge(&store, late).await;
            assert_eq!(whole_reports(&store).await, before);
            assert_eq!(check_books(&store).await.accounts, accounts);
            for attempt in books.disputed {
                let bill = Resolution::of_bill(attempt, Ticks::new(7), "invoice", later);
                store.resolve_dispute(bill).await.unwrap();
            }
            for (request, attempt) in books.open {
                let mut end = conclusion(request, vec![(attempt, settled(9, 1))], None);
                end.now = later;
                store.conclude(end).await.unwrap();
            }
            store.roll_up(later).await.unwrap();
            let before = whole_reports(&store).await;
            purge(&store, later).await;
            assert_eq!(whole_reports(&store).await, before);
        });
    }
}

#[tokio::test]
async fn a_day_with_a_dispute_stays_until_it_is_resolved_and_then_leaves_its_balance() {
    let store = store();
    let project = ProjectId::default_project();
    let (request, attempt) = reserved(&store, &project, 90).await;
    let end = Some(finish(RequestStatus::Failed));
    store.conclude(conclusion(request, vec![(attempt, disputed())], end)).await.unwrap();
    assert!(matches!(store.purge(RETENTION_DAYS_MIN - 1, at(0)).await, Err(StoreError::Invalid(_))));
    store.roll_up(at(30 * DAY)).await.unwrap();
    assert_eq!(purge(&store, at(30 * DAY)).await, 0);
    let bill = Resolution::of_bill(attempt, Ticks::new(60), "invoice", at(31 * DAY));
    store.resolve_dispute(bill).await.unwrap();
    assert_eq!(purge(&store, at(31 * DAY)).await, 0, "it is not rolled up anew");
    store.roll_up(at(31 * DAY)).await.unwrap();
    assert_eq!(purge(&store, at(31 * DAY)).await, 1);
    assert!(store.request(request).await.unwrap().is_none());
    let usage = store.usage(UsageQuery::default()).await.unwrap().totals;
    assert_eq!((usage.charged, usage.requests), (Ticks::new(60), 1));
    assert_eq!(store.project(project).await.unwrap().unwrap().settled, Ticks::new(60));
}

#[tokio::test]
async fn a_late_settlement_corrects_the_day_on_which_the_request_was_accepted() {
    let store = store();
    let (request, attempt) = reserved(&store, &ProjectId::default_project(), 90).await;
    assert_eq!(store.roll_up(at(DAY)).await.unwrap(), 1);
    assert_eq!(store.roll_up(at(DAY)).await.unwrap(), 0, "nothing has changed");
    let mut late = conclusion(request, vec![(attempt, settled(70, 1))], None);
    late.now = at(3 * DAY);
    store.conclude(late).await.unwrap();
    let by_day = UsageQuery { group_by: vec![UsageKey::Day], ..UsageQuery::default() };
    let before = store.usage(by_day.clone()).await.unwrap();
    assert_eq!(before.rows[0].figures.charged, Ticks::new(70), "read from the raw rows");
    // The day itself, and those since that had none.
    assert_eq!(store.roll_up(at(3 * DAY)).await.unwrap(), 3);
    assert_eq!(store.usage(by_day).await.unwrap(), before);
    assert_eq!((before.rows.len(), before.rows[0].keys[0].as_str()), (1, "2026-05-28"));
    check_books(&store).await;
}

#[tokio::test]
async fn a_roll_up_that_was_changed_is_found_by_the_audit() {
    let store = store();
    reserved(&store, &ProjectId::default_project(), 90).await;
    store.roll_up(at(DAY)).await.unwrap();
    store
        .write(|writing| {
            writing.connection.execute("UPDATE usage_days SET charged = charged + 1", &[]).map(drop)
        })
        .await
        .unwrap();
    let books = store.books().await.unwrap();
    assert_eq!(books.mismatches, ["the roll-up of day 20601 differs from its requests"]);
}

#[tokio::test]
async fn a_day_is_not_rolled_up_in_its_last_hours() {
    let store = store();
    reserved(&store, &ProjectId::default_project(), 90).await;
    let midnight = (at(0).as_microsecond().div_euclid(rolled::DAY) + 1) * rolled::DAY;
    let soon = jiff::Timestamp::from_microsecond(midnight + 1_000_000).unwrap();
    assert_eq!(store.roll_up(soon).await.unwrap(), 0);
}

#[tokio::test]
async fn long_tags_do_not_stop_a_day() {
    let store = store();
    let mut books = Books::default();
    // Nothing that a database could make shorter.
    let mut noise = 7_u64;
    let mut word = |_: usize| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{noise:016x}")
    };
    let tags = (0..16).map(|at| (format!("tag-{at}"), (0..16).map(&mut word).collect())).collect();
    let payer = Arc::new(Payer { tags, ..(*someone(1)).clone() });
    books.request(&store, at(0), payer, &[(0, 1)], false).await;
    assert_eq!(store.roll_up(at(2 * DAY)).await.unwrap(), 2);
}
