//! Money: integers in units of 10⁻¹⁰ dollar, exact decimals, and the one rounding rule.
//!
//! [`Ticks`] is an amount, [`Price`] an amount per a whole number of base units, [`Decimal`] the digits
//! of somebody else's figure. Products are made in `i128` and rounded once, half away from zero ("half
//! up" for the amounts that occur). No float exists here; text is the only way in and out.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::str::FromStr;

/// Ticks in one dollar.
pub const TICKS_PER_DOLLAR: i64 = 10_000_000_000;
const TICK_DIGITS: u32 = 10;

/// An amount of US dollars in units of 10⁻¹⁰ dollar; range ±922 million dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticks(i64);

/// What can be wrong with a figure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("{0:?} is not a decimal number such as 0.04")]
    NotDecimal(String),
    #[error("{0} has more than 10 digits after the point; the smallest amount is 0.0000000001")]
    TooFine(String),
    #[error("{0} is beyond what an amount can hold")]
    OutOfRange(String),
}

impl Ticks {
    pub const ZERO: Ticks = Ticks(0);
    pub const MAX: Ticks = Ticks(i64::MAX);

    /// The amount of `ticks` × 10⁻¹⁰ dollar.
    pub const fn new(ticks: i64) -> Self {
        Ticks(ticks)
    }

    /// The amount in 10⁻¹⁰ dollar, for storage and products.
    pub const fn get(self) -> i64 {
        self.0
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// `self * count`, or `None` beyond the range.
    pub fn checked_mul(self, count: i64) -> Option<Ticks> {
        self.0.checked_mul(count).map(Ticks)
    }

    pub fn checked_add(self, other: Ticks) -> Option<Ticks> {
        self.0.checked_add(other.0).map(Ticks)
    }

    /// `self × numerator ÷ denominator`, rounded once, half up; `None` beyond the range.
    pub fn scaled(self, numerator: i64, denominator: i64) -> Option<Ticks> {
        let product = i128::from(self.0) * i128::from(numerator);
        i64::try_from(divide_half_up(product, i128::from(denominator))?).ok().map(Ticks)
    }
}

/// `numerator ÷ denominator`, half away from zero; `None` for a denominator that is not positive.
pub fn divide_half_up(numerator: i128, denominator: i128) -> Option<i128> {
    if denominator <= 0 {
        return None;
    }
    let (quotient, remainder) = match (i64::try_from(numerator), i64::try_from(denominator)) {
        // Nearly always, and one instruction where the other way is two calls.
        (Ok(numerator), Ok(denominator)) => {
            (i128::from(numerator / denominator), i128::from(numerator % denominator))
        }
        _ => (numerator / denominator, numerator % denominator),
    };
    // `2 * |remainder| >= denominator` without overflow.
    let away = remainder.unsigned_abs() >= denominator.unsigned_abs() - remainder.unsigned_abs();
    Some(if away { quotient + numerator.signum() } else { quotient })
}

impl Add for Ticks {
    type Output = Ticks;
    fn add(self, other: Ticks) -> Ticks {
        Ticks(self.0.checked_add(other.0).expect("sums of amounts stay within ±922 million dollars"))
    }
}

impl Sub for Ticks {
    type Output = Ticks;
    fn sub(self, other: Ticks) -> Ticks {
        Ticks(self.0.checked_sub(other.0).expect("differences of amounts stay within ±922 million dollars"))
    }
}

impl Neg for Ticks {
    type Output = Ticks;
    fn neg(self) -> Ticks {
        Ticks(-self.0)
    }
}

impl AddAssign for Ticks {
    fn add_assign(&mut self, other: Ticks) {
        *self = *self + other;
    }
}

impl SubAssign for Ticks {
    fn sub_assign(&mut self, other: Ticks) {
        *self = *self - other;
    }
}

impl Sum for Ticks {
    fn sum<I: Iterator<Item = Ticks>>(amounts: I) -> Ticks {
        amounts.fold(Ticks::ZERO, Add::add)
    }
}

/// Prints all ten digits, so that equal amounts are equal texts: `0.0400000000`.
impl fmt::Display for Ticks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let per_dollar = TICKS_PER_DOLLAR.unsigned_abs();
        write!(f, "{sign}{}.{:010}", magnitude / per_dollar, magnitude % per_dollar)
    }
}

impl Ticks {
    /// For people: at least two and at most ten digits, without trailing zeros: `0.04`, `0.0059`.
    pub fn short(self) -> String {
        let text = self.to_string();
        let cut = text.trim_end_matches('0');
        let digits = cut.len() - cut.find('.').map_or(0, |at| at + 1);
        if digits >= 2 { cut.to_owned() } else { text[..text.len() - 8].to_owned() }
    }
}

impl FromStr for Ticks {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Ticks, MoneyError> {
        text.parse::<Decimal>()?.to_ticks_exact()
    }
}

impl Serialize for Ticks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ticks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An exact decimal number: `mantissa × 10^-scale`. The digits of a provider's figure, never a float.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    mantissa: i128,
    scale: u32,
}

impl Decimal {
    pub const ZERO: Decimal = Decimal { mantissa: 0, scale: 0 };
    pub const ONE: Decimal = Decimal { mantissa: 1, scale: 0 };

