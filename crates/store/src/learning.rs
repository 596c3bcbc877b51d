//! The charges that quantities are learned from: a bounded look back over settled attempts.
//!
//! It refuses to understand them: what a charge's text says is for whoever wrote it.

use gallerist_domain::Ticks;
use std::collections::HashSet;
use std::ops::ControlFlow;

use crate::sql::{Sql, params};
use crate::words::{self, statements};
use crate::{Store, StoreError};

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
    /// The settled charges of these offers among the newest attempts, newest first.
    pub async fn settled_charges(
        &self,
        offers: HashSet<String>,
        attempts_max: u32,
    ) -> Result<Vec<SettledCharge>, StoreError> {
        self.read(move |connection| settled(connection, &offers, attempts_max)).await
    }
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
