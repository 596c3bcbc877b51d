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
use gallerist_pricing::{Catalogue, ConfiguredProvider, offers};
use gallerist_routing::name_book::PLAIN;
use gallerist_routing::{nearest, target};
use http::StatusCode;
use http::request::Parts;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BTreeSet;

/// Longest part of an unknown name that is repeated, in characters.
const NAME_CHARACTERS_MAX: usize = 80;
/// Nearest names that are told.
const NEAREST_MAX: usize = 3;

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

/// What of the catalogue is asked for.
struct Wanted<'a> {
    kind: Option<&'a str>,
    /// Kinds and canonical models that the name speaks of; absent: all.
    models: Option<BTreeSet<(String, String)>>,
}

impl<'a> Wanted<'a> {
    /// # Errors
    /// A provider or a model that the catalogue does not have, with the nearest names.
    fn of(parameters: &'a Parameters, catalogue: &Catalogue, at: Timestamp) -> Result<Wanted<'a>, Failure> {
        let kind = parameters.text("provider");
        if let Some(kind) = kind.filter(|kind| catalogue.provider(kind).is_none()) {
            let kinds = catalogue.providers.iter().map(|sheet| sheet.kind.clone());
            let short: String = kind.chars().take(NAME_CHARACTERS_MAX).collect();
            let near = nearest(kind, kinds, NEAREST_MAX).join(", ");
            let message = format!("provider: there is no provider {short:?}; the nearest: {near}.");
            return Err(Failure::invalid("provider", message));
        }
        let models = parameters.text("model").map(|name| spoken_of(name, catalogue, at)).transpose()?;
        Ok(Wanted { kind, models })
    }

    fn takes(&self, kind: &str, model: &str) -> bool {
        let named =
            |models: &BTreeSet<(String, String)>| models.iter().any(|one| one.0 == kind && one.1 == model);
        self.kind.is_none_or(|asked| asked == kind) && self.models.as_ref().is_none_or(named)
    }
}

/// The kinds and canonical models of a name, `[provider/]model[@version][#tier]`.
fn spoken_of(
    name: &str,
    catalogue: &Catalogue,
    at: Timestamp,
) -> Result<BTreeSet<(String, String)>, Failure> {
    let kinds = catalogue.providers.iter().map(|sheet| ConfiguredProvider::new(&sheet.kind, &sheet.kind));
    let every = offers(catalogue, &kinds.collect::<Vec<_>>());
    let invalid = |message: String| Failure::invalid("model", message);
    let target = match target(name, &PLAIN, &every, at) {
        Ok(named) => named.target,
        Err(mut unknown) => {
            unknown.nearest.retain(|near| PLAIN.route(near).is_none());
            let partly = unknown.partly.as_ref().map_or_else(String::new, |partly| format!(": {partly}"));
            let (name, near) = (&unknown.name, unknown.nearest.join(", "));
            return Err(invalid(format!("model: there is no model {name:?}{partly}; the nearest: {near}.")));
        }
    };
    if target.is_route() {
        return Err(invalid(format!("model: {name} is a route; name a model, whose prices are listed.")));
    }
    let spoken_of = every.iter().filter(|offer| target.speaks_of(offer));
    Ok(spoken_of.map(|offer| (offer.provider.kind.clone(), offer.model.id.clone())).collect())
}

/// `?provider=` a kind, `?model=` a name or alias, also `provider/model`, `?at=` an instant: what holds then, else all
/// that is on record.
pub(crate) async fn list(State(state): State<AppState>, parts: Parts) -> Result<Response, Failure> {
    auth::authenticate(&state, &parts.headers)?;
    let parameters = Parameters::of(&parts, &["provider", "model", "at"])?;
    let instant = parameters.instant("at")?;
    let catalogue = state.whole_catalogue().await;
    let now = state.engine().clock().now();
    let wanted = Wanted::of(&parameters, &catalogue, instant.unwrap_or(now))?;
    let fits = |provider: &ProviderSheet, model: &ModelSheet| wanted.takes(&provider.kind, &model.id);
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
/// `?model=` as in [`list`]: what changed, newest first.
pub(crate) async fn history(State(state): State<AppState>, parts: Parts) -> Result<Response, Failure> {
    auth::authenticate(&state, &parts.headers)?;
    let parameters = Parameters::of(&parts, &["since", "until", "provider", "model"])?;
    let now = state.engine().clock().now();
    let days = |days: i64| now.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(now);
    let since = parameters.instant("since")?.unwrap_or_else(|| days(-90));
    let until = parameters.instant("until")?.unwrap_or_else(|| days(365));
    if since > until {
        let message = format!(
            "since ({since}) must not be after until ({until}); without since it is 90 days ago, without until in a \
             year."
        );
        return Err(Failure::invalid("since", message));
    }
    let catalogue = state.whole_catalogue().await;
    let wanted = Wanted::of(&parameters, &catalogue, now)?;
    let fits = |change: &&Change<'_>| wanted.takes(change.kind, &change.model.id);
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
