//! What changed when: prices that became others, began or ended, and the turns in a model's life.
//!
//! The catalogue holds its own history: lines of one id whose periods follow each other. Here it is read as a
//! list of events, newest first.

use crate::catalogue::{Catalogue, ModelSheet};
use crate::quote::display_quantity;
use crate::sheet::{Factor, Period, PriceLine, Source};
use gallerist_domain::money::divide_half_up;
use gallerist_domain::{Price, Ticks};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

/// One event in the history of a model's price.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    pub at: Timestamp,
    pub kind: &'a str,
    pub model: &'a ModelSheet,
    pub turn: Turn<'a>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Turn<'a> {
    /// A line got another price.
    Price {
        old: &'a PriceLine,
        new: &'a PriceLine,
    },
    /// A line is charged from now on.
    LineBegan(&'a PriceLine),
    /// A line is charged no more.
    LineEnded(&'a PriceLine),
    FactorBegan(&'a Factor),
    FactorEnded(&'a Factor),
    /// Its maker began to offer it.
    Released,
    Deprecated,
    Retired,
    /// The name goes on answering as another model.
    Redirected {
        to: &'a str,
    },
}

impl Turn<'_> {
    /// Stable; scripts may compare it.
    pub const fn code(&self) -> &'static str {
        match self {
            Turn::Price { .. } => "price",
            Turn::LineBegan(_) => "line_began",
            Turn::LineEnded(_) => "line_ended",
            Turn::FactorBegan(_) => "factor_began",
            Turn::FactorEnded(_) => "factor_ended",
            Turn::Released => "released",
            Turn::Deprecated => "deprecated",
            Turn::Retired => "retired",
            Turn::Redirected { .. } => "redirected",
        }
    }

    /// The line or factor that it is about.
    pub fn line(&self) -> Option<&str> {
        match self {
            Turn::Price { new, .. } => Some(&new.id),
            Turn::LineBegan(line) | Turn::LineEnded(line) => Some(&line.id),
            Turn::FactorBegan(factor) | Turn::FactorEnded(factor) => Some(&factor.id),
            Turn::Released | Turn::Deprecated | Turn::Retired | Turn::Redirected { .. } => None,
        }
    }

    pub fn old(&self) -> Option<&PriceLine> {
        match self {
            Turn::Price { old, .. } | Turn::LineEnded(old) => Some(old),
            _ => None,
        }
    }

    pub fn new_line(&self) -> Option<&PriceLine> {
        match self {
            Turn::Price { new, .. } | Turn::LineBegan(new) => Some(new),
            _ => None,
        }
    }

    /// What all prices that a factor applies to are multiplied by, before and after: `1` and `1/2`.
    pub fn factors(&self) -> Option<(String, String)> {
        let none = || "1".to_owned();
        match self {
            Turn::FactorBegan(factor) => Some((none(), quotients(factor))),
            Turn::FactorEnded(factor) => Some((quotients(factor), none())),
            _ => None,
        }
    }

    /// Both amounts for one number of base units where there are two, else the one that is known.
    fn amounts(&self) -> (Option<Ticks>, Option<Ticks>, Option<i64>) {
        let expected = |line: Option<&PriceLine>| line.map(|line| line.price_expected);
        let (old, new) = (expected(self.old()), expected(self.new_line()));
        match old.zip(new).map(|(old, new)| old.beside(new)) {
            Some(Some((old, new, per))) => (Some(old), Some(new), Some(per)),
            // Beyond what an amount can hold: the new one alone, rather than two that cannot be compared.
            _ => (
                old.filter(|_| new.is_none()).map(|price| price.amount),
                new.map(|price| price.amount),
                new.or(old).map(|price| price.per),
            ),
        }
    }

    /// How far the price moved, in hundredths of a per cent of the old one, half up: by another price of a line, or
    /// by a factor on all that it applies to.
    pub fn basis_points(&self) -> Option<i64> {
        let parts = |parts: i64| Price { amount: Ticks::new(parts), per: 1 };
        match self {
            Turn::Price { old, new } => moved(old.price_expected, new.price_expected),
            Turn::FactorBegan(factor) => moved(parts(factor.denominator), parts(factor.numerator_max)),
            Turn::FactorEnded(factor) => moved(parts(factor.numerator_max), parts(factor.denominator)),
            _ => None,
        }
    }

    /// Where it stands.
    pub fn source(&self) -> Option<&Source> {
        match self {
            Turn::Price { new: line, .. } | Turn::LineBegan(line) | Turn::LineEnded(line) => {
                Some(&line.source)
            }
            Turn::FactorBegan(factor) | Turn::FactorEnded(factor) => Some(&factor.source),
            Turn::Released | Turn::Deprecated | Turn::Retired | Turn::Redirected { .. } => None,
        }
    }
}

/// An event as machines read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangeReport {
    pub at: Timestamp,
    pub provider: String,
    pub model: String,
    pub code: &'static str,
    pub line: Option<String>,
    pub old_usd: Option<Ticks>,
    pub new_usd: Option<Ticks>,
    /// Units of the meter that both amounts buy, and its name.
    pub per: Option<String>,
    pub meter: Option<&'static str>,
    /// What a factor multiplies by that begins or ends, before and after: `1` and `1/2`.
    pub old_factor: Option<String>,
    pub new_factor: Option<String>,
    /// Signed, of the old price: `+14.33`.
    pub percent: Option<String>,
    /// What takes the model's place.
    pub successors: Vec<String>,
    pub source: Option<String>,
    pub confidence: Option<&'static str>,
    /// When the source was read.
    pub as_of: Option<String>,
}

impl From<&Change<'_>> for ChangeReport {
    fn from(change: &Change<'_>) -> ChangeReport {
        let turn = &change.turn;
        let line = turn.new_line().or(turn.old());
        let (old_usd, new_usd, per) = turn.amounts();
        let (old_factor, new_factor) = turn.factors().unzip();
        let successors = match turn {
            Turn::Redirected { to } => vec![(*to).to_owned()],
            Turn::Deprecated | Turn::Retired => change.model.lifecycle.successors.clone(),
            _ => Vec::new(),
        };
        ChangeReport {
            at: change.at,
            provider: change.kind.to_owned(),
            model: change.model.id.clone(),
            code: turn.code(),
            line: turn.line().map(str::to_owned),
            old_usd,
            new_usd,
            per: line.zip(per).map(|(line, per)| display_quantity(line.meter, per)),
            meter: line.map(|line| line.meter.name()),
            old_factor,
            new_factor,
            percent: turn.basis_points().map(percent),
            successors,
            source: turn.source().map(|source| source.what.clone()),
            confidence: turn.source().map(|source| source.confidence.as_str()),
            as_of: turn.source().map(|source| source.date.to_string()),
        }
    }
}

