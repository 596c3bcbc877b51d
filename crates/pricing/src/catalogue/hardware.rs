//! Hardware that is paid by the hour: its utilisation, and what its time adds where the rent is paid anyway.
//!
//! Both are words of a price line in time of hardware. The utilisation is part of the price; the marginal rate is
//! none: it orders offers (see [`crate::marginal`]).

use super::raw::{RawLine, RawMarginal};
use super::read::Reader;
use crate::sheet::{MarginalRate, PriceLine};
use gallerist_domain::{Decimal, Meter, Price, Ticks};
use std::ops::Range as Span;
use toml::Spanned;

const HOUR_SECONDS: i64 = 3_600;

/// More is no card and no rack of them, but watts that were taken for kilowatts.
const KILOWATTS_MAX: Decimal = Decimal::new(100, 0);

impl Reader<'_> {
    /// Per cent of its time that the line's hardware works; 100 where nothing is said.
    pub(super) fn utilisation_percent(&mut self, raw: &RawLine) -> u8 {
        let Some(percent) = &raw.utilisation_percent else { return 100 };
        self.is_of_hardware("utilisation_percent", raw.meter, percent.span());
        let found = u8::try_from(*percent.get_ref()).ok().filter(|percent| (1..=100).contains(percent));
        if found.is_none() {
            let message = "`utilisation_percent` is a whole number from 1 to 100; leave it out where the amount \
                           holds for the time that the hardware works";
            self.mistake(percent.span(), message);
        }
        found.unwrap_or(100)
    }

    /// The marginal rate that is written beside a line; `lines` are what became of the line itself.
    pub(super) fn marginal(&mut self, raw: &RawLine, lines: &[PriceLine]) -> Option<MarginalRate> {
        let written = raw.marginal.as_ref()?;
        if !self.is_of_hardware("marginal", raw.meter, written.span()) {
            return None;
        }
        let hour = self.hour(written.get_ref(), written.span())?;
        let price = Price { amount: hour, per: HOUR_SECONDS * raw.meter.base_units_per_unit() };
        // The newest price counts: the rent that is paid today.
        let own = lines.last()?.price_expected;
        let worth = |a: Price, b: Price| i128::from(a.amount.get()) * i128::from(b.per);
        if worth(price, own) > worth(own, price) {
            let message = format!(
                "the `marginal` rate of line {:?} is {} dollars an hour, more than the line itself charges, which \
                 holds the electricity too: correct `kilowatts` and `usd_per_kwh` (or `usd_per_hour`), or raise \
                 `amount`",
                raw.line.get_ref(),
                hour.short()
            );
            self.mistake(written.span(), message);
        }
        Some(MarginalRate { line: raw.line.get_ref().clone(), price })
    }

    /// Dollars for an hour, rounded up once.
    fn hour(&mut self, raw: &RawMarginal, place: Span<usize>) -> Option<Ticks> {
        let product = match (&raw.usd_per_hour, &raw.kilowatts, &raw.usd_per_kwh) {
            (Some(usd), None, None) => self.at_least_0("usd_per_hour", usd)?.product_ticks_up(Decimal::ONE),
            (None, Some(kilowatts), Some(usd)) => {
                let power = self.at_least_0("kilowatts", kilowatts);
                let price = self.at_least_0("usd_per_kwh", usd)?;
                let power = power?;
                // Whole kilowatts, rounded down: enough to tell watts.
                let whole = power.mantissa() / 10i128.pow(power.scale());
                if whole >= KILOWATTS_MAX.mantissa() {
                    let message =
                        "`kilowatts` is below 100, as what one call occupies draws: write 0.45 for 450 watts";
                    self.mistake(kilowatts.span(), message);
                    return None;
                }
                power.product_ticks_up(price)
            }
            _ => {
                let message = "`marginal` is one of two: { usd_per_hour = \"0.15\" }, or { kilowatts = \"0.45\", \
                               usd_per_kwh = \"0.32\" }";
                self.mistake(place, message);
                return None;
            }
        };
        if product.is_none() {
            self.mistake(
                place,
                "this `marginal` rate has too many digits, or is beyond what an amount can hold",
            );
        }
        product
    }

    fn at_least_0(&mut self, field: &str, text: &Spanned<String>) -> Option<Decimal> {
        let found = text.get_ref().parse::<Decimal>().ok().filter(|number| number.mantissa() >= 0);
        if found.is_none() {
            let message = format!(
                "`{field}` is decimal text of at least 0, such as \"0.32\", not {:?}",
                text.get_ref()
            );
            self.mistake(text.span(), message);
        }
        found
    }

    fn is_of_hardware(&mut self, field: &str, meter: Meter, place: Span<usize>) -> bool {
        if !meter.is_hardware_time() {
            let known = Meter::ALL.iter().filter(|meter| meter.is_hardware_time()).map(|meter| meter.name());
            let known = known.collect::<Vec<_>>().join(" or ");
            let message =
                format!("`{field}` belongs to a line of {known}, not {}: leave it out", meter.name());
            self.mistake(place, message);
        }
        meter.is_hardware_time()
    }
}

/// What is said behind a rent that is spread over the time that the hardware works; nothing where it always does.
pub(crate) fn spread(utilisation_percent: i64) -> String {
    if utilisation_percent == 100 {
        String::new()
    } else {
        format!(" at {utilisation_percent} % utilisation")
    }
}
