//! Roll-ups by day: made when a day is over, told stale by whatever touches it later, made anew.
//!
//! A day is summed up on a reader, so that the writer is not held up, and written only if nothing has touched
//! it since. The transaction that settles late or resolves a dispute counts the day's version up; until the
//! next roll-up that day is read from its raw rows, so the figures are exact at every moment.

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::statement;
use crate::sql::{Row, Sql, ToValue, Value, params};
use crate::words::{micros, statements};
use crate::{Store, StoreError};

/// Microseconds.
pub(crate) const DAY: i64 = 86_400_000_000;
/// A day is rolled up when it is over for so long: by then what was accepted in it has been written.
const PATIENCE: i64 = DAY / 24;

statements! {
    TOUCH = "INSERT INTO usage_states (day, version) VALUES (?1, 1)
        ON CONFLICT (day) DO UPDATE SET version = usage_states.version + 1";
    STATES = "SELECT day, version, rolled_version, purged_at FROM usage_states ORDER BY day";
    BEGIN = "INSERT INTO usage_states (day, version) VALUES (?1, 0) ON CONFLICT (day) DO NOTHING";
    STATE = "SELECT version FROM usage_states WHERE day = ?1 AND purged_at IS NULL /* FOR UPDATE */";
    ROLLED = "INSERT INTO usage_states (day, version, rolled_version) VALUES (?1, ?2, ?2)
        ON CONFLICT (day) DO UPDATE SET rolled_version = ?2";
    FRESH = "SELECT day, purged_at FROM usage_states WHERE (rolled_version = version OR purged_at IS NOT NULL)
        AND day >= ?1 AND day < ?2 ORDER BY day";
    FIRST = "SELECT min(created_at) FROM requests";
}

/// A row of a roll-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    project: i64,
    texts: Vec<String>,
    figures: Vec<i64>,
}

impl Store {
    /// Rolls up every day that is over and was not, or was touched since; how many.
    pub async fn roll_up(&self, now: Timestamp) -> Result<u32, StoreError> {
        let due = self.read(move |connection| due(connection, micros(now))).await?;
        let mut days = 0;
        for (day, version) in due {
            let cells = self.read(move |connection| both(connection, day, cells)).await?;
            let cells = Arc::new(cells);
            let written = self.write(move |writing| replace(writing.connection, (day, version), &cells));
            days += u32::from(written.await?);
        }
        Ok(days)
    }
}

/// Marks the roll-up of a request's day as stale. The day of `now` has none.
pub(crate) fn touch(connection: &dyn Sql, created_at: i64, now: Timestamp) -> Result<(), StoreError> {
    let day = created_at.div_euclid(DAY);
    if day < micros(now).div_euclid(DAY) { connection.change(TOUCH, params![day]) } else { Ok(()) }
}

struct State {
    version: i64,
    fresh: bool,
    purged: bool,
}

fn states(connection: &dyn Sql) -> Result<BTreeMap<i64, State>, StoreError> {
    connection.query_all(STATES, params![], |row| {
        let version = row.get(1)?;
        let fresh = row.get::<Option<i64>>(2)? == Some(version);
        Ok((row.get(0)?, State { version, fresh, purged: row.get::<Option<i64>>(3)?.is_some() }))
    })
}

/// The days that want a roll-up, with the versions that are to be summed up.
fn due(connection: &dyn Sql, now: i64) -> Result<Vec<(i64, i64)>, StoreError> {
    let Some(first) = connection.query_row(FIRST, params![], |row| row.get::<Option<i64>>(0))? else {
        return Ok(Vec::new());
    };
    let states = states(connection)?;
    let days = first.div_euclid(DAY)..(now - PATIENCE).div_euclid(DAY);
    let due = days.filter_map(|day| match states.get(&day) {
        None => Some((day, 0)),
        Some(state) => (!state.fresh && !state.purged).then_some((day, state.version)),
    });
    Ok(due.collect())
}

type Source = fn(&dyn Sql, i64, bool) -> Result<Vec<Cell>, StoreError>;

