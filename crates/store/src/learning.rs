//! What routing learns from: the credits that were bought, what was charged lately, and the charges that quantities
//! are learned from, a bounded look back over settled attempts.
//!
//! It refuses to understand them: what a charge's text says is for whoever wrote it.

use crate::credits::{DailyCharges, LotRecord, all_lots, daily};
use crate::sql::{Sql, params};
use crate::words::{self, statements};
use crate::{Store, StoreError, StoreUrl, postgres, sqlite};
use gallerist_domain::Ticks;
use jiff::Timestamp;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;

/// What routing learns from.
#[derive(Clone, Debug, Default)]
pub struct Experience {
    pub lots: Vec<LotRecord>,
    /// Of the last days, by provider.
    pub charges: Vec<DailyCharges>,
    /// Newest first.
    pub settled: Vec<SettledCharge>,
}

/// How far back one looks.
#[derive(Clone, Debug)]
pub struct LookBack {
    pub days: u32,
    /// Of these offers alone.
    pub offers: HashSet<String>,
    /// The newest attempts, of which the settled ones count.
    pub attempts_max: u32,
}

/// A charge that is known for certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledCharge {
    pub offer: String,
    pub basis: String,
    pub charged: Ticks,
    pub charge_json: String,
    /// Whether the call failed, or brought nothing of use.
    pub failed: bool,
}

statements! {
    SETTLED = "SELECT offer, basis, charged_ticks, charge_json, fault_json FROM attempts
        WHERE row > (SELECT coalesce(max(row), 0) FROM attempts) - ?1 AND status = 'settled'
            AND basis IS NOT NULL AND charge_json IS NOT NULL ORDER BY row DESC";
}

impl Store {
    /// What routing learns from at this instant.
    pub async fn experience(&self, back: LookBack, now: Timestamp) -> Result<Experience, StoreError> {
        self.read(move |connection| experience(connection, &back, now)).await
    }
}

/// As [`Store::experience`], without opening the books: beside a gateway that has them open. `None` where there are no
/// books.
///
/// # Errors
/// When there are books that cannot be read, such as those of an earlier version.
pub fn peek_experience(
    data_dir: &Path,
    url: Option<&StoreUrl>,
    back: &LookBack,
    now: Timestamp,
) -> Result<Option<Experience>, StoreError> {
    let read = |connection: &dyn Sql| experience(connection, back, now).map(Some);
    match url {
        None => sqlite::peek(data_dir, read),
        Some(url) => postgres::peek(url, read),
    }
}

fn experience(connection: &dyn Sql, back: &LookBack, now: Timestamp) -> Result<Experience, StoreError> {
    let lots = all_lots(connection)?;
    let charges = match lots.iter().any(|record| record.lot.is_open(now)) {
        true => daily(connection, back.days, now)?,
        false => Vec::new(),
    };
    let settled = match back.offers.is_empty() {
        true => Vec::new(),
        false => settled(connection, &back.offers, back.attempts_max)?,
    };
    Ok(Experience { lots, charges, settled })
}

fn settled(
    connection: &dyn Sql,
    offers: &HashSet<String>,
    attempts_max: u32,
) -> Result<Vec<SettledCharge>, StoreError> {
    let mut found = Vec::new();
    connection.query(SETTLED, params![attempts_max], &mut |row| {
        // Most rows are of other offers: their texts are not copied.
        if let Some(offer) = offers.get(row.get::<&str>(0)?) {
            found.push(SettledCharge {
                offer: offer.clone(),
                basis: row.get(1)?,
                charged: words::ticks(row, 2)?,
                charge_json: row.get(3)?,
                failed: row.get::<Option<&str>>(4)?.is_some(),
            });
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}
