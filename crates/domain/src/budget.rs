//! Budgets: whose spending counts, in what unit, over which window, and what happens at the limit.
//!
//! This module owns the words and the pure questions: does a budget speak of this spending, which counter is
//! it, when does its window begin and end. It refuses to count: that is the ledger's, in the transaction that
//! reserves.

use crate::id::{BudgetId, ProjectId};
use crate::money::Ticks;
use crate::payer::Payer;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// Shares at which an alert is raised, in per cent, unless a budget says otherwise.
pub const THRESHOLDS_PERCENT: [u16; 3] = [50, 80, 100];
/// Thresholds of one budget.
pub const THRESHOLDS_MAX: usize = 10;
/// A hundred million dollars, or as many images per window: what sums can hold many times over.
const USD_LIMIT_MAX: i64 = 100_000_000 * crate::money::TICKS_PER_DOLLAR;
const IMAGES_LIMIT_MAX: i64 = 1_000_000_000;

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetUnit {
    /// Dollars, in ticks.
    Usd,
    /// Pictures: asked for while a reservation holds, delivered once it is settled.
    Images,
}

/// How long a budget counts before it begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetWindow {
    Hour,
    Day,
    /// From Monday.
    Week,
    /// A calendar month.
    Month,
    /// Never begins anew.
    Forever,
}

/// What a budget does at its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum BudgetMode {
    /// Refuses what would pass the limit.
    Hard,
    /// Alerts only.
    Soft,
    /// Above this share routes buy the cheapest draft that serves, or the cheapest of their own least class; at the
    /// limit it refuses as a hard one.
    Degrade { share_percent: u8 },
}

/// Which part of the spending a budget speaks of, in one respect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// All of it together.
    #[default]
    All,
    /// Only this one.
    Only(String),
    /// Each one apart, with a counter of its own. Spending without one is not counted.
    Each,
}

/// Whose spending counts. All parts must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetScope {
    pub project: Part,
    /// By the key's id.
    pub key: Part,
    /// By `safety_identifier` or `user`.
    pub end_user: Part,
    /// A tag's name, and which of its values.
    pub tag: Option<(String, Part)>,
    /// By the configured name.
    pub provider: Part,
    pub model: Part,
}

/// A budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    pub id: BudgetId,
    /// For people; may be empty.
    pub name: String,
    pub scope: BudgetScope,
    pub unit: BudgetUnit,
    /// Ticks or images, after the unit. Not negative.
    pub limit: i64,
    pub window: BudgetWindow,
    /// The zone in whose calendar windows begin, as `UTC` or `Europe/Vienna`.
    pub zone: String,
    pub mode: BudgetMode,
    /// Shares of the limit at which an alert is raised, in per cent, ascending.
    pub thresholds_percent: Vec<u16>,
    pub created_at: Timestamp,
}

/// One thing that money is held for.
#[derive(Clone, Copy, Debug)]
pub struct Spending<'a> {
    pub payer: &'a Payer,
    pub provider: &'a str,
    pub model: &'a str,
}

/// A window of time: from its start up to, but not with, its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    pub start: Timestamp,
    /// Absent: it never ends.
    pub end: Option<Timestamp>,
}

/// What is wrong with a budget.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct BudgetFault {
    /// The field, as the API calls it.
    pub field: &'static str,
    pub message: String,
}

impl Part {
    /// The part of the counter's name; `None` where this spending does not count.
    fn subject<'a>(&'a self, actual: Option<&'a str>) -> Option<Option<&'a str>> {
        match self {
            Part::All => Some(None),
            Part::Only(wanted) => (actual == Some(wanted)).then_some(None),
            Part::Each => actual.map(Some),
        }
    }

    fn words(&self, what: &str, plural: &str) -> Option<String> {
        match self {
            Part::All => None,
            Part::Only(name) => Some(format!("{what} {name}")),
            Part::Each => Some(format!("each of the {plural}")),
        }
    }
}

