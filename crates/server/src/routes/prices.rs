//! `GET /v1/prices`: the catalogue that this gateway reckons with, line by line, each with its source.

use crate::auth;
use crate::failure::Failure;
use crate::routes::parameters::{Parameters, json};
use crate::state::AppState;
use axum::extract::State;
use axum::response::Response;
use gallerist_domain::Ticks;
use gallerist_engine::feeds::FeedState;
use gallerist_pricing::catalogue::{ModelSheet, ProviderSheet};
use gallerist_pricing::changes::{Change, ChangeReport, changes};
use gallerist_pricing::feed::{FeedBook, HeldPrice};
use gallerist_pricing::sheet::{Factor, Period, PriceLine};
use http::StatusCode;
use http::request::Parts;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    catalogue_digest: &'a str,
    /// The instant that was asked for: only lines and factors that hold then are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    instant: Option<Timestamp>,
    data: Vec<Model<'a>>,
    /// How the configured feeds stand.
    feeds: Vec<Feed>,
    /// Polled prices that wait for a person: the last ones stay in force.
    held: Vec<HeldPrice>,
    /// Lines whose feed is silent, as `OFFER LINE`, and since when.
    stale: Vec<Stale<'a>>,
}

#[derive(Serialize)]
struct Feed {
    name: String,
    kind: &'static str,
    succeeded_at: Option<Timestamp>,
    stale_since: Option<Timestamp>,
    fault: Option<String>,
}

#[derive(Serialize)]
struct Stale<'a> {
    line: &'a str,
    feed: &'a str,
    told_at: Option<Timestamp>,
    stale_since: Timestamp,
    /// Whether its price is unknown, and not just old.
    unknown: bool,
}

#[derive(Serialize)]
struct Model<'a> {
    provider: &'a str,
    model: &'a str,
    upstream: &'a str,
    aliases: &'a [String],
    as_of: Date,
    /// Nobody offers it before this day.
    released_on: Option<Date>,
    /// Also where the day is not known.
    deprecated: bool,
    deprecated_on: Option<Date>,
    retires_on: Option<Date>,
    successors: &'a [String],
    switched_off: Option<&'a str>,
    /// Why there are no lines, and why a quote is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    price_unknown: Option<&'a str>,
    lines: Vec<Line<'a>>,
    /// What multiplies the lines: discounts of a tier, a reseller's fee. `price_usd` is without them.
    factors: Vec<FactorRow<'a>>,
    /// What hardware adds that is paid anyway. It orders offers; what is charged are the lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    marginal: Vec<Marginal<'a>>,
}

#[derive(Serialize)]
struct Marginal<'a> {
    line: &'a str,
    usd_per_hour: Ticks,
}

#[derive(Serialize)]
struct FactorRow<'a> {
    factor: &'a str,
    /// From `numerator` to `numerator_max`, where the sources leave it open, over `denominator`.
    numerator: i64,
    numerator_max: i64,
    denominator: i64,
    when: String,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    source: &'a str,
    source_date: Date,
    confidence: &'static str,
}

#[derive(Serialize)]
struct Line<'a> {
    line: &'a str,
    meter: &'static str,
    /// The price of `per` units: its lower and its upper end, equal where the sources agree.
    price_usd: Ticks,
    price_max_usd: Ticks,
    per: String,
    /// As the vendor writes it.
    written: &'a str,
    /// Per cent of its time that the hardware works, over which its rent is spread in `price_usd`; absent at 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    utilisation_percent: Option<u8>,
    /// In words: the parameters for which it is charged.
    when: String,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    /// The day from which on it is on record, where it was asked for an earlier one: the price of then is unknown,
    /// and this is the earliest that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded_since: Option<Date>,
    source: &'a str,
    source_date: Date,
    confidence: &'static str,
    /// What says what the vendor's credits or its currency are worth; absent for dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_confidence: Option<&'static str>,
}

/// `?provider=` a kind, `?model=` a name or alias, `?at=` an instant: what holds then, else all that is on record.
pub(crate) async fn list(State(state): State<AppState>, parts: Parts) -> Result<Response, Failure> {
    auth::authenticate(&state, &parts.headers)?;
    let parameters = Parameters::of(&parts, &["provider", "model", "at"])?;
    let instant = parameters.instant("at")?;
    let catalogue = state.whole_catalogue().await;
    let fits = |provider: &ProviderSheet, model: &ModelSheet| {
        parameters.text("provider").is_none_or(|kind| kind == provider.kind)
            && parameters.text("model").is_none_or(|name| model.is_named(name))
    };
    let all = catalogue
        .providers
        .iter()
        .flat_map(|provider| provider.models.iter().map(move |model| (provider, model)));
    let data = all
        .filter(|(provider, model)| fits(provider, model))
        .map(|(provider, model)| entry(provider, model, instant));
    let engine = state.engine();
    let book = engine.feed_book();
    let list = List {
        object: "list",
        catalogue_digest: &catalogue.digest,
        instant,
        data: data.collect(),
        feeds: engine.feed_states().into_iter().map(Feed::from).collect(),
        held: book.held(),
        stale: stale(&book),
    };
    Ok(json(StatusCode::OK, &list))
}

