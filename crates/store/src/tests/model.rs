//! The ledger against a model of a few lines, over random commands.

use gallerist_domain::{AttemptId, ProjectId, RequestId, Ticks};
use proptest::prelude::*;

use super::support::*;
use crate::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Reserve { maxima: (i64, i64) },
    Settle { which: usize, charge: i64 },
    Release { which: usize },
    Dispute { which: usize },
    Resolve { which: usize, charge: i64 },
    Cap(Option<i64>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0i64..60, 0i64..60).prop_map(|maxima| Step::Reserve { maxima }),
        2 => (any::<usize>(), 0i64..80).prop_map(|(which, charge)| Step::Settle { which, charge }),
        1 => any::<usize>().prop_map(|which| Step::Release { which }),
        1 => any::<usize>().prop_map(|which| Step::Dispute { which }),
        1 => (any::<usize>(), 0i64..80).prop_map(|(which, charge)| Step::Resolve { which, charge }),
        1 => prop::option::of(0i64..400).prop_map(Step::Cap),
    ]
}

#[derive(Clone, Copy)]
struct ModelAttempt {
    request: RequestId,
    id: AttemptId,
    status: AttemptStatus,
    maximum: i64,
    charge: i64,
}

#[derive(Default)]
struct Model {
    cap: Option<i64>,
    attempts: Vec<ModelAttempt>,
}

impl Model {
    fn sum(&self, status: AttemptStatus, amount: fn(&ModelAttempt) -> i64) -> i64 {
        self.attempts.iter().filter(|a| a.status == status).map(amount).sum()
    }

    fn totals(&self) -> (i64, i64, i64) {
        (
            self.sum(AttemptStatus::Settled, |a| a.charge),
            self.sum(AttemptStatus::Reserved, |a| a.maximum),
            self.sum(AttemptStatus::Disputed, |a| a.maximum),
        )
    }

    async fn take(&mut self, store: &Store, step: Step) {
        match step {
            Step::Reserve { maxima: (one, two) } => self.reserve(store, one, two).await,
            Step::Settle { which, charge } => self.end(store, which, settled(charge, 1), charge).await,
            Step::Release { which } => self.end(store, which, released(), 0).await,
            Step::Dispute { which } => self.end(store, which, disputed(), 0).await,
            Step::Resolve { which, charge } => self.resolve(store, which, charge).await,
            Step::Cap(cap) => {
                self.cap = cap;
                store.set_cap(ProjectId::default_project(), cap.map(Ticks::new), at(0)).await.unwrap();
            }
        }
    }

    async fn reserve(&mut self, store: &Store, one: i64, two: i64) {
        let request = new_request(&ProjectId::default_project(), 1, None);
        let id = request.id;
        let attempts = vec![attempt(1, "openai", one), attempt(2, "bfl", two)];
        let new: Vec<_> = attempts.iter().map(|a| (a.id, a.maximum.get())).collect();
        let (settled, held, disputed) = self.totals();
        let fits = self.cap.is_none_or(|cap| settled + held + disputed + one + two <= cap);
        match store.reserve(first(request, attempts)).await {
            Ok(_) => {
                assert!(fits, "the cap was passed");
                for (attempt, maximum) in new {
                    let status = AttemptStatus::Reserved;
                    self.attempts.push(ModelAttempt { request: id, id: attempt, status, maximum, charge: 0 });
                }
            }
            Err(StoreError::BudgetExceeded { .. }) => assert!(!fits, "refused although it fits"),
            Err(error) => panic!("{error}"),
        }
    }

    async fn end(&mut self, store: &Store, which: usize, end: End, charge: i64) {
        if self.attempts.is_empty() {
            return;
        }
        let at = which % self.attempts.len();
        let attempt = self.attempts[at];
        let status = match end {
            End::Settled { .. } => AttemptStatus::Settled,
            End::Released { .. } => AttemptStatus::Released,
            End::Disputed { .. } => AttemptStatus::Disputed,
        };
        let done = store.conclude(conclusion(attempt.request, vec![(attempt.id, end)], None)).await;
        if attempt.status == AttemptStatus::Reserved {
            done.unwrap();
            self.attempts[at].status = status;
            self.attempts[at].charge = charge;
        } else if let Err(error) = done {
            assert!(matches!(error, StoreError::AttemptEnded { .. }), "{error}");
        } else {
            assert_eq!(attempt.status, status, "only the same end may be repeated");
        }
    }

    async fn resolve(&mut self, store: &Store, which: usize, charge: i64) {
        if self.attempts.is_empty() {
            return;
        }
        let at = which % self.attempts.len();
        let attempt = self.attempts[at].id;
        let now = super::support::at(2);
        let resolution = Resolution::of_bill(attempt, Ticks::new(charge), "resolved", now);
        let done = store.resolve_dispute(resolution).await;
        if self.attempts[at].status == AttemptStatus::Disputed {
            done.unwrap();
            self.attempts[at].charge = charge;
            self.attempts[at].status =
                if charge == 0 { AttemptStatus::Released } else { AttemptStatus::Settled };
        } else {
            assert!(matches!(done, Err(StoreError::NotDisputed { .. })));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48 / super::CASES_FEWER, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_agrees_with_its_model(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = store();
            let mut model = Model::default();
            for step in steps {
                model.take(&store, step).await;
                let project = store.project(ProjectId::default_project()).await.unwrap().unwrap();
                let totals = (project.settled.get(), project.held.get(), project.disputed.get());
                assert_eq!(totals, model.totals(), "after {step:?}");
            }
            let books = check_books(&store).await;
            let payable: i64 = books
                .accounts
                .iter()
                .filter(|a| a.account.starts_with("provider:"))
                .map(|a| a.balance.get())
                .sum();
            assert_eq!(payable, model.totals().0);
        });
    }
}
