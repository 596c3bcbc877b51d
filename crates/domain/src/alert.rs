//! What people are told of: one typed fact each, with the words for it.
//!
//! An alert is raised once: its `once` key is unique, so that raising it again does nothing.

use crate::budget::BudgetUnit;
use crate::id::{AttemptId, BudgetId, ProjectId};
use crate::money::Ticks;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    /// Whom it concerns; absent: everybody.
    pub project: Option<ProjectId>,
    pub fact: AlertFact,
}

/// A counter of a budget, as an alert tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetStanding {
    pub budget: BudgetId,
    pub name: String,
    /// The budget in words.
    pub words: String,
    /// Which of its counters; empty where it has one.
    pub subject: String,
    pub unit: BudgetUnit,
    /// Ticks or images, as are the next ones.
    pub limit: i64,
    pub settled: i64,
    pub held: i64,
    pub disputed: i64,
    pub window_start: Option<Timestamp>,
    pub window_end: Option<Timestamp>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AlertFact {
    /// What is settled and disputed has reached a share of the limit.
    BudgetThreshold { threshold_percent: u16, standing: BudgetStanding },
    /// A provider charged more than its published maximum, and the limit is passed.
    BudgetOverrun { attempt: AttemptId, standing: BudgetStanding },
    /// A provider charged more than its published maximum.
    ChargeOverrun { attempt: AttemptId, offer: String, maximum: Ticks, charge: Ticks },
    /// An invoice shows that a price line tells something else than the provider charges. Amounts are sums
    /// over `attempts`; the error is in hundredths of a per cent.
    PriceDrift {
        provider: String,
        offer: String,
        line: String,
        attempts: u64,
        predicted: Ticks,
        billed: Ticks,
        error_basis_points: i64,
    },
    /// Nobody knows whether this attempt was charged; its maximum stays held.
    Disputed { attempt: AttemptId, offer: String, maximum: Ticks, reason: String },
}

impl AlertFact {
    /// The event's name, as webhooks and lists have it.
    pub const fn kind(&self) -> &'static str {
        match self {
            AlertFact::BudgetThreshold { .. } => "budget.threshold",
            AlertFact::BudgetOverrun { .. } => "budget.overrun",
            AlertFact::ChargeOverrun { .. } => "charge.overrun",
            AlertFact::PriceDrift { .. } => "price.drift",
            AlertFact::Disputed { .. } => "attempt.disputed",
        }
    }

    pub const fn severity(&self) -> Severity {
        match self {
            AlertFact::BudgetThreshold { threshold_percent: 100.., .. }
            | AlertFact::BudgetOverrun { .. }
            | AlertFact::ChargeOverrun { .. } => Severity::Critical,
            AlertFact::BudgetThreshold { .. } | AlertFact::PriceDrift { .. } | AlertFact::Disputed { .. } => {
                Severity::Warning
            }
        }
    }

    /// One or two sentences for people.
    pub fn message(&self) -> String {
        match self {
            AlertFact::BudgetThreshold { threshold_percent, standing } => format!(
                "{threshold_percent} % of the budget {} is spent: {} of {}{}.",
                standing.title(),
                standing.unit.words(standing.settled + standing.disputed),
                standing.unit.words(standing.limit),
                standing.reset_words()
            ),
            AlertFact::BudgetOverrun { attempt, standing } => format!(
                "The budget {} is passed, because a provider charged attempt {attempt} more than its \
                 published maximum: {} of {}. It is closed{}.",
                standing.title(),
                standing.unit.words(standing.settled + standing.disputed + standing.held),
                standing.unit.words(standing.limit),
                standing.window_end.map_or_else(String::new, |end| format!(" until {end}"))
            ),
            AlertFact::ChargeOverrun { attempt, offer, maximum, charge } => format!(
                "{offer} charged attempt {attempt} {} USD, more than the {} USD of its price list.",
                charge.short(),
                maximum.short()
            ),
            AlertFact::PriceDrift { offer, line, attempts, predicted, billed, .. } => format!(
                "The price line {line} of {offer} told {} USD for {attempts} attempts, and the invoice says {} \
                 USD. Look at the provider's price list and correct the line.",
                predicted.short(),
                billed.short()
            ),
            AlertFact::Disputed { attempt, offer, maximum, reason } => format!(
                "Nobody knows whether {offer} charged attempt {attempt}: {reason}. {} USD stay held until it \
                 is resolved.",
                maximum.short()
            ),
        }
    }
}

impl BudgetStanding {
    fn title(&self) -> String {
        let name = if self.name.is_empty() { String::new() } else { format!("\"{}\" ", self.name) };
        let subject = if self.subject.is_empty() { String::new() } else { format!(", {}", self.subject) };
        format!("{name}({}{subject})", self.words)
    }

    fn reset_words(&self) -> String {
        self.window_end.map_or_else(String::new, |end| format!("; it begins anew at {end}"))
    }
}
