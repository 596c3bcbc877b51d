//! Looking up what the commands of a group will ask, ahead of them: each statement once, for all its values.

use std::collections::BTreeMap;
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::{Connection, Read};
use crate::StoreError;
use crate::postgres::{dialect, together};
use crate::sql::{Lookups, Owned, Value};

/// The values of one lookup.
type Values = Box<[Owned]>;

impl Connection {
    /// Looks up what commands will ask, all at once, and each statement once.
    pub(in crate::postgres) fn look_ahead(&self, lookups: Lookups) -> Result<(), StoreError> {
        let mut by_text: BTreeMap<&'static str, Vec<Values>> = BTreeMap::new();
        for (text, values) in lookups.single() {
            by_text.entry(text).or_default().push(values);
        }
        if by_text.is_empty() {
            return Ok(());
        }
        let many = |text: &str, asked: &[Values]| asked.len() > 1 && !text.contains("FOR UPDATE");
        // For each statement the columns of its values, of which a single lookup has one row.
        let mut reads: Vec<(Statement, Vec<Vec<Owned>>)> = Vec::new();
        let mut asked_by: Vec<(&'static str, &[Values])> = Vec::new();
        for (text, asked) in &by_text {
            for part in if many(text, asked) { asked.chunks(asked.len()) } else { asked.chunks(1) } {
                let statement =
                    if part.len() > 1 { self.gathered(text)? } else { self.prepared(text)?.statement };
                let columns = 0..part[0].len();
                let column = |at: usize| part.iter().map(|values| values[at].clone()).collect();
                reads.push((statement, columns.map(column).collect()));
                asked_by.push((text, part));
            }
        }
        let sent: Vec<Read<'_>> = reads
            .iter()
            .zip(&asked_by)
            .map(|((statement, columns), (_, asked))| {
                let values = columns.iter().map(|column| -> &(dyn ToSql + Sync) {
                    if asked.len() == 1 { &column[0] } else { column }
                });
                (statement, values.collect())
            })
            .collect();
        let answers = self.send(&sent)?;
        let mut ahead = self.ahead.borrow_mut();
        for ((text, asked), (rows, _)) in asked_by.into_iter().zip(answers) {
            let mut parts: Vec<Vec<tokio_postgres::Row>> = asked.iter().map(|_| Vec::new()).collect();
            for row in rows {
                let place = if asked.len() == 1 { 0 } else { together::asked(&row)? };
                parts[place].push(row);
            }
            ahead.extend(asked.iter().zip(parts).map(|(values, rows)| ((text, values.clone()), rows)));
        }
        Ok(())
    }

    /// A lookup for many values.
    fn gathered(&self, text: &'static str) -> Result<Statement, StoreError> {
        if let Some(found) = self.gathered.borrow().get(text) {
            return Ok(found.clone());
        }
        let single = self.prepared(text)?.statement;
        let statement =
            self.prepare(&together::looking_up_many(&dialect::postgres(text), single.params()))?;
        self.gathered.borrow_mut().insert(text, statement.clone());
        Ok(statement)
    }

    /// The answer of [`Connection::look_ahead`], once.
    pub(super) fn known(&self, statement: &str, values: &[Value<'_>]) -> Option<Vec<tokio_postgres::Row>> {
        let mut ahead = self.ahead.borrow_mut();
        if ahead.is_empty() {
            return None;
        }
        let (statement, _) = ahead.keys().find(|(text, _)| *text == statement)?;
        let statement: &'static str = statement;
        let values = values.iter().map(|value| Owned::from(*value)).collect();
        ahead.remove(&(statement, values))
    }
}
