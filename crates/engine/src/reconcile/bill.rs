//! What a provider says that it billed, read from a file: generic CSV, OpenAI's costs, fal's billing events.
//!
//! A file is hostile: its bytes, rows, columns and fields are bounded, money is read from its digits, and a
//! mistake names the row and the field. It refuses to compare; that is `matching.rs`.

use gallerist_domain::{Decimal, Ticks};
use gallerist_pricing::sheet::Currency;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Bytes of a bill.
pub const BILL_BYTES_MAX: usize = 64 << 20;
/// Lines of a bill.
pub const BILL_LINES_MAX: usize = 500_000;
/// A hundred million dollars: whatever is added up of a bill stays far from overflow.
const TOTAL_TICKS_MAX: i128 = 100_000_000 * gallerist_domain::money::TICKS_PER_DOLLAR as i128;
const COLUMNS_MAX: usize = 200;
const FIELD_BYTES_MAX: usize = 4_096;

/// Which columns of a CSV file say what. Names are compared without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "columns as an object such as {\"time\": \"Date\", \"amount\": \"Cost\"}"
)]
pub struct Mapping {
    /// An instant, a date, or seconds since 1970; without a zone it is UTC.
    pub time: String,
    pub amount: String,
    /// A column, or `=CODE` for all rows; without it everything is in USD.
    pub currency: Option<String>,
    pub request_id: Option<String>,
    pub model: Option<String>,
    pub quantity: Option<String>,
}

/// The form of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    Csv(Mapping),
    /// Pages of `GET /v1/organization/costs`: sums of days, not single requests.
    Openai,
    /// Pages of `GET /v1/models/billing-events`.
    Fal,
}

/// One charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillLine {
    /// Where it stands: the row of the file or the place in the list, from 1.
    pub place: usize,
    pub at: Timestamp,
    /// In dollars; negative for what was given back.
    pub amount: Ticks,
    pub request_id: Option<String>,
    pub model: Option<String>,
    pub quantity: Option<String>,
}

/// A sum over a time, where a provider tells no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillSum {
    pub from: Timestamp,
    pub to: Timestamp,
    pub item: Option<String>,
    pub amount: Ticks,
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    pub lines: Vec<BillLine>,
    pub sums: Vec<BillSum>,
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BillFault(pub String);

fn fault<T>(message: impl Into<String>) -> Result<T, BillFault> {
    Err(BillFault(message.into()))
}

/// Reads a file; foreign currencies at the rates that `currencies` has for the time of each line.
///
/// # Errors
/// The first mistake, with its row and field.
pub fn read(bytes: &[u8], form: &Form, currencies: &[Currency]) -> Result<Bill, BillFault> {
    if bytes.len() > BILL_BYTES_MAX {
        return fault(format!("the file has more than {BILL_BYTES_MAX} bytes; cut it into shorter times"));
    }
    let bill = match form {
        Form::Csv(mapping) => csv(bytes, mapping, currencies),
        Form::Openai => openai(bytes, currencies),
        Form::Fal => fal(bytes),
    }?;
    let amounts = bill.lines.iter().map(|line| line.amount).chain(bill.sums.iter().map(|sum| sum.amount));
    let total: i128 = amounts.map(|amount| i128::from(amount.get()).abs()).sum();
    if total > TOTAL_TICKS_MAX {
        return fault("the amounts add up to more than a hundred million dollars; is their unit right?");
    }
    Ok(bill)
}

/// Money from digits, in dollars. What is finer than a tick is rounded once.
fn dollars(digits: &str, currency: &str, currencies: &[Currency], at: Timestamp) -> Result<Ticks, String> {
    let figure = without_separators(digits.trim().trim_start_matches('$'))?;
    let amount: Decimal = figure.parse().map_err(|error| format!("{error}"))?;
    let rate = if currency.is_empty() || currency.eq_ignore_ascii_case("usd") {
        Decimal::ONE
    } else {
        let fits = |known: &&Currency| known.code.eq_ignore_ascii_case(currency) && known.period.contains(at);
        let short: String = currency.chars().take(20).collect();
        currencies
            .iter()
            .find(fits)
            .ok_or_else(|| format!("the catalogue has no rate of {short:?} for this provider at {at}"))?
            .usd
    };
    amount.product_ticks(rate).ok_or_else(|| format!("{figure} is out of range"))
}

