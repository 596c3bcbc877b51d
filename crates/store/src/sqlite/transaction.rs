//! The transaction of a group: running totals stay in memory until it ends.
//!
//! Every command of a group changes the totals of its project, and of the counters of its budgets. They are read when
//! a command first needs them, limits are asked of what the commands before have made of them, and each row is written
//! once, ahead of any statement that speaks of those rows and at the end. What a command added that is refused then is
//! taken back, as long as nothing of it was written.
//!
//! Payments run the same few statements again and again; those stay at hand until the group ends.

use rusqlite::{CachedStatement, Connection, params_from_iter};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::StoreError;
use crate::sql::{Dialect, Each, Sql, Tally, Value, params};

/// The tables that hold running totals, or their limits.
const TABLES: [&str; 2] = ["projects", "budget"];
/// How a statement ends that is run beside others, so that none of them may hang on it (`postgres/together.rs`): it
/// speaks of no totals.
const BESIDE: [&str; 3] = ["TOGETHER FIRST */", "TOGETHER SECOND */", "TOGETHER LAST */"];

/// The address of a tally, and the number of a row.
type Key = (usize, i64);

pub(super) struct Transaction<'a> {
    connection: &'a Connection,
    totals: RefCell<Totals>,
    /// The statements of payments by their texts: few enough to be looked through.
    at_hand: RefCell<Vec<(Box<str>, CachedStatement<'a>)>>,
}

/// Where a transaction stands before a command.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    /// Rows that commands have changed.
    changes: u64,
    /// Changes of totals so far.
    tallied: usize,
}

#[derive(Default)]
struct Totals {
    rows: BTreeMap<Key, Sums>,
    /// What was added since totals were last written.
    added: Vec<(Key, [i64; 4])>,
    /// Changes of totals that are written.
    written: usize,
    /// Rows that were changed for that.
    rows_written: u64,
}

/// The totals of one row.
struct Sums {
    tally: &'static Tally,
    now: [i64; 4],
    limit: Option<i64>,
    /// What of it is not written.
    added: [i64; 4],
}

impl Sums {
    fn read(connection: &dyn Sql, tally: &'static Tally, row: i64) -> Result<Sums, StoreError> {
        connection.query_row(tally.read, params![row], |row| {
            let now = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
            Ok(Sums { tally, now, limit: row.get(4)?, added: [0; 4] })
        })
    }

    fn add(&mut self, change: [i64; 4]) -> Result<(), StoreError> {
        for ((now, added), change) in self.now.iter_mut().zip(&mut self.added).zip(change) {
            *now = now.checked_add(change).ok_or_else(|| StoreError::database("a total has no room"))?;
            *added += change;
        }
        Ok(())
    }

    /// Whether the limit allows so much more.
    fn fits(&self, change: [i64; 4]) -> bool {
        let sum: i128 = self.now[..3].iter().chain(&change[..3]).copied().map(i128::from).sum();
        self.limit.is_none_or(|limit| sum <= i128::from(limit))
    }
}

