//! Accounts and entries: the only code that writes an amount.
//!
//! A movement is booked as two or three legs that sum to zero. Account names are looked up once and
//! remembered by the writer until a command is refused or a commit fails.

use gallerist_domain::{BudgetUnit, ProjectId, Ticks};
use std::collections::{HashMap, HashSet};

use super::counters::Counters;
use super::open::Open;
use crate::StoreError;
use crate::error::Breach;
use crate::projects::cap_reach_words;
use crate::sql::{Row, Sql, Tally, params};
use crate::words::{self, Movement, statements};

statements! {
    PROJECT_BY_NAME =
        "SELECT number, available_account, held_account, disputed_account FROM projects WHERE name = ?1";
    PROJECT_BY_NUMBER =
        "SELECT number, available_account, held_account, disputed_account FROM projects WHERE number = ?1";
    ACCOUNT = "SELECT number FROM accounts WHERE name = ?1";
    ACCOUNT_INSERT = "INSERT INTO accounts (name) VALUES (?1)";
    // FAIL, because undoing half of a statement would cost a copy of each page; the writer undoes it all.
    BOOK_TWO = "INSERT OR FAIL INTO entries (attempt, place, account, amount, at, kind) VALUES
        (?1, ?2, ?5, ?6, ?3, ?4), (?1, ?2 + 1, ?7, ?8, ?3, ?4) /* TOGETHER LAST */";
    BOOK_THREE = "INSERT OR FAIL INTO entries (attempt, place, account, amount, at, kind) VALUES
        (?1, ?2, ?5, ?6, ?3, ?4), (?1, ?2 + 1, ?7, ?8, ?3, ?4), (?1, ?2 + 2, ?9, ?10, ?3, ?4)
        /* TOGETHER LAST */";
    HOLD_WITHIN_CAP = "UPDATE projects
        SET settled = settled + ?2, held = held + ?3, disputed = disputed + ?4, doubtful = doubtful + ?5
        WHERE number = ?1 AND (cap IS NULL OR settled + held + disputed + ?2 + ?3 + ?4 <= cap)";
    MOVE_TOTALS = "UPDATE projects
        SET settled = settled + ?2, held = held + ?3, disputed = disputed + ?4, doubtful = doubtful + ?5
        WHERE number = ?1";
    SUMS = "SELECT settled, held, disputed, doubtful, cap FROM projects WHERE number = ?1";
    TOTALS = "SELECT cap, settled, held, disputed, created_at, doubtful FROM projects WHERE number = ?1";
}

static PROJECT_TOTALS: Tally = Tally { read: SUMS, within: HOLD_WITHIN_CAP, plain: MOVE_TOTALS };

/// A project's row number and accounts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProjectAccounts {
    pub(crate) number: i64,
    pub(crate) available: i64,
    pub(crate) held: i64,
    pub(crate) disputed: i64,
}

/// Row numbers that were looked up before.
#[derive(Default)]
pub(crate) struct Names {
    by_name: HashMap<ProjectId, ProjectAccounts>,
    by_number: HashMap<i64, ProjectAccounts>,
    payable: HashMap<String, i64>,
    /// Providers with credits left; `None` until somebody asks.
    pub(super) prepaid: Option<HashSet<String>>,
    pub(crate) counters: Counters,
    pub(crate) open: Open,
}

impl Names {
    /// Forgets everything, since rows may have been rolled back.
    pub(crate) fn forget(&mut self) {
        *self = Names::default();
    }

    /// The project, if it was looked up before.
    pub(super) fn known_project(&self, project: &ProjectId) -> Option<ProjectAccounts> {
        self.by_name.get(project).copied()
    }

    pub(crate) fn project(
        &mut self,
        connection: &dyn Sql,
        project: &ProjectId,
    ) -> Result<ProjectAccounts, StoreError> {
        if let Some(found) = self.by_name.get(project) {
            return Ok(*found);
        }
        let found = connection
            .query_opt(PROJECT_BY_NAME, params![project.as_str()], project_accounts)?
            .ok_or_else(|| StoreError::UnknownProject(project.clone()))?;
        self.by_name.insert(project.clone(), found);
        self.by_number.insert(found.number, found);
        Ok(found)
    }

    /// The project of a row that refers to it by number, so it exists.
    pub(crate) fn project_by_number(
        &mut self,
        connection: &dyn Sql,
        number: i64,
    ) -> Result<ProjectAccounts, StoreError> {
        if let Some(found) = self.by_number.get(&number) {
            return Ok(*found);
        }
        let found = connection.query_row(PROJECT_BY_NUMBER, params![number], project_accounts)?;
        self.by_number.insert(number, found);
        Ok(found)
    }

