//! Credit lots and their forecast as the API writes them, and a purchase as it reads it.
//!
//! The command line uses the same forms where no gateway runs, so that both ways answer alike. It refuses to
//! open books and to foresee.

use crate::routes::Object;
use gallerist_domain::{Decimal, LotId, Ticks};
use gallerist_engine::balances::{Reading, ToldBalance};
use gallerist_engine::credits::ProviderForecast;
use gallerist_pricing::ProviderSheet;
use gallerist_pricing::credits::{FeeRule, Lot, LotError, Purchase, PurchaseError, RECENT_DAYS, rate_source};
use gallerist_pricing::quote::display_quantity;
use gallerist_routing::nearest;
use gallerist_store::{Adjustment, LotRecord};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A purchase as it is said; figures are strings or numbers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LotWish {
    pub provider: String,
    currency: Option<String>,
    credits: Box<RawValue>,
    price_usd: Box<RawValue>,
    fee_percent: Option<Box<RawValue>>,
    fee_minimum_usd: Option<Box<RawValue>>,
    purchased_at: Option<String>,
    expires_at: Option<String>,
}

impl Object for LotWish {
    const EXAMPLE: &'static str = r#"{"provider": "bfl", "credits": "1000", "price_usd": "9.00"}"#;
}

/// How much later than ours the clock of whoever enters a purchase may be.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);

/// A provider that has neither credits in the books nor prices, with the nearest that have.
pub fn unknown_provider(name: &str, known: impl IntoIterator<Item = String>) -> Mistake {
    let short: String = name.chars().take(80).collect();
    let near = nearest(name, known, 3).join(", ");
    ("provider", format!("provider: there is no {short:?}, configured or known; the nearest: {near}."))
}

/// What is wrong with a purchase: the parameter, and a sentence.
pub type Mistake = (&'static str, String);

impl LotWish {
    /// # Errors
    /// The first parameter that cannot be read.
    fn purchase(self, now: Timestamp) -> Result<Purchase, Mistake> {
        let credits = figure("credits", &self.credits)?;
        let percent =
            self.fee_percent.map_or(Ok(Decimal::ZERO), |written| figure("fee_percent", &written))?;
        // Per cent are hundredths: four digits more make millionths.
        let rate = percent.to_units_exact(4).and_then(|rate| i64::try_from(rate).ok());
        let rate_millionths = rate.ok_or_else(|| {
            (
                "fee_percent",
                "fee_percent must be per cent such as \"5.5\", with at most four digits.".to_owned(),
            )
        })?;
        let minimum =
            self.fee_minimum_usd.map_or(Ok(Ticks::ZERO), |written| usd("fee_minimum_usd", &written))?;
        let purchased_at = instant("purchased_at", self.purchased_at)?.unwrap_or(now);
        if purchased_at > now.saturating_add(CLOCKS_DIFFER).unwrap_or(now) {
            let message = format!(
                "purchased_at ({purchased_at}) must not be in the future: credits count as soon as they are entered."
            );
            return Err(("purchased_at", message));
        }
        Ok(Purchase {
            provider: self.provider,
            currency: self.currency,
            credits,
            price: usd("price_usd", &self.price_usd)?,
            fee: FeeRule { rate_millionths, minimum },
            purchased_at,
            expires_at: instant("expires_at", self.expires_at)?,
        })
    }

    /// The lot that was bought, by the prices of its provider.
    ///
    /// # Errors
    /// The first parameter that cannot be read, or is none that could be bought.
    pub fn lot(self, sheet: &ProviderSheet, now: Timestamp) -> Result<Lot, Mistake> {
        self.purchase(now)?.lot(sheet).map_err(|error| {
            let parameter = match error {
                PurchaseError::WhichCurrency(_) | PurchaseError::UnknownCurrency { .. } => "currency",
                PurchaseError::Lot(LotError::Price) => "price_usd",
                PurchaseError::Lot(LotError::Fee) => "fee_percent",
                PurchaseError::Lot(LotError::Expiry) => "expires_at",
                PurchaseError::TooFine | PurchaseError::Lot(LotError::Quantity | LotError::List) => "credits",
            };
            (parameter, format!("{error}."))
        })
    }
}

/// Credits that moved without an attempt, as it is said: `use` or `balance`, one of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdjustmentWish {
    pub provider: String,
    r#use: Option<Box<RawValue>>,
    balance: Option<Box<RawValue>>,
    #[serde(default)]
    pub note: String,
}

