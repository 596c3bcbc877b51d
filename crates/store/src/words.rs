//! The closed lists of words that columns hold, and the conversions between columns and domain types.

use gallerist_domain::{AttemptId, LotId, Operation, OutputFormat, ProjectId, RequestId, Ticks};
use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::Type;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }

            /// The word for `text`, if it is one.
            pub fn from_word(text: &str) -> Option<$name> {
                match text { $($text => Some($name::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }
    };
}

words!(
    /// Where a request stands.
    RequestStatus { Running = "running", Succeeded = "succeeded", Partial = "partial", Failed = "failed" }
);
words!(
    /// Where the money of an attempt stands.
    AttemptStatus {
        /// Held at its maximum; the call may be under way.
        Reserved = "reserved",
        /// The charge is known and booked.
        Settled = "settled",
        /// Nothing was charged.
        Released = "released",
        /// Nobody knows yet; the maximum stays held apart.
        Disputed = "disputed",
    }
);
words!(
    /// What a key may do.
    KeyRole { Generate = "generate", Admin = "admin" }
);
words!(
    /// Which movement of money an entry belongs to.
    Movement { Reserve = "reserve", Settle = "settle", Release = "release", Dispute = "dispute",
        Resolve = "resolve",
        /// Of credits, as are the next two.
        Purchase = "purchase",
        Consume = "consume", Expire = "expire" }
);

/// A column that holds what this version never wrote.
pub(crate) fn strange(column: usize, what: impl fmt::Display) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, what.to_string().into())
}

pub(crate) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

pub(crate) fn timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(row.get(column)?).map_err(|error| strange(column, error))
}

pub(crate) fn timestamp_opt(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    match row.get::<_, Option<i64>>(column)? {
        Some(at) => Timestamp::from_microsecond(at).map(Some).map_err(|error| strange(column, error)),
        None => Ok(None),
    }
}

pub(crate) fn ticks(row: &Row<'_>, column: usize) -> rusqlite::Result<Ticks> {
    row.get(column).map(Ticks::new)
}

pub(crate) fn ticks_opt(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Ticks>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Ticks::new))
}

pub(crate) fn request_id(row: &Row<'_>, column: usize) -> rusqlite::Result<RequestId> {
    row.get(column).map(|bytes| RequestId::from_uuid(Uuid::from_bytes(bytes)))
}

pub(crate) fn attempt_id(row: &Row<'_>, column: usize) -> rusqlite::Result<AttemptId> {
    row.get(column).map(|bytes| AttemptId::from_uuid(Uuid::from_bytes(bytes)))
}

pub(crate) fn lot_id(row: &Row<'_>, column: usize) -> rusqlite::Result<LotId> {
    row.get(column).map(|bytes| LotId::from_uuid(Uuid::from_bytes(bytes)))
}

/// A text column that parses.
pub(crate) fn parsed<T: FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T::Err: fmt::Display,
{
    row.get_ref(column)?.as_str()?.parse().map_err(|error| strange(column, error))
}

/// A text column that holds a word of a closed list.
pub(crate) fn word<T>(row: &Row<'_>, column: usize, from: fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    from(text).ok_or_else(|| strange(column, text))
}

/// A text column that holds JSON which this program wrote.
pub(crate) fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|error| strange(column, error))
}

pub(crate) fn project(row: &Row<'_>, column: usize) -> rusqlite::Result<ProjectId> {
    parsed(row, column)
}

pub(crate) fn operation(row: &Row<'_>, column: usize) -> rusqlite::Result<Operation> {
    word(row, column, Operation::from_word)
}

pub(crate) fn format(row: &Row<'_>, column: usize) -> rusqlite::Result<OutputFormat> {
    word(row, column, OutputFormat::from_word)
}

/// Declares the statements of a module as constants, with the list that the test prepares one by one.
macro_rules! statements {
    ($($name:ident = $text:expr;)+) => {
        $(const $name: &str = $text;)+
        #[cfg(test)]
        pub(crate) const STATEMENTS: &[&str] = &[$($name),+];
    };
}
pub(crate) use statements;
