//! What is measured: one reservation and one settlement, each durable, and the same bytes as bare rows.

use gallerist_domain::budget::Part;
use gallerist_domain::{
    AttemptId, Budget, BudgetId, BudgetMode, BudgetScope, BudgetUnit, BudgetWindow, OfferId, Operation,
    Payer, ProjectId, RequestId, Ticks,
};
use gallerist_store::*;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Bytes of text that a pair writes with its first and its second commit.
const PLAN_BYTES: usize = 800;
const CALL_BYTES: usize = 600;
const CHARGE_BYTES: usize = 500;
const ANSWER_BYTES: usize = 300;
/// Bytes of a bare row in the first and the second commit: beside the texts, some 300 of fixed columns, entries
/// and index rows.
pub(crate) const BARE_BYTES: [usize; 2] = [PLAN_BYTES + CALL_BYTES + 300, CHARGE_BYTES + ANSWER_BYTES + 300];

/// When a settlement is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settling {
    /// As a gateway does it: nobody waits for it, and it goes with whatever is written next, within 3 ms.
    WithTheNext,
    /// By a commit that the caller waits for, as where an idempotency key promises the answer.
    AtOnce,
}

/// Writes a pair; how long its reservation took.
pub(crate) async fn pair(store: &Store, caller: usize, settling: Settling) -> Duration {
    let (request, attempt) = (RequestId::generate(), AttemptId::generate());
    let payer = Payer {
        key_id: Some("key_0123456789".to_owned()),
        end_user: Some(format!("user-{caller}")),
        ..Payer::of(ProjectId::default_project())
    };
    let payer = Arc::new(payer);
    let new_request = NewRequest {
        id: request,
        payer: Arc::clone(&payer),
        accepted_at: Timestamp::UNIX_EPOCH,
        model: "auto".to_owned(),
        operation: Operation::Generate,
        n: 1,
        plan_json: "p".repeat(PLAN_BYTES),
        asked_json: None,
        prompt: None,
        fingerprint: [attempt.uuid().as_bytes()[15]; 32],
        idempotency_key: None,
    };
    let new_attempt = NewAttempt {
        id: attempt,
        number: 1,
        offer: OfferId::new("openai", "gpt-image-1"),
        images: 1,
        maximum: Ticks::new(400_000_000),
        call_json: "c".repeat(CALL_BYTES),
        catalogue_digest: "0123456789abcdef".to_owned(),
    };
    let reservation = Reservation {
        request,
        payer,
        new_request: Some(new_request),
        attempts: vec![new_attempt],
        now: Timestamp::UNIX_EPOCH,
    };
    let start = Instant::now();
    store.reserve(reservation).await.expect("there is room under every cap");
    let reserved = start.elapsed();
    let conclusion = conclusion(request, attempt);
    match settling {
        Settling::WithTheNext => store.conclude_later(conclusion, |_, error| panic!("{error}")),
        Settling::AtOnce => store.conclude(conclusion).await.expect("the attempt is reserved"),
    }
    reserved
}

/// The settlement of the attempt, and the end of its request.
fn conclusion(request: RequestId, attempt: AttemptId) -> Conclusion {
    let end = End::Settled {
        charge: Ticks::new(390_000_000),
        basis: "price_list".to_owned(),
        charge_json: "l".repeat(CHARGE_BYTES),
        doubtful: Ticks::ZERO,
        images: 1,
        provider_request_id: Some("req_0123456789abcdef".to_owned()),
        fault_json: None,
    };
    let list = ListPrice {
        amount: Ticks::new(400_000_000),
        doubtful: Ticks::ZERO,
        trust: Some(("official".to_owned(), jiff::civil::date(2026, 11, 22))),
    };
    let finish = RequestEnd {
        status: RequestStatus::Succeeded,
        http_status: 200,
        error_code: None,
        answer_json: Some("a".repeat(ANSWER_BYTES)),
        images_delivered: 1,
        list: Some(list),
        saved: Some(Ticks::new(10_000_000)),
        free_idempotency_key: false,
    };
    let ends = vec![AttemptEnd { attempt, end }];
    Conclusion { request, ends, finish: Some(finish), now: Timestamp::UNIX_EPOCH }
}

/// How long each reservation took. At the end everything is on disk.
pub(crate) fn storm(
    runtime: &Runtime,
    store: &Store,
    callers: std::ops::Range<usize>,
    (pairs_per_caller, settling): (usize, Settling),
) -> Vec<Duration> {
    let mut times = Vec::with_capacity(callers.len() * pairs_per_caller);
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for caller in callers {
            let store = store.clone();
            tasks.spawn(async move {
                let mut times = Vec::with_capacity(pairs_per_caller);
                for _ in 0..pairs_per_caller {
                    times.push(pair(&store, caller, settling).await);
                }
                times
            });
        }
        while let Some(done) = tasks.join_next().await {
            times.extend(done.expect("no caller panics"));
        }
        store.flush().await.expect("the disk has room");
    });
    times
}

/// What the callers draw on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caps {
    None,
    /// Each caller on a budget's counter of its own.
    Own,
    /// All on the one counter of a budget.
    Shared,
    /// All on the same two budgets.
    SharedTwo,
}

impl Caps {
    pub(crate) const ALL: [Caps; 4] = [Caps::None, Caps::Own, Caps::Shared, Caps::SharedTwo];

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Caps::None => "no budget",
            Caps::Own => "a budget each",
            Caps::Shared => "one budget for all",
            Caps::SharedTwo => "two budgets for all",
        }
    }

    pub(crate) async fn make(self, store: &Store) {
        let all = BudgetScope::default();
        let one = BudgetScope { provider: Part::Only("openai".to_owned()), ..BudgetScope::default() };
        let scopes = match self {
            Caps::None => vec![],
            Caps::Own => vec![BudgetScope { end_user: Part::Each, ..BudgetScope::default() }],
            Caps::Shared => vec![all],
            Caps::SharedTwo => vec![all, one],
        };
        for scope in scopes {
            let budget = Budget {
                id: BudgetId::generate(),
                name: String::new(),
                scope,
                unit: BudgetUnit::Usd,
                // As much as a budget may be: 100 million dollars.
                limit: 1_000_000_000_000_000_000,
                window: BudgetWindow::Forever,
                zone: "UTC".to_owned(),
                mode: BudgetMode::Hard,
                thresholds_percent: vec![50, 80, 100],
                created_at: Timestamp::UNIX_EPOCH,
            };
            store.create_budget(budget).await.expect("it is made");
        }
    }
}
