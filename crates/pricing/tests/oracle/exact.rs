//! The oracle's own arithmetic: fractions of whole numbers, and one rounding per line of a bill.
//!
//! Nothing here comes from `pricing` or from the money type of `domain`: a mistake there must not be made
//! twice.

use std::cmp::Ordering;
use std::ops::{Add, Mul};

/// Ticks of 10⁻¹⁰ dollar in a dollar.
const TICKS: i128 = 10_000_000_000;

/// A quotient of whole numbers in lowest terms; `below` is positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    above: i128,
    below: i128,
}

fn common_divisor(left: i128, right: i128) -> i128 {
    if right == 0 { left.abs().max(1) } else { common_divisor(right, left % right) }
}

/// `above ÷ below`.
pub fn quotient(above: i128, below: i128) -> Fraction {
    assert!(below > 0, "the oracle divides by what is positive only");
    let divisor = common_divisor(above, below);
    Fraction { above: above / divisor, below: below / divisor }
}

/// A whole number.
pub fn whole(number: impl Into<i128>) -> Fraction {
    quotient(number.into(), 1)
}

/// A decimal as the sheets print it, such as `0.0154`.
pub fn decimal(text: &str) -> Fraction {
    let (units, digits) = text.split_once('.').unwrap_or((text, ""));
    let above = format!("{units}{digits}").parse().expect("the oracle's own figures are decimals");
    let places = u32::try_from(digits.len()).expect("few digits");
    quotient(above, 10_i128.pow(places))
}

impl Fraction {
    /// The whole number below or at it.
    pub fn floor(self) -> i128 {
        self.above.div_euclid(self.below)
    }

    /// The whole number above or at it.
    pub fn ceiling(self) -> i128 {
        -(-self.above).div_euclid(self.below)
    }

    /// The nearest whole number, a half upwards.
    pub fn rounded(self) -> i128 {
        (2 * self.above + self.below).div_euclid(2 * self.below)
    }

    pub fn at_least(self, other: Fraction) -> Fraction {
        if self < other { other } else { self }
    }
}

impl PartialOrd for Fraction {
    fn partial_cmp(&self, other: &Fraction) -> Option<Ordering> {
        Some((self.above * other.below).cmp(&(other.above * self.below)))
    }
}

impl Mul for Fraction {
    type Output = Fraction;
    fn mul(self, other: Fraction) -> Fraction {
        quotient(self.above * other.above, self.below * other.below)
    }
}

impl Add for Fraction {
    type Output = Fraction;
    fn add(self, other: Fraction) -> Fraction {
        quotient(self.above * other.below + other.above * self.below, self.below * other.below)
    }
}

/// What a call costs, in ticks: one figure where the sheet says one, else the interval that it leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    pub least: i128,
    pub expected: i128,
    pub most: i128,
}

/// How near the catalogue must come, from strict to loose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Agreement {
    /// All three figures, to the last digit.
    Exact,
    /// The expected figure and the most to the last digit; of two readings of the sheet the catalogue's least is
    /// below ours, because it cannot say the smaller of two formulas.
    OpenBelow,
    /// The expected figure to the last digit; the catalogue's bounds hold ours between them, no further from
    /// them than [`BOUNDED_PER_CENT`].
    Bounded,
    /// The expected figure, which was measured once, to the last digit; the catalogue's bounds hold ours between them,
    /// no further from them than [`ESTIMATED_PER_CENT`].
    Measured,
    /// Two prices are known, and it is certain that the smaller one holds, which the catalogue cannot tell of every
    /// size: each of its figures is one of the two.
    EitherOf,
    /// The sheet has a measured ratio only: the expected figure lies within our bounds, but for two hundredths;
    /// the catalogue's hold ours, and are no further from ours than [`ESTIMATED_PER_CENT`].
    Estimated,
}

/// How far the catalogue's bounds may be from ours, in per cent of our most: a twentieth, and a hundredth to round.
const BOUNDED_PER_CENT: i128 = 6;
/// A quarter more than what was measured once, and three hundredths, since formulas of one shape differ by as much.
const ESTIMATED_PER_CENT: i128 = 28;

/// Lines of dollars, each at least, expected and at most; nothing is rounded before [`Bill::amount`].
#[derive(Clone, Debug)]
pub struct Bill {
    lines: Vec<[Fraction; 3]>,
    pub agreement: Agreement,
}

/// One line whose dollars are known.
pub fn exact(dollars: Fraction) -> Bill {
    between(dollars, dollars, dollars)
}

/// One line of which the sheet leaves something open.
pub fn between(least: Fraction, expected: Fraction, most: Fraction) -> Bill {
    Bill { lines: vec![[least, expected, most]], agreement: Agreement::Exact }
}

impl Bill {
    /// Every line at a factor, of which again something may be open.
    pub fn times(mut self, factors: [Fraction; 3]) -> Bill {
        for line in &mut self.lines {
            *line = [line[0] * factors[0], line[1] * factors[1], line[2] * factors[2]];
        }
        self
    }

    /// The same where a pool that is free may cover all of it.
    pub fn perhaps_free(self) -> Bill {
        self.times([whole(0), whole(1), whole(1)])
    }

