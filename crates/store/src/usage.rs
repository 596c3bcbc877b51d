//! Spending by group and time: from the roll-ups of whole days, and from the raw rows for the rest.
//!
//! Grouped by anything of an attempt (provider, model), only attempts count and a request is counted in
//! each group that it touched. A request's list price and saving belong to one of its attempts: the first
//! that delivered, else the first; so they add up to the totals in every grouping. Grouped by tag, a request
//! stands under each of its tags. `usage/statement.rs` has the texts, `usage/rolled.rs` the roll-ups.

pub(crate) mod rolled;
pub(crate) mod statement;

use gallerist_domain::{ProjectId, Ticks};
use jiff::Timestamp;
use jiff::civil::Date;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::sql::{Row, Sql, ToValue, Value, params};
use crate::words::{self, micros, statements};
use crate::{Store, StoreError};
use statement::{Asked, Dimension};

/// Groups of one answer; beyond that the question is too wide.
pub const USAGE_ROWS_MAX: usize = 100_000;

/// What rows can be grouped by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UsageKey {
    Project,
    /// The id of the client key.
    Key,
    /// The end user that the client named.
    User,
    /// Each tag, as `name=value`.
    Tag,
    /// The values of one tag.
    TagNamed(String),
    Provider,
    /// The model that was bought.
    Model,
    Operation,
    /// The day in UTC on which the request was accepted: `2026-11-25`.
    Day,
}

impl UsageKey {
    /// The words of [`UsageKey::from_word`], for people.
    pub const WORDS: &'static str = "project, key, user, tag, tag:NAME, provider, model, operation, day";

    /// The key as people write it; also its name in an answer.
    pub fn word(&self) -> String {
        let word = match self {
            UsageKey::Project => "project",
            UsageKey::Key => "key",
            UsageKey::User => "user",
            UsageKey::Tag => "tag",
            UsageKey::TagNamed(name) => return format!("tag:{name}"),
            UsageKey::Provider => "provider",
            UsageKey::Model => "model",
            UsageKey::Operation => "operation",
            UsageKey::Day => "day",
        };
        word.to_owned()
    }

    pub fn from_word(text: &str) -> Option<UsageKey> {
        Some(match text {
            "project" => UsageKey::Project,
            "key" => UsageKey::Key,
            "user" => UsageKey::User,
            "tag" => UsageKey::Tag,
            "provider" => UsageKey::Provider,
            "model" => UsageKey::Model,
            "operation" => UsageKey::Operation,
            "day" => UsageKey::Day,
            other => {
                let name = other.strip_prefix("tag:").filter(|name| !name.is_empty())?;
                UsageKey::TagNamed(name.to_owned())
            }
        })
    }
}

/// What to add up. The times are those at which requests were accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageQuery {
    /// In the order of the columns; each at most once; none gives one row.
    pub group_by: Vec<UsageKey>,
    /// Included.
    pub from: Option<Timestamp>,
    /// Excluded.
    pub to: Option<Timestamp>,
    pub project: Option<ProjectId>,
    /// The id of the client key; an empty text: without one. So for the next ones.
    pub key: Option<String>,
    pub user: Option<String>,
    pub provider: Option<String>,
    pub model: Option<String>,
    pub operation: Option<String>,
    /// Name and value.
    pub tag: Option<(String, String)>,
}

impl UsageQuery {
    /// The filters that the database applies, with their values.
    fn filters(&self) -> impl Iterator<Item = (Dimension, &str)> {
        let given = [
            (Dimension::Project, self.project.as_ref().map(ProjectId::as_str)),
            (Dimension::Key, self.key.as_deref()),
            (Dimension::User, self.user.as_deref()),
            (Dimension::Provider, self.provider.as_deref()),
            (Dimension::Model, self.model.as_deref()),
            (Dimension::Operation, self.operation.as_deref()),
        ];
        given.into_iter().filter_map(|(dimension, value)| Some((dimension, value?)))
    }

    /// Whether it asks for everything but a time and providers, so that losses of credits stand in its totals.
    fn is_whole(&self) -> bool {
        self.filters().next().is_none() && self.tag.is_none()
    }
}

/// The figures of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageFigures {
    /// Different requests.
    pub requests: u64,
    /// Pictures delivered.
    pub images: u64,
    pub attempts: u64,
    /// What the baseline would have cost, where there is one.
    pub list: Option<Ticks>,
    /// The part of `list`, and so of what `saved` is reckoned from, that rests on prices below official, or read long
    /// before.
    pub list_doubtful: Ticks,
    /// Charged for certain, with `wasted`.
    pub charged: Ticks,
    /// Charged for attempts that delivered nothing.
    pub wasted: Ticks,
    /// The maxima of the attempts of which nobody knows the charge.
    pub disputed: Ticks,
    pub saved: Option<Ticks>,
    /// The part of `saved` of requests that an offer of a service tier served.
    pub saved_tier: Option<Ticks>,
    /// The rest of `saved`: requests that another offer than the baseline served.
    pub saved_offer: Option<Ticks>,
    /// What `charged` rests on.
    pub basis: BasisFigures,
    /// The part of `charged` that rests on prices below official, or read long before.
    pub doubtful: Ticks,
    /// The part of `charged` that prepaid credits paid …
    pub covered: Ticks,
    /// … and what those credits had been bought for.
    pub consumed: Ticks,
    /// What credits had been bought for that expired unused between the times. Belongs to no project and no
    /// request: it stands in totals, and in rows that are grouped by provider or day alone.
    pub expired: Ticks,
}

