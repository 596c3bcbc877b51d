//! A provider's invoice beside the books: what differs, which disputes it decides, how well prices foretold it.
//!
//! `bill.rs` reads a file, `matching.rs` finds the attempt of each charge, `report.rs` is what comes of it.
//! Settled attempts are never rewritten: a difference is told. A dispute with a charge on the invoice is
//! settled by that; one without is released only where the caller says that the invoice is complete.

pub mod bill;
pub mod matching;
pub mod report;

#[cfg(test)]
mod tests;

use gallerist_domain::{AlertFact, NewAlert, Ticks};
use gallerist_pricing::ProviderSheet;
use gallerist_routing::nearest::nearest;
use gallerist_store::{AttemptStatus, BilledAttempt, NewReconciliation, Resolution, Store, StoreError};
use jiff::{SignedDuration, Timestamp};

use bill::{Bill, BillFault, Form};
use matching::matching;
use report::{Action, DisputeReport, Report};

/// The basis of a charge that an invoice proves.
pub const RESOLVED_BY_INVOICE: &str = "resolved_by_invoice";

/// How an invoice is to be compared.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// The account, as attempts name it.
    pub provider: &'a str,
    pub bill: &'a [u8],
    pub form: Form,
    /// The time that the invoice covers; absent: from its first to its last line.
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    /// How far the provider's clock may be off.
    pub window: SignedDuration,
    /// Releases disputes of the time covered that the invoice does not know.
    pub close: bool,
    /// Writes nothing.
    pub dry_run: bool,
    /// From which error on a price line is told of, in hundredths of a per cent.
    pub drift_basis_points: i64,
}