/// A factor in lowest terms: `1/2`, `2`; where sources leave it open, `1/2 to 4/5`.
fn quotients(factor: &Factor) -> String {
    let quotient = |numerator: i64| {
        let (mut gcd, mut rest) = (factor.denominator, numerator);
        while rest > 0 {
            (gcd, rest) = (rest, gcd % rest);
        }
        match (numerator / gcd, factor.denominator / gcd) {
            (numerator, 1) => numerator.to_string(),
            (numerator, denominator) => format!("{numerator}/{denominator}"),
        }
    };
    match (quotient(factor.numerator), quotient(factor.numerator_max)) {
        (least, most) if least == most => most,
        (least, most) => format!("{least} to {most}"),
    }
}

/// Hundredths of a per cent with sign and two digits.
pub(crate) fn percent(basis_points: i64) -> String {
    let sign = if basis_points < 0 { '-' } else { '+' };
    let magnitude = basis_points.unsigned_abs();
    format!("{sign}{}.{:02}", magnitude / 100, magnitude % 100)
}

/// `(new − old) ÷ old` in hundredths of a per cent; `None` from nothing.
pub fn moved(old: Price, new: Price) -> Option<i64> {
    let worth = |price: Price, per: i64| i128::from(price.amount.get()).checked_mul(i128::from(per));
    let (before, after) = (worth(old, new.per)?, worth(new, old.per)?);
    if before == 0 {
        return None;
    }
    let moved = divide_half_up((after - before).checked_mul(10_000)?, before)?;
    i64::try_from(moved).ok()
}

/// All events from `since` (inclusive) until `until` (exclusive), newest first.
pub fn changes(catalogue: &Catalogue, since: Timestamp, until: Timestamp) -> Vec<Change<'_>> {
    let mut found = Vec::new();
    for provider in &catalogue.providers {
        for model in &provider.models {
            let mut push = |at: Timestamp, turn| {
                if since <= at && at < until {
                    found.push(Change { at, kind: &provider.kind, model, turn });
                }
            };
            of_lines(&model.sheet.lines, &mut push);
            of_factors(&model.sheet.factors, &mut push);
            of_life(model, &mut push);
        }
    }
    found.sort_by(|a, b| (b.at, a.kind, &a.model.id).cmp(&(a.at, b.kind, &b.model.id)));
    found
}

fn of_lines<'a>(lines: &'a [PriceLine], push: &mut impl FnMut(Timestamp, Turn<'a>)) {
    for line in lines {
        let same = || lines.iter().filter(|other| other.id == line.id);
        if let Some(at) = line.period.since {
            match same().find(|other| other.period.until == Some(at)) {
                Some(old) if old.price_expected != line.price_expected || old.price_max != line.price_max => {
                    push(at, Turn::Price { old, new: line });
                }
                Some(_) => {}
                None => push(at, Turn::LineBegan(line)),
            }
        }
        if let Some(at) = line.period.until
            && same().all(|other| other.period.since != Some(at))
        {
            push(at, Turn::LineEnded(line));
        }
    }
}

fn of_factors<'a>(factors: &'a [Factor], push: &mut impl FnMut(Timestamp, Turn<'a>)) {
    for factor in factors {
        let Period { since, until } = factor.period;
        if let Some(at) = since {
            push(at, Turn::FactorBegan(factor));
        }
        if let Some(at) = until {
            push(at, Turn::FactorEnded(factor));
        }
    }
}

fn of_life<'a>(model: &'a ModelSheet, push: &mut impl FnMut(Timestamp, Turn<'a>)) {
    let life = &model.lifecycle;
    let mut on = |day: Option<Date>, turn| {
        let midnight = day.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok());
        if let Some(midnight) = midnight {
            push(midnight.timestamp(), turn);
        }
    };
    // Since when a host of another's model has it is not known: its maker's day is only not later.
    on(life.released_on().filter(|_| model.maker), Turn::Released);
    on(life.deprecated_on, Turn::Deprecated);
    on(life.retires_on, Turn::Retired);
    if let Some(redirect) = &life.redirect {
        push(redirect.since, Turn::Redirected { to: &redirect.to });
    }
}

#[cfg(test)]
mod tests;