/// Charges by what they rest on; they add up to all that was charged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BasisFigures {
    /// The provider's own figure.
    pub provider_reported: Ticks,
    /// The provider's counts at our prices.
    pub usage: Ticks,
    /// Our formula on what was delivered.
    pub computed: Ticks,
    pub estimated: Ticks,
    /// What a person or an invoice said afterwards.
    pub resolved: Ticks,
}

impl UsageFigures {
    /// Everything charged over what was delivered, to the nearest tick; `None` without a picture.
    pub fn per_image(&self) -> Option<Ticks> {
        let images = i64::try_from(self.images).ok().filter(|images| *images > 0)?;
        self.charged.scaled(1, images)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// One text per key of the query, in its order; what is absent is empty.
    pub keys: Vec<String>,
    pub figures: UsageFigures,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageReport {
    /// Ordered by their keys.
    pub rows: Vec<UsageRow>,
    /// Over all requests of the query, also those without an attempt.
    pub totals: UsageFigures,
}

type Groups = BTreeMap<Vec<String>, UsageFigures>;

impl Store {
    pub async fn usage(&self, query: UsageQuery) -> Result<UsageReport, StoreError> {
        for (at, key) in query.group_by.iter().enumerate() {
            if query.group_by[..at].contains(key) {
                return Err(StoreError::Invalid(format!("{} is named twice in group_by", key.word())));
            }
        }
        self.read(move |connection| report(connection, &query)).await
    }
}

fn report(connection: &dyn Sql, query: &UsageQuery) -> Result<UsageReport, StoreError> {
    let mut groups = run(connection, query, &query.group_by)?;
    let mut totals = run(connection, query, &[])?.into_values().next().unwrap_or_default();
    if query.is_whole() {
        totals.expired = expired(connection, query, &[])?.into_iter().map(|(_, loss)| loss).sum();
        if query.group_by.iter().all(|key| matches!(key, UsageKey::Provider | UsageKey::Day)) {
            merge(&mut groups, expired(connection, query, &query.group_by)?);
        }
    }
    let rows = groups.into_iter().map(|(keys, figures)| UsageRow { keys, figures });
    Ok(UsageReport { rows: rows.collect(), totals })
}

fn run(connection: &dyn Sql, query: &UsageQuery, group_by: &[UsageKey]) -> Result<Groups, StoreError> {
    let from = query.from.map_or(i64::MIN, micros);
    let to = query.to.map_or(i64::MAX, micros);
    let asked = Asked::of(query, group_by);
    let segments = rolled::segments(connection, from, to)?;
    let mut groups = Groups::new();
    let sources = [(asked.rolled(), segments.rolled), (asked.raw(), segments.raw)];
    for (text, bounds) in sources {
        for (begin, end) in bounds {
            let mut values: Vec<Value<'_>> = vec![begin.to_value(), end.to_value()];
            values.extend(query.filters().map(|(_, value)| Value::Text(value)));
            connection.query(&text, &values, &mut |row| {
                gather(&mut groups, row, &asked, query, group_by)?;
                if groups.len() > USAGE_ROWS_MAX {
                    return Err(StoreError::Invalid(format!(
                        "the answer has more than {USAGE_ROWS_MAX} rows; group by less, filter, or ask for \
                         a shorter time"
                    )));
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
    }
    Ok(groups)
}

/// Adds a row of a statement to the groups that it belongs to.
fn gather(
    groups: &mut Groups,
    row: &Row<'_>,
    asked: &Asked,
    query: &UsageQuery,
    group_by: &[UsageKey],
) -> Result<(), StoreError> {
    let place = |dimension: Dimension| {
        asked.dimensions.iter().position(|one| *one == dimension).expect("it was asked for")
    };
    let tags: BTreeMap<String, String> = match asked.dimensions.contains(&Dimension::Tags) {
        true => match row.get::<&str>(place(Dimension::Tags))? {
            "" => BTreeMap::new(),
            text => serde_json::from_str(text).map_err(|error| StoreError::strange(0, error))?,
        },
        false => BTreeMap::new(),
    };
    if query.tag.as_ref().is_some_and(|(name, value)| tags.get(name) != Some(value)) {
        return Ok(());
    }
    let mut keys: Vec<Vec<String>> = vec![Vec::new()];
    for key in group_by {
        let texts: Vec<String> = match key {
            UsageKey::Tag if tags.is_empty() => vec![String::new()],
            UsageKey::Tag => tags.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            UsageKey::TagNamed(name) => vec![tags.get(name).cloned().unwrap_or_default()],
            UsageKey::Day => vec![day_text(row.get(place(Dimension::Day))?)],
            key => vec![row.get(place(Dimension::of(key)))?],
        };
        keys = keys
            .into_iter()
            .flat_map(|begun| texts.iter().map(move |text| [&begun[..], std::slice::from_ref(text)].concat()))
            .collect();
    }
    let figures = figures(row, asked.dimensions.len())?;
    for keys in keys {
        let group = groups.entry(keys).or_default();
        *group = sum(*group, figures);
    }
    Ok(())
}

/// A day since 1970-01-01 as people write it.
fn day_text(day: i64) -> String {
    let span = jiff::Span::new().try_days(day);
    let date = span.and_then(|span| Date::constant(1970, 1, 1).checked_add(span));
    date.map_or_else(|_| format!("day {day}"), |date| date.to_string())
}

statements! {
    EXPIRED = "SELECT provider, expires_at, expired_ticks
        FROM credit_lots WHERE expires_at >= ?1 AND expires_at < ?2 AND expired_ticks > 0";
}

/// What expired, by provider and day; a loss falls on the instant of the expiry, whenever it was booked.
fn expired(
    connection: &dyn Sql,
    query: &UsageQuery,
    group_by: &[UsageKey],
) -> Result<Vec<(Vec<String>, Ticks)>, StoreError> {
    let from = query.from.map_or(i64::MIN, micros);
    let to = query.to.map_or(i64::MAX, micros);
    connection.query_all(EXPIRED, params![from, to], |row| {
        let keys = group_by.iter().map(|key| match key {
            UsageKey::Day => Ok(day_text(row.get::<i64>(1)?.div_euclid(rolled::DAY))),
            _ => row.get(0),
        });
        Ok((keys.collect::<Result<Vec<String>, _>>()?, words::ticks(row, 2)?))
    })
}

/// Adds the losses to the rows of their groups; a group without requests gets a row.
fn merge(groups: &mut Groups, losses: Vec<(Vec<String>, Ticks)>) {
    for (keys, loss) in losses {
        groups.entry(keys).or_default().expired += loss;
    }
}

fn figures(row: &Row<'_>, keys: usize) -> Result<UsageFigures, StoreError> {
    let mut read = [0i64; statement::FIGURES];
    for (at, place) in read.iter_mut().enumerate() {
        *place = row.get(keys + at)?;
    }
    let count = |number: i64| u64::try_from(number).expect("a count is not negative");
    let [
        requests,
        images,
        attempts,
        charged,
        wasted,
        disputed,
        listed,
        list,
        compared,
        saved,
        tiered,
        saved_tier,
        covered,
        consumed,
        provider_reported,
        usage,
        computed,
        estimated,
        doubtful,
        list_doubtful,
    ] = read;
    let known = |rows: i64, amount: i64| (rows > 0).then_some(Ticks::new(amount));
    Ok(UsageFigures {
        requests: count(requests),
        images: count(images),
        attempts: count(attempts),
        list: known(listed, list),
        charged: Ticks::new(charged),
        wasted: Ticks::new(wasted),
        disputed: Ticks::new(disputed),
        saved: known(compared, saved),
        saved_tier: known(tiered, saved_tier),
        saved_offer: known(compared - tiered, saved - saved_tier),
        basis: BasisFigures {
            provider_reported: Ticks::new(provider_reported),
            usage: Ticks::new(usage),
            computed: Ticks::new(computed),
            estimated: Ticks::new(estimated),
            resolved: Ticks::new(charged - provider_reported - usage - computed - estimated),
        },
        doubtful: Ticks::new(doubtful),
        list_doubtful: Ticks::new(list_doubtful),
        covered: Ticks::new(covered),
        consumed: Ticks::new(consumed),
        expired: Ticks::ZERO,
    })
}

fn sum(one: UsageFigures, two: UsageFigures) -> UsageFigures {
    // What is unknown on both sides stays unknown.
    let known = |one: Option<Ticks>, two: Option<Ticks>| match (one, two) {
        (Some(one), Some(two)) => Some(one + two),
        (one, two) => one.or(two),
    };
    UsageFigures {
        requests: one.requests + two.requests,
        images: one.images + two.images,
        attempts: one.attempts + two.attempts,
        list: known(one.list, two.list),
        charged: one.charged + two.charged,
        wasted: one.wasted + two.wasted,
        disputed: one.disputed + two.disputed,
        saved: known(one.saved, two.saved),
        saved_tier: known(one.saved_tier, two.saved_tier),
        saved_offer: known(one.saved_offer, two.saved_offer),
        basis: BasisFigures {
            provider_reported: one.basis.provider_reported + two.basis.provider_reported,
            usage: one.basis.usage + two.basis.usage,
            computed: one.basis.computed + two.basis.computed,
            estimated: one.basis.estimated + two.basis.estimated,
            resolved: one.basis.resolved + two.basis.resolved,
        },
        doubtful: one.doubtful + two.doubtful,
        list_doubtful: one.list_doubtful + two.list_doubtful,
        covered: one.covered + two.covered,
        consumed: one.consumed + two.consumed,
        expired: one.expired + two.expired,
    }
}
