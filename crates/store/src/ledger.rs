//! The commands that move money and carry a request from its first reservation to its end.
//!
//! Each is one durable commit: when the future returns, it is on disk, or it is refused and nothing
//! changed. Money moves in five ways (reserve, settle, release, dispute, resolve), each a set of entries
//! that sums to zero. An attempt ends exactly once; repeating the identical end does nothing.
//!
//! A future that is dropped after its command was queued does not undo the command. `apply.rs` and
//! `resolve.rs` hold the rules, `accounts.rs` the entries; `credits.rs` takes charges from what was prepaid.

use gallerist_domain::{AttemptId, OfferId, Operation, Payer, RequestId, Ticks};
use jiff::Timestamp;
use jiff::civil::Date;
use std::sync::Arc;

use crate::audit::Actor;
use crate::sql::Lookups;
use crate::words::RequestStatus;
use crate::writer::Rule;
use crate::{Store, StoreError};

mod accounts;
pub(crate) mod adjust;
mod amounts;
mod apply;
mod counters;
pub(crate) mod credits;
mod found;
mod open;
mod resolve;
mod tell;

pub(crate) use accounts::Names;
pub(crate) use counters::{LiveBudget, Moving, amount_in, tell_reached, tell_standings};
#[cfg(test)]
pub(crate) fn statements() -> impl Iterator<Item = &'static str> {
    let plain = accounts::STATEMENTS.iter().chain(apply::STATEMENTS).chain(resolve::STATEMENTS);
    let plain = plain.chain(counters::STATEMENTS).chain(credits::STATEMENTS);
    plain.chain(adjust::STATEMENTS).chain(found::STATEMENTS).chain(tell::STATEMENTS).copied()
}

/// How long an idempotency key is bound to its request.
pub const IDEMPOTENCY_HOURS: i64 = 24;

/// One million dollars: no single attempt may hold or cost more, so that sums stay far from overflow.
pub const AMOUNT_MAX: Ticks = Ticks::new(1_000_000 * gallerist_domain::money::TICKS_PER_DOLLAR);

/// A request as its first reservation writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRequest {
    pub id: RequestId,
    pub payer: Arc<Payer>,
    /// When it was accepted: the instant of its prices, and of its row.
    pub accepted_at: Timestamp,
    /// What the client asked for: `auto`, a route or a model.
    pub model: String,
    pub operation: Operation,
    /// Pictures wanted.
    pub n: u32,
    /// JSON text: offers and excluded.
    pub plan_json: String,
    /// JSON text: the parameters that decide about the price, without the client's words.
    pub asked_json: Option<String>,
    /// Only where prompts are to be stored.
    pub prompt: Option<String>,
    /// Digest of everything in the body that makes two requests the same.
    pub fingerprint: [u8; 32],
    /// The client's `Idempotency-Key`; bound to this request for [`IDEMPOTENCY_HOURS`].
    pub idempotency_key: Option<String>,
}

/// One try for which money is to be held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAttempt {
    pub id: AttemptId,
    /// Counts from 1 within the request.
    pub number: u32,
    pub offer: OfferId,
    /// Pictures that it asks for.
    pub images: u32,
    /// The most that it can cost; not negative.
    pub maximum: Ticks,
    /// JSON text of the call, for settling after a restart. Dropped when the attempt ends (a dispute with a
    /// job that can be asked for: when that is resolved), unless [`crate::StoreOptions::calls_keep`] is set.
    pub call_json: String,
    /// Digest of the price catalogue that gave the maximum.
    pub catalogue_digest: String,
}

/// Holds money for attempts, all or none, together with the request itself where it is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    pub request: RequestId,
    /// In whose budgets it counts.
    pub payer: Arc<Payer>,
    /// The request's row, for the first reservation; its id and payer are those above.
    pub new_request: Option<NewRequest>,
    /// At least one.
    pub attempts: Vec<NewAttempt>,
    pub now: Timestamp,
}

/// What became of a reservation that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// Held: the provider may be called.
    Held,
    /// The idempotency key is bound to this earlier request; nothing was written, nothing is held.
    Existing { request: RequestId, same_body: bool },
}

/// How an attempt ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The charge is known. More than the maximum is an overrun and is booked all the same.
    Settled {
        /// Not negative.
        charge: Ticks,
        /// What the charge rests on: the provider's own figure, its usage, the price list.
        basis: String,
        /// JSON text: lines, catalogue digest, arithmetic.
        charge_json: String,
        /// The part of the charge that rests on prices below official, or read long before.
        doubtful: Ticks,
        /// Pictures of this attempt that were delivered; a charge with 0 counts as wasted.
        images: u32,
        provider_request_id: Option<String>,
        /// JSON text, for an attempt that was charged although it failed.
        fault_json: Option<String>,
    },
    /// Nothing was charged.
    Released { fault_json: Option<String>, provider_request_id: Option<String> },
    /// Nobody knows whether it was charged.
    Disputed {
        reason: String,
        /// The part of the reserved maximum that rests on prices below official, or read long before, for those who
        /// are told of it; absent where that is not known.
        doubtful: Option<Ticks>,
        fault_json: Option<String>,
        provider_request_id: Option<String>,
    },
}

/// The end of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptEnd {
    pub attempt: AttemptId,
    pub end: End,
}