/// Why nothing was compared.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error(transparent)]
    Bill(#[from] BillFault),
    #[error("{0}")]
    Invalid(String),
    /// Nobody has the name that it is compared for.
    #[error("{0}")]
    Provider(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Compares, and unless it is a dry run resolves what the invoice decides.
///
/// # Errors
/// When the file cannot be read, or the store fails. What was resolved before a failure stays so: the same
/// order again goes on where it stopped. A comparison that was written is kept with its report.
pub async fn reconcile(
    store: &Store,
    sheet: Option<&ProviderSheet>,
    order: &Order<'_>,
    now: Timestamp,
) -> Result<Report, ReconcileError> {
    // As the books keep it.
    let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
    let currencies = sheet.map(|sheet| sheet.currencies.as_slice()).unwrap_or_default();
    let bill = bill::read(order.bill, &order.form, currencies)?;
    let (from, to) = covered(&bill, order)?;
    // A charge stands on the invoice at the end of a call, which may have begun some time before.
    let early = from.checked_sub(order.window + SignedDuration::from_hours(2)).unwrap_or(Timestamp::MIN);
    let late = to.checked_add(order.window).unwrap_or(Timestamp::MAX);
    let ours = store.billed_attempts(order.provider, early, late).await?;
    let model_of = |name: &str| known_model(sheet, name);
    let matching = matching(&bill.lines, &ours, order.window, model_of);
    let mut report = Report::of(order, &bill, &ours, &matching, (from, to), &model_of, now);
    report.disputes = disputes(order, &ours, &matching, &report, (from, to));
    if let Some(id) = report.id {
        for dispute in &report.disputes {
            let charge = match dispute.action {
                Action::Settle => dispute.charge,
                Action::Release => Ticks::ZERO,
                Action::Stays => continue,
            };
            let bill = Resolution::of_bill(dispute.attempt, charge, RESOLVED_BY_INVOICE, now);
            match store.resolve_dispute(bill).await {
                // A look-up or a person was faster.
                Ok(()) | Err(StoreError::NotDisputed { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let json = |value: serde_json::Result<String>| value.expect("a report is plain data");
        let kept = NewReconciliation {
            id,
            at: now,
            provider: report.provider.clone(),
            from,
            to,
            summary_json: json(serde_json::to_string(&report.summary())),
            report_json: json(serde_json::to_string(&report)),
        };
        store.add_reconciliation(kept, alerts(order, &report, now)).await?;
    }
    Ok(report)
}

/// Whether a provider that is neither on nor in the catalogue is one of the books all the same: an account may have
/// been given up since.
///
/// # Errors
/// [`ReconcileError::Provider`] with the nearest of the `known` names, where the books know nothing of it.
pub async fn check_provider(
    store: &Store,
    provider: &str,
    known: impl Iterator<Item = String>,
) -> Result<(), ReconcileError> {
    if store.has_attempts_at(provider).await? {
        return Ok(());
    }
    let near = nearest(provider, known, 3).join(", ");
    Err(ReconcileError::Provider(format!("there is no provider {provider:?}; the nearest: {near}")))
}

fn covered(bill: &Bill, order: &Order<'_>) -> Result<(Timestamp, Timestamp), ReconcileError> {
    let begins = bill.lines.iter().map(|line| line.at).chain(bill.sums.iter().map(|sum| sum.from));
    let ends = bill.lines.iter().map(|line| line.at).chain(bill.sums.iter().map(|sum| sum.to));
    match (order.from.or_else(|| begins.min()), order.to.or_else(|| ends.max())) {
        (Some(from), Some(to)) if from <= to => Ok((from, to)),
        (Some(from), Some(to)) => {
            Err(ReconcileError::Invalid(format!("the time covered would end at {to}, before {from}")))
        }
        _ => Err(ReconcileError::Invalid(
            "the file has no line, so nobody knows what time it covers; say from and to".to_owned(),
        )),
    }
}

/// Our name for a model that the provider calls so.
fn known_model(sheet: Option<&ProviderSheet>, name: &str) -> String {
    let found = sheet.into_iter().flat_map(|sheet| &sheet.models).find(|model| {
        model.upstream == name
            || model.is_named(name)
            || model.versions.iter().any(|(_, upstream)| upstream == name)
    });
    found.map_or_else(|| name.to_owned(), |model| model.id.clone())
}

/// What the invoice decides about each dispute of its time.
fn disputes(
    order: &Order<'_>,
    ours: &[BilledAttempt],
    matching: &matching::Matching,
    report: &Report,
    (from, to): (Timestamp, Timestamp),
) -> Vec<DisputeReport> {
    let disputed = |at: &usize| ours[*at].status == AttemptStatus::Disputed;
    let told = |at: usize, action, charge, why: String| {
        let attempt = &ours[at];
        DisputeReport {
            attempt: attempt.id,
            request: attempt.request,
            number: attempt.number,
            offer: attempt.offer.to_string(),
            held: attempt.reserved,
            action,
            charge,
            why,
        }
    };
    let proved = matching.pairs.iter().filter(|pair| disputed(&pair.attempt)).map(|pair| {
        if pair.billed.is_negative() || pair.billed > gallerist_store::AMOUNT_MAX {
            let why = format!("the invoice has {} for it, which is no charge", pair.billed.short());
            return told(pair.attempt, Action::Stays, Ticks::ZERO, why);
        }
        let action = if pair.billed.is_zero() { Action::Release } else { Action::Settle };
        told(pair.attempt, action, pair.billed, "the invoice says so".to_owned())
    });
    // Sums say nothing of single attempts, unless they are exactly what is settled of that time.
    let by_sums = order.form == Form::Openai;
    let settled: Ticks = ours
        .iter()
        .filter(|attempt| (from..to).contains(&attempt.ended_at.unwrap_or(attempt.created_at)))
        .map(|attempt| attempt.charged)
        .sum();
    // What is no model of ours may be one of ours by another name, and its sum the charge of a dispute.
    let foreign = report.sums.iter().find(|sum| sum.settled.is_none() && !sum.billed.is_zero());
    let sums_agree = report.sums.iter().all(|sum| sum.difference.is_zero())
        && report.sums.iter().filter_map(|sum| sum.settled).sum::<Ticks>() == settled;
    let open = matching.ours_only.iter().copied().filter(disputed).filter_map(|at| {
        let attempt = &ours[at];
        let end = attempt.ended_at.unwrap_or(attempt.created_at);
        if end > to || attempt.created_at < from {
            return None;
        }
        Some(if !order.close {
            let why = "the invoice does not have it; --close takes that as not charged".to_owned();
            told(at, Action::Stays, Ticks::ZERO, why)
        } else if let (true, Some(sum)) = (by_sums, foreign) {
            let item = sum.item.as_deref().unwrap_or_default();
            let why = format!("the invoice sums up {item:?}, which is no model of ours and may be this call");
            told(at, Action::Stays, Ticks::ZERO, why)
        } else if by_sums && !sums_agree {
            let why = "the sums of the invoice are not those of what is settled".to_owned();
            told(at, Action::Stays, Ticks::ZERO, why)
        } else {
            told(
                at,
                Action::Release,
                Ticks::ZERO,
                "the invoice covers its time and does not have it".to_owned(),
            )
        })
    });
    proved.chain(open).collect()
}

fn alerts(order: &Order<'_>, report: &Report, now: Timestamp) -> Vec<NewAlert> {
    let drifting = report.grades.iter().filter(|grade| grade.drifts);
    drifting
        .map(|grade| NewAlert {
            once: format!("price.drift:{}:{}:{}:{}", order.provider, grade.offer, grade.line, report.to),
            at: now,
            project: None,
            fact: AlertFact::PriceDrift {
                provider: order.provider.to_owned(),
                offer: grade.offer.clone(),
                line: grade.line.clone(),
                attempts: grade.attempts,
                predicted: grade.predicted,
                doubtful: grade.doubtful,
                billed: grade.billed,
                error_basis_points: grade.error_basis_points,
            },
        })
        .collect()
}