/// The rows of a day in both roll-ups.
fn both(connection: &dyn Sql, day: i64, source: Source) -> Result<[Vec<Cell>; 2], StoreError> {
    Ok([source(connection, day, false)?, source(connection, day, true)?])
}

fn cells(connection: &dyn Sql, day: i64, payers: bool) -> Result<Vec<Cell>, StoreError> {
    let (begin, end) = (day * DAY, (day + 1) * DAY);
    connection.query_all(&statement::cells(payers), params![begin, end], |row| cell(row, payers))
}

fn stored(connection: &dyn Sql, day: i64, payers: bool) -> Result<Vec<Cell>, StoreError> {
    connection.query_all(&statement::stored(payers), params![day], |row| cell(row, payers))
}

fn cell(row: &Row<'_>, payers: bool) -> Result<Cell, StoreError> {
    let texts = statement::texts(payers);
    Ok(Cell {
        project: row.get(0)?,
        texts: (1..=texts).map(|at| row.get(at)).collect::<Result<_, _>>()?,
        figures: (0..statement::STORED).map(|at| row.get(1 + texts + at)).collect::<Result<_, _>>()?,
    })
}

/// Writes a day's roll-ups, unless something touched the day since it was summed up.
fn replace(
    connection: &dyn Sql,
    (day, version): (i64, i64),
    cells: &[Vec<Cell>; 2],
) -> Result<bool, StoreError> {
    // The day's row is locked, because another replica may sum up the same day.
    connection.change(BEGIN, params![day])?;
    if connection.query_opt(STATE, params![day], |row| row.get::<i64>(0))? != Some(version) {
        return Ok(false);
    }
    for (payers, cells) in [false, true].into_iter().zip(cells) {
        connection.change(&statement::delete(payers), params![day])?;
        let insert = statement::insert(payers);
        for cell in cells {
            let mut values: Vec<Value<'_>> = vec![day.to_value(), cell.project.to_value()];
            values.extend(cell.texts.iter().map(ToValue::to_value));
            values.extend(cell.figures.iter().map(ToValue::to_value));
            connection.change(&insert, &values)?;
        }
    }
    connection.change(ROLLED, params![day, version])?;
    Ok(true)
}

/// The part of a query that its roll-ups answer, and the rest.
#[derive(Debug, Default)]
pub(super) struct Segments {
    /// From this day to before that one.
    pub(super) rolled: Vec<(i64, i64)>,
    /// From this instant to before that one, in microseconds.
    pub(super) raw: Vec<(i64, i64)>,
}

/// Cuts the time between two instants. Of days whose rows are deleted only the whole is known: they belong to
/// the time in which they begin.
pub(super) fn segments(connection: &dyn Sql, from: i64, to: i64) -> Result<Segments, StoreError> {
    let (from, to) = (from.max(i64::MIN / 2), to.min(i64::MAX / 2));
    let begins_in = -(-from).div_euclid(DAY)..-(-to).div_euclid(DAY);
    let fresh: Vec<(i64, bool)> =
        connection.query_all(FRESH, params![begins_in.start, begins_in.end], |row| {
            Ok((row.get(0)?, row.get::<Option<i64>>(1)?.is_some()))
        })?;
    let mut segments = Segments::default();
    let mut reached = from;
    for (day, purged) in fresh {
        let (begin, end) = (day * DAY, (day + 1) * DAY);
        if end > to && !purged {
            continue;
        }
        if reached < begin {
            segments.raw.push((reached, begin));
        }
        match segments.rolled.last_mut() {
            Some((_, before)) if *before == day => *before = day + 1,
            _ => segments.rolled.push((day, day + 1)),
        }
        reached = end;
    }
    if reached < to {
        segments.raw.push((reached, to));
    }
    Ok(segments)
}

/// Each roll-up that differs from its raw rows, in words.
pub(crate) fn audit(connection: &dyn Sql) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    for (day, state) in states(connection)? {
        if state.fresh && !state.purged && both(connection, day, cells)? != both(connection, day, stored)? {
            found.push(format!("the roll-up of day {day} differs from its requests"));
        }
    }
    Ok(found)
}