    /// The same where a pool of whole dollars is free, of which nobody knows what is left.
    pub fn with_pool(self, dollars: i128) -> Bill {
        let covered = self.amount().least.min(dollars * TICKS);
        self + between(quotient(-covered, TICKS), whole(0), whole(0))
    }

    /// The same where at least a smaller bill of the same lines is due.
    pub fn least_of(mut self, fewer: &Bill) -> Bill {
        for (line, smaller) in self.lines.iter_mut().zip(&fewer.lines) {
            line[0] = smaller[0];
        }
        self
    }

    /// The same where the sheet leaves more open than three figures say.
    pub fn within(mut self, agreement: Agreement) -> Bill {
        self.agreement = self.agreement.max(agreement);
        self
    }

    /// The sum of the lines, each rounded once, half up.
    pub fn amount(&self) -> Amount {
        let ticks = |bound: usize| self.lines.iter().map(|line| (line[bound] * whole(TICKS)).rounded()).sum();
        Amount { least: ticks(0), expected: ticks(1), most: ticks(2) }
    }
}

impl Amount {
    /// Whether the catalogue's answer `other` is right by this one.
    pub fn agrees(self, other: Amount, agreement: Agreement) -> bool {
        let ordered = other.least <= other.expected && other.expected <= other.most;
        let near = |per_cent: i128| {
            let within = |one: i128, other: i128| 100 * (one - other).abs() <= per_cent * self.most;
            within(self.least, other.least) && within(self.most, other.most)
        };
        let holds = other.least <= self.least && self.most <= other.most;
        match agreement {
            Agreement::Exact => self == other,
            Agreement::OpenBelow => {
                (self.expected, self.most) == (other.expected, other.most) && other.least <= self.least
            }
            Agreement::Bounded => self.expected == other.expected && holds && near(BOUNDED_PER_CENT),
            Agreement::Measured => self.expected == other.expected && holds && near(ESTIMATED_PER_CENT),
            Agreement::EitherOf => {
                let known = |one: i128| one == self.least || one == self.most;
                ordered && other.least == self.least && known(other.expected) && known(other.most)
            }
            Agreement::Estimated => {
                let bounded = other.least <= self.expected && self.expected <= other.most;
                let between =
                    98 * self.least <= 100 * other.expected && 100 * other.expected <= 102 * self.most;
                ordered && bounded && between && near(ESTIMATED_PER_CENT)
            }
        }
    }
}

impl Add for Bill {
    type Output = Bill;
    fn add(mut self, mut other: Bill) -> Bill {
        self.lines.append(&mut other.lines);
        self.within(other.agreement)
    }
}

#[test]
fn fractions_are_rounded_half_up_once() {
    assert_eq!(exact(decimal("0.00000000005")).amount().expected, 1);
    assert_eq!(exact(quotient(1, 3)).amount().expected, 3_333_333_333);
    assert_eq!(exact(quotient(2, 3)).amount().expected, 6_666_666_667);
    assert_eq!(decimal("2.5").floor(), 2);
    assert_eq!(decimal("2.5").ceiling(), 3);
    assert_eq!(decimal("3").ceiling(), 3);
}

#[test]
fn an_estimate_that_is_a_tenth_off_does_not_agree() {
    let sheet = Amount { least: 300, expected: 400, most: 425 };
    let catalogue = Amount { least: 300, expected: 420, most: 500 };
    assert!(sheet.agrees(catalogue, Agreement::Estimated));
    assert!(!sheet.agrees(Amount { expected: 434, ..catalogue }, Agreement::Estimated));
    assert!(!sheet.agrees(Amount { most: 600, ..catalogue }, Agreement::Estimated));
    assert!(!sheet.agrees(Amount { most: 390, expected: 380, ..catalogue }, Agreement::Estimated));
    let either = Amount { least: 4, expected: 4, most: 6 };
    assert!(either.agrees(Amount { least: 4, expected: 6, most: 6 }, Agreement::EitherOf));
    assert!(either.agrees(Amount { least: 4, expected: 4, most: 4 }, Agreement::EitherOf));
    assert!(!either.agrees(Amount { least: 4, expected: 5, most: 6 }, Agreement::EitherOf));
    assert!(!either.agrees(Amount { least: 6, expected: 6, most: 6 }, Agreement::EitherOf));
    // A bound may be a twentieth away, and no more.
    let known = Amount { least: 390, expected: 400, most: 410 };
    assert!(known.agrees(Amount { least: 380, expected: 400, most: 420 }, Agreement::Bounded));
    assert!(!known.agrees(Amount { least: 200, expected: 400, most: 420 }, Agreement::Bounded));
    assert!(!known.agrees(Amount { least: 380, expected: 400, most: 500 }, Agreement::Bounded));
    assert!(known.agrees(Amount { least: 380, expected: 400, most: 500 }, Agreement::Measured));
    assert!(!known.agrees(Amount { least: 380, expected: 401, most: 500 }, Agreement::Measured));
    assert!(!known.agrees(Amount { least: 380, expected: 400, most: 600 }, Agreement::Measured));
    assert!(known.agrees(Amount { least: 0, expected: 400, most: 410 }, Agreement::OpenBelow));
    assert!(!known.agrees(Amount { least: 0, expected: 400, most: 411 }, Agreement::OpenBelow));
}