    /// The account of what we owe a provider; made when first needed.
    pub(crate) fn payable(&mut self, connection: &dyn Sql, provider: &str) -> Result<i64, StoreError> {
        if let Some(found) = self.payable.get(provider) {
            return Ok(*found);
        }
        let name = format!("provider:{provider}:payable");
        let found = connection.query_opt(ACCOUNT, params![&name], |row| row.get(0))?;
        let account = match found {
            Some(account) => account,
            None => connection.insert(ACCOUNT_INSERT, params![&name])?,
        };
        self.payable.insert(provider.to_owned(), account);
        Ok(account)
    }
}

fn project_accounts(row: &Row<'_>) -> Result<ProjectAccounts, StoreError> {
    Ok(ProjectAccounts {
        number: row.get(0)?,
        available: row.get(1)?,
        held: row.get(2)?,
        disputed: row.get(3)?,
    })
}

/// Where and when a movement is booked.
pub(crate) struct Booking {
    /// Row number of the attempt.
    pub(crate) attempt: i64,
    pub(crate) kind: Movement,
    /// Microseconds.
    pub(crate) at: i64,
}

impl Booking {
    /// The first of the places that this movement's legs take. An end of any kind takes the same places,
    /// so that a second end violates the primary key.
    fn first_place(&self) -> i64 {
        match self.kind {
            Movement::Reserve => 0,
            Movement::Settle | Movement::Release | Movement::Dispute => 2,
            Movement::Resolve => 5,
            Movement::Purchase | Movement::Consume | Movement::Expire => {
                unreachable!("credits have entries of their own")
            }
        }
    }
}

/// Books a movement: two or three legs of account and amount.
pub(crate) fn book(connection: &dyn Sql, booking: &Booking, legs: &[(i64, Ticks)]) -> Result<(), StoreError> {
    let sum: Ticks = legs.iter().map(|(_, amount)| *amount).sum();
    assert!(sum.is_zero(), "the legs of a movement sum to {sum}, not to zero");
    let Booking { attempt, kind, at } = booking;
    let (place, kind) = (booking.first_place(), kind.as_str());
    match *legs {
        [(a, x), (b, y)] => connection.put(BOOK_TWO, params![attempt, place, at, kind, a, x, b, y], Some(2)),
        [(a, x), (b, y), (c, z)] => {
            connection.put(BOOK_THREE, params![attempt, place, at, kind, a, x, b, y, c, z], Some(3))
        }
        _ => panic!("a movement has two or three legs, not {}", legs.len()),
    }
}

/// Adds `asked` to what the project holds, or refuses when that would pass its cap.
pub(crate) fn hold_within_cap(
    connection: &dyn Sql,
    (number, project): (i64, &ProjectId),
    asked: Ticks,
) -> Result<(), StoreError> {
    assert!(!asked.is_negative(), "a reservation holds nothing negative");
    if connection.tally(&PROJECT_TOTALS, number, [0, asked.get(), 0, 0], true)? {
        return Ok(());
    }
    let breach = connection.query_row(TOTALS, params![number], |row| {
        let limit: i64 = row.get(0)?;
        let unit = BudgetUnit::Usd;
        Ok(Breach {
            budget: None,
            name: String::new(),
            reach: cap_reach_words(project),
            subject: String::new(),
            unit,
            limit,
            settled: row.get(1)?,
            held: row.get(2)?,
            disputed: row.get(3)?,
            doubtful: row.get(5)?,
            asked: asked.get(),
            project: Some(project.clone()),
            window_start: Some(words::timestamp(row, 4)?),
            resets_at: None,
            about_offers: false,
            named_by_clients: false,
        })
    })?;
    Err(StoreError::BudgetExceeded(Box::new(breach)))
}

/// How a command changes a project's running totals.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) settled: Ticks,
    pub(crate) held: Ticks,
    pub(crate) disputed: Ticks,
    /// Of what is settled.
    pub(crate) doubtful: Ticks,
}

pub(crate) fn move_totals(connection: &dyn Sql, project: i64, change: Totals) -> Result<(), StoreError> {
    let Totals { settled, held, disputed, doubtful } = change;
    let change = [settled, held, disputed, doubtful].map(Ticks::get);
    connection.tally(&PROJECT_TOTALS, project, change, false)?;
    Ok(())
}