/// A figure without the commas that separate its thousands. Any other comma may be a decimal one, and is refused:
/// four cents must not become four dollars.
fn without_separators(figure: &str) -> Result<Cow<'_, str>, String> {
    if !figure.contains(',') {
        return Ok(Cow::Borrowed(figure));
    }
    let unsigned = figure.strip_prefix(['-', '+']).unwrap_or(figure);
    let whole = unsigned.split_once('.').map_or(unsigned, |(whole, _)| whole);
    let mut groups = whole.split(',');
    let first = groups.next().unwrap_or_default();
    let digits_only = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let separated = (1..=3).contains(&first.len())
        && !first.starts_with('0')
        && digits_only(first)
        && whole.len() > first.len()
        && groups.all(|group| group.len() == 3 && digits_only(group))
        && unsigned.matches(',').count() == whole.matches(',').count();
    if separated {
        return Ok(Cow::Owned(figure.replace(',', "")));
    }
    let short: String = figure.chars().take(40).collect();
    Err(format!("{short:?} has a comma that separates no thousands; write it with a decimal point"))
}

/// An instant as exports write it.
fn instant(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let utc = |at: DateTime| at.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    if let Ok(seconds) = text.parse::<i64>() {
        return Timestamp::from_second(seconds).ok();
    }
    let written = text.strip_suffix(" UTC").unwrap_or(text);
    text.parse()
        .ok()
        .or_else(|| written.parse::<DateTime>().ok().and_then(utc))
        .or_else(|| written.parse::<Date>().ok().and_then(|day| utc(day.at(0, 0, 0, 0))))
}

struct Columns {
    time: usize,
    amount: usize,
    currency: Option<usize>,
    request_id: Option<usize>,
    model: Option<usize>,
    quantity: Option<usize>,
}

impl Columns {
    fn find(mapping: &Mapping, header: &csv::StringRecord) -> Result<Columns, BillFault> {
        let place = |name: &str| {
            let same = |column: &str| column.trim().trim_start_matches('\u{feff}').eq_ignore_ascii_case(name);
            header.iter().position(same).ok_or_else(|| {
                let known: String = header.iter().collect::<Vec<_>>().join(", ").chars().take(300).collect();
                BillFault(format!("there is no column {name:?}; the file has {known}"))
            })
        };
        let optional = |name: &Option<String>| name.as_deref().map(place).transpose();
        let currency = mapping.currency.as_ref().filter(|name| !name.starts_with('='));
        Ok(Columns {
            time: place(&mapping.time)?,
            amount: place(&mapping.amount)?,
            currency: currency.map(|name| place(name)).transpose()?,
            request_id: optional(&mapping.request_id)?,
            model: optional(&mapping.model)?,
            quantity: optional(&mapping.quantity)?,
        })
    }
}

fn csv(bytes: &[u8], mapping: &Mapping, currencies: &[Currency]) -> Result<Bill, BillFault> {
    let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(bytes);
    let header = reader.headers().map_err(|error| BillFault(format!("the first row: {error}")))?.clone();
    if header.len() > COLUMNS_MAX {
        return fault(format!("the file has more than {COLUMNS_MAX} columns"));
    }
    let columns = Columns::find(mapping, &header)?;
    let all = mapping.currency.as_deref().and_then(|name| name.strip_prefix('=')).unwrap_or_default();
    let mut bill = Bill::default();
    for (record, row) in reader.records().zip(2..) {
        let record = record.map_err(|error| BillFault(format!("row {row}: {error}")))?;
        if bill.lines.len() == BILL_LINES_MAX {
            return fault(format!("the file has more than {BILL_LINES_MAX} rows; cut it into shorter times"));
        }
        if record.iter().any(|field| field.len() > FIELD_BYTES_MAX) {
            return fault(format!("row {row}: a field has more than {FIELD_BYTES_MAX} bytes"));
        }
        let text = |place: usize| record.get(place).unwrap_or_default().trim();
        let said = |place: Option<usize>| {
            place
                .map(text)
                .filter(|text| !text.is_empty())
                .map(|text| text.trim_start_matches('\'').to_owned())
        };
        let at = instant(text(columns.time)).ok_or_else(|| {
            let short: String = text(columns.time).chars().take(40).collect();
            BillFault(format!("row {row}: {} is {short:?}, which is no time", mapping.time))
        })?;
        let currency = columns.currency.map_or(all, text);
        let amount = dollars(text(columns.amount), currency, currencies, at)
            .map_err(|why| BillFault(format!("row {row}: {}: {why}", mapping.amount)))?;
        bill.lines.push(BillLine {
            place: row,
            at,
            amount,
            request_id: said(columns.request_id),
            model: said(columns.model),
            quantity: said(columns.quantity),
        });
    }
    Ok(bill)
}

