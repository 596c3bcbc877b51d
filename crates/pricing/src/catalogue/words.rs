//! The small words of a catalogue file: dates, amounts, references, conditions.

use super::check;
use super::raw::{RawCondition, RawCurrency};
use super::read::Reader;
use crate::sheet::{Condition, CountRange, Currency, OptionCondition, Period, Source, Terms};
use gallerist_domain::money::MoneyError;
use gallerist_domain::{Decimal, Ticks};
use jiff::Timestamp;
use jiff::civil::Date;
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::Spanned;

/// Dollars for one of a currency, when, and what says so; nothing says that a dollar is one.
pub(super) type Rate = (Decimal, Period, Option<Arc<Source>>);

/// `text × rate` in dollars, exactly.
fn exact_ticks(text: &str, rate: Decimal) -> Result<Ticks, MoneyError> {
    let amount: Decimal = text.parse()?;
    let mantissa = amount.mantissa().checked_mul(rate.mantissa());
    let mantissa = mantissa.ok_or_else(|| MoneyError::OutOfRange(text.to_owned()))?;
    Decimal::new(mantissa, amount.scale() + rate.scale()).to_ticks_exact()
}

impl Reader<'_> {
    pub(super) fn source(&mut self, name: &Spanned<String>) -> Option<Arc<Source>> {
        let sources = std::mem::take(&mut self.sources);
        let found = self.reference(&sources, name, "sources");
        self.sources = sources;
        found
    }

    pub(super) fn reference<T: Clone>(
        &mut self,
        known: &BTreeMap<String, T>,
        name: &Spanned<String>,
        place: &str,
    ) -> Option<T> {
        let found = known.get(name.get_ref()).cloned();
        if found.is_none() {
            let names = known.keys().cloned().collect::<Vec<_>>().join(", ");
            let message = format!("{:?} is not defined in [{place}]; defined are: {names}", name.get_ref());
            self.mistake(name.span(), message);
        }
        found
    }

    pub(super) fn date(&mut self, text: &Spanned<String>) -> Option<Date> {
        let date = text.get_ref().parse::<Date>().ok();
        if date.is_none() {
            self.mistake(text.span(), format!("{:?} is not a date such as \"2026-11-22\"", text.get_ref()));
        }
        date
    }

    pub(super) fn instant(&mut self, text: &Spanned<String>) -> Option<Timestamp> {
        let midnight = |day: Date| Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp());
        let day = || text.get_ref().parse::<Date>().ok().and_then(midnight);
        let instant = text.get_ref().parse::<Timestamp>().ok().or_else(day);
        if instant.is_none() {
            let example = "\"2026-10-01T15:00:00Z\", nor a day";
            let message = format!("{:?} is not an instant such as {example}", text.get_ref());
            self.mistake(text.span(), message);
        }
        instant
    }

    pub(super) fn period(
        &mut self,
        since: Option<&Spanned<String>>,
        until: Option<&Spanned<String>>,
    ) -> Period {
        Period {
            since: since.and_then(|text| self.instant(text)),
            until: until.and_then(|text| self.instant(text)),
        }
    }

    pub(super) fn currency(&mut self, raw: RawCurrency) -> Option<Currency> {
        let period = self.period(raw.since.as_ref(), raw.until.as_ref());
        let source = self.source(&raw.source);
        let usd = raw.usd.get_ref().parse::<Decimal>().ok();
        if usd.is_none() {
            self.mistake(raw.usd.span(), "`usd` is decimal text such as \"0.01\"");
        }
        Some(Currency { code: raw.code, usd: usd?, period, source: source? })
    }

    /// The rates of a currency with their periods; dollars when none is named.
    pub(super) fn rates(&mut self, currency: Option<&Spanned<String>>) -> Vec<Rate> {
        let Some(code) = currency else { return vec![(Decimal::ONE, Period::default(), None)] };
        let of_code = self.currencies.iter().filter(|known| known.code == *code.get_ref());
        let rate = |known: &Currency| (known.usd, known.period, Some(Arc::clone(&known.source)));
        let rates: Vec<Rate> = of_code.map(rate).collect();
        if rates.is_empty() {
            self.mistake(code.span(), format!("{:?} is not defined in [[currencies]]", code.get_ref()));
        }
        rates
    }

    /// An amount in dollars; it must be a whole number of ticks.
    pub(super) fn amount(&mut self, text: &Spanned<String>, rate: Decimal) -> Option<Ticks> {
        let fault = match exact_ticks(text.get_ref(), rate) {
            Ok(ticks) if !ticks.is_negative() => return Some(ticks),
            Ok(_) => format!("{:?} is negative; an amount is at least 0", text.get_ref()),
            Err(MoneyError::TooFine(_)) => {
                let dollars = "finer than 0.0000000001 dollars; write the amount for a larger `per`";
                format!("{:?} is {dollars}", text.get_ref())
            }
            Err(_) => format!("{:?} is not an amount such as \"0.04\"", text.get_ref()),
        };
        self.mistake(text.span(), fault);
        None
    }

    pub(super) fn condition(&mut self, raw: RawCondition) -> Condition {
        Condition::from(Terms {
            operations: raw.operations,
            qualities: raw.qualities,
            sizes: raw.sizes,
            resolutions: raw.resolutions,
            formats: raw.formats,
            tiers: raw.tiers,
            pixels_min: raw.pixels_min,
            pixels_max: raw.pixels_max,
            steps_min: raw.steps_min,
            steps_max: raw.steps_max,
            stream: raw.stream,
            regions: raw.regions,
            regions_absent: raw.regions_absent,
            inputs_min: raw.inputs_min,
            inputs_max: raw.inputs_max,
            each_input: raw.each_input,
            loras: CountRange { min: raw.loras_min, max: raw.loras_max },
            controls: CountRange { min: raw.controls_min, max: raw.controls_max },
            ip_adapters: CountRange { min: raw.ip_adapters_min, max: raw.ip_adapters_max },
            options_absent: raw.options_absent,
            mask_per_mille_min: raw.mask_per_mille_min,
            mask_per_mille_max: raw.mask_per_mille_max,
            options: raw.options.into_iter().map(|(name, values)| OptionCondition { name, values }).collect(),
            window: raw.window.and_then(|window| check::window(self, window)),
        })
    }
}