impl BudgetScope {
    /// The name of the counter that this spending counts in: empty, unless the scope speaks of each. `None`
    /// where the scope does not speak of it.
    pub fn subject(&self, spending: &Spending<'_>) -> Option<String> {
        let payer = spending.payer;
        let tag = |name: &str| payer.tags.get(name).map(String::as_str);
        let parts = [
            ("project", self.project.subject(Some(payer.project.as_str()))?),
            ("key", self.key.subject(payer.key_id.as_deref())?),
            ("user", self.end_user.subject(payer.end_user.as_deref())?),
            ("tag", self.tag.as_ref().map_or(Some(None), |(name, part)| part.subject(tag(name)))?),
            ("provider", self.provider.subject(Some(spending.provider))?),
            ("model", self.model.subject(Some(spending.model))?),
        ];
        let mut subject = String::new();
        for (what, value) in parts {
            if let Some(value) = value {
                let comma = if subject.is_empty() { "" } else { "," };
                // Quoted, so that no value can be taken for another part. Writing to a String cannot fail.
                let _ = write!(subject, "{comma}{what}={value:?}");
            }
        }
        Some(subject)
    }

    /// The project that a counter of this name belongs to alone; `None` where several share it.
    pub fn project_of(&self, subject: &str) -> Option<ProjectId> {
        match &self.project {
            Part::All => None,
            Part::Only(name) => name.parse().ok(),
            Part::Each => subject.strip_prefix("project=\"")?.split_once('"')?.0.parse().ok(),
        }
    }

    /// Whether clients themselves name its counters, by end users or tags, and so can make as many as they like.
    pub fn is_named_by_clients(&self) -> bool {
        self.end_user == Part::Each || matches!(&self.tag, Some((_, Part::Each)))
    }

    /// Whether it speaks of some providers or models only, so that another offer may still be bought.
    pub fn is_about_offers(&self) -> bool {
        self.provider != Part::All || self.model != Part::All
    }

    /// In words, as `project shop, each of the end users`.
    pub fn words(&self) -> String {
        let tag = self.tag.as_ref().and_then(|(name, part)| match part {
            Part::All => None,
            Part::Only(value) => Some(format!("tag {name}={value}")),
            Part::Each => Some(format!("each value of the tag {name}")),
        });
        let parts = [
            self.project.words("project", "projects"),
            self.key.words("key", "keys"),
            self.end_user.words("end user", "end users"),
            tag,
            self.provider.words("provider", "providers"),
            self.model.words("model", "models"),
        ];
        let words: Vec<String> = parts.into_iter().flatten().collect();
        if words.is_empty() { "everything".to_owned() } else { words.join(", ") }
    }
}

impl BudgetWindow {
    pub const ALL: [BudgetWindow; 5] = [
        BudgetWindow::Hour,
        BudgetWindow::Day,
        BudgetWindow::Week,
        BudgetWindow::Month,
        BudgetWindow::Forever,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            BudgetWindow::Hour => "hour",
            BudgetWindow::Day => "day",
            BudgetWindow::Week => "week",
            BudgetWindow::Month => "month",
            BudgetWindow::Forever => "forever",
        }
    }

    pub fn from_word(text: &str) -> Option<BudgetWindow> {
        BudgetWindow::ALL.into_iter().find(|window| window.as_str() == text)
    }

    /// The window that this instant lies in.
    pub fn around(self, at: Timestamp, zone: &TimeZone) -> Window {
        let local = at.to_zoned(zone.clone());
        let whole = |start: Option<Zoned>, end: Option<Zoned>| match (start, end) {
            (Some(start), Some(end)) => Window { start: start.timestamp(), end: Some(end.timestamp()) },
            // At the ends of time there is one window left.
            _ => Window { start: Timestamp::MIN, end: None },
        };
        let day = local.start_of_day().ok();
        match self {
            BudgetWindow::Forever => Window { start: Timestamp::MIN, end: None },
            // An hour of a zone whose clock is changed is still 3,600 seconds.
            BudgetWindow::Hour => {
                let offset = i64::from(local.offset().seconds());
                let second = at.as_second() + offset - (at.as_second() + offset).rem_euclid(3_600) - offset;
                match (Timestamp::from_second(second), Timestamp::from_second(second + 3_600)) {
                    (Ok(start), Ok(end)) => Window { start, end: Some(end) },
                    _ => Window { start: Timestamp::MIN, end: None },
                }
            }
            BudgetWindow::Day => whole(day.clone(), day.and_then(|day| next(&day, 1.day()))),
            BudgetWindow::Week => {
                let back = i64::from(local.weekday().since(Weekday::Monday));
                let monday = day.and_then(|day| next(&day, (-back).days()));
                whole(monday.clone(), monday.and_then(|monday| next(&monday, 7.days())))
            }
            BudgetWindow::Month => {
                let first = local.first_of_month().ok().and_then(|first| first.start_of_day().ok());
                whole(first.clone(), first.and_then(|first| next(&first, 1.month())))
            }
        }
    }
}

