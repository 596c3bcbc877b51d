//! What people are told of: one typed fact each, with the words for it.
//!
//! An alert is raised once: its `once` key is unique, so that raising it again does nothing. A fact is written
//! out as clients see it, money as decimal strings in fields that end in `_usd`. Figures that a fact rests on
//! come from `pricing::watch`; this module refuses to find anything out.

use crate::id::{AlertId, AttemptId, LotId, ProjectId};
use crate::money::{Decimal, Ticks};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

mod standing;
mod words;

pub use standing::{BudgetRefusal, BudgetStanding};

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

/// An alert before it has an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAlert {
    /// Unique: what is raised twice is told once.
    pub once: String,
    pub at: Timestamp,
    /// Whom it concerns; absent: whoever runs the gateway.
    pub project: Option<ProjectId>,
    pub fact: AlertFact,
}

/// A price line of an offer that costs something else than when it was last looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PriceMove {
    pub offer: String,
    pub line: String,
    #[serde(rename = "old_usd")]
    pub old: Ticks,
    #[serde(rename = "new_usd")]
    pub new: Ticks,
    /// Units of the meter that both amounts buy, and its name; absent where the line is gone.
    pub per: String,
    pub meter: Option<&'static str>,
    /// Signed, of the old price: `+14.33`; absent where that was nothing.
    pub percent: Option<String>,
    /// How sure the new price is, in the words of price lines, and when it was read; absent where it is unknown.
    pub confidence: Option<String>,
    pub as_of: Option<Date>,
    /// Whether that is below official, or was read long before.
    pub doubtful: bool,
}

/// A price of a feed, or a day on which a model ends, that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldNews {
    pub feed: String,
    /// `OFFER LINE`, or `OFFER retires_on`.
    pub line: String,
    /// What is in force, for as much as the new price buys.
    #[serde(rename = "old_usd")]
    pub old: Option<Ticks>,
    #[serde(rename = "new_usd")]
    pub new: Option<Ticks>,
    /// Units of the meter that both amounts buy.
    pub per: Option<String>,
    /// Signed, of the old price: `+900.00`.
    pub percent: Option<String>,
    /// How sure the price in force is, in the words of price lines, and when it was read; absent where it is unknown.
    pub old_confidence: Option<String>,
    pub old_as_of: Option<Date>,
    /// Whether that is below official, or was read long before.
    pub old_doubtful: bool,
    /// The day, where that is what is held.
    pub retires_on: Option<Date>,
    pub why: String,
}

/// A feed that has told nothing for longer than it may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FeedSilence {
    pub feed: String,
    /// Absent: never.
    pub last_told_at: Option<Timestamp>,
    pub allowed_minutes: i64,
    /// `OFFER LINE` of each price that it is about; none where it is about the feed itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
}

/// Credits that the provider tells otherwise than the books.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CreditsDrift {
    pub provider: String,
    /// What is counted: `credit`.
    pub unit: String,
    /// In units, as people count them; the provider's word.
    pub told: String,
    pub booked: String,
    /// What was entered of purchases that have not expired.
    pub entered: String,
    /// Whether more is told than was ever entered: then a purchase is missing, and the difference cannot be booked.
    pub purchase_missing: bool,
    /// Signed: `told` less `booked`.
    pub difference: String,
    /// What the difference is worth at the provider's prices; signed.
    #[serde(rename = "difference_usd")]
    pub worth: Ticks,
    /// When the provider said so.
    pub told_at: Timestamp,
}

/// Which figure of a model and project left its usual range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchedFigure {
    /// Dollars charged per delivered picture.
    CostPerImage,
    /// Tries per delivered picture.
    AttemptsPerImage,
}

impl WatchedFigure {
    pub const fn as_str(self) -> &'static str {
        match self {
            WatchedFigure::CostPerImage => "cost_per_image",
            WatchedFigure::AttemptsPerImage => "attempts_per_image",
        }
    }
}

