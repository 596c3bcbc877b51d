//! The grammar of a price: lines, conditions, factors, estimators and the outcome matrix.
//!
//! A price sheet is a list of lines. A line is a meter × an amount per base units, under conditions,
//! with rounding and slices; then factors; then the outcome matrix says what is charged when things go
//! wrong. Every billing form is written with these words, so that no provider needs code of its own.
//! These are the checked types; `catalogue::read` makes them from files.

mod condition;
mod estimate;
mod told;

pub use condition::{Condition, CountRange, OptionCondition, Period, Terms, Window};
pub use estimate::{Estimate, EstimateForm, InputAdder, Range, TableRow};

use gallerist_domain::{Billed, ChargeEvent, Decimal, Meter, Operation, Price, Ticks};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::sync::Arc;

/// How sure a figure is, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    Official,
    ThirdParty,
    Derived,
    Unverified,
}

impl Confidence {
    const ALL: [Confidence; 4] =
        [Confidence::Official, Confidence::ThirdParty, Confidence::Derived, Confidence::Unverified];

    /// Of what [`Confidence::as_str`] says.
    pub fn from_word(word: &str) -> Option<Confidence> {
        Confidence::ALL.into_iter().find(|confidence| confidence.as_str() == word)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Confidence::Official => "official",
            Confidence::ThirdParty => "third_party",
            Confidence::Derived => "derived",
            Confidence::Unverified => "unverified",
        }
    }
}

/// Where a figure comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The page or document.
    pub what: String,
    /// The day it was read, as `2026-11-22`.
    pub date: jiff::civil::Date,
    pub confidence: Confidence,
}

impl Source {
    /// Less sure, or as sure and read earlier.
    pub fn is_weaker_than(&self, other: &Source) -> bool {
        self.confidence > other.confidence || (self.confidence == other.confidence && self.date < other.date)
    }
}

/// A price that was read longer ago is told as old.
pub const PRICE_OLD_DAYS: i32 = 90;

/// Whether a figure of this confidence, read on `read`, is one to be told of on `today`: below official, or old.
pub fn is_doubtful(confidence: Confidence, read: jiff::civil::Date, today: jiff::civil::Date) -> bool {
    let age_days = read.until(today).map_or(0, |span| span.get_days());
    confidence != Confidence::Official || age_days > PRICE_OLD_DAYS
}

/// What a quantity is taken per.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Each {
    /// Per picture that is made, and then times the pictures.
    Image,
    /// Once per call.
    Call,
    /// Per picture that is sent in: each is rounded by itself, and their sum counts once per call.
    Input,
}

/// One billable meter × unit price under conditions.
#[derive(Clone, Debug)]
pub struct PriceLine {
    /// Stable within the sheet; charges refer to it. Lines of one id follow each other in time: they are the
    /// history of one price.
    pub id: String,
    pub meter: Meter,
    /// The lower end of the price.
    pub price: Price,
    /// What is expected, and what settles where nothing better is known: the higher figure where sources
    /// conflict, the last one seen where a price moves. Of hardware that is not always at work, all three are
    /// amortised: the rent divided by the utilisation.
    pub price_expected: Price,
    /// The upper end, where the sources leave the truth open or the price moves; equals `price` when it is
    /// settled.
    pub price_max: Price,
    /// The amount as it is written in the sheet's own currency, for display: `3 credit`.
    pub written: String,
    pub each: Each,
    /// Quantities are rounded up to a multiple of this (a whole megapixel, a started second); 1 for none.
    pub round_up: i64,
    /// Smallest quantity that is charged once there is any.
    pub at_least: i64,
    /// The slice of the quantity that this line prices: from (exclusive) …
    pub from: i64,
    /// … up to (inclusive); `i64::MAX` for no end.
    pub up_to: i64,
    /// Lines of one choice exclude each other: the first that matches counts, and one must. Index into
    /// [`PriceSheet::choices`].
    pub choice: Option<u8>,
    /// Steps count as at least this many; 0 for no such floor.
    pub steps_at_least: u32,
    /// A picture that is sent in counts as at most this many base units; `i64::MAX` for no such limit.
    pub input_at_most: i64,
    /// Edge of a tile in pixels, for meters of tiles; 0 for others.
    pub tile_edge: u32,
    /// Per cent of its time that the hardware works, over which its rent is spread; 1 to 100, and 100 where the
    /// line says nothing of it.
    pub utilisation_percent: u8,
    /// Counts only when the provider reports its meter; quoted as nothing.
    pub only_reported: bool,
    /// Which factors of the sheet apply.
    pub factored: Factored,
    pub when: Condition,
    pub period: Period,
    pub source: Arc<Source>,
    /// What says what the line's currency is worth; absent where the price is in dollars.
    pub rate: Option<Arc<Source>>,
    /// Further sources: those that agree, and those that conflict where the price is an interval.
    pub also: Vec<Arc<Source>>,
}

