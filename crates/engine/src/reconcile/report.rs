//! What a comparison found, for people and machines. Amounts are dollars, errors hundredths of a per cent.

use gallerist_domain::money::divide_half_up;
use gallerist_domain::{AttemptId, ReconciliationId, RequestId, Ticks};
use gallerist_pricing::sheet::{Confidence, is_doubtful};
use gallerist_store::{AttemptStatus, BilledAttempt};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

use super::Order;
use super::bill::{Bill, BillLine};
use super::matching::{How, Matching};
use crate::answer::CostLine;
use crate::books::stored_lines;

/// Rows of each list that are told; the counts are of all.
const ROWS_TOLD_MAX: usize = 1_000;

/// What becomes of a dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Settle,
    Release,
    Stays,
}

/// What an invoice decides about a dispute.
#[derive(Clone, Debug, Serialize)]
pub struct DisputeReport {
    pub attempt: AttemptId,
    pub request: RequestId,
    pub number: u32,
    pub offer: String,
    #[serde(rename = "held_usd")]
    pub held: Ticks,
    pub action: Action,
    #[serde(rename = "charge_usd")]
    pub charge: Ticks,
    pub why: String,
}

/// A charge that no attempt explains.
#[derive(Clone, Debug, Serialize)]
pub struct Theirs {
    pub place: usize,
    pub at: Timestamp,
    #[serde(rename = "amount_usd")]
    pub amount: Ticks,
    pub request_id: Option<String>,
    pub model: Option<String>,
    pub quantity: Option<String>,
}

/// An attempt that was charged in the books and is not on the invoice.
#[derive(Clone, Debug, Serialize)]
pub struct Ours {
    pub request: RequestId,
    pub number: u32,
    pub offer: String,
    pub at: Timestamp,
    #[serde(rename = "charged_usd")]
    pub charged: Ticks,
    /// The part of what was charged that rests on prices below official, or read long before.
    #[serde(rename = "doubtful_usd")]
    pub doubtful: Ticks,
    pub provider_request_id: Option<String>,
}

/// An attempt with another amount on the invoice.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    pub request: RequestId,
    pub number: u32,
    pub offer: String,
    pub matched_by: How,
    #[serde(rename = "charged_usd")]
    pub charged: Ticks,
    /// The part of what was charged that rests on prices below official, or read long before.
    #[serde(rename = "doubtful_usd")]
    pub doubtful: Ticks,
    #[serde(rename = "billed_usd")]
    pub billed: Ticks,
    #[serde(rename = "difference_usd")]
    pub difference: Ticks,
}

/// A sum of the invoice beside what the books have settled of that time and model.
#[derive(Clone, Debug, Serialize)]
pub struct SumReport {
    pub from: Timestamp,
    pub to: Timestamp,
    pub item: Option<String>,
    #[serde(rename = "billed_usd")]
    pub billed: Ticks,
    /// Null: no model of ours is meant.
    #[serde(rename = "settled_usd")]
    pub settled: Option<Ticks>,
    /// The part of what is settled that rests on prices below official, or read long before.
    #[serde(rename = "doubtful_usd")]
    pub doubtful: Ticks,
    #[serde(rename = "difference_usd")]
    pub difference: Ticks,
}

/// How well a price line foretold the invoice.
#[derive(Clone, Debug, Serialize)]
pub struct Grade {
    pub offer: String,
    pub line: String,
    pub attempts: u64,
    #[serde(rename = "predicted_usd")]
    pub predicted: Ticks,
    /// The part of the prediction that rests on prices below official, or read long before.
    #[serde(rename = "doubtful_usd")]
    pub doubtful: Ticks,
    #[serde(rename = "billed_usd")]
    pub billed: Ticks,
    /// Of the prediction, with two digits; positive where the provider charges more.
    pub error_percent: String,
    #[serde(skip)]
    pub error_basis_points: i64,
    /// Whether the error is beyond the threshold.
    pub drifts: bool,
}

/// What a comparison found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub object: &'static str,
    /// Under which it is found again; absent for a dry run, which is not kept.
    pub id: Option<ReconciliationId>,
    pub created_at: Timestamp,
    pub provider: String,
    pub dry_run: bool,
    pub from: Timestamp,
    pub to: Timestamp,
    pub lines: usize,
    pub matched: usize,
    pub matched_by_request_id: usize,
    #[serde(rename = "billed_usd")]
    pub billed: Ticks,
    /// Settled in the books at matched attempts and at those that only we have, before anything is resolved.
    #[serde(rename = "charged_usd")]
    pub charged: Ticks,
    /// The part of what was charged that rests on prices below official, or read long before.
    #[serde(rename = "doubtful_usd")]
    pub doubtful: Ticks,
    pub theirs_only_count: usize,
    pub theirs_only: Vec<Theirs>,
    pub ours_only_count: usize,
    pub ours_only: Vec<Ours>,
    pub differs_count: usize,
    pub differs: Vec<Difference>,
    pub sums: Vec<SumReport>,
    pub disputes: Vec<DisputeReport>,
    pub grades: Vec<Grade>,
}

