//! The small surface between the rules and the engines: statements, values, rows.
//!
//! The rules are written once, against [`Sql`]. A statement is a constant in the common subset of the
//! dialects, with `?1` for its first value; an engine keeps it prepared. Values and columns are borrowed, so
//! that neither costs an allocation. It refuses to build SQL and to know what a row means.

use gallerist_domain::Ticks;
use std::collections::HashMap;
use std::error::Error;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::StoreError;

/// A value of a statement, or a column of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Text(&'a str),
    Blob(&'a [u8]),
}

/// The values of a statement, as a borrowed array: `?1` is the first.
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::sql::ToValue::to_value(&$value)),*] };
}
pub(crate) use params;

/// Whose SQL it is, for the few statements that have no common form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// An open transaction of an engine.
///
/// The names of statements and their values are those of the caller; what may be done later than it was asked
/// for ([`Sql::put`]) is done before anything is read and at the commit at the latest.
pub(crate) trait Sql {
    fn dialect(&self) -> Dialect;

    /// Runs a statement that changes rows; how many there were.
    fn execute(&self, statement: &str, values: &[Value<'_>]) -> Result<u64, StoreError>;

    /// Runs a statement of whose outcome nothing is needed before the commit. With `rows`, another number of
    /// changed rows would mean that the books are wrong.
    fn put(&self, statement: &str, values: &[Value<'_>], rows: Option<u64>) -> Result<(), StoreError>;

    /// Changes the one row that meets the statement's conditions; false if there is none. An engine may say yes
    /// before it knows, if it has everything run again where that was wrong.
    fn try_one(&self, statement: &str, values: &[Value<'_>]) -> Result<bool, StoreError> {
        Ok(self.execute(statement, values)? == 1)
    }

    /// Whether conditions are taken to be met until the end of the transaction says otherwise.
    fn is_hopeful(&self) -> bool {
        false
    }

    /// Whether nobody else writes the database while this writer has it, so that it may remember what it wrote.
    fn is_alone(&self) -> bool {
        false
    }

    /// The running totals of a row: its four columns.
    fn totals(&self, tally: &'static Tally, row: i64) -> Result<[i64; 4], StoreError> {
        let mut totals = None;
        self.query(tally.read, params![row], &mut |row| {
            totals = Some([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]);
            Ok(ControlFlow::Break(()))
        })?;
        totals.ok_or_else(|| StoreError::database("a row is missing"))
    }

    /// Adds to the running totals of a row; with `within` only where its limit allows that, else false. As
    /// [`Sql::try_one`], an engine may say yes first, and add up what a whole group changes.
    fn tally(
        &self,
        tally: &'static Tally,
        row: i64,
        change: [i64; 4],
        within: bool,
    ) -> Result<bool, StoreError> {
        let [one, two, three, four] = change;
        let values = params![row, one, two, three, four];
        if within {
            return self.try_one(tally.within, values);
        }
        self.put(tally.plain, values, Some(1)).map(|()| true)
    }

    /// Runs an `INSERT INTO table (…) VALUES (…)` of one row, without its number; which number it got.
    fn insert(&self, statement: &str, values: &[Value<'_>]) -> Result<i64, StoreError>;

    /// Forgets what was looked up ahead: a command has changed it.
    fn forget_lookups(&self) {}

    /// Shows each row to `each` until that breaks.
    fn query(&self, statement: &str, values: &[Value<'_>], each: &mut Each<'_>) -> Result<(), StoreError>;
}

/// Running totals of rows, of which many commands change the same: statements that take the row's number as `?1`,
/// and those that change it what is added to four columns as `?2` to `?5`.
#[derive(Debug)]
pub(crate) struct Tally {
    /// The four columns and the limit of the first three together, null where there is none.
    pub(crate) read: &'static str,
    /// Changes nothing where the limit would be passed.
    pub(crate) within: &'static str,
    pub(crate) plain: &'static str,
}

/// A value that outlives its owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owned {
    Null,
    Boolean(bool),
    Integer(i64),
    Text(Box<str>),
    Blob(Box<[u8]>),
}

impl From<Value<'_>> for Owned {
    fn from(value: Value<'_>) -> Owned {
        match value {
            Value::Null => Owned::Null,
            Value::Boolean(yes) => Owned::Boolean(yes),
            Value::Integer(number) => Owned::Integer(number),
            Value::Text(text) => Owned::Text(text.into()),
            Value::Blob(bytes) => Owned::Blob(bytes.into()),
        }
    }
}

impl Owned {
    pub(crate) fn borrowed(&self) -> Value<'_> {
        match self {
            Owned::Null => Value::Null,
            Owned::Boolean(yes) => Value::Boolean(*yes),
            Owned::Integer(number) => Value::Integer(*number),
            Owned::Text(text) => Value::Text(text),
            Owned::Blob(bytes) => Value::Blob(bytes),
        }
    }
}

/// A statement that reads, with its values.
pub(crate) type Lookup = (&'static str, Box<[Owned]>);

/// What the commands of a group will look up, each with the first statement that it runs for a row.
///
/// An answer is used once, by the command that wanted it: what two want, the first may change, so it is not
/// looked up ahead.
#[derive(Default)]
pub(crate) struct Lookups {
    wanted: HashMap<Lookup, u32>,
}

impl Lookups {
    pub(crate) fn want(&mut self, statement: &'static str, values: &[Value<'_>]) {
        let values = values.iter().map(|value| Owned::from(*value)).collect();
        *self.wanted.entry((statement, values)).or_default() += 1;
    }

    /// As [`Lookups::want`], for an answer that is remembered for the whole group.
    pub(crate) fn want_shared(&mut self, statement: &'static str, values: &[Value<'_>]) {
        let values = values.iter().map(|value| Owned::from(*value)).collect();
        self.wanted.insert((statement, values), 1);
    }

    /// What can be looked up ahead.
    pub(crate) fn single(self) -> impl Iterator<Item = Lookup> {
        self.wanted.into_iter().filter_map(|(lookup, times)| (times == 1).then_some(lookup))
    }
}

/// What looks at rows.
pub(crate) type Each<'a> = dyn FnMut(&Row<'_>) -> Result<ControlFlow<()>, StoreError> + 'a;

impl dyn Sql + '_ {
    /// As [`Sql::put`], for any number of rows.
    pub(crate) fn change(&self, statement: &str, values: &[Value<'_>]) -> Result<(), StoreError> {
        self.put(statement, values, None)
    }

    /// As [`Sql::put`], for the one row that there must be.
    pub(crate) fn change_one(&self, statement: &str, values: &[Value<'_>]) -> Result<(), StoreError> {
        self.put(statement, values, Some(1))
    }

    /// The first row, if there is one.
    pub(crate) fn query_opt<T>(
        &self,
        statement: &str,
        values: &[Value<'_>],
        map: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let (mut map, mut found) = (Some(map), None);
        self.query(statement, values, &mut |row| {
            if let Some(map) = map.take() {
                found = Some(map(row)?);
            }
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }

    /// The first row of a statement that always has one.
    pub(crate) fn query_row<T>(
        &self,
        statement: &str,
        values: &[Value<'_>],
        map: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.query_opt(statement, values, map)?.ok_or_else(|| StoreError::database("a row is missing"))
    }

    /// All rows, in their order.
    pub(crate) fn query_all<T, C: FromIterator<T>>(
        &self,
        statement: &str,
        values: &[Value<'_>],
        mut map: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<C, StoreError> {
        let mut rows = Vec::new();
        self.query(statement, values, &mut |row| {
            rows.push(map(row)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(rows.into_iter().collect())
    }

    /// Whether there is a row.
    pub(crate) fn exists(&self, statement: &str, values: &[Value<'_>]) -> Result<bool, StoreError> {
        Ok(self.query_opt(statement, values, |_| Ok(()))?.is_some())
    }
}

/// The columns of a row as an engine holds them.
pub(crate) trait Columns {
    fn value(&self, column: usize) -> Result<Value<'_>, StoreError>;
}

/// A row while it is looked at. Columns count from 0.
pub(crate) struct Row<'a> {
    columns: &'a dyn Columns,
}

impl<'a> Row<'a> {
    pub(crate) fn new(columns: &'a dyn Columns) -> Row<'a> {
        Row { columns }
    }

    /// Fails if the column holds something else, which this version never wrote.
    pub(crate) fn get<T: FromValue<'a>>(&self, column: usize) -> Result<T, StoreError> {
        let value = self.columns.value(column)?;
        T::from_value(value).ok_or_else(|| StoreError::strange(column, "its value is of another type"))
    }
}

/// What a column can be read as; `None` if it holds something else.
pub(crate) trait FromValue<'a>: Sized {
    fn from_value(value: Value<'a>) -> Option<Self>;
}

impl FromValue<'_> for i64 {
    fn from_value(value: Value<'_>) -> Option<i64> {
        match value {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }
}

macro_rules! narrower_integers {
    ($($type:ty)+) => { $(
        impl FromValue<'_> for $type {
            fn from_value(value: Value<'_>) -> Option<$type> {
                i64::from_value(value).and_then(|number| number.try_into().ok())
            }
        }
        impl ToValue for $type {
            fn to_value(&self) -> Value<'_> { Value::Integer(i64::from(*self)) }
        }
    )+ };
}
narrower_integers!(u16 u32);

impl FromValue<'_> for bool {
    fn from_value(value: Value<'_>) -> Option<bool> {
        match value {
            Value::Boolean(yes) => Some(yes),
            Value::Integer(number) => Some(number != 0),
            _ => None,
        }
    }
}

impl<'a> FromValue<'a> for &'a str {
    fn from_value(value: Value<'a>) -> Option<&'a str> {
        match value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl FromValue<'_> for String {
    fn from_value(value: Value<'_>) -> Option<String> {
        <&str>::from_value(value).map(str::to_owned)
    }
}

impl<'a> FromValue<'a> for &'a [u8] {
    fn from_value(value: Value<'a>) -> Option<&'a [u8]> {
        match value {
            Value::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }
}

impl FromValue<'_> for Vec<u8> {
    fn from_value(value: Value<'_>) -> Option<Vec<u8>> {
        <&[u8]>::from_value(value).map(<[u8]>::to_vec)
    }
}

impl<const N: usize> FromValue<'_> for [u8; N] {
    fn from_value(value: Value<'_>) -> Option<[u8; N]> {
        <&[u8]>::from_value(value).and_then(|bytes| bytes.try_into().ok())
    }
}

impl<'a, T: FromValue<'a>> FromValue<'a> for Option<T> {
    fn from_value(value: Value<'a>) -> Option<Option<T>> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// What a statement takes as a value.
pub(crate) trait ToValue {
    fn to_value(&self) -> Value<'_>;
}

impl ToValue for i64 {
    fn to_value(&self) -> Value<'_> {
        Value::Integer(*self)
    }
}

impl ToValue for Ticks {
    fn to_value(&self) -> Value<'_> {
        Value::Integer(self.get())
    }
}

impl ToValue for bool {
    fn to_value(&self) -> Value<'_> {
        Value::Boolean(*self)
    }
}

impl ToValue for str {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl ToValue for [u8] {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl ToValue for Vec<u8> {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl<const N: usize> ToValue for [u8; N] {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

/// Why a database failed, in the words of its engine.
pub type EngineError = Arc<dyn Error + Send + Sync>;
