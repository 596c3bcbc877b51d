//! The sentences that people read.

use super::{
    AlertFact, BudgetRefusal, BudgetStanding, CostAnomaly, CreditsDrift, FeedSilence, HeldNews, PriceMove,
    WatchedFigure,
};
use crate::budget::BudgetUnit;
use crate::money::{Decimal, Ticks};
use jiff::Timestamp;
use jiff::tz::TimeZone;

impl AlertFact {
    /// One or two sentences for people.
    pub fn message(&self) -> String {
        match self {
            AlertFact::BudgetThreshold { threshold_percent, standing } => format!(
                "{threshold_percent} % of the {} is spent: {} of {}{}.",
                standing.title(),
                standing.doubted(standing.settled + standing.disputed),
                standing.unit.words(standing.limit),
                standing.reset_words()
            ),
            AlertFact::BudgetProjection { reached_at, standing } => format!(
                "At this pace the {} is reached on {}: {} of {} are spent{}.",
                standing.title(),
                minute(*reached_at),
                standing.doubted(standing.settled + standing.disputed),
                standing.unit.words(standing.limit),
                standing.reset_words()
            ),
            AlertFact::BudgetRefused(refusal) => refusal.words(),
            AlertFact::BudgetOverrun { attempt, standing } => format!(
                "The {} is passed, because a provider charged attempt {attempt} more than its \
                 published maximum: {} of {}. It is closed{}.",
                standing.title(),
                standing.doubted(standing.settled + standing.disputed + standing.held),
                standing.unit.words(standing.limit),
                standing.window_end.map_or_else(String::new, |end| format!(" until {end}"))
            ),
            AlertFact::ChargeOverrun { attempt, offer, maximum, charge, doubtful } => format!(
                "{offer} charged attempt {attempt} {}, more than the {} USD of its price list.",
                doubted(*charge, *doubtful),
                maximum.short()
            ),
            AlertFact::Disputed { attempt, offer, maximum, doubtful, reason } => format!(
                "Nobody knows whether {offer} charged attempt {attempt}: {reason}. {} stay held until it is \
                 resolved.",
                doubted(*maximum, doubtful.unwrap_or(Ticks::ZERO))
            ),
            AlertFact::PriceDrift { offer, line, attempts, predicted, doubtful, billed, .. } => format!(
                "The price line {line} of {offer} told {} for {attempts} attempts, and the invoice says {} \
                 USD. Look at the provider's price list and correct the line.",
                doubted(*predicted, *doubtful),
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
            AlertFact::CreditsExpire { .. }
            | AlertFact::CreditsRunOut { .. }
            | AlertFact::CreditsDrift(_) => self.credits_message(),
            AlertFact::FeedHeld(_)
            | AlertFact::FeedFailing { .. }
            | AlertFact::FeedStale(_)
            | AlertFact::FeedSilent(_) => self.feed_message(),
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
            AlertFact::CreditsDrift(drift) => drift.words(),
            _ => String::new(),
        }
    }

    /// What is wrong with a feed; empty for anything else.
    fn feed_message(&self) -> String {
        match self {
            AlertFact::FeedHeld(news) => news.words(),
            AlertFact::FeedFailing { feed, why, last_told_at: None } => format!(
                "The feed {feed:?} told nothing: {why}. It has never told anything here; the catalogue's prices stay."
            ),
            AlertFact::FeedFailing { feed, why, last_told_at } => format!(
                "The feed {feed:?} told nothing: {why}. {}; for now its last prices stay.",
                last_told("It last answered", *last_told_at)
            ),
            AlertFact::FeedStale(silence) => format!(
                "{}, longer ago than the {} minutes that it may be silent; its prices may be old.",
                last_told(&format!("The feed {:?} last told something", silence.feed), silence.last_told_at),
                silence.allowed_minutes
            ),
            AlertFact::FeedSilent(FeedSilence { feed, last_told_at, allowed_minutes, lines }) => format!(
                "The spot price of {} is unknown: {}, longer ago than {allowed_minutes} minutes. What it \
                 prices cannot be bought.",
                lines.join(", "),
                last_told(&format!("the feed {feed:?} last told it"), *last_told_at)
            ),
            _ => String::new(),
        }
    }
}

/// Dollars, with the part of them that rests on doubtful prices.
fn doubted(amount: Ticks, doubtful: Ticks) -> String {
    match doubtful.is_zero() {
        true => format!("{} USD", amount.short()),
        false => format!("{} USD (~{} USD of it)", amount.short(), doubtful.short()),
    }
}

fn last_told(what: &str, at: Option<Timestamp>) -> String {
    let when = at.map_or_else(|| "before this gateway knew it".to_owned(), |at| format!("on {}", minute(at)));
    format!("{what} {when}")
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
    /// `budget "pictures" (100 USD per month for project shop)`, `cap (100 USD in all for project shop)`.
    fn title(&self) -> String {
        let what = if self.budget.is_some() { "budget" } else { "cap" };
        let name = if self.name.is_empty() { String::new() } else { format!("\"{}\" ", self.name) };
        let subject = if self.subject.is_empty() { String::new() } else { format!(", {}", self.subject) };
        format!("{what} {name}({}{subject})", self.words)
    }

    /// An amount that what is settled is part of, with the part of it that rests on doubtful prices.
    fn doubted(&self, amount: i64) -> String {
        match self.unit {
            BudgetUnit::Usd => doubted(Ticks::new(amount), Ticks::new(self.doubtful)),
            BudgetUnit::Images => self.unit.words(amount),
        }
    }

    fn reset_words(&self) -> String {
        self.window_end.map_or_else(String::new, |end| format!("; it begins anew at {end}"))
    }
}

impl BudgetRefusal {
    fn words(&self) -> String {
        let BudgetRefusal { asked, standing } = self;
        let words = |amount| standing.unit.words(amount);
        format!(
            "The {} has begun to refuse: a request that could take {} would pass it, with {} settled, {} held \
             and {} disputed of {}{}.",
            standing.title(),
            words(*asked),
            standing.doubted(standing.settled),
            words(standing.held),
            words(standing.disputed),
            words(standing.limit),
            standing.reset_words()
        )
    }
}

impl CreditsDrift {
    fn words(&self) -> String {
        let CreditsDrift { provider, unit, told, booked, entered, difference, .. } = self;
        let advice = match self.purchase_missing {
            true => format!(
                "That is more than the {entered} that were ever entered: enter the purchase that is missing with \
                 `gallerist credits add {provider} CREDITS PRICE_USD`."
            ),
            false => format!("`gallerist credits balance {provider} --apply` books the difference."),
        };
        format!(
            "{provider} says that {told} {unit} are left, the books say {booked} ({difference}, worth {} USD). \
             {advice}",
            self.worth.short()
        )
    }
}

impl PriceMove {
    fn words(&self, what: &str) -> String {
        let PriceMove { offer, line, old, new, per, meter, percent, confidence, as_of, doubtful } = self;
        let percent = percent.as_ref().map_or_else(String::new, |percent| format!(" ({percent} %)"));
        let meter = meter.map(|meter| meter.replace('_', " "));
        let per = match (per.as_str(), meter) {
            ("1", Some(meter)) => format!(" per {}", meter.strip_suffix('s').unwrap_or(&meter)),
            ("1", None) => String::new(),
            (per, Some(meter)) => format!(" per {per} {meter}"),
            (per, None) => format!(" per {per}"),
        };
        let sure = match (confidence, as_of) {
            (Some(confidence), Some(read)) if *doubtful => {
                format!("; the new price is {}, read on {read}", confidence.replace('_', " "))
            }
            _ => String::new(),
        };
        let (old, new) = (old.short(), new.short());
        let mark = if *doubtful { "~" } else { "" };
        format!("{offer} {what}: {line} was {old} USD and is {mark}{new} USD{per}{percent}{sure}.")
    }
}

impl HeldNews {
    fn words(&self) -> String {
        let HeldNews { feed, line, old, new, per, percent, retires_on, why, .. } = self;
        let told = match (new, retires_on) {
            (Some(new), _) => {
                let per = per.as_ref().filter(|per| *per != "1");
                let per = per.map_or_else(String::new, |per| format!(" per {per}"));
                let old = old.map_or_else(String::new, |old| {
                    format!(" instead of {} USD{}", old.short(), self.doubt())
                });
                let percent = percent.as_ref().map_or_else(String::new, |moved| format!(" ({moved} %)"));
                format!("{line} costs {} USD{per}{old}{percent}", new.short())
            }
            (None, Some(day)) => format!("{line} is {day}"),
            (None, None) => format!("{line} is no day any more"),
        };
        format!(
            "The feed {feed:?} says that {told}. It is held: {why}; until `gallerist prices sync \
             --confirm '{line}'` what was known stays in force."
        )
    }
}

impl HeldNews {
    /// What is to be known of the price in force, in brackets; empty where nothing is.
    fn doubt(&self) -> String {
        match (&self.old_confidence, self.old_as_of) {
            (Some(confidence), Some(read)) if self.old_doubtful => {
                format!(" ({}, read on {read})", confidence.replace('_', " "))
            }
            _ => String::new(),
        }
    }
}

impl CostAnomaly {
    fn words(&self) -> String {
        let (what, unit) = match self.figure {
            WatchedFigure::CostPerImage => ("The cost per delivered image", " USD"),
            WatchedFigure::AttemptsPerImage => ("The number of attempts per delivered image", ""),
        };
        let least = if self.images == 0 { "at least " } else { "" };
        let doubtful = match self.doubtful {
            Some(part) if !part.is_zero() => format!(" (~{} USD of it)", part.short()),
            _ => String::new(),
        };
        format!(
            "{what} of {} left its usual range: {least}{}{unit}{doubtful} on {}, usually {} to {}{unit} (median {} over \
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
