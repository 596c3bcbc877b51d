//! What a 402 says of the limit: which, what is left of it, when it begins anew, and what would still fit.

use crate::amount::Amount;
use gallerist_domain::{BudgetId, BudgetUnit, OfferId, Ticks};
use gallerist_engine::Fitting;
use gallerist_pricing::sheet::Confidence;
use gallerist_store::Breach;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

/// The limit that a reservation would have passed.
#[derive(Debug, Serialize)]
pub(super) struct BudgetDetails {
    /// Null: the cap of the project itself.
    id: Option<BudgetId>,
    name: String,
    /// In words.
    budget: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    subject: String,
    unit: &'static str,
    /// Absent, as the next ones, where other projects share it: their sums are not for this one.
    #[serde(flatten)]
    sums: Option<BudgetSums>,
    left: Amount,
    asked: Amount,
    /// Of what was asked for in dollars: how sure the least sure of what it rests on is, and when that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked_confidence: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked_as_of: Option<Date>,
    /// Null: never.
    resets_at: Option<Timestamp>,
}

/// How it stands.
#[derive(Debug, Serialize)]
struct BudgetSums {
    limit: Amount,
    settled: Amount,
    held: Amount,
    disputed: Amount,
    /// The part of `settled` that rests on prices below official, or read long before.
    #[serde(skip_serializing_if = "Option::is_none")]
    doubtful_usd: Option<Ticks>,
}

/// The cheapest that would still fit.
#[derive(Debug, Serialize)]
pub(super) struct FittingDetails {
    offer: OfferId,
    n: u32,
    max_usd: Ticks,
    /// How sure the least sure of what it rests on is, and when that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<String>,
}

impl BudgetDetails {
    pub(super) fn of(breach: &Breach, asked_trust: Option<(Confidence, Date)>) -> BudgetDetails {
        let amount = |amount| Amount::of(breach.unit, amount);
        BudgetDetails {
            id: breach.budget,
            name: breach.name.clone(),
            budget: breach.told_words(),
            subject: breach.subject.clone(),
            unit: breach.unit.as_str(),
            sums: (!breach.is_shared()).then(|| BudgetSums {
                limit: amount(breach.limit),
                settled: amount(breach.settled),
                held: amount(breach.held),
                disputed: amount(breach.disputed),
                doubtful_usd: (breach.unit == BudgetUnit::Usd).then(|| Ticks::new(breach.doubtful)),
            }),
            left: amount(breach.left()),
            asked: amount(breach.asked),
            asked_confidence: asked_trust.map(|(confidence, _)| confidence.as_str()),
            asked_as_of: asked_trust.map(|(_, as_of)| as_of),
            resets_at: breach.resets_at,
        }
    }
}

impl From<&Fitting> for FittingDetails {
    fn from(fitting: &Fitting) -> FittingDetails {
        let (offer, quality) = (fitting.offer.clone(), fitting.quality.clone());
        FittingDetails {
            offer,
            n: fitting.n,
            max_usd: fitting.maximum,
            confidence: fitting.trust.map(|(confidence, _)| confidence.as_str()),
            as_of: fitting.trust.map(|(_, as_of)| as_of),
            quality,
        }
    }
}