impl PriceLine {
    /// The first day of its record, where `at` lies before that: nobody has seen the price of then, and the earliest
    /// that is known stands for it. `None` where its beginning is known, or somebody had read it by then.
    pub fn recorded_after(&self, at: Timestamp) -> Option<Date> {
        if self.period.since.is_some() {
            return None;
        }
        let day = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
        let read = std::iter::once(&self.source).chain(&self.also).map(|source| source.date);
        let first = read.chain(self.period.until.map(day)).min()?;
        (day(at) < first).then_some(first)
    }

    /// What a rent comes to when it is spread over the time that the hardware works, exactly; `None` beyond what
    /// an amount can hold.
    pub fn amortised(&self, rent: Price) -> Option<Price> {
        let (hundred, percent) = self.utilisation();
        Some(Price { amount: rent.amount.checked_mul(hundred)?, per: rent.per.checked_mul(percent)? })
    }

    /// The rent behind one of the line's own prices: [`Self::amortised`] undone, exactly.
    pub fn rent_of(&self, price: Price) -> Price {
        let (hundred, percent) = self.utilisation();
        let Price { amount, per } = price;
        Price { amount: Ticks::new(amount.get() / hundred), per: per / percent }
    }

    /// A hundred and the utilisation, in lowest terms.
    fn utilisation(&self) -> (i64, i64) {
        let percent = i64::from(self.utilisation_percent.max(1));
        let (mut a, mut b) = (100, percent);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        (100 / a, percent / a)
    }

    /// Dollars for one unit as people count it, `0.0300000000`; per more than one, `30.0000000000 / 1000000`.
    pub fn unit_price_usd(&self) -> String {
        let per = self.price_expected.per / self.meter.base_units_per_unit();
        if per == 1 {
            self.price_expected.amount.to_string()
        } else {
            format!("{} / {per}", self.price_expected.amount)
        }
    }
}

/// What a provider gives away in each period before it charges. Nobody but the provider knows how much of it
/// is left, so it lowers only what a call costs at least. Sheets of one file that name it share one pool.
#[derive(Clone, Debug)]
pub struct Allowance {
    pub id: String,
    /// Worth of the whole pool at list prices.
    pub worth: Ticks,
    /// Ids of the lines that it covers; empty for whatever is charged.
    pub lines: Vec<String>,
    pub per: AllowancePeriod,
    pub source: Arc<Source>,
}

/// When a pool is filled again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllowancePeriod {
    Day,
    Month,
    /// Never: a gift at the beginning.
    Once,
}

impl AllowancePeriod {
    pub const fn as_str(self) -> &'static str {
        match self {
            AllowancePeriod::Day => "day",
            AllowancePeriod::Month => "month",
            AllowancePeriod::Once => "once",
        }
    }
}

/// How many pictures come, where the model decides it and not the request. The most is expected and reserved;
/// a settlement counts those that came.
#[derive(Clone, Debug)]
pub struct Outputs {
    pub id: String,
    /// At least this many.
    pub min: u32,
    /// At most this many for each picture that was asked for; where it is absent, the number that was asked for
    /// is the most, and `min` is of all of them.
    pub max: Option<u32>,
    /// The most counts the pictures that are sent in too: each of them leaves room for one less.
    pub max_includes_inputs: bool,
    pub when: Condition,
    pub source: Arc<Source>,
}

/// Which factors a line takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factored {
    /// All of them.
    Every,
    /// Those alone that a reseller puts on top: the vendor's own discounts leave this line as it is.
    OfResellers,
    /// None: a reseller's own fee.
    Never,
}

impl Factored {
    pub fn takes(self, factor: &Factor) -> bool {
        match self {
            Factored::Every => true,
            Factored::OfResellers => factor.of_reseller,
            Factored::Never => false,
        }
    }
}