impl Object for AdjustmentWish {
    const EXAMPLE: &'static str = r#"{"provider": "bfl", "use": "120", "note": "playground"}"#;
}

impl AdjustmentWish {
    /// # Errors
    /// The first parameter that cannot be read.
    pub fn adjustment(&self) -> Result<Adjustment, Mistake> {
        let millionths = |name: &'static str, written: &RawValue| {
            let units = figure(name, written)?.to_units_exact(6).and_then(|units| i64::try_from(units).ok());
            units.ok_or_else(|| (name, format!("{name} must be credits with at most six digits.")))
        };
        match (&self.r#use, &self.balance) {
            (Some(written), None) => Ok(Adjustment::Use(millionths("use", written)?)),
            (None, Some(written)) => Ok(Adjustment::Balance(millionths("balance", written)?)),
            _ => Err((
                "use",
                "Say either use, the credits that were used, or balance, those that are left.".to_owned(),
            )),
        }
    }
}

fn digits(written: &RawValue) -> &str {
    let text = written.get();
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
}

fn figure(name: &'static str, written: &RawValue) -> Result<Decimal, Mistake> {
    digits(written).parse().map_err(|error| (name, format!("{name}: {error}.")))
}

fn usd(name: &'static str, written: &RawValue) -> Result<Ticks, Mistake> {
    digits(written).parse().map_err(|error| (name, format!("{name}: {error}.")))
}

fn instant(name: &'static str, text: Option<String>) -> Result<Option<Timestamp>, Mistake> {
    let Some(text) = text else { return Ok(None) };
    let day = |text: &str| -> Option<Timestamp> {
        let date: jiff::civil::Date = text.parse().ok()?;
        date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    };
    let found = text.parse().ok().or_else(|| day(&text));
    found
        .map(Some)
        .ok_or_else(|| (name, format!("{name} must be an instant such as 2026-11-25T08:00:00Z, or a day.")))
}

#[derive(Serialize)]
pub struct LotShown {
    id: LotId,
    object: &'static str,
    provider: String,
    currency: String,
    credits: String,
    remaining: String,
    price_usd: Ticks,
    fee_usd: Ticks,
    /// With the fee.
    cost_usd: Ticks,
    /// What one credit counts in the provider's prices.
    list_usd: Ticks,
    purchased_at: Timestamp,
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
    /// What the used credits were bought for, and the charges that they paid.
    consumed_usd: Ticks,
    covered_usd: Ticks,
    /// What is left was bought for.
    remaining_usd: Ticks,
    /// Credits that nobody used in time, and what they were bought for.
    expired: String,
    expired_usd: Ticks,
    /// Credits that moved without an attempt (used outside, or corrected), and what they were bought for.
    outside: String,
    outside_usd: Ticks,
}

impl From<&LotRecord> for LotShown {
    fn from(record: &LotRecord) -> LotShown {
        let lot = &record.lot;
        LotShown {
            id: record.id,
            object: "credit_lot",
            provider: lot.provider.clone(),
            currency: lot.currency.clone(),
            credits: credits(lot.quantity_millionths),
            remaining: credits(lot.remaining_millionths),
            price_usd: lot.price,
            fee_usd: lot.cost() - lot.price,
            cost_usd: lot.cost(),
            list_usd: lot.list,
            purchased_at: lot.purchased_at,
            expires_at: lot.expires_at,
            created_at: record.created_at,
            consumed_usd: record.consumed,
            covered_usd: record.covered,
            remaining_usd: lot.cost_remaining(),
            expired: credits(record.expired_millionths),
            expired_usd: record.expired,
            outside: credits(record.outside_millionths),
            outside_usd: record.outside,
        }
    }
}

#[derive(Serialize)]
pub struct LotList {
    object: &'static str,
    data: Vec<LotShown>,
    has_more: bool,
    /// What providers said last of what is left.
    balances: Vec<BalanceShown>,
}

