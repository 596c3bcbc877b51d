//! What a new budget's window has seen before the budget was made.
//!
//! It may be a month of attempts, which the writer has no time to look through. So a reader sums up what is over for
//! a while, by who pays and where; the writer adds the last minutes, looks again at what was open then, and makes
//! sure that nothing came late. What is settled by then moves no more, so it leaves one opening balance a counter,
//! as deleted requests do; only what is still open gets shares that its end will move.

use gallerist_domain::budget::Part;
use gallerist_domain::{Budget, BudgetUnit, Payer, Spending};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::StoreError;
use crate::sql::{Row, Sql, params};
use crate::words::{self, AttemptStatus, micros, statements};

/// Microseconds that a reservation may take from the instant that it bears to its commit, before the writer has to
/// look for it.
const LATE: i64 = 5 * 60 * 1_000_000;
/// Microseconds before that in which the writer makes sure that nothing came late.
const DOUBT: i64 = 60 * 60 * 1_000_000;

statements! {
    // The client's own words are at the end of long rows, so they are read only where the budget speaks of them.
    SETTLED = "SELECT p.name, r.key_id, CASE WHEN ?3 THEN r.end_user END, CASE WHEN ?4 THEN r.tags_json END,
            a.provider, a.model, sum(a.charged_ticks), sum(a.images), sum(a.doubtful_ticks)
        FROM attempts a JOIN requests r ON r.number = a.request JOIN projects p ON p.number = r.project
        WHERE a.created_at >= ?1 AND a.created_at < ?2 AND a.status = 'settled' GROUP BY 1, 2, 3, 4, 5, 6";
    OPEN = "SELECT a.row FROM attempts a WHERE a.created_at >= ?1 AND a.created_at < ?2
        AND (a.status = 'reserved' OR a.status = 'disputed') /* OPEN a */";
    ONE = "SELECT p.name, r.key_id, r.end_user, r.tags_json, a.provider, a.model, a.charged_ticks, a.images,
            a.doubtful_ticks, a.status, a.reserved_ticks, a.images_asked
        FROM attempts a JOIN requests r ON r.number = a.request JOIN projects p ON p.number = r.project
        WHERE a.row = ?1";
    SEEN = "SELECT count(*), coalesce(sum(a.row), 0) FROM attempts a WHERE a.created_at >= ?1 AND a.created_at < ?2";
    COUNTER_OPEN = "INSERT INTO budget_counters (budget, subject, window_start, window_end, settled, held,
        disputed, doubtful) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    OPENING = "INSERT INTO counter_openings (counter, settled) VALUES (?1, ?2)";
    SHARE_OPEN = "INSERT INTO attempt_counters (attempt, counter, held) VALUES (?1, ?2, ?3)";
    ATTEMPT_COUNTED = "UPDATE attempts SET counters = counters + 1 WHERE row = ?1";
}

/// What is settled, in the budget's unit, and the part of it that rests on doubtful prices.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    amount: i64,
    doubtful: i64,
}

impl Spent {
    fn add(&mut self, more: Spent) {
        self.amount += more.amount;
        self.doubtful += more.doubtful;
    }
}

/// What a reader has seen.
#[derive(Debug)]
pub(super) struct Before {
    /// From here on the writer counts, in microseconds.
    until: i64,
    /// By subject, in the budget's unit.
    settled: BTreeMap<String, Spent>,
    /// Rows of attempts that were reserved or disputed.
    open: Vec<i64>,
    /// How many rows there were shortly before `until`, and the sum of their numbers.
    seen: (i64, i64),
}

impl Before {
    /// Nothing: the writer looks through everything.
    pub(super) fn nothing() -> Before {
        Before { until: i64::MIN, settled: BTreeMap::new(), open: Vec::new(), seen: (0, 0) }
    }

    pub(super) fn read(connection: &dyn Sql, budget: &Budget) -> Result<Before, StoreError> {
        let start = micros(budget.window_around(budget.created_at).start);
        let until = (micros(budget.created_at) - LATE).max(start);
        Ok(Before {
            until,
            settled: settled(connection, budget, (start, until))?,
            open: connection.query_all(OPEN, params![start, until], |row| row.get(0))?,
            seen: seen(connection, start, until)?,
        })
    }
}

fn seen(connection: &dyn Sql, start: i64, until: i64) -> Result<(i64, i64), StoreError> {
    let from = start.max(until.saturating_sub(DOUBT));
    connection.query_row(SEEN, params![from, until], |row| Ok((row.get(0)?, row.get(1)?)))
}