/// A figure of a day outside the range of the days before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CostAnomaly {
    pub model: String,
    pub figure: WatchedFigure,
    /// In UTC.
    pub day: Date,
    /// Dollars or attempts per delivered picture, as are the next three.
    pub observed: Decimal,
    pub usual_low: Decimal,
    pub usual_high: Decimal,
    /// The median of the days before.
    pub usual: Decimal,
    /// The part of `observed` dollars that rests on prices below official, or read long before; absent for attempts.
    #[serde(rename = "doubtful_usd")]
    pub doubtful: Option<Ticks>,
    /// Days that the range rests on.
    pub days: u32,
    /// Delivered on that day.
    pub images: u64,
    pub attempts: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum AlertFact {
    /// What is settled and disputed has reached a share of the limit.
    BudgetThreshold {
        threshold_percent: u16,
        #[serde(flatten)]
        standing: BudgetStanding,
    },
    /// At the pace of its window so far the limit is reached before the window ends.
    BudgetProjection {
        reached_at: Timestamp,
        #[serde(flatten)]
        standing: BudgetStanding,
    },
    /// A limit has begun to refuse what would pass it.
    BudgetRefused(BudgetRefusal),
    /// A provider charged more than its published maximum, and the limit is passed.
    BudgetOverrun {
        attempt: AttemptId,
        #[serde(flatten)]
        standing: BudgetStanding,
    },
    /// A provider charged more than its published maximum.
    ChargeOverrun {
        attempt: AttemptId,
        offer: String,
        #[serde(rename = "maximum_usd")]
        maximum: Ticks,
        #[serde(rename = "charged_usd")]
        charge: Ticks,
        /// The part of the charge that rests on prices below official, or read long before.
        #[serde(rename = "doubtful_usd")]
        doubtful: Ticks,
    },
    /// Nobody knows whether this attempt was charged; its maximum stays held.
    Disputed {
        attempt: AttemptId,
        offer: String,
        #[serde(rename = "maximum_usd")]
        maximum: Ticks,
        /// The part of the maximum that rests on prices below official, or read long before; absent where the
        /// prices that it was quoted by are not known any more.
        #[serde(rename = "doubtful_usd")]
        doubtful: Option<Ticks>,
        reason: String,
    },
    /// An offer in use costs something else.
    PriceChanged(PriceMove),
    /// An offer in use has become much dearer.
    PriceSpike(PriceMove),
    /// A model in use is switched off soon.
    ModelRetires {
        /// The offers of it that recent requests bought.
        offers: Vec<String>,
        model: String,
        retires_on: Date,
        days_left: u32,
        successors: Vec<String>,
    },
    /// Credits of this lot will not be used before they are lost.
    CreditsExpire {
        provider: String,
        lot: LotId,
        expires_at: Timestamp,
        days_left: u32,
        /// Credits, as people count them.
        unused: String,
        /// What they were bought for.
        #[serde(rename = "loss_usd")]
        loss: Ticks,
    },
    /// The last credit is used soon; then the provider charges its list prices, or refuses.
    CreditsRunOut {
        provider: String,
        run_out_at: Timestamp,
        days_left: u32,
        /// What the credits that are left count in the provider's prices.
        #[serde(rename = "left_usd")]
        left: Ticks,
    },
    /// The provider says that another number of credits is left than the books do.
    CreditsDrift(CreditsDrift),
    CostAnomaly(CostAnomaly),
    /// A feed tells what is not believed until a person confirms it.
    FeedHeld(HeldNews),
    /// A feed cannot be asked or read.
    FeedFailing {
        feed: String,
        why: String,
        /// Absent: never.
        last_told_at: Option<Timestamp>,
    },
    /// A feed has told nothing for longer than it may; its last prices go on.
    FeedStale(FeedSilence),
    /// Spot prices that nobody tells any more: they are unknown.
    FeedSilent(FeedSilence),
    /// An offer fails again and again, and rests.
    OfferOutage {
        offer: String,
    },
    /// Every offer of the provider that was tried lately fails, and rests.
    ProviderOutage {
        provider: String,
        offers: Vec<String>,
    },
    /// An invoice shows that a price line tells something else than the provider charges. Amounts are sums
    /// over `attempts`; the error is in hundredths of a per cent.
    PriceDrift {
        provider: String,
        offer: String,
        line: String,
        attempts: u64,
        #[serde(rename = "predicted_usd")]
        predicted: Ticks,
        /// The part of the prediction that rests on prices below official, or read long before.
        #[serde(rename = "doubtful_usd")]
        doubtful: Ticks,
        #[serde(rename = "billed_usd")]
        billed: Ticks,
        error_basis_points: i64,
    },
}

impl AlertFact {
    /// Every kind that there is.
    pub const KINDS: [&'static str; 20] = [
        "budget.threshold",
        "budget.projection",
        "budget.refused",
        "budget.overrun",
        "charge.overrun",
        "attempt.disputed",
        "price.changed",
        "price.spike",
        "model.retires",
        "credits.expire",
        "credits.run_out",
        "credits.drift",
        "cost.anomaly",
        "feed.held",
        "feed.failing",
        "feed.stale",
        "feed.silent",
        "offer.outage",
        "provider.outage",
        "price.drift",
    ];