/// One page, or a list of pages.
fn pages<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &str) -> Result<Vec<T>, BillFault> {
    let unreadable = |error: serde_json::Error| BillFault(format!("the file is not {what}: {error}"));
    if bytes.trim_ascii_start().starts_with(b"[") {
        serde_json::from_slice(bytes).map_err(unreadable)
    } else {
        Ok(vec![serde_json::from_slice(bytes).map_err(unreadable)?])
    }
}

/// The digits of a JSON number, or of one in a string.
fn digits(written: &RawValue) -> &str {
    let text = written.get();
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
}

#[derive(Deserialize)]
struct CostsPage {
    data: Vec<CostsBucket>,
}

#[derive(Deserialize)]
struct CostsBucket {
    start_time: i64,
    end_time: i64,
    results: Vec<CostsResult>,
}

#[derive(Deserialize)]
struct CostsResult {
    amount: CostsAmount,
    line_item: Option<String>,
}

#[derive(Deserialize)]
struct CostsAmount {
    value: Box<RawValue>,
    currency: String,
}

fn openai(bytes: &[u8], currencies: &[Currency]) -> Result<Bill, BillFault> {
    let pages: Vec<CostsPage> = pages(bytes, "an answer of OpenAI's organization costs")?;
    let mut bill = Bill::default();
    for bucket in pages.into_iter().flat_map(|page| page.data) {
        let time = |name: &str, seconds: i64| {
            Timestamp::from_second(seconds).map_err(|_| BillFault(format!("{name}: {seconds} is no time")))
        };
        let (from, to) = (time("start_time", bucket.start_time)?, time("end_time", bucket.end_time)?);
        if from >= to {
            return fault(format!("a bucket begins at {from} and ends at {to}"));
        }
        for result in bucket.results {
            if bill.sums.len() == BILL_LINES_MAX {
                return fault(format!("the file has more than {BILL_LINES_MAX} results"));
            }
            let CostsAmount { value, currency } = &result.amount;
            let amount = dollars(digits(value), currency, currencies, from)
                .map_err(|why| BillFault(format!("the bucket of {from}: amount: {why}")))?;
            bill.sums.push(BillSum { from, to, item: result.line_item, amount });
        }
    }
    Ok(bill)
}

#[derive(Deserialize)]
struct EventsPage {
    billing_events: Vec<BillingEvent>,
}

#[derive(Deserialize)]
struct BillingEvent {
    request_id: Option<String>,
    endpoint_id: Option<String>,
    timestamp: String,
    output_units: Option<Box<RawValue>>,
    cost_total: Option<Box<RawValue>>,
    cost_estimate_nano_usd: Option<Box<RawValue>>,
}

fn fal(bytes: &[u8]) -> Result<Bill, BillFault> {
    let pages: Vec<EventsPage> = pages(bytes, "an answer of fal's billing events")?;
    let mut bill = Bill::default();
    for (event, place) in pages.into_iter().flat_map(|page| page.billing_events).zip(1..) {
        if place > BILL_LINES_MAX {
            return fault(format!("the file has more than {BILL_LINES_MAX} events"));
        }
        let at = instant(&event.timestamp)
            .ok_or_else(|| BillFault(format!("event {place}: timestamp is no time")))?;
        let known =
            |written: &Option<Box<RawValue>>| written.clone().filter(|written| written.get() != "null");
        let amount = match (known(&event.cost_total), known(&event.cost_estimate_nano_usd)) {
            (Some(total), _) => dollars(digits(&total), "", &[], at),
            (None, Some(nano)) => dollars(&format!("{}e-9", digits(&nano)), "", &[], at),
            (None, None) => Err("it has neither cost_total nor cost_estimate_nano_usd".to_owned()),
        };
        let amount = amount.map_err(|why| BillFault(format!("event {place}: {why}")))?;
        bill.lines.push(BillLine {
            place,
            at,
            amount,
            request_id: event.request_id,
            model: event.endpoint_id,
            quantity: known(&event.output_units).map(|units| digits(&units).to_owned()),
        });
    }
    Ok(bill)
}
