//! What a call cost, and how its attempt ends in the ledger: paid, free, or disputed with a reason.

use crate::answer::{CostLine, CostLines};
use crate::deliver::Brought;
use gallerist_domain::{
    AttemptId, Billed, Decimal, Fault, FaultKind, ImageCall, Meter, Operation, Outcome, ReportedCost,
    RequestId, Size, Ticks,
};
use gallerist_pricing::learned::Learned;
use gallerist_pricing::quote::firm_maximum;
use gallerist_pricing::{Basis, Charge, Evidence, Facts, Offer, Unpriced, settle};
use gallerist_store::{AMOUNT_MAX, End};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The end of a call in money.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub end: End,
    pub charge: Option<Charged>,
    /// Whether its maximum stays held.
    pub disputed: bool,
    /// What was charged beyond the maximum.
    pub overrun: Option<Ticks>,
    /// Why the call is not a whole success, whatever it cost.
    pub fault: Option<Fault>,
}

impl Ended {
    fn of(end: End, charge: Option<Charged>) -> Ended {
        let disputed = matches!(end, End::Disputed { .. });
        Ended { end, charge, disputed, overrun: None, fault: None }
    }
}

/// What a call cost, with its lines as they are stored and answered.
#[derive(Clone, Debug)]
pub(crate) struct Charged {
    pub amount: Ticks,
    pub basis: Basis,
    pub lines: CostLines,
}

impl From<Charge> for Charged {
    fn from(charge: Charge) -> Charged {
        let line = |line: gallerist_pricing::ChargeLine| CostLine {
            line: line.line,
            meter: line.meter.to_owned(),
            quantity: line.quantity,
            unit_price_usd: line.unit_price,
            times: line.times,
            amount_usd: line.amount,
            source: line.source,
            confidence: line.trust.map(|(confidence, _)| confidence.as_str().into()),
            as_of: line.trust.map(|(_, date)| date),
        };
        let lines: Vec<CostLine> = charge.lines.into_iter().map(line).collect();
        Charged { amount: charge.amount, basis: charge.basis, lines: lines.into() }
    }
}

/// A call whose end is to be booked, and what was held for it.
#[derive(Clone, Copy)]
pub(crate) struct HeldCall<'a> {
    pub request: RequestId,
    pub attempt: AttemptId,
    pub offer: &'a Offer,
    pub call: &'a ImageCall,
    pub maximum: Ticks,
    /// Digest of the catalogue that the charge is made by.
    pub digest: &'a str,
    /// The price instant.
    pub at: Timestamp,
    /// What past charges taught when it was quoted, for an estimate where the provider tells nothing.
    pub learned: Option<Learned>,
}

impl HeldCall<'_> {
    fn facts(&self) -> Facts<'_> {
        Facts { learned: self.learned, ..Facts::of(self.call) }
    }

    /// The part of what is held that rests on prices below official, or read long before; `None` where the offer
    /// has no such price.
    pub fn doubtful_maximum(&self) -> Option<Ticks> {
        let firm = firm_maximum(&self.offer.model.sheet, &self.facts(), self.at)?;
        // What an older call came to without the prompt that is not stored is known of no firm line.
        Some(self.maximum - firm.min(self.maximum))
    }
}

/// The arithmetic of a charge, as it is stored.
#[derive(Serialize)]
struct StoredCharge<'a> {
    catalogue: &'a str,
    offer: String,
    call: StoredCall,
    lines: &'a CostLines,
}

/// What of the call its quantities depend on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct StoredCall {
    pub operation: Operation,
    pub size: Size,
    pub steps: u32,
    /// Absent for a model that has none, and in what earlier versions stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance_milli: Option<u32>,
    /// Pictures that were charged.
    pub images: u32,
}

/// What of a stored charge later quantities are learned from.
#[derive(Deserialize)]
pub(crate) struct StoredFigures {
    pub call: StoredCall,
    pub lines: Vec<CostLine>,
}

