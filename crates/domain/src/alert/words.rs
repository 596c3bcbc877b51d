//! The sentences that people read.

use super::{AlertFact, BudgetStanding, CostAnomaly, PriceMove, WatchedFigure};
use crate::money::{Decimal, Ticks};
use jiff::Timestamp;
use jiff::tz::TimeZone;

impl AlertFact {
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
            AlertFact::BudgetProjection { reached_at, standing } => format!(
                "At this pace the budget {} is reached on {}: {} of {} are spent{}.",
                standing.title(),
                minute(*reached_at),
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
            AlertFact::Disputed { attempt, offer, maximum, reason } => format!(
                "Nobody knows whether {offer} charged attempt {attempt}: {reason}. {} USD stay held until it \
                 is resolved.",
                maximum.short()
            ),
            AlertFact::PriceDrift { offer, line, attempts, predicted, billed, .. } => format!(
                "The price line {line} of {offer} told {} USD for {attempts} attempts, and the invoice says {} \
                 USD. Look at the provider's price list and correct the line.",
                predicted.short(),
                billed.short()
            ),
            AlertFact::PriceChanged(price) => price.words("costs another price"),
            AlertFact::PriceSpike(price) => price.words("has become much dearer"),
            AlertFact::ModelRetires { offers, model, retires_on, days_left, successors } => {
                let instead = match successors.is_empty() {
                    true => String::new(),
                    false => format!(" Its maker names {} instead.", successors.join(", ")),
                };
                format!(
                    "{model} is switched off on {retires_on}, {}; it is bought as {}.{instead}",
                    in_days(*days_left),
                    offers.join(", ")
                )
            }
            AlertFact::CreditsExpire { .. } | AlertFact::CreditsRunOut { .. } => self.credits_message(),
            AlertFact::CostAnomaly(anomaly) => anomaly.words(),
            AlertFact::OfferOutage { offer } => {
                format!("{offer} fails again and again; it rests, and other offers are tried.")
            }
            AlertFact::ProviderOutage { provider, offers } => format!(
                "Everything that was tried at {provider} lately fails: {}. Other providers are tried.",
                offers.join(", ")
            ),
        }
    }

    /// What becomes of credits; empty for anything else.
    fn credits_message(&self) -> String {
        match self {
            AlertFact::CreditsExpire { provider, expires_at, days_left, unused, loss, .. } => format!(
                "{unused} credits at {provider}, bought for {} USD, will not be used before they expire on {}, \
                 {}.",
                loss.short(),
                minute(*expires_at),
                in_days(*days_left)
            ),
            AlertFact::CreditsRunOut { provider, run_out_at, days_left, left } => format!(
                "At this pace the credits at {provider} are used up on {}, {}: they pay another {} USD.",
                minute(*run_out_at),
                in_days(*days_left),
                left.short()
            ),
            _ => String::new(),
        }
    }
}

fn minute(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn in_days(days: u32) -> String {
    match days {
        0 => "today".to_owned(),
        1 => "tomorrow".to_owned(),
        days => format!("in {days} days"),
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

impl PriceMove {
    fn words(&self, what: &str) -> String {
        let PriceMove { offer, line, old, new, per, percent } = self;
        let percent = percent.as_ref().map_or_else(String::new, |percent| format!(" ({percent} %)"));
        let per = if per == "1" { String::new() } else { format!(" per {per}") };
        format!("{offer} {what}: {line} was {} USD and is {} USD{per}{percent}.", old.short(), new.short())
    }
}

impl CostAnomaly {
    fn words(&self) -> String {
        let (what, unit) = match self.figure {
            WatchedFigure::CostPerImage => ("The cost per delivered image", " USD"),
            WatchedFigure::AttemptsPerImage => ("The number of attempts per delivered image", ""),
        };
        let least = if self.images == 0 { "at least " } else { "" };
        format!(
            "{what} of {} left its usual range: {least}{}{unit} on {}, usually {} to {}{unit} (median {} over \
             {} days; {} images from {} attempts on that day).",
            self.model,
            short(self.observed),
            self.day,
            short(self.usual_low),
            short(self.usual_high),
            short(self.usual),
            self.days,
            self.images,
            self.attempts
        )
    }
}

/// Without the zeros that say nothing.
fn short(figure: Decimal) -> String {
    match figure.to_ticks_exact() {
        Ok(ticks) => Ticks::short(ticks),
        Err(_) => figure.to_string(),
    }
}