/// The end of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestEnd {
    /// Not `running`.
    pub status: RequestStatus,
    pub http_status: u16,
    pub error_code: Option<String>,
    /// JSON text of the answer without pictures, for replays.
    pub answer_json: Option<String>,
    pub images_delivered: u32,
    /// What the baseline would have cost; absent where it could not serve the request.
    pub list: Option<ListPrice>,
    /// `list` less everything charged; may be negative.
    pub saved: Option<Ticks>,
    /// Frees the idempotency key so that a repetition runs anew. Refused with
    /// [`StoreError::KeyMustStay`] when anything was charged or is disputed.
    pub free_idempotency_key: bool,
}

/// What a request would have cost at the baseline, and what that rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPrice {
    pub amount: Ticks,
    /// The part of it that rests on prices below official, or read long before.
    pub doubtful: Ticks,
    /// How sure the least sure of what it rests on is (`official`, `third_party`, `derived` or `unverified`), and when
    /// that was read; absent where no price line speaks of it.
    pub trust: Option<(String, Date)>,
}

/// Ends attempts and, with `finish`, the request: all in one commit, all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conclusion {
    pub request: RequestId,
    /// Attempts of this request; may be empty.
    pub ends: Vec<AttemptEnd>,
    /// Refused with [`StoreError::AttemptsOpen`] while other attempts are still reserved.
    pub finish: Option<RequestEnd>,
    pub now: Timestamp,
}

/// Ends a dispute. Without a charge and without pictures the attempt becomes `released`, else `settled`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    pub attempt: AttemptId,
    /// Not negative; more than the maximum is an overrun.
    pub charge: Ticks,
    pub basis: String,
    /// JSON text: lines, catalogue digest, arithmetic.
    pub charge_json: Option<String>,
    /// The part of the charge that rests on prices below official, or read long before.
    pub doubtful: Ticks,
    /// Pictures of this attempt that came to light and can be fetched; a charge with 0 counts as wasted.
    pub images: u32,
    pub provider_request_id: Option<String>,
    /// JSON text of what a replay of the request answers from now on. With it a request that had failed
    /// counts as answered, wholly or in part.
    pub answer_json: Option<String>,
    pub now: Timestamp,
}

impl Resolution {
    /// What is known without having seen a picture: the charge, from a bill.
    pub fn of_bill(attempt: AttemptId, charge: Ticks, basis: &str, now: Timestamp) -> Resolution {
        Resolution {
            attempt,
            charge,
            basis: basis.to_owned(),
            charge_json: None,
            doubtful: Ticks::ZERO,
            images: 0,
            provider_request_id: None,
            answer_json: None,
            now,
        }
    }
}

impl Store {
    /// Holds the maxima of all attempts, or refuses with [`StoreError::BudgetExceeded`]. A refusal leaves
    /// no row of the request either.
    pub async fn reserve(&self, reservation: Reservation) -> Result<Reserved, StoreError> {
        let (run, look_ahead) = (apply::reserve, apply::ahead_of_reserve);
        self.apply(Rule { argument: reservation, run, look_ahead }).await
    }

    /// Keeps what is needed to ask a provider again about a running call. The attempt must be reserved.
    pub async fn store_pending(
        &self,
        attempt: AttemptId,
        pending_json: String,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |writing| apply::store_pending(writing, attempt, &pending_json, now)).await
    }

    pub async fn conclude(&self, conclusion: Conclusion) -> Result<(), StoreError> {
        let (run, look_ahead) = (apply::conclude, apply::ahead_of_conclude);
        self.apply(Rule { argument: conclusion, run, look_ahead }).await
    }

    /// As [`Store::conclude`], for ends that nobody waits for: it is committed within milliseconds, together
    /// with whatever is written next, and applied ahead of every command that is queued after it. When that
    /// fails, what was reserved stays so, and `on_failure` has the conclusion back.
    pub fn conclude_later(
        &self,
        conclusion: Conclusion,
        on_failure: impl FnOnce(Conclusion, StoreError) + Send + 'static,
    ) {
        let conclusion = Arc::new(conclusion);
        let kept = Arc::clone(&conclusion);
        self.write_later(
            Rule {
                argument: conclusion,
                run: |writing, conclusion| apply::conclude(writing, conclusion),
                look_ahead: |conclusion, names, lookups| apply::ahead_of_conclude(conclusion, names, lookups),
            },
            // The command's own share is gone by then.
            move |error| on_failure(Arc::unwrap_or_clone(kept), error),
        );
    }

    /// Nobody asks for the job of this disputed attempt any more: its provider has said all that it will.
    pub async fn forget_job(&self, attempt: AttemptId) -> Result<(), StoreError> {
        self.write(move |writing| resolve::forget_job(writing, attempt)).await
    }

    /// Ends a dispute. A person's word on it is an administrative change; what a look-up found is not.
    pub async fn resolve_dispute(&self, resolution: Resolution) -> Result<(), StoreError> {
        let look_ahead = |(resolution, _): &(Resolution, Actor), names: &Names, lookups: &mut Lookups| {
            apply::ahead_of_end(resolution.attempt, names, lookups);
        };
        let argument = (resolution, self.actor.clone());
        self.apply(Rule { argument, run: resolve::resolve_for, look_ahead }).await
    }

    /// What was charged since the store was opened: each settled attempt and each resolved dispute once, when
    /// its commit is on disk.
    pub fn charged_since_opened(&self) -> Ticks {
        self.inner.writer.charged()
    }
}