/// `?since=` an instant (default: 90 days ago), `?until=` (default: a year ahead), `?provider=` a kind,
/// `?model=` a name or alias: what changed, newest first.
pub(crate) async fn history(State(state): State<AppState>, parts: Parts) -> Result<Response, Failure> {
    auth::authenticate(&state, &parts.headers)?;
    let parameters = Parameters::of(&parts, &["since", "until", "provider", "model"])?;
    let now = state.engine().clock().now();
    let days = |days: i64| now.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(now);
    let since = parameters.instant("since")?.unwrap_or_else(|| days(-90));
    let until = parameters.instant("until")?.unwrap_or_else(|| days(365));
    let fits = |change: &&Change<'_>| {
        parameters.text("provider").is_none_or(|kind| kind == change.kind)
            && parameters.text("model").is_none_or(|name| change.model.is_named(name))
    };
    let catalogue = state.whole_catalogue().await;
    let found = changes(&catalogue, since, until);
    let data: Vec<ChangeReport> = found.iter().filter(fits).map(ChangeReport::from).collect();
    Ok(json(StatusCode::OK, &History { object: "list", since, until, data }))
}

fn stale(book: &FeedBook) -> Vec<Stale<'_>> {
    let stale = book.watches.iter().filter_map(|(line, watch)| {
        let silent = watch.silent?;
        Some(Stale {
            line,
            feed: &watch.feed,
            told_at: watch.polled,
            stale_since: silent.noticed,
            unknown: silent.unknown,
        })
    });
    stale.collect()
}

impl From<FeedState> for Feed {
    fn from(state: FeedState) -> Feed {
        Feed {
            name: state.name,
            kind: state.form,
            succeeded_at: state.status.succeeded,
            stale_since: state.status.stale_since,
            fault: state.status.fault,
        }
    }
}

#[derive(Serialize)]
struct History {
    object: &'static str,
    since: Timestamp,
    until: Timestamp,
    data: Vec<ChangeReport>,
}

fn entry<'a>(provider: &'a ProviderSheet, model: &'a ModelSheet, at: Option<Timestamp>) -> Model<'a> {
    let holds = |period: Period| at.is_none_or(|at| period.contains(at));
    let sheet = &model.sheet;
    Model {
        provider: &provider.kind,
        model: &model.id,
        upstream: &model.upstream,
        aliases: &model.aliases,
        as_of: provider.as_of,
        released_on: model.lifecycle.released_on(),
        deprecated: model.lifecycle.deprecated,
        deprecated_on: model.lifecycle.deprecated_on,
        retires_on: model.lifecycle.retires_on,
        successors: &model.lifecycle.successors,
        switched_off: model.lifecycle.switched_off.as_deref(),
        price_unknown: sheet.unknown.as_deref(),
        lines: sheet.lines.iter().filter(|line| holds(line.period)).map(|line| row(line, at)).collect(),
        factors: sheet.factors.iter().filter(|factor| holds(factor.period)).map(FactorRow::from).collect(),
        marginal: sheet
            .marginal
            .iter()
            .map(|rate| Marginal { line: &rate.line, usd_per_hour: rate.price.amount })
            .collect(),
    }
}

impl<'a> From<&'a Factor> for FactorRow<'a> {
    fn from(factor: &'a Factor) -> FactorRow<'a> {
        FactorRow {
            factor: &factor.id,
            numerator: factor.numerator,
            numerator_max: factor.numerator_max,
            denominator: factor.denominator,
            when: factor.when.told(Period::default()),
            since: factor.period.since,
            until: factor.period.until,
            source: &factor.source.what,
            source_date: factor.source.date,
            confidence: factor.source.confidence.as_str(),
        }
    }
}

fn row(line: &PriceLine, at: Option<Timestamp>) -> Line<'_> {
    Line {
        line: &line.id,
        meter: line.meter.name(),
        price_usd: line.price.amount,
        price_max_usd: line.price_max.amount,
        per: gallerist_pricing::quote::display_quantity(line.meter, line.price.per),
        written: &line.written,
        utilisation_percent: Some(line.utilisation_percent).filter(|percent| *percent < 100),
        when: line.when.told(Period::default()),
        since: line.period.since,
        until: line.period.until,
        recorded_since: at.and_then(|at| line.recorded_after(at)),
        source: &line.source.what,
        source_date: line.source.date,
        confidence: line.source.confidence.as_str(),
        rate_source: line.rate.as_ref().map(|source| source.what.as_str()),
        rate_confidence: line.rate.as_ref().map(|source| source.confidence.as_str()),
    }
}