fn settled(
    connection: &dyn Sql,
    budget: &Budget,
    (from, to): (i64, i64),
) -> Result<BTreeMap<String, Spent>, StoreError> {
    let scope = &budget.scope;
    let (users, tags) = (scope.end_user != Part::All, scope.tag.is_some());
    let mut sums: BTreeMap<String, Spent> = BTreeMap::new();
    connection.query(SETTLED, params![from, to, users, tags], &mut |row| {
        if let Some(subject) = subject(row, budget)? {
            sums.entry(subject).or_default().add(spent(row, budget)?);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(sums)
}

/// An attempt that may still end.
struct Open {
    row: i64,
    held: i64,
    disputed: bool,
}

/// A counter that is to be made.
#[derive(Default)]
struct Opening {
    settled: Spent,
    open: Vec<Open>,
}

/// Whether nothing came late into what a reader has seen.
pub(super) fn is_whole(connection: &dyn Sql, budget: &Budget, before: &Before) -> Result<bool, StoreError> {
    let start = micros(budget.window_around(budget.created_at).start);
    Ok(before.until <= start || seen(connection, start, before.until)? == before.seen)
}

/// Makes the counters of a budget.
pub(super) fn count(
    connection: &dyn Sql,
    number: i64,
    budget: &Budget,
    before: &Before,
) -> Result<(), StoreError> {
    let window = budget.window_around(budget.created_at);
    let until = before.until.max(micros(window.start));
    let mut openings: BTreeMap<String, Opening> = BTreeMap::new();
    let late = settled(connection, budget, (until, i64::MAX))?;
    for (subject, settled) in before.settled.iter().chain(&late) {
        openings.entry(subject.clone()).or_default().settled.add(*settled);
    }
    let open: Vec<i64> = connection.query_all(OPEN, params![until, i64::MAX], |row| row.get(0))?;
    for row in before.open.iter().chain(&open) {
        connection.query_opt(ONE, params![row], |found| take(&mut openings, found, budget, *row))?;
    }
    for (subject, Opening { settled, open }) in openings {
        let held_as = |disputed| open.iter().filter(move |one| one.disputed == disputed).map(|one| one.held);
        let (held, disputed): (i64, i64) = (held_as(false).sum(), held_as(true).sum());
        let (start, end) = (micros(window.start), window.end.map(micros));
        let Spent { amount: settled, doubtful } = settled;
        let counter = connection
            .insert(COUNTER_OPEN, params![number, subject, start, end, settled, held, disputed, doubtful])?;
        if settled != 0 {
            connection.change_one(OPENING, params![counter, settled])?;
        }
        for Open { row, held, .. } in &open {
            connection.change_one(SHARE_OPEN, params![row, counter, held])?;
            connection.change_one(ATTEMPT_COUNTED, params![row])?;
        }
    }
    Ok(())
}

/// Counts an attempt that was open: as it is now.
fn take(
    openings: &mut BTreeMap<String, Opening>,
    found: &Row<'_>,
    budget: &Budget,
    row: i64,
) -> Result<(), StoreError> {
    let Some(subject) = subject(found, budget)? else { return Ok(()) };
    let status = words::word(found, 9, AttemptStatus::from_word)?;
    let opening = openings.entry(subject).or_default();
    match status {
        AttemptStatus::Released => {}
        AttemptStatus::Settled => opening.settled.add(spent(found, budget)?),
        AttemptStatus::Reserved | AttemptStatus::Disputed => {
            let held = match budget.unit {
                BudgetUnit::Usd => found.get(10)?,
                BudgetUnit::Images => found.get(11)?,
            };
            opening.open.push(Open { row, held, disputed: status == AttemptStatus::Disputed });
        }
    }
    Ok(())
}

/// Whose counter this row counts in; `None` where the budget does not speak of it.
fn subject(row: &Row<'_>, budget: &Budget) -> Result<Option<String>, StoreError> {
    let payer = payer(row)?;
    let spending = Spending { payer: &payer, provider: row.get(4)?, model: row.get(5)? };
    Ok(budget.scope.subject(&spending))
}

fn spent(row: &Row<'_>, budget: &Budget) -> Result<Spent, StoreError> {
    Ok(match budget.unit {
        BudgetUnit::Usd => Spent { amount: row.get(6)?, doubtful: row.get(8)? },
        BudgetUnit::Images => Spent { amount: row.get(7)?, doubtful: 0 },
    })
}

/// Project, key, end user and tags are the first columns.
fn payer(row: &Row<'_>) -> Result<Payer, StoreError> {
    let tags: Option<&str> = row.get(3)?;
    Ok(Payer {
        project: words::project(row, 0)?,
        key_id: row.get(1)?,
        end_user: row.get(2)?,
        tags: match tags {
            Some(_) => words::json(row, 3)?,
            None => BTreeMap::new(),
        },
    })
}