/// The figures of a [`Report`] without its rows.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    pub lines: usize,
    pub matched: usize,
    pub matched_by_request_id: usize,
    #[serde(rename = "billed_usd")]
    pub billed: Ticks,
    #[serde(rename = "charged_usd")]
    pub charged: Ticks,
    /// The part of what was charged that rests on prices below official, or read long before.
    #[serde(rename = "doubtful_usd")]
    pub doubtful: Ticks,
    pub theirs_only_count: usize,
    pub ours_only_count: usize,
    pub differs_count: usize,
    pub disputes_settled: usize,
    pub disputes_released: usize,
    pub disputes_left: usize,
    pub drifting_lines: usize,
}

impl Report {
    /// Everything but the disputes.
    pub(super) fn of(
        order: &Order<'_>,
        bill: &Bill,
        ours: &[BilledAttempt],
        matching: &Matching,
        (from, to): (Timestamp, Timestamp),
        model_of: &dyn Fn(&str) -> String,
        now: Timestamp,
    ) -> Report {
        let mut differs: Vec<Difference> = Vec::new();
        for pair in &matching.pairs {
            let attempt = &ours[pair.attempt];
            if attempt.status != AttemptStatus::Disputed && attempt.charged != pair.billed {
                differs.push(Difference {
                    request: attempt.request,
                    number: attempt.number,
                    offer: attempt.offer.to_string(),
                    matched_by: pair.how,
                    charged: attempt.charged,
                    doubtful: attempt.doubtful,
                    billed: pair.billed,
                    difference: pair.billed - attempt.charged,
                });
            }
        }
        // Of sums nobody knows which attempts they are of.
        let single = bill.sums.is_empty();
        let within = |attempt: &&BilledAttempt| attempt.created_at >= from && attempt.created_at <= to;
        let ours_only: Vec<Ours> = matching
            .ours_only
            .iter()
            .map(|at| &ours[*at])
            .filter(|attempt| single && attempt.status == AttemptStatus::Settled)
            .filter(within)
            .map(missing)
            .collect();
        let matched = matching.pairs.iter().map(|pair| ours[pair.attempt].charged).sum::<Ticks>();
        let charged = matched + ours_only.iter().map(|attempt| attempt.charged).sum();
        let doubtful = matching.pairs.iter().map(|pair| ours[pair.attempt].doubtful).sum::<Ticks>()
            + ours_only.iter().map(|attempt| attempt.doubtful).sum();
        let theirs_only: Vec<Theirs> =
            matching.theirs_only.iter().map(|at| stray(&bill.lines[*at])).collect();
        let amounts = bill.lines.iter().map(|line| line.amount).chain(bill.sums.iter().map(|sum| sum.amount));
        Report {
            object: "reconciliation",
            id: (!order.dry_run).then(ReconciliationId::generate),
            created_at: now,
            provider: order.provider.to_owned(),
            dry_run: order.dry_run,
            from,
            to,
            lines: bill.lines.len() + bill.sums.len(),
            matched: matching.pairs.len(),
            matched_by_request_id: matching.pairs.iter().filter(|pair| pair.how == How::RequestId).count(),
            billed: amounts.sum(),
            charged,
            doubtful,
            theirs_only_count: theirs_only.len(),
            theirs_only: first(theirs_only),
            ours_only_count: ours_only.len(),
            ours_only: first(ours_only),
            differs_count: differs.len(),
            differs: first(differs),
            sums: sums(bill, ours, model_of),
            disputes: Vec::new(),
            grades: grades(ours, matching, order.drift_basis_points),
        }
    }

    /// The figures that a list shows.
    pub fn summary(&self) -> Summary {
        let disputes = |action| self.disputes.iter().filter(|dispute| dispute.action == action).count();
        Summary {
            lines: self.lines,
            matched: self.matched,
            matched_by_request_id: self.matched_by_request_id,
            billed: self.billed,
            charged: self.charged,
            doubtful: self.doubtful,
            theirs_only_count: self.theirs_only_count,
            ours_only_count: self.ours_only_count,
            differs_count: self.differs_count,
            disputes_settled: disputes(Action::Settle),
            disputes_released: disputes(Action::Release),
            disputes_left: disputes(Action::Stays),
            drifting_lines: self.grades.iter().filter(|grade| grade.drifts).count(),
        }
    }

    /// Whether a price line foretold something else than was billed.
    pub fn drifts(&self) -> bool {
        self.grades.iter().any(|grade| grade.drifts)
    }
}

fn first<T>(mut rows: Vec<T>) -> Vec<T> {
    rows.truncate(ROWS_TOLD_MAX);
    rows
}

fn missing(attempt: &BilledAttempt) -> Ours {
    Ours {
        request: attempt.request,
        number: attempt.number,
        offer: attempt.offer.to_string(),
        at: attempt.created_at,
        charged: attempt.charged,
        doubtful: attempt.doubtful,
        provider_request_id: attempt.provider_request_id.clone(),
    }
}

