//! What room the limits leave: which of several things could be reserved now.
//!
//! A question, and no promise: whoever reserves is asked again, in the transaction that holds the money.

use gallerist_domain::{Payer, Spending, Ticks};
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;

use crate::budgets;
use crate::ledger::amount_in;
use crate::sql::{Sql, params};
use crate::words::{self, micros, statements};
use crate::{Store, StoreError};

/// Something that might be bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub provider: String,
    pub model: String,
    /// The most that it can cost.
    pub maximum: Ticks,
    /// Pictures.
    pub images: u32,
}

statements! {
    CAP = "SELECT cap, settled + held + disputed FROM projects WHERE name = ?1";
    USED = "SELECT settled + held + disputed FROM budget_counters
        WHERE budget = ?1 AND subject = ?2 AND window_start = ?3";
}

impl Store {
    /// The place of the first of these that the project's cap and every budget which refuses leave room for at
    /// `now`.
    pub async fn first_with_room(
        &self,
        payer: Arc<Payer>,
        candidates: Vec<Candidate>,
        now: Timestamp,
    ) -> Result<Option<usize>, StoreError> {
        self.read(move |connection| first(connection, &payer, &candidates, now)).await
    }
}

fn first(
    connection: &dyn Sql,
    payer: &Payer,
    candidates: &[Candidate],
    now: Timestamp,
) -> Result<Option<usize>, StoreError> {
    let (cap, spent) = connection
        .query_opt(CAP, params![payer.project.as_str()], |row| {
            Ok((words::ticks_opt(row, 0)?, words::ticks(row, 1)?))
        })?
        .ok_or_else(|| StoreError::UnknownProject(payer.project.clone()))?;
    let budgets = budgets::load(connection)?;
    let refusing: Vec<_> =
        budgets.iter().filter(|live| !live.removed && live.budget.mode.refuses()).collect();
    let mut known: HashMap<(i64, String), i64> = HashMap::new();
    'candidates: for (place, candidate) in candidates.iter().enumerate() {
        let within = |cap: Ticks| spent.checked_add(candidate.maximum).is_some_and(|sum| sum <= cap);
        if !cap.is_none_or(within) {
            continue;
        }
        let spending = Spending { payer, provider: &candidate.provider, model: &candidate.model };
        for live in &refusing {
            let Some(subject) = live.budget.scope.subject(&spending) else { continue };
            let asked = amount_in(live.budget.unit, candidate.maximum, candidate.images);
            let used = match known.get(&(live.number, subject.clone())) {
                Some(used) => *used,
                None => {
                    let start = micros(live.budget.window.around(now, &live.zone).start);
                    let asked_of = params![live.number, subject, start];
                    let used = connection.query_opt(USED, asked_of, |row| row.get(0))?.unwrap_or(0);
                    known.insert((live.number, subject), used);
                    used
                }
            };
            if used.checked_add(asked).is_none_or(|sum| sum > live.budget.limit) {
                continue 'candidates;
            }
        }
        return Ok(Some(place));
    }
    Ok(None)
}