/// Every lot, with what providers said last.
pub fn lot_list(records: &[LotRecord], readings: &[Reading]) -> LotList {
    LotList {
        object: "list",
        data: records.iter().map(LotShown::from).collect(),
        has_more: false,
        balances: readings.iter().map(BalanceShown::from).collect(),
    }
}

/// Which providers are asked what is left, as it is said.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BalanceWish {
    /// Absent: all.
    pub provider: Option<String>,
    /// Whether the difference is booked.
    #[serde(default)]
    pub apply: bool,
    pub note: Option<String>,
}

impl Object for BalanceWish {
    const EXAMPLE: &'static str = r#"{"provider": "bfl", "apply": true}"#;
}

impl BalanceWish {
    /// The provider whose difference is to be booked.
    ///
    /// # Errors
    /// When none is named.
    pub fn applied(&self) -> Result<Option<&str>, Mistake> {
        match (self.apply, &self.provider) {
            (false, _) => Ok(None),
            (true, Some(provider)) => Ok(Some(provider)),
            (true, None) => {
                Err(("provider", "Name the provider whose difference is to be booked.".to_owned()))
            }
        }
    }

    /// What is booked of a provider's word, with a note; `None` where the books say the same.
    ///
    /// # Errors
    /// Why nothing can be booked.
    pub fn adjustment(
        &self,
        provider: &str,
        readings: &[Reading],
    ) -> Result<Option<(Adjustment, String)>, Mistake> {
        let reading = readings.iter().find(|reading| reading.provider == provider);
        let refuse = |message: String| Err(("provider", message));
        let Some(reading) = reading else {
            return refuse(format!("{provider} is not configured, or does not tell what is left."));
        };
        let told = match (&reading.fault, &reading.told) {
            (None, Some(told)) => told,
            (fault, _) => {
                let why = fault.as_deref().unwrap_or("it said nothing");
                return refuse(format!("{provider} did not say what is left: {why}."));
            }
        };
        if told.open.held > Ticks::ZERO {
            return refuse(format!(
                "Calls to {provider} are under way that may be charged there already; booking the difference \
                 would count them twice. Try again when they have ended."
            ));
        }
        let Some(difference) = told.difference_millionths() else {
            return refuse(format!(
                "No credits of {provider} in its own unit ({}) stand in the books; enter what was bought first.",
                told.unit
            ));
        };
        let told_at = told.at.strftime("%Y-%m-%d %H:%M UTC");
        let note = self.note.clone().unwrap_or_else(|| format!("as {provider} said on {told_at}"));
        Ok((difference != 0).then_some((Adjustment::Balance(told.left_millionths), note)))
    }
}

/// What a provider said of what is left, beside the books of that moment.
#[derive(Serialize)]
pub struct BalanceShown {
    object: &'static str,
    provider: String,
    /// `credit`, or `USD`; null: nothing was told yet.
    unit: Option<String>,
    told: Option<String>,
    told_at: Option<Timestamp>,
    /// Null: no credits of this unit were entered.
    booked: Option<String>,
    /// What was entered of purchases that have not expired; null with `booked`.
    entered: Option<String>,
    /// Whether more is told than was ever entered: a purchase is missing, and the difference cannot be booked.
    purchase_missing: bool,
    /// Signed: told less booked.
    difference: Option<String>,
    /// What the difference is worth at the provider's prices.
    difference_usd: Option<Ticks>,
    /// Maxima of calls under way, and of disputed ones, which may be charged there already.
    held_usd: Option<Ticks>,
    disputed_usd: Option<Ticks>,
    asked_at: Timestamp,
    /// Why the last question brought no answer.
    fault: Option<String>,
}

impl From<&Reading> for BalanceShown {
    fn from(reading: &Reading) -> BalanceShown {
        let told = reading.told.as_ref();
        BalanceShown {
            object: "credit_balance",
            provider: reading.provider.clone(),
            unit: told.map(|told| told.unit.clone()),
            told: told.map(|told| credits(told.left_millionths)),
            told_at: told.map(|told| told.at),
            booked: told.and_then(|told| told.booked_millionths).map(credits),
            entered: told.and_then(|told| told.entered_millionths).map(credits),
            purchase_missing: told.is_some_and(ToldBalance::purchase_missing),
            difference: told.and_then(ToldBalance::difference_millionths).map(credits),
            difference_usd: told.and_then(ToldBalance::worth),
            held_usd: told.map(|told| told.open.held),
            disputed_usd: told.map(|told| told.open.disputed),
            asked_at: reading.asked_at,
            fault: reading.fault.clone(),
        }
    }
}