impl<'a> Transaction<'a> {
    /// Of a connection on which one was begun.
    pub(super) fn new(connection: &'a Connection) -> Transaction<'a> {
        Transaction { connection, totals: RefCell::default(), at_hand: RefCell::default() }
    }

    pub(super) fn mark(&self) -> Mark {
        let totals = self.totals.borrow();
        Mark {
            changes: self.connection.total_changes() - totals.rows_written,
            tallied: totals.written + totals.added.len(),
        }
    }

    /// Takes back what a command has added since; false if it has written something.
    pub(super) fn undo(&self, mark: Mark) -> bool {
        let mut totals = self.totals.borrow_mut();
        let wrote = self.connection.total_changes() - totals.rows_written != mark.changes;
        if wrote || totals.written > mark.tallied {
            return false;
        }
        let kept = mark.tallied - totals.written;
        for (key, change) in totals.added.split_off(kept) {
            let sums = totals.rows.get_mut(&key).expect("what is added to is remembered");
            sums.add(change.map(|added| -added)).expect("it held so much less before");
        }
        true
    }

    /// Whether the engine has rolled everything back by itself.
    pub(super) fn is_over(&self) -> bool {
        self.connection.is_autocommit()
    }

    /// Runs a statement about the transaction itself.
    pub(super) fn order(&self, statement: &str) -> Result<(), StoreError> {
        self.connection.prepare_cached(statement)?.execute([])?;
        Ok(())
    }

    /// What was added since the last writing is gone, because everything since was rolled back.
    pub(super) fn forget(&self) {
        let mut totals = self.totals.borrow_mut();
        totals.rows.clear();
        totals.added.clear();
    }

    /// Writes the totals that have changed.
    pub(super) fn write_totals(&self) -> Result<(), StoreError> {
        let mut totals = self.totals.borrow_mut();
        let before = self.connection.total_changes();
        for ((_, row), sums) in &mut totals.rows {
            let [one, two, three, four] = sums.added;
            if sums.added != [0; 4] {
                Sql::put(self.connection, sums.tally.plain, params![row, one, two, three, four], Some(1))?;
                sums.added = [0; 4];
            }
        }
        // Only where all are written: else the rows that were count as the command's, which cannot be taken back.
        totals.rows_written += self.connection.total_changes() - before;
        totals.written += totals.added.len();
        totals.added.clear();
        Ok(())
    }

    /// Runs a statement that changes rows; how many.
    fn run(&self, statement: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        if !is_run_beside_others(statement) {
            self.before(statement)?;
            return Sql::execute(self.connection, statement, values);
        }
        let mut at_hand = self.at_hand.borrow_mut();
        let place = match at_hand.iter().position(|(text, _)| **text == *statement) {
            Some(place) => place,
            None => {
                at_hand.push((statement.into(), self.connection.prepare_cached(statement)?));
                at_hand.len() - 1
            }
        };
        Ok(at_hand[place].1.execute(params_from_iter(values))? as u64)
    }

    /// Writes and forgets the totals where a statement may speak of them.
    fn before(&self, statement: &str) -> Result<(), StoreError> {
        let speaks = TABLES.iter().any(|table| statement.contains(table));
        if !speaks || self.totals.borrow().rows.is_empty() {
            return Ok(());
        }
        self.write_totals()?;
        self.totals.borrow_mut().rows.clear();
        Ok(())
    }

    /// The totals of a row, read where they are not remembered.
    fn sums<T>(
        &self,
        (tally, row): (&'static Tally, i64),
        of: impl FnOnce(&mut Sums) -> T,
    ) -> Result<T, StoreError> {
        let mut totals = self.totals.borrow_mut();
        let sums = match totals.rows.entry(key(tally, row)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(Sums::read(self.connection, tally, row)?),
        };
        Ok(of(sums))
    }
}

fn key(tally: &'static Tally, row: i64) -> Key {
    (std::ptr::from_ref(tally).addr(), row)
}

fn is_run_beside_others(statement: &str) -> bool {
    BESIDE.iter().any(|end| statement.ends_with(end))
}

impl Sql for Transaction<'_> {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn execute(&self, statement: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        self.run(statement, values)
    }

    fn put(&self, statement: &str, values: &[Value<'_>], rows: Option<u64>) -> Result<(), StoreError> {
        let changed = self.run(statement, values)?;
        if let Some(rows) = rows {
            assert_eq!(changed, rows, "the rows that it must change exist once: {statement}");
        }
        Ok(())
    }

    fn insert(&self, statement: &str, values: &[Value<'_>]) -> Result<i64, StoreError> {
        self.run(statement, values)?;
        Ok(self.connection.last_insert_rowid())
    }

    fn query(&self, statement: &str, values: &[Value<'_>], each: &mut Each<'_>) -> Result<(), StoreError> {
        self.before(statement)?;
        Sql::query(self.connection, statement, values, each)
    }

    /// The directory is locked to this process, and the process has one writer.
    fn is_alone(&self) -> bool {
        true
    }

    fn totals(&self, tally: &'static Tally, row: i64) -> Result<[i64; 4], StoreError> {
        self.sums((tally, row), |sums| sums.now)
    }

    fn tally(
        &self,
        tally: &'static Tally,
        row: i64,
        change: [i64; 4],
        within: bool,
    ) -> Result<bool, StoreError> {
        let added = self.sums((tally, row), |sums| {
            let fits = !within || sums.fits(change);
            if fits { sums.add(change).map(|()| true) } else { Ok(false) }
        })??;
        if added {
            self.totals.borrow_mut().added.push((key(tally, row), change));
        }
        Ok(added)
    }
}