/// The start of the day that lies so much later: a day may begin at one o'clock where clocks are changed.
fn next(day: &Zoned, span: jiff::Span) -> Option<Zoned> {
    day.checked_add(span).ok()?.start_of_day().ok()
}

impl BudgetMode {
    pub const fn as_str(self) -> &'static str {
        match self {
            BudgetMode::Hard => "hard",
            BudgetMode::Soft => "soft",
            BudgetMode::Degrade { .. } => "degrade",
        }
    }

    /// Whether it refuses what would pass its limit.
    pub const fn refuses(self) -> bool {
        !matches!(self, BudgetMode::Soft)
    }
}

impl BudgetUnit {
    pub const fn as_str(self) -> &'static str {
        match self {
            BudgetUnit::Usd => "usd",
            BudgetUnit::Images => "images",
        }
    }

    /// An amount of it, for people.
    pub fn words(self, amount: i64) -> String {
        match self {
            BudgetUnit::Usd => format!("{} USD", Ticks::new(amount).short()),
            BudgetUnit::Images if amount == 1 => "1 image".to_owned(),
            BudgetUnit::Images => format!("{amount} images"),
        }
    }
}

impl Budget {
    /// # Errors
    /// [`BudgetFault`] for the first field that is out of its range.
    pub fn check(&self) -> Result<(), BudgetFault> {
        let fault = |field, message: String| Err(BudgetFault { field, message });
        let limit_max = match self.unit {
            BudgetUnit::Usd => USD_LIMIT_MAX,
            BudgetUnit::Images => IMAGES_LIMIT_MAX,
        };
        if !(0..=limit_max).contains(&self.limit) {
            return fault("limit", format!("is between 0 and {}", self.unit.words(limit_max)));
        }
        if TimeZone::get(&self.zone).is_err() {
            return fault("zone", format!("{:?} is not a time zone such as UTC or Europe/Vienna", self.zone));
        }
        if let BudgetMode::Degrade { share_percent } = self.mode {
            if !(1..=99).contains(&share_percent) {
                return fault("share_percent", "is between 1 and 99".to_owned());
            }
            if self.scope.is_about_offers() {
                let message = "degrade chooses among offers, so the scope names no provider and no model";
                return fault("mode", message.to_owned());
            }
        }
        let ascending = self.thresholds_percent.windows(2).all(|pair| pair[0] < pair[1]);
        let in_range = self.thresholds_percent.iter().all(|percent| (1..=1_000).contains(percent));
        if !ascending || !in_range || self.thresholds_percent.len() > THRESHOLDS_MAX {
            let message = format!("are at most {THRESHOLDS_MAX} ascending whole numbers from 1 to 1000");
            return fault("thresholds_percent", message);
        }
        if self.name.chars().count() > 120 || self.name.chars().any(char::is_control) {
            return fault("name", "has at most 120 printable characters".to_owned());
        }
        Ok(())
    }

    /// The window that this instant lies in. An unknown zone counts as UTC: [`Budget::check`] refuses it.
    pub fn window_around(&self, at: Timestamp) -> Window {
        self.window.around(at, &TimeZone::get(&self.zone).unwrap_or(TimeZone::UTC))
    }

    /// In words, as `100 USD per month for project shop`.
    pub fn words(&self) -> String {
        format!("{} {}", self.unit.words(self.limit), self.reach_words())
    }

    /// What it limits, as `per month for project shop`; with the zone of its calendar where that is not UTC.
    pub fn reach_words(&self) -> String {
        let window = match self.window {
            BudgetWindow::Forever => "in all".to_owned(),
            window if self.zone == "UTC" => format!("per {}", window.as_str()),
            window => format!("per {} ({})", window.as_str(), self.zone),
        };
        format!("{window} for {}", self.scope.words())
    }
}

#[cfg(test)]
mod tests;