    /// The event's name, as webhooks and lists have it: one of [`AlertFact::KINDS`].
    pub const fn kind(&self) -> &'static str {
        match self {
            AlertFact::BudgetThreshold { .. } => "budget.threshold",
            AlertFact::BudgetProjection { .. } => "budget.projection",
            AlertFact::BudgetRefused(_) => "budget.refused",
            AlertFact::BudgetOverrun { .. } => "budget.overrun",
            AlertFact::ChargeOverrun { .. } => "charge.overrun",
            AlertFact::PriceDrift { .. } => "price.drift",
            AlertFact::Disputed { .. } => "attempt.disputed",
            AlertFact::PriceChanged(_) => "price.changed",
            AlertFact::PriceSpike(_) => "price.spike",
            AlertFact::ModelRetires { .. } => "model.retires",
            AlertFact::CreditsExpire { .. } => "credits.expire",
            AlertFact::CreditsRunOut { .. } => "credits.run_out",
            AlertFact::CreditsDrift(_) => "credits.drift",
            AlertFact::CostAnomaly(_) => "cost.anomaly",
            AlertFact::FeedHeld(_) => "feed.held",
            AlertFact::FeedFailing { .. } => "feed.failing",
            AlertFact::FeedStale(_) => "feed.stale",
            AlertFact::FeedSilent(_) => "feed.silent",
            AlertFact::OfferOutage { .. } => "offer.outage",
            AlertFact::ProviderOutage { .. } => "provider.outage",
        }
    }

    pub fn severity(&self) -> Severity {
        match self {
            AlertFact::BudgetThreshold { threshold_percent: 100.., .. }
            | AlertFact::BudgetOverrun { .. }
            | AlertFact::ChargeOverrun { .. }
            | AlertFact::ModelRetires { days_left: ..=1, .. }
            | AlertFact::ProviderOutage { .. } => Severity::Critical,
            AlertFact::PriceChanged(_) | AlertFact::ModelRetires { days_left: 8.., .. } => Severity::Info,
            AlertFact::CostAnomaly(anomaly) if anomaly.is_below() => Severity::Info,
            _ => Severity::Warning,
        }
    }
}

impl CostAnomaly {
    /// Whether it is less than usual.
    pub fn is_below(&self) -> bool {
        // Figures of one kind have one scale.
        self.observed.mantissa() < self.usual_low.mantissa()
    }
}

/// Which kinds of alerts somebody wants to hear of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KindFilter(
    /// Kinds, or whole groups as `budget.*`; none: all.
    pub Vec<String>,
);

impl KindFilter {
    pub fn admits(&self, kind: &str) -> bool {
        let matches = |wanted: &String| match wanted.strip_suffix('*') {
            Some(group) => kind.starts_with(group),
            None => wanted == kind,
        };
        self.0.is_empty() || self.0.iter().any(matches)
    }

    /// # Errors
    /// A sentence about the first entry that no kind of alert answers to.
    pub fn check(&self) -> Result<(), String> {
        for (at, wanted) in self.0.iter().enumerate() {
            let group = wanted.strip_suffix(".*").is_some_and(|group| !group.is_empty());
            let alone = KindFilter(vec![wanted.clone()]);
            let known = AlertFact::KINDS.iter().any(|kind| alone.admits(kind));
            if !known || (wanted.contains('*') && !group) {
                let kinds = AlertFact::KINDS.join(", ");
                let shown: String = wanted.chars().take(64).collect();
                return Err(format!(
                    "{shown:?} is no kind of alert; there are {kinds}, and groups such as budget.*"
                ));
            }
            if self.0[..at].contains(wanted) {
                return Err(format!("{wanted:?} is named twice"));
            }
        }
        Ok(())
    }
}

/// The body of a webhook, after the Standard Webhooks specification: type, timestamp, data.
#[derive(Debug, Serialize)]
pub struct WebhookEvent<'a, T> {
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// When it happened.
    pub timestamp: Timestamp,
    pub data: AlertData<'a, T>,
}

/// What a webhook tells of an alert.
#[derive(Debug, Serialize)]
pub struct AlertData<'a, T> {
    pub id: AlertId,
    pub severity: &'a str,
    pub project: Option<&'a ProjectId>,
    /// For people.
    pub message: &'a str,
    /// The figures of the [`AlertFact`].
    pub fact: T,
}

#[cfg(test)]
mod tests;
