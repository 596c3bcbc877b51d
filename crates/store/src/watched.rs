//! Figures that the watch over prices and costs looks at, and what it remembers.
//!
//! It refuses to judge them: that is `pricing::watch`.

use gallerist_domain::{NewAlert, ProjectId, Ticks};
use jiff::Timestamp;
use std::collections::BTreeMap;

use crate::alerts;
use crate::sql::{Row, Sql, params};
use crate::words::{self, micros, statements};
use crate::{Store, StoreError};

/// The newest attempts that say which offers are in use.
const ATTEMPTS_MAX: u32 = 20_000;
const DAY_MICROSECONDS: i64 = 86_400_000_000;

/// What a model did for a project on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelDay {
    pub project: ProjectId,
    pub model: String,
    /// Whole days since the start of the query.
    pub day: u32,
    pub charged: Ticks,
    /// The part of it that rests on prices below official, or read long before.
    pub doubtful: Ticks,
    /// Delivered.
    pub images: u64,
    /// That have ended.
    pub attempts: u64,
}

statements! {
    OFFERS_IN_USE = "SELECT DISTINCT newest.offer FROM
        (SELECT offer, created_at FROM attempts ORDER BY row DESC LIMIT ?2) AS newest
        WHERE newest.created_at >= ?1";
    MODEL_DAYS = "SELECT p.name, a.model, (r.created_at - ?1) / ?3, sum(a.charged_ticks), sum(a.images),
            count(*), sum(a.doubtful_ticks)
        FROM requests r JOIN attempts a ON a.request = r.number JOIN projects p ON p.number = r.project
        WHERE r.created_at >= ?1 AND r.created_at < ?2 AND a.status <> 'reserved'
        GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";
    KNOWN_PRICES = "SELECT offer, prices_json FROM known_prices";
    KNOWN_INSERT = "INSERT INTO known_prices (offer, prices_json, seen_at) VALUES (?1, ?2, ?3)
        ON CONFLICT (offer) DO NOTHING";
    KNOWN_CHANGE = "UPDATE known_prices SET prices_json = ?2, seen_at = ?3 WHERE offer = ?1
        AND prices_json = ?4";
}

impl Store {
    /// The offers that the newest attempts since then were made at.
    pub async fn offers_in_use(&self, since: Timestamp) -> Result<Vec<String>, StoreError> {
        let values = (micros(since), ATTEMPTS_MAX);
        self.read(move |connection| {
            connection.query_all(OFFERS_IN_USE, params![values.0, values.1], |row| row.get(0))
        })
        .await
    }

    /// What each model did for each project on the whole days between the midnights `since` and `until`. A
    /// request counts on the day on which it was accepted.
    pub async fn model_days(&self, since: Timestamp, until: Timestamp) -> Result<Vec<ModelDay>, StoreError> {
        self.read(move |connection| {
            let (since, until) = (micros(since), micros(until));
            connection.query_all(MODEL_DAYS, params![since, until, DAY_MICROSECONDS], model_day)
        })
        .await
    }

    /// JSON text of what was last told of each offer.
    pub async fn known_prices(&self) -> Result<BTreeMap<String, String>, StoreError> {
        self.read(|connection| {
            connection.query_all(KNOWN_PRICES, params![], |row| Ok((row.get(0)?, row.get(1)?)))
        })
        .await
    }

    /// Remembers the prices of an offer and raises the alerts about what became of `before`, unless somebody
    /// else has done so meanwhile.
    pub async fn note_prices(
        &self,
        offer: String,
        before: Option<String>,
        after: String,
        alerts: Vec<NewAlert>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |writing| {
            if noted(writing.connection, &offer, before.as_deref(), &after, now)? {
                alerts.iter().try_for_each(|alert| alerts::insert(writing, alert))?;
            }
            Ok(())
        })
        .await
    }
}

fn noted(
    connection: &dyn Sql,
    offer: &str,
    before: Option<&str>,
    after: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let changed = match before {
        None => connection.execute(KNOWN_INSERT, params![offer, after, micros(now)])?,
        Some(before) => connection.execute(KNOWN_CHANGE, params![offer, after, micros(now), before])?,
    };
    Ok(changed == 1)
}

fn model_day(row: &Row<'_>) -> Result<ModelDay, StoreError> {
    let count = |column: usize| -> Result<u64, StoreError> {
        row.get::<i64>(column).map(|count| u64::try_from(count).expect("a count is not negative"))
    };
    Ok(ModelDay {
        project: words::project(row, 0)?,
        model: row.get(1)?,
        day: row.get(2)?,
        charged: words::ticks(row, 3)?,
        images: count(4)?,
        attempts: count(5)?,
        doubtful: words::ticks(row, 6)?,
    })
}