impl StoredFigures {
    /// `None` for a charge that was stored before calls were.
    pub(crate) fn read(charge_json: &str) -> Option<StoredFigures> {
        serde_json::from_str(charge_json).ok()
    }
}

/// What [`stored_lines`] reads of it.
#[derive(Deserialize)]
struct StoredLines {
    lines: Vec<CostLine>,
}

/// Pictures of a call, counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pictures {
    /// Made by the provider and therefore charged, whether or not they were of use.
    pub made: u32,
    /// Those that reached the client's answer.
    pub delivered: u32,
}

impl Pictures {
    /// What an outcome counts, before its pictures are taken out: delivered and withheld ones are charged.
    pub(crate) fn made_by(outcome: &Outcome) -> u32 {
        Evidence::of(outcome).images
    }
}

/// Decides the end of a call by what it brought, and warns of what a person should know. The same for a call
/// whose life was there and for one that a restart asks for. `job` is the provider's own id of it.
pub(crate) fn close(
    held: HeldCall<'_>,
    result: &Result<Outcome, Fault>,
    brought: &Brought,
    job: Option<&String>,
) -> Ended {
    let HeldCall { request, attempt, offer, call, maximum, .. } = held;
    let fault = decisive(call, result, brought);
    let pictures = Pictures { made: brought.made, delivered: brought.delivered() };
    let mut ended = end(&held, result.as_ref(), pictures, job);
    let charged = ended.charge.as_ref().map_or(Ticks::ZERO, |charge| charge.amount);
    ended.overrun = (charged > maximum).then(|| charged - maximum);
    let offer = &offer.id;
    if let Some(overrun) = ended.overrun {
        // The alert of the ledger's transaction says it aloud, once an hour.
        tracing::debug!(%request, %attempt, %offer, overrun_usd = %overrun, "a provider charged more than its maximum");
    }
    if ended.disputed {
        let detail = fault.as_ref().map_or("", |fault| fault.detail.as_str());
        tracing::debug!(%request, %attempt, %offer, held_usd = %maximum, detail, "an attempt is disputed");
    }
    if let (End::Settled { fault_json: fault_json @ None, .. }, Some(fault)) = (&mut ended.end, &fault) {
        // Charged, and of no use: the books say why.
        *fault_json = Some(serde_json::to_string(fault).expect("a fault is plain data"));
    }
    ended.fault = fault;
    ended
}

/// What speaks against a call: its own failure, else that of a picture, else that one is missing.
fn decisive(call: &ImageCall, result: &Result<Outcome, Fault>, brought: &Brought) -> Option<Fault> {
    let outcome = match result {
        Err(fault) => return Some(fault.clone()),
        Ok(outcome) => outcome,
    };
    if let Some(fault) = brought.rejected.last() {
        return Some(fault.clone());
    }
    (brought.images.len() < call.n as usize).then(|| shortage(outcome.withheld > 0))
}

/// A call that succeeded with fewer pictures than were asked for.
fn shortage(withheld: bool) -> Fault {
    if withheld {
        Fault::new(FaultKind::ModerationOutput, "the provider's filter withheld a picture")
    } else {
        Fault::new(FaultKind::NoImage, "the provider returned fewer pictures than asked for")
    }
}

fn end(
    held: &HeldCall<'_>,
    result: Result<&Outcome, &Fault>,
    pictures: Pictures,
    job: Option<&String>,
) -> Ended {
    let job = |outcome_id: Option<&String>| outcome_id.or(job).cloned();
    match result {
        Ok(outcome) => {
            let evidence = Evidence { images: pictures.made, ..Evidence::of(outcome) };
            let charge = price(held, evidence);
            let provider_request_id = job(outcome.provider_request_id.as_ref());
            conclude(held, charge, None, pictures, provider_request_id)
        }
        Err(fault) => {
            let fault_json = Some(serde_json::to_string(fault).expect("a fault is plain data"));
            let provider_request_id = job(None);
            let outcomes = &held.offer.model.outcomes;
            let matrix = outcomes.of(held.call.operation, &held.call.region);
            match fault.billed.unwrap_or_else(|| matrix.billed(fault.event())) {
                // A picture came whole before the call failed, and is hardly a present.
                Billed::No if pictures.made > 0 => {
                    dispute(held, fault.detail.clone(), fault_json, provider_request_id)
                }
                Billed::No => Ended::of(End::Released { fault_json, provider_request_id }, None),
                Billed::Yes => {
                    let charge = price_fault(held, fault);
                    let pictures = Pictures { made: held.call.n, ..pictures };
                    conclude(held, charge, fault_json, pictures, provider_request_id)
                }
                Billed::Unknown => dispute(held, fault.detail.clone(), fault_json, provider_request_id),
            }
        }
    }
}