fn stray(line: &BillLine) -> Theirs {
    Theirs {
        place: line.place,
        at: line.at,
        amount: line.amount,
        request_id: line.request_id.clone(),
        model: line.model.clone(),
        quantity: line.quantity.clone(),
    }
}

/// Sums of one time and model together, beside ours. An item may say more than the model (`gpt-image-1, image
/// output`).
fn sums(bill: &Bill, ours: &[BilledAttempt], model_of: &dyn Fn(&str) -> String) -> Vec<SumReport> {
    let mut billed: BTreeMap<(Timestamp, Timestamp, Option<String>), Ticks> = BTreeMap::new();
    for sum in &bill.sums {
        let item = sum.item.as_deref().map(|item| {
            let name = item.split(',').next().unwrap_or_default().trim();
            model_of(name)
        });
        *billed.entry((sum.from, sum.to, item)).or_insert(Ticks::ZERO) += sum.amount;
    }
    let sum_of = |from: Timestamp, to: Timestamp, model: Option<&str>| -> Option<(Ticks, Ticks)> {
        let of_model = |attempt: &&BilledAttempt| model.is_none_or(|model| attempt.offer.model == model);
        let meant: Vec<&BilledAttempt> = ours.iter().filter(of_model).collect();
        if model.is_some() && meant.is_empty() {
            return None;
        }
        let billed_at = |attempt: &BilledAttempt| attempt.ended_at.unwrap_or(attempt.created_at);
        let inside = meant.iter().filter(|attempt| (from..to).contains(&billed_at(attempt)));
        Some(inside.fold((Ticks::ZERO, Ticks::ZERO), |(settled, doubtful), attempt| {
            (settled + attempt.charged, doubtful + attempt.doubtful)
        }))
    };
    billed
        .into_iter()
        .map(|((from, to, item), billed)| {
            let (settled, doubtful) = sum_of(from, to, item.as_deref()).unzip();
            let doubtful = doubtful.unwrap_or(Ticks::ZERO);
            let difference = settled.map_or(Ticks::ZERO, |settled| billed - settled);
            SumReport { from, to, item, billed, settled, doubtful, difference }
        })
        .collect()
}

/// Whether a stored line rested on a price below official, or read long before `at`.
fn is_doubtful_line(line: &CostLine, at: Timestamp) -> bool {
    let today = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let confidence = line.confidence.as_deref().map(|word| {
        // A word of a later version is not official.
        Confidence::from_word(word).unwrap_or(Confidence::Unverified)
    });
    confidence.zip(line.as_of).is_some_and(|(confidence, read)| is_doubtful(confidence, read, today))
}

/// What a price line told, and what was billed for it, in ticks.
#[derive(Default)]
struct Predicted {
    attempts: u64,
    predicted: i128,
    billed: i128,
    doubtful: i128,
}

/// Every line of a charge has its share of what was billed, by its share of the charge.
fn grades(ours: &[BilledAttempt], matching: &Matching, drift_basis_points: i64) -> Vec<Grade> {
    let mut sums: BTreeMap<(String, String), Predicted> = BTreeMap::new();
    for pair in &matching.pairs {
        let attempt = &ours[pair.attempt];
        let lines = attempt.charge_json.as_deref().map(stored_lines).unwrap_or_default();
        let whole: i128 = lines.iter().map(|line| i128::from(line.amount_usd.get())).sum();
        if attempt.status != AttemptStatus::Settled || whole <= 0 {
            continue;
        }
        for line in lines {
            let predicted = i128::from(line.amount_usd.get());
            let Some(billed) = divide_half_up(i128::from(pair.billed.get()) * predicted, whole) else {
                continue;
            };
            let doubtful = if is_doubtful_line(&line, attempt.created_at) { predicted } else { 0 };
            let sum = sums.entry((attempt.offer.to_string(), line.line)).or_default();
            sum.attempts += 1;
            sum.predicted += predicted;
            sum.billed += billed;
            sum.doubtful += doubtful;
        }
    }
    let grade = |((offer, line), sum): ((String, String), Predicted)| {
        let Predicted { attempts, predicted, billed, doubtful } = sum;
        let error = divide_half_up((billed - predicted) * 10_000, predicted)?;
        let error_basis_points = i64::try_from(error).ok()?;
        let sign = if error_basis_points < 0 { "-" } else { "" };
        let size = error_basis_points.unsigned_abs();
        Some(Grade {
            offer,
            line,
            attempts,
            predicted: Ticks::new(i64::try_from(predicted).ok()?),
            doubtful: Ticks::new(i64::try_from(doubtful).ok()?),
            billed: Ticks::new(i64::try_from(billed).ok()?),
            error_percent: format!("{sign}{}.{:02}", size / 100, size % 100),
            error_basis_points,
            drifts: size > drift_basis_points.unsigned_abs(),
        })
    };
    sums.into_iter().filter_map(grade).collect()
}
