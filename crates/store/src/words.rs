//! The closed lists of words that columns hold, and the conversions between columns and domain types.

use gallerist_domain::{AttemptId, LotId, Operation, OutputFormat, ProjectId, RateLimits, RequestId, Ticks};
use jiff::Timestamp;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

use crate::StoreError;
use crate::sql::Row;

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
    /// What the body of a webhook looks like.
    WebhookFormat {
        /// Type, timestamp and data, after the Standard Webhooks specification.
        Standard = "standard",
        /// `{"text": …}`, which the incoming webhooks of chat programs take.
        Slack = "slack",
    }
);
words!(
    /// Which movement of money an entry belongs to.
    Movement { Reserve = "reserve", Settle = "settle", Release = "release", Dispute = "dispute",
        Resolve = "resolve",
        /// Of credits, as are the next two.
        Purchase = "purchase",
        Consume = "consume", Expire = "expire" }
);

pub(crate) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

pub(crate) fn timestamp(row: &Row<'_>, column: usize) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(row.get(column)?).map_err(|error| StoreError::strange(column, error))
}

pub(crate) fn timestamp_opt(row: &Row<'_>, column: usize) -> Result<Option<Timestamp>, StoreError> {
    match row.get::<Option<i64>>(column)? {
        Some(at) => {
            Timestamp::from_microsecond(at).map(Some).map_err(|error| StoreError::strange(column, error))
        }
        None => Ok(None),
    }
}

pub(crate) fn ticks(row: &Row<'_>, column: usize) -> Result<Ticks, StoreError> {
    row.get(column).map(Ticks::new)
}

pub(crate) fn ticks_opt(row: &Row<'_>, column: usize) -> Result<Option<Ticks>, StoreError> {
    Ok(row.get::<Option<i64>>(column)?.map(Ticks::new))
}

pub(crate) fn request_id(row: &Row<'_>, column: usize) -> Result<RequestId, StoreError> {
    row.get(column).map(|bytes| RequestId::from_uuid(Uuid::from_bytes(bytes)))
}

pub(crate) fn attempt_id(row: &Row<'_>, column: usize) -> Result<AttemptId, StoreError> {
    row.get(column).map(|bytes| AttemptId::from_uuid(Uuid::from_bytes(bytes)))
}

pub(crate) fn lot_id(row: &Row<'_>, column: usize) -> Result<LotId, StoreError> {
    row.get(column).map(|bytes| LotId::from_uuid(Uuid::from_bytes(bytes)))
}

/// A text column that parses.
pub(crate) fn parsed<T: FromStr>(row: &Row<'_>, column: usize) -> Result<T, StoreError>
where
    T::Err: fmt::Display,
{
    row.get::<&str>(column)?.parse().map_err(|error| StoreError::strange(column, error))
}

/// A text column that holds a word of a closed list.
pub(crate) fn word<T>(row: &Row<'_>, column: usize, from: fn(&str) -> Option<T>) -> Result<T, StoreError> {
    let text: &str = row.get(column)?;
    from(text).ok_or_else(|| StoreError::strange(column, text))
}

/// A text column that holds JSON which this program wrote.
pub(crate) fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T, StoreError> {
    serde_json::from_str(row.get(column)?).map_err(|error| StoreError::strange(column, error))
}

pub(crate) fn project(row: &Row<'_>, column: usize) -> Result<ProjectId, StoreError> {
    parsed(row, column)
}

/// Three columns, from this one on.
pub(crate) fn rate_limits(row: &Row<'_>, column: usize) -> Result<RateLimits, StoreError> {
    Ok(RateLimits {
        requests_per_minute: row.get(column)?,
        images_per_minute: row.get(column + 1)?,
        images_at_once: row.get(column + 2)?,
    })
}

pub(crate) fn operation(row: &Row<'_>, column: usize) -> Result<Operation, StoreError> {
    word(row, column, Operation::from_word)
}

pub(crate) fn format(row: &Row<'_>, column: usize) -> Result<OutputFormat, StoreError> {
    word(row, column, OutputFormat::from_word)
}

/// Declares the statements of a module as constants, with the list that the test prepares one by one.
macro_rules! statements {
    ($($name:ident = $text:expr;)+) => {
        $(pub(crate) const $name: &str = $text;)+
        #[cfg(test)]
        pub(crate) const STATEMENTS: &[&str] = &[$($name),+];
    };
}
pub(crate) use statements;