fn conclude(
    held: &HeldCall<'_>,
    charge: Result<Charge, Unpriced<'_>>,
    fault_json: Option<String>,
    pictures: Pictures,
    provider_request_id: Option<String>,
) -> Ended {
    match charge {
        // The ledger would refuse it, and the attempt would never end.
        Ok(charge) if charge.amount > AMOUNT_MAX => dispute(
            held,
            format!("the charge of {} USD is beyond belief", charge.amount.short()),
            fault_json,
            provider_request_id,
        ),
        Ok(charge) => {
            let doubtful = charge.doubtful(held.at);
            let charge = Charged::from(charge);
            let end = End::Settled {
                charge: charge.amount,
                basis: charge.basis.as_str().to_owned(),
                charge_json: stored(held, pictures.made, &charge),
                doubtful,
                images: pictures.delivered,
                provider_request_id,
                fault_json,
            };
            Ended::of(end, Some(charge))
        }
        Err(unpriced) => dispute(
            held,
            format!("the price of what was made is unknown: {unpriced}"),
            fault_json,
            provider_request_id,
        ),
    }
}

fn dispute(
    held: &HeldCall<'_>,
    reason: String,
    fault_json: Option<String>,
    provider_request_id: Option<String>,
) -> Ended {
    let doubtful = held.doubtful_maximum();
    Ended::of(End::Disputed { reason, doubtful, fault_json, provider_request_id }, None)
}

fn price<'a>(held: &HeldCall<'a>, evidence: Evidence<'_>) -> Result<Charge, Unpriced<'a>> {
    settle(&held.offer.model.sheet, &held.offer.provider.currencies, &held.facts(), evidence, held.at)
}

/// A call that failed and was billed: by the provider's own counts, else as if it had succeeded.
fn price_fault<'a>(held: &HeldCall<'a>, fault: &Fault) -> Result<Charge, Unpriced<'a>> {
    let credits = fault.usage.iter().find(|metered| metered.meter == Meter::Credits);
    let reported = credits.map(|metered| ReportedCost {
        amount: Decimal::new(i128::from(metered.quantity), credit_digits()),
        currency: "credit".to_owned(),
    });
    let images = if fault.usage.is_empty() { held.call.n } else { 0 };
    price(held, Evidence { images, usage: &fault.usage, reported: reported.as_ref() })
}

/// Digits after the point of a credit's base unit.
fn credit_digits() -> u32 {
    Meter::Credits.base_units_per_unit().ilog10()
}

/// JSON text of lines and digest: enough to recompute the charge.
fn stored(held: &HeldCall<'_>, images: u32, charge: &Charged) -> String {
    let ImageCall { operation, size, steps, guidance_milli, .. } = *held.call;
    let stored = StoredCharge {
        catalogue: held.digest,
        offer: held.offer.id.to_string(),
        call: StoredCall { operation, size, steps, guidance_milli, images },
        lines: &charge.lines,
    };
    serde_json::to_string(&stored).expect("a charge is plain data")
}

/// The lines of a stored charge; none if it cannot be read.
pub(crate) fn stored_lines(charge_json: &str) -> Vec<CostLine> {
    serde_json::from_str::<StoredLines>(charge_json).map_or_else(|_| Vec::new(), |stored| stored.lines)
}
