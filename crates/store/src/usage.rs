//! Spending by group and time, from the attempts and requests themselves.
//!
//! Grouped by anything of an attempt (provider, model), only attempts count and a request is counted in
//! each group that it touched. A request's list price and saving belong to one of its attempts: the first
//! that delivered, else the first; so they add up to the totals in every grouping.

use gallerist_domain::{ProjectId, Ticks};
use jiff::Timestamp;
use std::fmt::Write;

use crate::sql::{Row, Sql, params};
use crate::words::{self, micros, statements};
use crate::{Store, StoreError};

/// What rows can be grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UsageKey {
    Project,
    /// The id of the client key.
    Key,
    Provider,
    /// The model that was bought.
    Model,
    Operation,
    /// The day in UTC on which the request was accepted: `2026-11-25`.
    Day,
}

impl UsageKey {
    pub const ALL: &'static [UsageKey] = &[
        UsageKey::Project,
        UsageKey::Key,
        UsageKey::Provider,
        UsageKey::Model,
        UsageKey::Operation,
        UsageKey::Day,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            UsageKey::Project => "project",
            UsageKey::Key => "key",
            UsageKey::Provider => "provider",
            UsageKey::Model => "model",
            UsageKey::Operation => "operation",
            UsageKey::Day => "day",
        }
    }

    pub fn from_word(text: &str) -> Option<UsageKey> {
        UsageKey::ALL.iter().copied().find(|key| key.as_str() == text)
    }

    fn column(self) -> &'static str {
        match self {
            UsageKey::Project => "p.name",
            UsageKey::Key => "coalesce(r.key_id, '')",
            UsageKey::Provider => "a.provider",
            UsageKey::Model => "a.model",
            UsageKey::Operation => "r.operation",
            UsageKey::Day => "strftime('%Y-%m-%d', r.created_at / 1000000, 'unixepoch')",
        }
    }

    const fn of_attempt(self) -> bool {
        matches!(self, UsageKey::Provider | UsageKey::Model)
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
    /// Charged for certain, with `wasted`.
    pub charged: Ticks,
    /// Charged for attempts that delivered nothing.
    pub wasted: Ticks,
    /// The maxima of the attempts of which nobody knows the charge.
    pub disputed: Ticks,
    pub saved: Option<Ticks>,
    /// The part of `charged` that prepaid credits paid …
    pub covered: Ticks,
    /// … and what those credits had been bought for.
    pub consumed: Ticks,
    /// What credits had been bought for that expired unused between the times. Belongs to no project and no
    /// request: it stands in totals, and in rows that are grouped by provider or day alone.
    pub expired: Ticks,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// One text per key of the query, in its order; a request without a key has an empty one.
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

impl Store {
    pub async fn usage(&self, query: UsageQuery) -> Result<UsageReport, StoreError> {
        for (at, key) in query.group_by.iter().enumerate() {
            if query.group_by[..at].contains(key) {
                return Err(StoreError::Invalid(format!("{} is named twice in group_by", key.as_str())));
            }
        }
        self.read(move |connection| {
            let mut rows = run(connection, &query, &query.group_by)?;
            let totals = run(connection, &query, &[])?;
            let mut totals = totals.first().map(|row| row.figures).unwrap_or_default();
            if query.project.is_none() {
                totals.expired = expired(connection, &query, &[])?.into_iter().map(|(_, loss)| loss).sum();
                if query.group_by.iter().all(|key| matches!(key, UsageKey::Provider | UsageKey::Day)) {
                    merge(&mut rows, expired(connection, &query, &query.group_by)?);
                }
            }
            Ok(UsageReport { rows, totals })
        })
        .await
    }
}

fn run(connection: &dyn Sql, query: &UsageQuery, group_by: &[UsageKey]) -> Result<Vec<UsageRow>, StoreError> {
    let from = query.from.map_or(i64::MIN, micros);
    let to = query.to.map_or(i64::MAX, micros);
    let project = query.project.as_ref().map(ProjectId::as_str);
    connection
        .query_all(&statement(group_by), params![from, to, project], |row| usage_row(row, group_by.len()))
}

/// The text depends on nothing but the keys of the enum.
pub(crate) fn statement(group_by: &[UsageKey]) -> String {
    let mut columns = String::new();
    let mut places = String::new();
    for (at, key) in group_by.iter().enumerate() {
        let comma = if at > 0 { ", " } else { "" };
        let _ = write!(columns, "{}, ", key.column());
        let _ = write!(places, "{comma}{}", at + 1);
    }
    // A request without attempts has no provider and no model.
    let join = if group_by.iter().any(|key| key.of_attempt()) { "JOIN" } else { "LEFT JOIN" };
    let group =
        if group_by.is_empty() { String::new() } else { format!("GROUP BY {places} ORDER BY {places}") };
    format!(
        "SELECT {columns} count(DISTINCT r.number), coalesce(sum(a.images), 0), count(a.row),
            sum(r.list_ticks) FILTER (WHERE {CARRIES}),
            coalesce(sum(a.charged_ticks), 0),
            coalesce(sum(a.charged_ticks) FILTER (WHERE a.images = 0), 0),
            coalesce(sum(a.reserved_ticks) FILTER (WHERE a.status = 'disputed'), 0),
            sum(r.saved_ticks) FILTER (WHERE {CARRIES}),
            coalesce(sum((SELECT sum(u.covered_ticks) FROM credit_uses u WHERE u.attempt = a.row)), 0),
            coalesce(sum((SELECT sum(u.cost_ticks) FROM credit_uses u WHERE u.attempt = a.row)), 0)
        FROM requests r JOIN projects p ON p.number = r.project
        {join} attempts a ON a.request = r.number
        WHERE r.created_at >= ?1 AND r.created_at < ?2 AND (?3 IS NULL OR p.name = ?3)
        {group}"
    )
}

statements! {
    EXPIRED = "SELECT provider, strftime('%Y-%m-%d', expires_at / 1000000, 'unixepoch'), expired_ticks
        FROM credit_lots WHERE expires_at >= ?1 AND expires_at < ?2 AND expired_ticks > 0";
}

/// Whether this attempt stands for its request.
const CARRIES: &str = "a.row IS NOT DISTINCT FROM (SELECT c.row FROM attempts c WHERE c.request = r.number
                ORDER BY c.images = 0, c.number LIMIT 1)";