/// A multiplier on the lines that take it: a batch discount, a region, an aggregator's surcharge.
#[derive(Clone, Debug)]
pub struct Factor {
    pub id: String,
    /// Whether a reseller puts it on top of the vendor's whole price.
    pub of_reseller: bool,
    /// The lower end; at least 0.
    pub numerator: i64,
    /// The upper end, where sources leave the factor open: it is expected, as the higher price of a line is.
    pub numerator_max: i64,
    /// At least 1.
    pub denominator: i64,
    pub when: Condition,
    pub period: Period,
    pub source: Arc<Source>,
}

/// What is charged on each event.
#[derive(Clone, Debug)]
pub struct OutcomeMatrix(Vec<(ChargeEvent, Billed)>);

/// The matrices of a model: one for most calls, others for some operations, and for regions or partners that
/// charge by rules of their own.
#[derive(Clone, Debug)]
pub struct Outcomes {
    pub usual: Arc<OutcomeMatrix>,
    pub by_operation: Vec<(Operation, Arc<OutcomeMatrix>)>,
    /// By the region word of the account; it counts before the operation, as the bill comes from there.
    pub by_region: Vec<(String, Arc<OutcomeMatrix>)>,
}

impl Outcomes {
    pub fn of(&self, operation: Operation, region: &str) -> &OutcomeMatrix {
        let of_region = self.by_region.iter().find(|(known, _)| known == region).map(|(_, matrix)| matrix);
        let of_operation = || self.by_operation.iter().find(|(known, _)| *known == operation);
        of_region.or_else(|| of_operation().map(|(_, matrix)| matrix)).unwrap_or(&self.usual)
    }

    /// Every matrix that a call may meet.
    pub fn all(&self) -> impl Iterator<Item = &OutcomeMatrix> {
        let of_operations = self.by_operation.iter().map(|(_, matrix)| matrix);
        let of_regions = self.by_region.iter().map(|(_, matrix)| matrix);
        std::iter::once(&self.usual).chain(of_operations).chain(of_regions).map(Arc::as_ref)
    }
}

impl OutcomeMatrix {
    pub fn new(rows: Vec<(ChargeEvent, Billed)>) -> OutcomeMatrix {
        OutcomeMatrix(rows)
    }

    /// An event without a row is not known.
    pub fn billed(&self, event: ChargeEvent) -> Billed {
        self.0.iter().find(|(row, _)| *row == event).map_or(Billed::Unknown, |(_, billed)| *billed)
    }

    pub fn rows(&self) -> &[(ChargeEvent, Billed)] {
        &self.0
    }
}

/// A currency of the provider with its dated rate: a credit, a yuan.
#[derive(Clone, Debug)]
pub struct Currency {
    pub code: String,
    /// Dollars for one.
    pub usd: Decimal,
    pub period: Period,
    pub source: Arc<Source>,
}

/// What time of hardware adds that is paid anyway, working or not: electricity, or nothing where the rent has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarginalRate {
    /// Id of the price line that it stands beside.
    pub line: String,
    /// Per hour.
    pub price: Price,
}

/// Everything that prices one model (or several that are priced alike).
#[derive(Clone, Debug, Default)]
pub struct PriceSheet {
    /// Names of the choices; at most 64.
    pub choices: Vec<String>,
    pub lines: Vec<PriceLine>,
    pub factors: Vec<Factor>,
    pub estimates: Vec<Estimate>,
    /// The least that a call costs that costs anything; a line of [`Meter::Calls`].
    pub minimum: Option<Box<PriceLine>>,
    pub allowances: Vec<Arc<Allowance>>,
    /// Of the lines that have one, at most one each; none for most sheets. They order offers and book nothing.
    pub marginal: Vec<MarginalRate>,
    /// The first whose condition holds counts; none where what is asked for is what comes.
    pub outputs: Vec<Outputs>,
    /// Operations that are sold together at one price, and what they are apart.
    pub bundles: Vec<Bundle>,
    /// Why nobody knows a price of it, in words for people; there are no lines then.
    pub unknown: Option<String>,
    /// From this instant on nothing of it has a known price: the spot feed of a line fell silent.
    pub unknown_from: Option<Timestamp>,
    /// Lines whose feed fell silent, each with the warning.
    pub stale: Vec<(String, String)>,
}

/// Several operations at one flat price, for comparison with buying them one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    pub operation: Operation,
    pub chain: Vec<Operation>,
}