#[derive(Serialize)]
pub struct BalanceList {
    object: &'static str,
    data: Vec<BalanceShown>,
    has_more: bool,
}

/// What each provider said.
pub fn balance_list(readings: &[Reading]) -> BalanceList {
    BalanceList { object: "list", data: readings.iter().map(BalanceShown::from).collect(), has_more: false }
}

#[derive(Serialize)]
pub struct ForecastShown {
    object: &'static str,
    at: Timestamp,
    /// Days of charges that it looks back on, at most.
    recent_days: u32,
    providers: Vec<ProviderShown>,
}

#[derive(Serialize)]
struct ProviderShown {
    provider: String,
    /// What was charged lately, at the provider's prices, over so many days.
    charged_usd: Ticks,
    days: u32,
    /// When the last credit is used or lost; null: some are never used and never expire.
    run_out_at: Option<Timestamp>,
    /// Of one credit: bought for, counts in routing, counts in the provider's prices.
    purchase_usd: Option<Ticks>,
    routed_usd: Option<Ticks>,
    list_usd: Option<Ticks>,
    /// How sure that is, and when it was read; absent where a credit is a dollar.
    #[serde(skip_serializing_if = "Option::is_none")]
    list_confidence: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list_as_of: Option<Date>,
    /// When the first credits expire that nobody will have used; null: none.
    unused_at: Option<Timestamp>,
    /// What the credits were bought for that will be lost.
    lost_usd: Ticks,
    lots: Vec<LotForecastShown>,
}

#[derive(Serialize)]
struct LotForecastShown {
    id: LotId,
    currency: String,
    remaining: String,
    expires_at: Option<Timestamp>,
    used: String,
    lost: String,
    lost_usd: Ticks,
}

/// What becomes of the credits; `sheet` has the prices of a provider.
pub fn forecast_shown<'s>(
    forecasts: &[ProviderForecast<'_>],
    sheet: impl Fn(&str) -> Option<&'s ProviderSheet>,
    at: Timestamp,
) -> ForecastShown {
    let providers = forecasts.iter().map(|one| {
        let routing = one.forecast.routing;
        // Of the least sure of the lots that are open.
        let sources = one.lots.iter().filter_map(|record| rate_source(&record.lot, sheet(one.provider)?));
        let source = sources.reduce(|least, next| if next.is_weaker_than(least) { next } else { least });
        let lots = one.lots.iter().zip(&one.forecast.lots).map(|(record, told)| LotForecastShown {
            id: record.id,
            currency: record.lot.currency.clone(),
            remaining: credits(record.lot.remaining_millionths),
            expires_at: record.lot.expires_at,
            used: credits(told.used_millionths),
            lost: credits(told.lost_millionths),
            lost_usd: told.lost,
        });
        ProviderShown {
            provider: one.provider.to_owned(),
            charged_usd: one.consumption.charged,
            days: one.consumption.days,
            run_out_at: one.forecast.run_out_at,
            purchase_usd: routing.map(|routing| routing.purchase),
            routed_usd: routing.map(|routing| routing.routed),
            list_usd: routing.map(|routing| routing.list),
            list_confidence: source.map(|source| source.confidence.as_str()),
            list_as_of: source.map(|source| source.date),
            unused_at: routing.and_then(|routing| routing.unused_at),
            lost_usd: one.forecast.lots.iter().map(|told| told.lost).sum(),
            lots: lots.collect(),
        }
    });
    ForecastShown { object: "credit_forecast", at, recent_days: RECENT_DAYS, providers: providers.collect() }
}

/// Credits as people count them: `96.5`.
fn credits(millionths: i64) -> String {
    display_quantity(gallerist_domain::Meter::Credits, millionths)
}