/// What expired, by provider and day; a loss falls on the instant of the expiry, whenever it was booked.
fn expired(
    connection: &dyn Sql,
    query: &UsageQuery,
    group_by: &[UsageKey],
) -> Result<Vec<(Vec<String>, Ticks)>, StoreError> {
    let from = query.from.map_or(i64::MIN, micros);
    let to = query.to.map_or(i64::MAX, micros);
    connection.query_all(EXPIRED, params![from, to], |row| {
        let keys = group_by.iter().map(|key| row.get(usize::from(*key == UsageKey::Day)));
        Ok((keys.collect::<Result<Vec<String>, _>>()?, words::ticks(row, 2)?))
    })
}

/// Adds the losses to the rows of their groups; a group without requests gets a row.
fn merge(rows: &mut Vec<UsageRow>, losses: Vec<(Vec<String>, Ticks)>) {
    for (keys, loss) in losses {
        match rows.binary_search_by(|row| row.keys.cmp(&keys)) {
            Ok(at) => rows[at].figures.expired += loss,
            Err(at) => {
                let figures = UsageFigures { expired: loss, ..UsageFigures::default() };
                rows.insert(at, UsageRow { keys, figures });
            }
        }
    }
}

fn usage_row(row: &Row<'_>, keys: usize) -> Result<UsageRow, StoreError> {
    let count = |at: usize| -> Result<u64, StoreError> {
        row.get::<i64>(keys + at).map(|count| u64::try_from(count).expect("a count is not negative"))
    };
    let figures = UsageFigures {
        requests: count(0)?,
        images: count(1)?,
        attempts: count(2)?,
        list: words::ticks_opt(row, keys + 3)?,
        charged: words::ticks(row, keys + 4)?,
        wasted: words::ticks(row, keys + 5)?,
        disputed: words::ticks(row, keys + 6)?,
        saved: words::ticks_opt(row, keys + 7)?,
        covered: words::ticks(row, keys + 8)?,
        consumed: words::ticks(row, keys + 9)?,
        expired: Ticks::ZERO,
    };
    let keys = (0..keys).map(|at| row.get(at)).collect::<Result<_, _>>()?;
    Ok(UsageRow { keys, figures })
}