    pub const fn new(mantissa: i128, scale: u32) -> Decimal {
        Decimal { mantissa, scale }
    }

    pub const fn mantissa(self) -> i128 {
        self.mantissa
    }

    /// Digits after the point; at most 24.
    pub const fn scale(self) -> u32 {
        self.scale
    }

    /// As dollars, exactly. Fails when the figure is finer than a tick or out of range.
    pub fn to_ticks_exact(self) -> Result<Ticks, MoneyError> {
        let ticks = self.to_units_exact(TICK_DIGITS).ok_or_else(|| MoneyError::TooFine(self.to_string()))?;
        i64::try_from(ticks).map(Ticks).map_err(|_| MoneyError::OutOfRange(self.to_string()))
    }

    /// As a whole number of units of `10^-digits`, if it is one.
    pub fn to_units_exact(self, digits: u32) -> Option<i128> {
        if digits >= self.scale {
            return self.mantissa.checked_mul(10i128.checked_pow(digits - self.scale)?);
        }
        let divisor = 10i128.pow(self.scale - digits);
        (self.mantissa % divisor == 0).then_some(self.mantissa / divisor)
    }

    /// `self × other` in dollars, rounded once to ticks, half up; `None` beyond the range.
    pub fn product_ticks(self, other: Decimal) -> Option<Ticks> {
        self.product_ticks_by(other, divide_half_up)
    }

    /// `self × other` in dollars, rounded once to ticks, up; `None` beyond the range.
    pub fn product_ticks_up(self, other: Decimal) -> Option<Ticks> {
        self.product_ticks_by(other, |numerator, denominator| {
            Some(numerator.div_euclid(denominator) + i128::from(numerator.rem_euclid(denominator) > 0))
        })
    }

    fn product_ticks_by(
        self,
        other: Decimal,
        divide: impl FnOnce(i128, i128) -> Option<i128>,
    ) -> Option<Ticks> {
        let product = self.mantissa.checked_mul(other.mantissa)?;
        let scale = self.scale + other.scale;
        let ticks = if scale <= TICK_DIGITS {
            product.checked_mul(10i128.pow(TICK_DIGITS - scale))?
        } else {
            divide(product, 10i128.checked_pow(scale - TICK_DIGITS)?)?
        };
        i64::try_from(ticks).ok().map(Ticks)
    }
}

impl FromStr for Decimal {
    type Err = MoneyError;
    /// Reads `-12.034` and, as JSON numbers may have it, `1.5e-3`. Refuses anything else.
    fn from_str(text: &str) -> Result<Decimal, MoneyError> {
        let bad = || MoneyError::NotDecimal(text.chars().take(40).collect());
        let (number, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i32>().map_err(|_| bad())?),
            None => (text, 0),
        };
        let (negative, digits) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let lone_point = digits.contains('.') && fraction.is_empty();
        if whole.is_empty() || lone_point || !all_digits(whole) || !all_digits(fraction) {
            return Err(bad());
        }
        if exponent.unsigned_abs() > 24 || whole.len() + fraction.len() > 34 {
            return Err(MoneyError::OutOfRange(text.chars().take(60).collect()));
        }
        let mut mantissa: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            mantissa = mantissa * 10 + i128::from(digit - b'0');
        }
        let scale = i32::try_from(fraction.len()).map_err(|_| bad())? - exponent;
        let out_of_range = || MoneyError::OutOfRange(text.chars().take(60).collect());
        let (mantissa, scale) = if scale < 0 {
            let factor = 10i128.pow(scale.unsigned_abs());
            (mantissa.checked_mul(factor).ok_or_else(out_of_range)?, 0)
        } else {
            (mantissa, scale.unsigned_abs())
        };
        if scale > 34 {
            return Err(out_of_range());
        }
        Ok(Decimal { mantissa: if negative { -mantissa } else { mantissa }, scale })
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let magnitude = self.mantissa.unsigned_abs();
        if self.scale == 0 {
            return write!(f, "{sign}{magnitude}");
        }
        let unit = 10u128.pow(self.scale);
        let width = usize::try_from(self.scale).unwrap_or(usize::MAX);
        write!(f, "{sign}{}.{:0width$}", magnitude / unit, magnitude % unit)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An amount `per` a whole number of base units: 3.99 dollars per 3,600 seconds stays exactly that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Price {
    /// Dollars in ticks for `per` base units; not negative.
    pub amount: Ticks,
    /// Base units of the meter that `amount` buys; at least 1.
    pub per: i64,
}

impl Price {
    /// `quantity × amount ÷ per`, rounded once, half up; `None` beyond the range.
    pub fn times(self, quantity: i64) -> Option<Ticks> {
        self.amount.scaled(quantity, self.per)
    }

    /// Both amounts for the same number of base units, exactly, and that number, so that they can be told side by
    /// side; `None` beyond what an amount can hold.
    pub fn beside(self, other: Price) -> Option<(Ticks, Ticks, i64)> {
        let (mut gcd, mut rest) = (self.per, other.per);
        while rest > 0 {
            (gcd, rest) = (rest, gcd % rest);
        }
        let per = (self.per / gcd).checked_mul(other.per)?;
        Some((self.amount.checked_mul(per / self.per)?, other.amount.checked_mul(per / other.per)?, per))
    }
}

#[cfg(test)]
mod tests;
