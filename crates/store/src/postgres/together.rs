//! What several commands of a group do with the same statement, done with one: its values become columns.
//!
//! A statement says in a comment that it may run for many rows at once, and where: `TOGETHER FIRST` and then
//! `TOGETHER SECOND` ahead of everything that is sent with it, because others refer to its rows and it to none of
//! theirs; `TOGETHER LAST` behind everything, because nothing refers to what it writes. Looking up ahead may
//! always be done together. Rows that a statement had to change are counted over all of it.

use std::sync::{Arc, OnceLock};
use tokio_postgres::types::Type;
use tokio_postgres::{Row, Statement};

use super::connection::Queued;
use crate::StoreError;
use crate::sql::Owned;

/// Where the rows of all commands are written, by the comment that says so.
const PLACES: [(&str, Place); 3] = [
    ("/* TOGETHER FIRST */", Place::First),
    ("/* TOGETHER SECOND */", Place::Second),
    ("/* TOGETHER LAST */", Place::Last),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    First,
    Second,
    Last,
}

/// The form of a statement for many rows.
pub(super) struct Together {
    place: Place,
    text: String,
    /// Prepared when it is first needed.
    statement: OnceLock<Statement>,
}

impl Together {
    /// Of a statement in PostgreSQL's dialect, if its comment allows that.
    pub(super) fn of(text: &str, types: &[Type]) -> Option<Arc<Together>> {
        let (_, place) = PLACES.into_iter().find(|(comment, _)| text.contains(comment))?;
        Some(Arc::new(Together { place, text: writing_many(text, types), statement: OnceLock::new() }))
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// `$1` as the first column of the values.
fn with_columns(text: &str) -> String {
    text.replace('$', "v.p")
}

/// The values as rows of `v`: a column for each, named after its place.
fn values(types: &[Type], place: &str) -> String {
    let arrays: Vec<String> =
        types.iter().enumerate().map(|(at, kind)| format!("${}::{}[]", at + 1, kind.name())).collect();
    let names: Vec<String> = (1..=types.len()).map(|at| format!("p{at}")).collect();
    let (arrays, names) = (arrays.join(", "), names.join(", "));
    match place {
        "" => format!("unnest({arrays}) AS v({names})"),
        place => format!("unnest({arrays}) WITH ORDINALITY AS v({names}, {place})"),
    }
}

/// An insertion of rows of values, or an update with one condition, for many values.
fn writing_many(text: &str, types: &[Type]) -> String {
    let values = values(types, "");
    match text.split_once("VALUES") {
        Some((head, rows)) => {
            let rows = with_columns(rows);
            format!("{head}SELECT w.* FROM {values} CROSS JOIN LATERAL (VALUES {rows}) AS w")
        }
        None => {
            let (head, condition) = text.split_once("WHERE").expect("an update has a condition");
            let (head, condition) = (with_columns(head), with_columns(condition));
            format!("{head}FROM {values} WHERE {condition}")
        }
    }
}

/// A lookup for many values; the last column says, from 1, for which.
pub(super) fn looking_up_many(text: &str, types: &[Type]) -> String {
    let (values, text) = (values(types, "asked"), with_columns(text));
    format!("SELECT w.*, v.asked FROM {values} CROSS JOIN LATERAL ({text}) AS w")
}

/// For which values a row of [`looking_up_many`] is, from 0.
pub(super) fn asked(row: &Row) -> Result<usize, StoreError> {
    let asked: i64 = row.try_get(row.len() - 1).map_err(StoreError::database)?;
    usize::try_from(asked - 1).map_err(StoreError::database)
}

/// Puts the rows of equal statements together. A savepoint keeps everything where it is.
pub(super) fn gather(
    queue: Vec<Queued>,
    prepare: impl Fn(&str) -> Result<Statement, StoreError>,
) -> Result<Vec<Queued>, StoreError> {
    if queue.iter().any(|queued| matches!(queued, Queued::Plain(_))) {
        return Ok(queue);
    }
    let mut groups: Vec<(Arc<Together>, Vec<Queued>)> = Vec::new();
    let mut between = Vec::with_capacity(queue.len());
    for queued in queue {
        let together = match &queued {
            Queued::Prepared { together: Some(together), .. } => Arc::clone(together),
            _ => {
                between.push(queued);
                continue;
            }
        };
        match groups.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &together)) {
            Some((_, members)) => members.push(queued),
            None => groups.push((together, vec![queued])),
        }
    }
    // Of one place each group stays where its first member was.
    groups.sort_by_key(|(together, _)| together.place);
    let mut ordered = Vec::with_capacity(groups.len() + between.len());
    let mut between = Some(between);
    for (together, members) in groups {
        if together.place == Place::Last {
            ordered.extend(between.take().into_iter().flatten());
        }
        if members.len() == 1 {
            ordered.extend(members);
            continue;
        }
        let statement = match together.statement.get() {
            Some(statement) => statement.clone(),
            None => {
                let statement = prepare(&together.text)?;
                together.statement.get_or_init(|| statement).clone()
            }
        };
        ordered.push(one(statement, members));
    }
    ordered.extend(between.into_iter().flatten());
    Ok(ordered)
}

/// One statement with the values of all.
fn one(statement: Statement, members: Vec<Queued>) -> Queued {
    let mut columns: Vec<Vec<Owned>> = Vec::new();
    let mut sum = Some(0);
    for member in members {
        let Queued::Prepared { values, rows, .. } = member else { continue };
        columns.resize_with(values.len(), Vec::new);
        for (column, value) in columns.iter_mut().zip(values.into_vec()) {
            column.push(value);
        }
        sum = sum.zip(rows).map(|(sum, rows)| sum + rows);
    }
    Queued::Many { statement, columns, rows: sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insertion_takes_its_rows_from_columns() {
        let text = "INSERT INTO t (a, b) VALUES ($1, $2), ($1, $2 + 1) /* TOGETHER LAST */";
        assert_eq!(
            writing_many(text, &[Type::INT8, Type::INT8]),
            "INSERT INTO t (a, b) SELECT w.* FROM unnest($1::int8[], $2::int8[]) AS v(p1, p2) \
             CROSS JOIN LATERAL (VALUES  (v.p1, v.p2), (v.p1, v.p2 + 1) /* TOGETHER LAST */) AS w"
        );
    }

    #[test]
    fn an_update_finds_its_rows_by_columns() {
        let text = "UPDATE t SET a = $2 WHERE n = $1 /* TOGETHER LAST */";
        assert_eq!(
            writing_many(text, &[Type::INT8, Type::TEXT]),
            "UPDATE t SET a = v.p2 FROM unnest($1::int8[], $2::text[]) AS v(p1, p2) WHERE  n = v.p1 /* TOGETHER LAST */"
        );
    }
}
